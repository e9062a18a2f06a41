//! Why there is no token.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use idp_http::{FetchError, FetchErrorKind, whole_seconds};
use token_endpoint::EndpointError;
pub(crate) use token_endpoint::{ConfigError, TokenErrorKind};
use tokio::time::Instant;

/// Why a token could not be had, or could not be attached.
///
/// Cheap to clone: every caller that waited for one attempt gets the same error. Holds no token, no
/// secret, no URL query and no response body.
#[derive(Clone, Debug)]
pub struct TokenError {
    shared: Arc<ErrorParts>,
    retry_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct ErrorParts {
    // Has the wait that the provider asked for, before the cache turned it into an instant.
    endpoint: EndpointError,
    advice: Option<Cow<'static, str>>,
}

impl TokenError {
    /// Returns an error of this kind. For implementations of [`TokenSource`](crate::TokenSource).
    #[must_use]
    pub fn new(kind: TokenErrorKind) -> Self {
        EndpointError::new(kind).into()
    }

    /// Adds a text for the log. It must hold no secret; non-printable characters are replaced and it
    /// is cut at 200 characters.
    #[must_use]
    pub fn with_detail(self, detail: &str) -> Self {
        self.changed(|shared| shared.endpoint = shared.endpoint.clone().with_detail(detail))
    }

    /// Adds what an operator can change, in the words of the program: the settings have other names
    /// there than here. It ends the text of the error, and with it the cache's log line.
    #[must_use]
    pub fn with_advice(self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.changed(|shared| shared.advice = Some(advice.into()))
    }

    /// Adds the wait that the provider asked for, at least 1 s and at most 5 min of it.
    #[must_use]
    pub fn with_retry_after(self, wait: Option<Duration>) -> Self {
        self.changed(|shared| shared.endpoint = shared.endpoint.clone().with_retry_after(wait))
    }

    /// Returns the class of the failure.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        self.shared.endpoint.kind()
    }

    /// Returns the code that the token endpoint gave (`error` of RFC 6749 section 5.2), such as
    /// `invalid_scope`: at most 200 printable characters.
    #[must_use]
    pub fn oauth_code(&self) -> Option<&str> {
        self.shared.endpoint.oauth_code()
    }

    /// Returns what broke the exchange, where no complete answer came of the endpoint or of the metadata.
    #[must_use]
    pub fn fetch_error_kind(&self) -> Option<FetchErrorKind> {
        self.shared.endpoint.fetch_error().map(FetchError::kind)
    }

    /// Returns the issuer that the metadata name, where it is another one than ours: at most 200 printable
    /// characters of it.
    #[must_use]
    pub fn published_issuer(&self) -> Option<&str> {
        self.shared.endpoint.published_issuer()
    }

    /// Tells whether asking again, without changing anything, can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind().is_transient()
    }

    /// Returns how long it takes until the cache asks the provider again, rounded up to whole
    /// seconds; at least 1 s. For a `Retry-After` of one's own.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        Duration::from_secs(whole_seconds(self.retry_in()))
    }

    /// The same, exactly.
    pub(crate) fn retry_in(&self) -> Duration {
        self.retry_at.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    pub(crate) fn with_retry_at(mut self, at: Instant) -> Self {
        self.retry_at = Some(at);
        self
    }

    /// The wait that the provider asked for.
    pub(crate) fn asked_wait(&self) -> Option<Duration> {
        self.shared.endpoint.retry_after()
    }

    fn changed(self, change: impl FnOnce(&mut ErrorParts)) -> Self {
        let mut shared = Arc::unwrap_or_clone(self.shared);
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
            retry_at: self.retry_at,
        }
    }
}

impl From<EndpointError> for TokenError {
    fn from(endpoint: EndpointError) -> Self {
        Self {
            shared: Arc::new(ErrorParts {
                endpoint,
                advice: None,
            }),
            retry_at: None,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.endpoint.fmt(f)?;
        match &self.shared.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl StdError for TokenError {
    /// Returns the [`FetchError`] where no complete answer came; the error's own text has its text.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.shared.endpoint.source()
    }
}
