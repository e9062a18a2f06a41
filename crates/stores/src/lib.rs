//! Sessions of [`web-session`](web_session) in SQLite, Postgres, Redis and Valkey.
//!
//! [`StoreUrl`] reads where they are kept, and [`StoreUrl::open`] returns the store:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use stores::StoreUrl;
//!
//! let store = "postgres://app@db.example/app".parse::<StoreUrl>()?.open()?;
//! # let _: std::sync::Arc<dyn web_session::SessionStore> = store;
//! # Ok(())
//! # }
//! ```
//!
//! Opening asks nobody: a server that is away is asked again with each call, so that an application starts without it
//! and is ready when it is there. A call ends within 1 s, and fails with
//! [`StoreErrorKind::Unavailable`](web_session::store::StoreErrorKind::Unavailable) where the store did not answer. What a
//! store says of a failure holds no key, nothing of a row and no password.
//!
//! Several replicas of one application may use one store. Another application has another: a file, a database, a schema
//! (`options[search_path]`), a number of Redis' databases or a prefix of its own. Rows are sealed by the application; the store has the hashes that rows are found by, and when
//! they end.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(
    feature = "sessions",
    any(feature = "postgres", feature = "redis", feature = "sqlite")
))]
mod sessions;

#[cfg(all(
    feature = "sessions",
    any(feature = "postgres", feature = "redis", feature = "sqlite")
))]
pub use self::sessions::*;
