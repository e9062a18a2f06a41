//! Why an exchange failed, without the URL, the body or any header of it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::backoff::Answer;
use crate::public_dns::OnlyPrivate;
use crate::url_rules::UrlProblem;

/// What broke an exchange. A complete answer is never an error, whatever its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// No connection: refused, reset or unreachable.
    Connect,
    /// The host name did not resolve.
    Dns,
    /// The host name resolved to private addresses only, and the client was told to ask none.
    PrivateAddress,
    /// The TLS handshake failed: unknown authority, wrong host name, expired certificate.
    Tls,
    /// Connecting took longer than the connect timeout, or everything longer than the total one.
    Timeout,
    /// The connection ended inside the answer, or what came was not HTTP.
    Truncated,
    /// The body is larger than the cap.
    TooLarge,
    /// The URL may not be asked; see [`UrlProblem`].
    Url,
}

impl FetchErrorKind {
    /// Returns a short lower-case name for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::PrivateAddress => "private_address",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::Url => "url",
        }
    }
}

/// An exchange that brought no complete answer.
#[derive(Clone, Debug)]
pub struct FetchError {
    kind: FetchErrorKind,
    // Only the innermost message: reqwest's own text would repeat the URL.
    detail: Option<String>,
}

impl FetchError {
    /// Returns what broke the exchange.
    #[must_use]
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// Returns what the attempt got, for [`Backoff`](crate::Backoff).
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self.kind {
            FetchErrorKind::Tls
            | FetchErrorKind::TooLarge
            | FetchErrorKind::PrivateAddress
            | FetchErrorKind::Url => Answer::Unusable,
            _ => Answer::None,
        }
    }

    pub(crate) fn new(kind: FetchErrorKind) -> Self {
        Self { kind, detail: None }
    }

    pub(crate) fn from_reqwest(error: &reqwest::Error) -> Self {
        let kind = classify(error);
        let detail = match kind {
            FetchErrorKind::Connect | FetchErrorKind::Dns | FetchErrorKind::Tls => {
                innermost(error).map(|inner| crate::text::printable(&inner.to_string()))
            }
            _ => None,
        };
        Self { kind, detail }
    }
}

impl From<&UrlProblem> for FetchError {
    fn from(problem: &UrlProblem) -> Self {
        Self {
            kind: FetchErrorKind::Url,
            detail: Some(problem.to_string()),
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FetchErrorKind::Connect => "could not connect",
            FetchErrorKind::Dns => "host name did not resolve",
            FetchErrorKind::PrivateAddress => "host name resolved to private addresses only",
            FetchErrorKind::Tls => "TLS handshake failed",
            FetchErrorKind::Timeout => "timed out",
            FetchErrorKind::Truncated => "connection ended inside the answer",
            FetchErrorKind::TooLarge => "answer is larger than the limit",
            FetchErrorKind::Url => "URL may not be asked",
        })?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl StdError for FetchError {}

fn classify(error: &reqwest::Error) -> FetchErrorKind {
    if error.is_timeout() {
        return FetchErrorKind::Timeout;
    }
    if !error.is_connect() {
        // Everything after the connection stood: hung up, reset, not HTTP, broken framing.
        return FetchErrorKind::Truncated;
    }
    let mut kind = FetchErrorKind::Connect;
    let mut source = error.source();
    while let Some(inner) = source {
        if is_tls(inner) {
            return FetchErrorKind::Tls;
        }
        if inner
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
        {
            return FetchErrorKind::Timeout;
        }
        if inner.is::<OnlyPrivate>() {
            return FetchErrorKind::PrivateAddress;
        }
        // hyper-util does not export the type that says so.
        if inner.to_string() == "dns error" {
            kind = FetchErrorKind::Dns;
        }
        source = inner.source();
    }
    kind
}

fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // An I/O error gives the source of what it was made of, and not that itself.
    let made_of = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    made_of.is_some_and(|made_of| is_tls(made_of))
}

fn innermost(error: &reqwest::Error) -> Option<&(dyn StdError + 'static)> {
    let mut innermost = error.source()?;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    Some(innermost)
}

/// Why a client could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The extra root certificates hold no certificate, or one that cannot be read.
    #[error("extra root certificates are not PEM certificates")]
    Roots,
    /// The client certificate cannot be read, or its private key is missing.
    #[error("client certificate is not PEM with a certificate and its private key")]
    Identity,
    /// Private addresses are to be denied, and a proxy resolves the names.
    #[error("private addresses cannot be denied behind a proxy")]
    PrivateBehindProxy,
    /// The TLS library refused to start.
    #[error("could not set up the HTTP client")]
    Setup(#[source] reqwest::Error),
}
