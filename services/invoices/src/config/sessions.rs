//! How sessions live and are kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use service_kit::config::Reader;
use stores::{OpenError, StoreUrl, StoreUrlError};
use web_session::{MemoryStore, Secrets, SecretsError, SessionSameSite, SessionStore};

/// What `SESSION_*` and its kin say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionSettings {
    /// `SESSION_STORE`, with the password of `SESSION_STORE_PASSWORD_FILE`.
    pub store: StoreSetting,
    /// `SESSION_SECRETS` or `SESSION_SECRETS_FILE`, the newest first. `None` only with a problem.
    pub secrets: Option<Secrets>,
    /// `SESSION_SECRETS_FILE`, which is read again.
    pub secrets_file: Option<PathBuf>,
    /// `SESSION_IDLE_TIMEOUT`.
    pub idle: Duration,
    /// `SESSION_LIFETIME`.
    pub lifetime: Duration,
    /// `SESSION_MAX_STALE`.
    pub max_stale: Duration,
    /// `SESSION_MAX`: how many the memory store takes.
    pub max: usize,
    /// `SESSIONS_PER_USER`.
    pub per_person: usize,
    /// `SESSION_SAME_SITE`.
    pub same_site: SessionSameSite,
    /// `TRUSTED_ORIGINS`.
    pub trusted_origins: Vec<String>,
    /// `DANGEROUS_INSECURE_COOKIES`.
    pub insecure_cookies: bool,
    /// `DANGEROUS_TOKEN_ENDPOINT`.
    pub token_endpoint: bool,
}

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSetting {
    /// In this process, with which they end.
    Memory,
    /// Outside, where other replicas may share them.
    Outside(StoreUrl),
}

impl StoreSetting {
    /// Returns the kind of store.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Outside(url) => url.engine().as_str(),
        }
    }

    /// Opens it, for at most so many sessions in memory. A server is not asked. Has to be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails where a file cannot be written, and for settings that a driver does not take.
    pub fn open(&self, max: usize) -> Result<Arc<dyn SessionStore>, OpenError> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryStore::new(max))),
            Self::Outside(url) => url.open(),
        }
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl SessionSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let hour = Duration::from_secs(60 * 60);
        let idle = timeout(reader, "SESSION_IDLE_TIMEOUT", hour);
        let lifetime = timeout(reader, "SESSION_LIFETIME", 12 * hour);
        if idle > lifetime && !reader.has_problem("SESSION_LIFETIME") {
            let text = "must be at most SESSION_LIFETIME";
            reader.problem("SESSION_IDLE_TIMEOUT", text);
        }
        let same_site = [
            ("lax", SessionSameSite::Lax),
            ("strict", SessionSameSite::Strict),
        ];
        let token_endpoint = reader.bool("DANGEROUS_TOKEN_ENDPOINT", false);
        if token_endpoint {
            reader.warning(
                "DANGEROUS_TOKEN_ENDPOINT",
                "is on: scripts get people's access tokens from /api/auth/token",
            );
        }
        let (secrets, secrets_file) = secrets(reader);
        Self {
            store: store(reader),
            secrets,
            secrets_file,
            idle,
            lifetime,
            max_stale: timeout(reader, "SESSION_MAX_STALE", hour),
            max: reader.usize("SESSION_MAX", 10_000, 1..=10_000_000),
            per_person: reader.usize("SESSIONS_PER_USER", 20, 1..=1_000),
            same_site: reader.one_of("SESSION_SAME_SITE", &same_site, SessionSameSite::Lax),
            trusted_origins: trusted_origins(reader),
            insecure_cookies: reader.bool("DANGEROUS_INSECURE_COOKIES", false),
            token_endpoint,
        }
    }
}

fn timeout(reader: &mut Reader<'_>, name: &str, default: Duration) -> Duration {
    let timeout = reader.duration(name, default, Duration::from_secs(1)..=YEAR);
    if timeout < Duration::from_secs(60) {
        reader.warning(name, "is shorter than a minute");
    }
    timeout
}

fn store(reader: &mut Reader<'_>) -> StoreSetting {
    const NAME: &str = "SESSION_STORE";
    const FILE: &str = "SESSION_STORE_PASSWORD_FILE";
    // The whole of it is as secret as the password in it.
    let text = reader.secret(NAME);
    let password = reader.text_file(FILE);
    let place = match &text {
        None => None,
        Some(text) if text.expose_secret() == "memory" => None,
        Some(text) => match text.expose_secret().parse::<StoreUrl>() {
            Ok(url) => Some(url),
            Err(StoreUrlError::Scheme) => {
                let text = format!("must be memory, or {}", StoreUrlError::Scheme);
                reader.problem(NAME, text);
                return StoreSetting::Memory;
            }
            Err(error) => {
                reader.problem(NAME, error.to_string());
                return StoreSetting::Memory;
            }
        },
    };
    let url = match (place, password) {
        (None, None) => return StoreSetting::Memory,
        (None, Some(_)) => {
            reader.problem(FILE, "is of no use: the memory store has no password");
            return StoreSetting::Memory;
        }
        (Some(url), None) => url,
        (Some(url), Some((_, password))) => match url.clone().with_password(&password) {
            Ok(url) => url,
            Err(error) => {
                reader.problem(FILE, format!("is of no use: {error}"));
                url
            }
        },
    };
    if url.is_in_the_clear() {
        let text = "is reached without TLS: others on the way can read its password, and may change what is kept";
        reader.warning(NAME, text);
    }
    StoreSetting::Outside(url)
}

fn secrets(reader: &mut Reader<'_>) -> (Option<Secrets>, Option<PathBuf>) {
    const NAME: &str = "SESSION_SECRETS";
    const FILE: &str = "SESSION_SECRETS_FILE";
    let value = reader.secret(NAME);
    let file = reader.text_file(FILE);
    let (name, text, path) = match (value, file) {
        (Some(_), Some(_)) => {
            reader.problem(NAME, format!("and {FILE} exclude each other; set one"));
            return (None, None);
        }
        (Some(value), None) => (NAME, value, None),
        (None, Some((path, text))) => (FILE, text, Some(path)),
        (None, None) => {
            if !reader.has_problem(NAME) && !reader.has_problem(FILE) {
                reader.problem(NAME, format!("is required, or {FILE}"));
            }
            return (None, None);
        }
    };
    match Secrets::from_text(text.expose_secret()) {
        Ok(secrets) => (Some(secrets), path),
        Err(error) => {
            reader.problem(name, in_words(error));
            (None, None)
        }
    }
}

fn in_words(error: SecretsError) -> String {
    match error {
        SecretsError::Missing => "holds no secret".to_owned(),
        error => format!("must be 1 to 5 secrets of 32 characters or more: {error}"),
    }
}

fn trusted_origins(reader: &mut Reader<'_>) -> Vec<String> {
    const NAME: &str = "TRUSTED_ORIGINS";
    let origins = super::words(reader, NAME);
    let is_origin = |text: &String| {
        url::Url::parse(text).is_ok_and(|url| {
            let is_web = ["http", "https"].contains(&url.scheme());
            is_web && url.origin().ascii_serialization() == *text
        })
    };
    if !origins.iter().all(is_origin) {
        let text = "must be origins separated by spaces, such as https://partner.example";
        reader.problem(NAME, text);
    }
    origins
}
