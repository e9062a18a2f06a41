//! What is said of a failure: never what the database says, for that may quote a row.

use sqlx::error::DatabaseError;
use web_session::store::{StoreError, StoreErrorKind};

use crate::sessions::away;

pub(super) fn not_ours() -> StoreError {
    away("a row of the table has another form")
}

pub(super) fn store_error(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => told(error.as_ref()),
        sqlx::Error::Io(error) => away(&format!("no connection ({})", error.kind())),
        sqlx::Error::Tls(_) => away("TLS cannot be had; see sslmode and sslrootcert"),
        sqlx::Error::PoolTimedOut => away("no connection within 1 s"),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => away("the connections are closed"),
        sqlx::Error::Configuration(_) => away("the settings of the connection cannot be used"),
        sqlx::Error::Protocol(_) => away("the server speaks another protocol"),
        _ => not_ours(),
    }
}

/// The class of a failure by its code: SQLSTATE, or SQLite's number, of which the low byte counts.
fn told(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    if let Some(number) = code.parse::<u32>().ok().filter(|_| code.len() < 5) {
        return match number & 0xff {
            5 | 6 => away("the file is locked by another process"),
            8 => away("the file, or its folder, is read-only"),
            10 => away("the file cannot be read or written"),
            11 | 26 => away("the file is damaged, or no SQLite database"),
            13 => StoreError::new(StoreErrorKind::Full).with_detail("no room left for the file"),
            14 => away("the file cannot be opened"),
            _ => away(&format!("SQLite says {number}")),
        };
    }
    match code.as_ref() {
        "28000" | "28P01" => away("the server does not take the user or the password"),
        "3D000" => away("there is no such database"),
        "3F000" => away("there is no such schema, or the user lacks rights on it"),
        "42501" => away("the user lacks rights on the tables or the schema"),
        "42P01" => away("a table is gone; start again to make it anew"),
        "25006" => away("the server is read-only: a standby, or told to be"),
        "53100" => StoreError::new(StoreErrorKind::Full).with_detail("the server's disk is full"),
        "53300" => away("the server has too many connections"),
        "57P01" | "57P02" | "57P03" => away("the server is starting or stopping"),
        code => away(&format!("the server says {code}")),
    }
}
