//! Where sessions are kept.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clock::Clock;
#[cfg(feature = "sqlite")]
use clock::SystemClock;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};
use web_session::SessionStore;

#[cfg(feature = "redis")]
use super::redis::RedisStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::sql::SqlStore;

/// Where sessions are kept: `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, `redis://HOST/NUMBER` or, with TLS,
/// `rediss://HOST/NUMBER`.
///
/// - A path is taken as it stands, relative to the working directory.
/// - Postgres: a socket's folder is the parameter `host`. TLS is `sslmode`; where that is not named, a host that is not
///   this machine has to prove its name (`verify-full`), to the roots that Mozilla trusts or to `sslrootcert`.
/// - Redis: the number of the database is 0 where it is left out. The parameter `prefix` is what the names of all keys
///   begin with, `web-session:` otherwise. `rediss` trusts the system's root certificates.
///
/// A password stands in the URL, percent-encoded, or comes from [`with_password`](Self::with_password). `Display` and
/// `Debug` leave it out.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(Url),
    #[cfg(feature = "redis")]
    Redis(Url, String),
}

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreEngine {
    /// A file, for the processes of one machine.
    Sqlite,
    /// Postgres.
    Postgres,
    /// Redis or Valkey.
    Redis,
}

/// What is wrong with the place of a store. The text shows nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// It begins with none of the schemes.
    #[error("must begin with {}", SCHEMES.join(", "))]
    Scheme,
    /// After `sqlite:` there is no path of a file.
    #[error("must name a file after sqlite:, and nothing else")]
    Path,
    /// It is no URL.
    #[error("is no URL; a password in it has to be percent-encoded")]
    Url,
    /// It names no host.
    #[error("names no host")]
    Host,
    /// A URL of Postgres names no user.
    #[error("names no user, as in postgres://USER@HOST/DATABASE")]
    User,
    /// A URL of Postgres names no database.
    #[error("names no database, as in postgres://USER@HOST/DATABASE")]
    Database,
    /// After the host of Redis there is something else than a number.
    #[error("must end with the number of a database, as in redis://HOST/0, or with the host")]
    Number,
    /// It has a parameter that is not known.
    #[error("has an unknown parameter; known are {}", .0.join(", "))]
    Parameter(&'static [&'static str]),
    /// There are two passwords, or one for a file.
    #[error("the password stands in the URL already")]
    TwoPasswords,
    /// A file has no password.
    #[error("a file has no password")]
    PasswordOfFile,
}

/// Why a store was not opened. Shows nothing of its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be made, read and written.
    #[error("the file cannot be read and written ({})", .0.kind())]
    File(#[source] std::io::Error),
    /// The driver does not take the settings, such as a certificate that cannot be read.
    #[error("the driver does not take these settings")]
    Settings,
}

const SCHEMES: &[&str] = &[
    #[cfg(feature = "sqlite")]
    "sqlite:",
    #[cfg(feature = "postgres")]
    "postgres://",
    #[cfg(feature = "redis")]
    "redis://",
    #[cfg(feature = "redis")]
    "rediss://",
];

/// Of Postgres. The driver would log others with their values.
#[cfg(feature = "postgres")]
const POSTGRES_PARAMETERS: &[&str] = &[
    "application_name",
    "host",
    "options[search_path]",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
];

#[cfg(feature = "redis")]
const REDIS_PARAMETERS: &[&str] = &["prefix"];
#[cfg(feature = "redis")]
const DEFAULT_PREFIX: &str = "web-session:";

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        #[cfg(feature = "sqlite")]
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path);
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => postgres(text),
            #[cfg(feature = "redis")]
            Some("redis" | "rediss") => redis(text),
            _ => Err(StoreUrlError::Scheme),
        }
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &str) -> Result<StoreUrl, StoreUrlError> {
    // As some write it, with the slashes of a URL.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" || path.ends_with('/') || path.contains(['?', '\0']) {
        return Err(StoreUrlError::Path);
    }
    Ok(StoreUrl(Place::Sqlite(PathBuf::from(path))))
}

#[cfg(feature = "postgres")]
fn postgres(text: &str) -> Result<StoreUrl, StoreUrlError> {
    let mut url = Url::parse(text).map_err(|_| StoreUrlError::Url)?;
    let mut socket = None;
    let mut has_mode = false;
    for (name, value) in url.query_pairs() {
        if !POSTGRES_PARAMETERS.contains(&&*name) {
            return Err(StoreUrlError::Parameter(POSTGRES_PARAMETERS));
        }
        has_mode |= name == "sslmode";
        if name == "host" {
            socket = Some(value.starts_with('/'));
        }
    }
    // What the URL leaves out the driver would take from variables and the system.
    if url.host_str().is_none_or(str::is_empty) && socket.is_none() {
        return Err(StoreUrlError::Host);
    }
    // Without a host a URL has no place for a user; a socket's folder then stands beside one.
    if url.username().is_empty() {
        return Err(StoreUrlError::User);
    }
    if url.path().trim_start_matches('/').is_empty() {
        return Err(StoreUrlError::Database);
    }
    let is_here = socket.unwrap_or_else(|| is_this_machine(&url));
    if !is_here && !has_mode {
        url.query_pairs_mut().append_pair("sslmode", "verify-full");
    }
    Ok(StoreUrl(Place::Postgres(url)))
}

