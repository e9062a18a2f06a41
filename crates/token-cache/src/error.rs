//! Why there is no token.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use idp_http::{
    Answer, FetchError, FetchErrorKind, MAX_RETRY_AFTER, MIN_RETRY_AFTER, ProxyProblem,
    whole_seconds,
};
use tokio::time::Instant;

/// Why a token could not be had, or could not be attached.
///
/// Cheap to clone: every caller that waited for one attempt gets the same error. Holds no token, no
/// secret, no URL query and no response body.
#[derive(Clone, Debug)]
pub struct TokenError {
    shared: Arc<Shared>,
    retry_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Shared {
    kind: TokenErrorKind,
    code: Option<String>,
    fetch: Option<FetchError>,
    published_issuer: Option<String>,
    detail: Option<String>,
    advice: Option<Cow<'static, str>>,
    // What the provider asked for, before the cache turned it into an instant.
    retry_after: Option<Duration>,
}

/// The class of a [`TokenError`].
///
/// The failures that pass are those for which [`is_transient`](Self::is_transient) holds; the others need
/// somebody who changes something, and the cache still asks, rarely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The settings cannot work: a bad URL, a bad scope, an unreadable secret file.
    Config,
    /// The client id, the secret or the method is wrong: `invalid_client` (RFC 6749 section 5.2) or another
    /// wording of it, any 401, and a 403 without an OAuth error and without a page.
    InvalidClient,
    /// Another OAuth error code; [`TokenError`]'s text names it.
    OAuth,
    /// TLS failed: the certificate was refused, or the handshake went wrong.
    /// [`TokenError::fetch_error_kind`] tells which.
    Tls,
    /// The proxy in between refuses our credentials (407), or to connect to the provider.
    Proxy,
    /// The endpoint answered with a redirect, which is not followed.
    Redirect,
    /// Any other status of the 4xx class without an OAuth error, and 404 and 405 in any case: a proxy that is
    /// up before the provider says 404 for a while.
    Status4xx,
    /// The granted scope lacks one that was asked for (RFC 6749 section 3.3).
    ScopeNotGranted,
    /// The issuer's metadata cannot be used.
    Discovery,
    /// Transient: no connection.
    Connect,
    /// Transient: the host name did not resolve.
    Dns,
    /// Transient: nothing, or not everything, came in time.
    Timeout,
    /// Transient: the connection ended inside the answer.
    Truncated,
    /// Transient: 408, 425 or 5xx, or an OAuth error that says the same.
    Status5xx,
    /// Transient: 429, the provider wants fewer requests. Never retried inside an attempt.
    Throttled,
    /// Transient: the token source panicked.
    Panic,
    /// An unusable answer: the body is larger than 64 KiB, or the token than
    /// [`max_token_size`](crate::ClientCredentialsBuilder::max_token_size).
    TooLarge,
    /// An unusable answer: HTML, as a captive portal sends it.
    ContentType,
    /// An unusable answer: no HTTP/1 at all.
    NotHttp,
    /// An unusable answer: not a JSON object, or one with duplicate members.
    Json,
    /// An unusable answer: `access_token` is missing, empty or not a string.
    MissingToken,
    /// An unusable answer: `access_token` has characters that are not visible ASCII (RFC 6749 appendix A.12,
    /// less the space).
    TokenSyntax,
    /// An unusable answer: `token_type` is neither `Bearer` nor another
    /// [name of it](crate::ClientCredentialsBuilder::token_type_name).
    TokenType,
    /// An unusable answer: `expires_in` is not a number.
    ExpiresIn,
    /// An unusable answer: a status that is neither 200 nor 201 nor an error, or a token that came with an
    /// error status.
    UnexpectedStatus,
    /// The request's URL is outside the allowed origins; no token was asked for.
    OriginNotAllowed,
    /// The cache was shut down, or the runtime of the caller is shutting down.
    Cancelled,
}

impl TokenError {
    /// Returns an error of this kind. For implementations of [`TokenSource`](crate::TokenSource).
    #[must_use]
    pub fn new(kind: TokenErrorKind) -> Self {
        Self {
            shared: Arc::new(Shared {
                kind,
                code: None,
                fetch: None,
                published_issuer: None,
                detail: None,
                advice: None,
                retry_after: None,
            }),
            retry_at: None,
        }
    }

