//! Why an endpoint was of no use.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use idp_http::{
    DiscoveryError, FetchError, FetchErrorKind, MAX_RETRY_AFTER, MIN_RETRY_AFTER, ProxyProblem,
};

use crate::kind::TokenErrorKind;

/// Why an endpoint gave nothing of use, or was not asked.
///
/// Holds no token, no secret, no URL query and no response body.
#[derive(Clone, Debug)]
pub struct EndpointError(Box<Known>);

#[derive(Clone, Debug)]
struct Known {
    kind: TokenErrorKind,
    code: Option<String>,
    fetch: Option<FetchError>,
    published_issuer: Option<String>,
    detail: Option<String>,
    retry_after: Option<Duration>,
}

impl EndpointError {
    /// Returns an error of this kind.
    #[must_use]
    pub fn new(kind: TokenErrorKind) -> Self {
        Self(Box::new(Known {
            kind,
            code: None,
            fetch: None,
            published_issuer: None,
            detail: None,
            retry_after: None,
        }))
    }

    /// Adds a text for the log. It must hold no secret; non-printable characters are replaced and it
    /// is cut at 200 characters.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        self.0.detail = Some(idp_http::printable(detail));
        self
    }

    /// Adds the wait that the provider asked for, at least 1 s and at most 5 min of it.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait.map(|wait| wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER));
        self
    }

    /// Returns the class of the failure.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        self.0.kind
    }

    /// Returns the code that the endpoint gave (`error` of RFC 6749 section 5.2), such as
    /// `invalid_scope`: at most 200 printable characters.
    #[must_use]
    pub fn oauth_code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns what broke the exchange, where no complete answer came of the endpoint or of the metadata.
    #[must_use]
    pub fn fetch_error(&self) -> Option<&FetchError> {
        self.0.fetch.as_ref()
    }

    /// Returns the issuer that the metadata name, where it is another one than ours: at most 200 printable
    /// characters of it.
    #[must_use]
    pub fn published_issuer(&self) -> Option<&str> {
        self.0.published_issuer.as_deref()
    }

    /// Returns the wait that the provider asked for: 1 s to 5 min.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Puts something before the detail that there is.
    pub(crate) fn with_more_detail(self, first: &str) -> Self {
        match self.0.detail.clone() {
            Some(detail) => self.with_detail(&format!("{first}; {detail}")),
            None => self.with_detail(first),
        }
    }

    pub(crate) fn with_kind(mut self, kind: TokenErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(crate) fn with_oauth_code(mut self, code: &str) -> Self {
        self.0.code = Some(idp_http::printable(code));
        self
    }
}

impl From<FetchError> for EndpointError {
    fn from(error: FetchError) -> Self {
        let kind = match error.kind() {
            FetchErrorKind::Connect => TokenErrorKind::Connect,
            FetchErrorKind::Dns => TokenErrorKind::Dns,
            FetchErrorKind::Timeout => TokenErrorKind::Timeout,
            FetchErrorKind::Proxy(ProxyProblem::Unreachable) => TokenErrorKind::Connect,
            FetchErrorKind::Proxy(_) => TokenErrorKind::Proxy,
            FetchErrorKind::NotHttp => TokenErrorKind::NotHttp,
            FetchErrorKind::TooLarge => TokenErrorKind::TooLarge,
            FetchErrorKind::Url => TokenErrorKind::Config,
            kind if kind.is_tls() => TokenErrorKind::Tls,
            _ => TokenErrorKind::Truncated,
        };
        let mut told = Self::new(kind).with_detail(&error.to_string());
        told.0.fetch = Some(error);
        told
    }
}

impl From<&DiscoveryError> for EndpointError {
    fn from(error: &DiscoveryError) -> Self {
        let found = match error.fetch_error() {
            Some(fetch) => Self::from(fetch.clone()),
            None if error.status() == Some(429) => Self::new(TokenErrorKind::Throttled),
            None if error.is_overloaded() => Self::new(TokenErrorKind::Status5xx),
            None => Self::new(TokenErrorKind::Discovery),
        };
        let mut told = found
            .with_detail(&error.to_string())
            .with_retry_after(error.retry_after());
        told.0.published_issuer = error.published_issuer().map(str::to_owned);
        told
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.sentence())?;
        if self.0.kind.is_unusable_answer() {
            write!(f, " ({})", self.0.kind.as_str())?;
        }
        match &self.0.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl StdError for EndpointError {
    /// Returns the [`FetchError`] where no complete answer came; the error's own text has its text.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.fetch.as_ref().map(|error| error as _)
    }
}

/// Settings that cannot work, found when something is built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct ConfigError {
    setting: &'static str,
    problem: String,
}

impl ConfigError {
    /// Returns an error about this setting. The problem must quote no secret.
    #[must_use]
    pub fn new(setting: &'static str, problem: impl ToString) -> Self {
        Self {
            setting,
            problem: problem.to_string(),
        }
    }

    /// Returns the name of the setting.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Returns what is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}