#[cfg(feature = "redis")]
fn redis(text: &str) -> Result<StoreUrl, StoreUrlError> {
    let mut url = Url::parse(text).map_err(|_| StoreUrlError::Url)?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(StoreUrlError::Host);
    }
    let number = url.path().trim_start_matches('/');
    if !number.is_empty() && number.parse::<u16>().is_err() {
        return Err(StoreUrlError::Number);
    }
    let mut prefix = DEFAULT_PREFIX.to_owned();
    for (name, value) in url.query_pairs() {
        if !REDIS_PARAMETERS.contains(&&*name) {
            return Err(StoreUrlError::Parameter(REDIS_PARAMETERS));
        }
        prefix = value.into_owned();
    }
    url.set_query(None);
    Ok(StoreUrl(Place::Redis(url, prefix)))
}

/// Tells whether a URL is of this machine: `localhost`, 127/8 and `::1`. The host of other schemes than the web's is
/// not read as an address.
fn is_this_machine(url: &Url) -> bool {
    match url.host_str().map(Host::parse) {
        Some(Ok(Host::Domain(name))) => name == "localhost",
        Some(Ok(Host::Ipv4(address))) => address.is_loopback(),
        Some(Ok(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    }
}

impl StoreUrl {
    /// Adds the password, which then does not stand in the URL.
    ///
    /// # Errors
    ///
    /// Fails where there is one already, and for a file.
    pub fn with_password(mut self, password: &SecretString) -> Result<Self, StoreUrlError> {
        let url = match &mut self.0 {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(_) => return Err(StoreUrlError::PasswordOfFile),
            #[cfg(feature = "postgres")]
            Place::Postgres(url) => url,
            #[cfg(feature = "redis")]
            Place::Redis(url, _) => url,
        };
        if url.password().is_some() {
            return Err(StoreUrlError::TwoPasswords);
        }
        // Fails only for a URL that has no host.
        let password = super::percent_encoded(password.expose_secret(), "");
        url.set_password(Some(&password))
            .map_err(|()| StoreUrlError::Host)?;
        Ok(self)
    }

    /// Returns the kind of store.
    #[must_use]
    pub fn engine(&self) -> StoreEngine {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(_) => StoreEngine::Sqlite,
            #[cfg(feature = "postgres")]
            Place::Postgres(_) => StoreEngine::Postgres,
            #[cfg(feature = "redis")]
            Place::Redis(..) => StoreEngine::Redis,
        }
    }

    /// Tells whether keys, sealed rows and the password go over a network without TLS.
    #[must_use]
    pub fn is_in_the_clear(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Place::Postgres(url) => {
                url.query_pairs().any(|(name, value)| {
                    name == "sslmode" && ["allow", "disable", "prefer"].contains(&&*value)
                }) && !is_this_machine(url)
            }
            #[cfg(feature = "redis")]
            Place::Redis(url, _) => url.scheme() == "redis" && !is_this_machine(url),
        }
    }

    /// Opens the store. Asks no server; a file is made where there is none. Has to be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be used, and for settings that the driver does not take.
    pub fn open(&self) -> Result<Arc<dyn SessionStore>, OpenError> {
        self.opened(None)
    }

    /// Does the same, and lets rows expire by this clock in place of the server's: for tests. Redis goes by its own
    /// besides, so that the clock must not be behind that.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with_clock(
        &self,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn SessionStore>, OpenError> {
        self.opened(Some(clock))
    }

    fn opened(&self, clock: Option<Arc<dyn Clock>>) -> Result<Arc<dyn SessionStore>, OpenError> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(path) => {
                // There is no server whose time it could be.
                let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
                let store = SqlStore::sqlite(path, clock).map_err(OpenError::File)?;
                Ok(Arc::new(store))
            }
            #[cfg(feature = "postgres")]
            Place::Postgres(url) => {
                let store = SqlStore::postgres(url, clock).map_err(|_| OpenError::Settings)?;
                Ok(Arc::new(store))
            }
            #[cfg(feature = "redis")]
            Place::Redis(url, prefix) => {
                let store = RedisStore::open(url, prefix, clock);
                let store = store.map_err(|_| OpenError::Settings)?;
                Ok(Arc::new(store))
            }
        }
    }
}

impl StoreEngine {
    /// Returns its name: `sqlite`, `postgres` or `redis`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// Without the password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.0 {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(path) => return write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "postgres")]
            Place::Postgres(url) => url,
            #[cfg(feature = "redis")]
            Place::Redis(url, _) => url,
        };
        let mut url = url.clone();
        // Fails for a URL without a host, which has no password.
        let _ = url.set_password(None);
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "redis"))]
mod tests;