    /// Adds a text for the log. It must hold no secret; non-printable characters are replaced and it
    /// is cut at 200 characters.
    #[must_use]
    pub fn with_detail(self, detail: &str) -> Self {
        let detail = idp_http::printable(detail);
        self.changed(|shared| shared.detail = Some(detail))
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
        let wait = wait.map(|wait| wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER));
        self.changed(|shared| shared.retry_after = wait)
    }

    /// Returns the class of the failure.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        self.shared.kind
    }

    /// Returns the code that the token endpoint gave (`error` of RFC 6749 section 5.2), such as
    /// `invalid_scope`: at most 200 printable characters.
    #[must_use]
    pub fn oauth_code(&self) -> Option<&str> {
        self.shared.code.as_deref()
    }

    /// Returns what broke the exchange, where no complete answer came of the endpoint or of the metadata.
    #[must_use]
    pub fn fetch_error_kind(&self) -> Option<FetchErrorKind> {
        self.shared.fetch.as_ref().map(FetchError::kind)
    }

    /// Returns the issuer that the metadata name, where it is another one than ours: at most 200 printable
    /// characters of it.
    #[must_use]
    pub fn published_issuer(&self) -> Option<&str> {
        self.shared.published_issuer.as_deref()
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
        self.shared.retry_after
    }

    /// Tells whether other credentials or root certificates may end the failure: they were rejected, they
    /// did not do, or there are none.
    pub(crate) fn is_about_credentials(&self) -> bool {
        matches!(
            self.kind(),
            TokenErrorKind::InvalidClient
                | TokenErrorKind::Tls
                | TokenErrorKind::Proxy
                | TokenErrorKind::Config
        )
    }

    /// Tells whether the same attempt may ask once more.
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        self.kind().passes() && self.kind() != TokenErrorKind::Throttled
    }

    /// What the attempt got, for the failure window.
    pub(crate) fn answer(&self) -> Answer {
        match self.kind() {
            TokenErrorKind::Status5xx
            | TokenErrorKind::Tls
            | TokenErrorKind::Redirect
            | TokenErrorKind::Status4xx
            | TokenErrorKind::Discovery => Answer::Unusable,
            TokenErrorKind::Throttled => Answer::Refused,
            // What stands in for the provider while it starts is gone as suddenly.
            TokenErrorKind::NotHttp => Answer::None,
            kind if kind.passes() => Answer::None,
            _ => Answer::Refused,
        }
    }

    pub(crate) fn from_fetch(error: &FetchError) -> Self {
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
        Self::new(kind)
            .with_detail(&error.to_string())
            .changed(|shared| shared.fetch = Some(error.clone()))
    }

    /// Puts something before the detail that there is.
    pub(crate) fn with_more_detail(self, first: &str) -> Self {
        match self.shared.detail.clone() {
            Some(detail) => self.with_detail(&format!("{first}; {detail}")),
            None => self.with_detail(first),
        }
    }

    pub(crate) fn with_kind(self, kind: TokenErrorKind) -> Self {
        self.changed(|shared| shared.kind = kind)
    }

    pub(crate) fn with_published_issuer(self, issuer: Option<&str>) -> Self {
        let issuer = issuer.map(str::to_owned);
        self.changed(|shared| shared.published_issuer = issuer)
    }

    pub(crate) fn with_oauth_code(self, code: &str) -> Self {
        let code = idp_http::printable(code);
        self.changed(|shared| shared.code = Some(code))
    }

    fn changed(self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Arc::unwrap_or_clone(self.shared);
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
            retry_at: self.retry_at,
        }
    }
}

impl TokenErrorKind {
    /// Tells whether asking again, without changing anything, can help: the failure passes, or the endpoint
    /// answered with something that is no usable token. After the second the cache asks as rarely as after
    /// a refusal: a provider counts the tokens that it issues.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.passes() || self.is_unusable_answer()
    }

    fn passes(self) -> bool {
        matches!(
            self,
            Self::Connect
                | Self::Dns
                | Self::Timeout
                | Self::Truncated
                | Self::Status5xx
                | Self::Throttled
                | Self::Panic
        )
    }

    fn is_unusable_answer(self) -> bool {
        matches!(
            self,
            Self::TooLarge
                | Self::ContentType
                | Self::NotHttp
                | Self::Json
                | Self::MissingToken
                | Self::TokenSyntax
                | Self::TokenType
                | Self::ExpiresIn
                | Self::UnexpectedStatus
        )
    }

    /// Returns a short lower-case name for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::InvalidClient => "invalid_client",
            Self::OAuth => "oauth_error",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::Status4xx => "status_4xx",
            Self::ScopeNotGranted => "scope_not_granted",
            Self::Discovery => "discovery",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Timeout => "timeout",
            Self::Truncated => "truncated",
            Self::Status5xx => "status_5xx",
            Self::Throttled => "throttled",
            Self::Panic => "panic",
            Self::TooLarge => "too_large",
            Self::ContentType => "content_type",
            Self::NotHttp => "not_http",
            Self::Json => "json",
            Self::MissingToken => "missing_token",
            Self::TokenSyntax => "token_syntax",
            Self::TokenType => "token_type",
            Self::ExpiresIn => "expires_in",
            Self::UnexpectedStatus => "status_unexpected",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::Cancelled => "cancelled",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Config => "the token client is not configured correctly",
            Self::InvalidClient => "the provider rejected the client's credentials",
            Self::OAuth => "the provider refused the token request",
            Self::Tls => "no TLS connection to the provider",
            Self::Proxy => "the proxy on the way to the provider refused",
            Self::Redirect => "the token endpoint answered with a redirect, which is not followed",
            Self::Status4xx => "the token endpoint refused the request",
            Self::ScopeNotGranted => "the provider granted less scope than was asked for",
            Self::Discovery => "the issuer's metadata cannot be used",
            Self::Connect => "could not connect to the provider",
            Self::Dns => "the provider's host name did not resolve",
            Self::Timeout => "the provider did not answer in time",
            Self::Truncated => "the provider's answer was cut off",
            Self::Status5xx => "the provider cannot serve at present",
            Self::Throttled => "the provider wants fewer requests",
            Self::Panic => "the token source panicked",
            Self::TooLarge
            | Self::ContentType
            | Self::NotHttp
            | Self::Json
            | Self::MissingToken
            | Self::TokenSyntax
            | Self::TokenType
            | Self::ExpiresIn
            | Self::UnexpectedStatus => "the provider's answer is no usable token",
            Self::OriginNotAllowed => "the request's origin may not receive the token",
            Self::Cancelled => "the token cache, or its runtime, was shut down",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().sentence())?;
        if self.kind().is_unusable_answer() {
            write!(f, " ({})", self.kind().as_str())?;
        }
        if let Some(detail) = &self.shared.detail {
            write!(f, ": {detail}")?;
        }
        match &self.shared.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl StdError for TokenError {
    /// Returns the [`FetchError`] where no complete answer came; the error's own text has its text.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.shared.fetch.as_ref().map(|error| error as _)
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
    pub(crate) fn new(setting: &'static str, problem: impl ToString) -> Self {
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
