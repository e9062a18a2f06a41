//! Connections, and the tables.

#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use clock::Clock;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Executor as _, SqlSafeStr as _};
use tokio::sync::OnceCell;
#[cfg(feature = "postgres")]
use url::Url;
use web_session::store::{ForwardClock, StoreError};

use super::error::store_error;
use super::{SqlStore, statements};
#[cfg(feature = "sqlite")]
use crate::sessions::percent_encoded;
use crate::sessions::{LIMIT, away};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// What every connection to SQLite is told. Write-ahead logging is the file's, set when the tables are made; with it
/// `NORMAL` loses at most what was written last when the machine fails, and nothing when a process does. A lock of another
/// process is waited for, for less than a call takes.
#[cfg(feature = "sqlite")]
const SQLITE_SETTINGS: &str = "PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 800";

#[cfg(feature = "sqlite")]
const SQLITE_READERS: u32 = 4;
#[cfg(feature = "postgres")]
const POSTGRES_CONNECTIONS: (u32, u32) = (2, 10);
/// A connection that was idle for longer may have been closed at its other end.
#[cfg(feature = "postgres")]
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// To make the tables, which no caller waits for to the end.
const TABLES_LIMIT: Duration = Duration::from_secs(10);
/// Apart from a table of the application's own.
const MIGRATIONS_TABLE: &str = "web_session_migrations";

fn options(url: &str) -> Result<AnyConnectOptions, sqlx::Error> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let options: AnyConnectOptions = url.parse()?;
    Ok(options.disable_statement_logging())
}

fn pool_options() -> AnyPoolOptions {
    AnyPoolOptions::new().acquire_timeout(LIMIT)
}

#[cfg(feature = "sqlite")]
impl SqlStore {
    /// Opens a file of SQLite's, and makes it where there is none, for this user alone (mode 600).
    pub(in crate::sessions) fn sqlite(
        path: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, std::io::Error> {
        private_file(path)?;
        let unusable = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
        let path = path.to_str().ok_or_else(unusable)?;
        let url = format!("sqlite:{}?mode=rw", percent_encoded(path, "/"));
        let options = options(&url).map_err(|_| unusable())?;
        let pool = |connections: u32| {
            pool_options()
                .max_connections(connections)
                .test_before_acquire(false)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        connection.execute(SQLITE_SETTINGS).await?;
                        Ok(())
                    })
                })
                .connect_lazy_with(options.clone())
        };
        Ok(Self {
            engine: Engine::Sqlite,
            statements: &statements::SQLITE,
            readers: pool(SQLITE_READERS),
            writers: pool(1),
            options,
            clock: Some(ForwardClock::new(clock)),
            tables: OnceCell::new(),
        })
    }
}

#[cfg(feature = "postgres")]
impl SqlStore {
    pub(in crate::sessions) fn postgres(
        url: &Url,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, sqlx::Error> {
        let options = options(url.as_str())?;
        let (at_least, at_most) = POSTGRES_CONNECTIONS;
        let pool = pool_options()
            .min_connections(at_least)
            .max_connections(at_most)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        Ok(Self {
            engine: Engine::Postgres,
            statements: &statements::POSTGRES,
            readers: pool.clone(),
            writers: pool,
            options,
            clock: clock.map(ForwardClock::new),
            tables: OnceCell::new(),
        })
    }
}

fn migrations(engine: Engine) -> Migrator {
    let first = match engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => include_str!("../../../migrations/sqlite/1_sessions.sql"),
        #[cfg(feature = "postgres")]
        Engine::Postgres => include_str!("../../../migrations/postgres/1_sessions.sql"),
    };
    let sessions = Migration::new(
        1,
        "sessions".into(),
        MigrationType::Simple,
        first.into_sql_str(),
        false,
    );
    let mut migrator = Migrator::with_migrations(vec![sessions]);
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // A newer replica may have changed the tables already.
    migrator.set_ignore_missing(true);
    migrator
}

pub(super) async fn make_tables(
    engine: Engine,
    options: AnyConnectOptions,
) -> Result<(), StoreError> {
    let make = async {
        // Of its own: the lock that keeps others from doing the same ends with the connection at the latest.
        let mut connection = AnyConnection::connect_with(&options)
            .await
            .map_err(|error| store_error(&error))?;
        #[cfg(feature = "sqlite")]
        if engine == Engine::Sqlite {
            for setting in [SQLITE_SETTINGS, "PRAGMA journal_mode = WAL"] {
                let set = connection.execute(setting).await;
                set.map_err(|error| store_error(&error))?;
            }
        }
        let migrations = migrations(engine);
        let made = migrations.run_direct(None, &mut connection, false).await;
        let made = made.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => store_error(&error),
            _ => away("the tables are not those of this version"),
        });
        let _ = connection.close().await;
        made
    };
    let made = tokio::time::timeout(TABLES_LIMIT, make).await;
    made.unwrap_or_else(|_| Err(away("the tables were not made within 10 s")))
}

/// Makes the file where it is not there, and lets nobody else read it.
#[cfg(feature = "sqlite")]
fn private_file(path: &Path) -> Result<(), std::io::Error> {
    let mut file = std::fs::OpenOptions::new();
    file.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let file = file.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut permissions = file.metadata()?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o600);
            file.set_permissions(permissions)?;
        }
    }
    Ok(())
}
