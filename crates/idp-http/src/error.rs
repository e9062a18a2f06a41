//! Why an exchange failed, without the URL, the body or any header of it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use crate::backoff::Answer;
use crate::file::FileProblem;
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
    /// The server's certificate was refused.
    Certificate(CertificateProblem),
    /// The server broke off TLS with an alert (RFC 8446 section 6.2): it wants a certificate of the
    /// client's, or does not serve this host name.
    TlsAlert,
    /// What answered the handshake is no TLS, as when a server speaks plain http on this port.
    NotTls,
    /// The TLS handshake failed otherwise: no version or cipher suite in common, or a broken message.
    Tls,
    /// The proxy is what failed.
    Proxy(ProxyProblem),
    /// Connecting took longer than the connect timeout, or everything longer than the total one.
    Timeout,
    /// The connection ended inside the answer.
    Truncated,
    /// What answered is no HTTP/1, as when a server speaks TLS on an http port.
    NotHttp,
    /// The body is larger than the cap.
    TooLarge,
    /// The URL may not be asked; see [`UrlProblem`].
    Url,
}

/// What is wrong with a server's certificate. Each has another cure, and none shows that the server is
/// the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It has expired, or this machine's clock is ahead.
    Expired,
    /// It is not valid yet, or this machine's clock is behind.
    NotYetValid,
    /// It is for other host names.
    WrongName,
    /// Neither the system's roots nor the extra ones lead to who signed it.
    UnknownAuthority,
    /// It is the certificate of an authority, which is to sign certificates of servers and not to be one
    /// (RFC 5280 section 4.2.1.9).
    IsAuthority,
    /// It is revoked, malformed, or for another use.
    Other,
}

/// What a proxy did in the way of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyProblem {
    /// There is no connection to the proxy itself.
    Unreachable,
    /// The proxy wants credentials, or others (407).
    Credentials,
    /// The proxy refused to connect to the provider.
    Refused,
}

impl FetchErrorKind {
    /// Returns a short lower-case name for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::PrivateAddress => "private_address",
            Self::Certificate(CertificateProblem::Expired) => "certificate_expired",
            Self::Certificate(CertificateProblem::NotYetValid) => "certificate_not_yet_valid",
            Self::Certificate(CertificateProblem::WrongName) => "certificate_wrong_name",
            Self::Certificate(CertificateProblem::UnknownAuthority) => {
                "certificate_unknown_authority"
            }
            Self::Certificate(CertificateProblem::IsAuthority) => "certificate_is_authority",
            Self::Certificate(CertificateProblem::Other) => "certificate",
            Self::TlsAlert => "tls_alert",
            Self::NotTls => "not_tls",
            Self::Tls => "tls",
            Self::Proxy(ProxyProblem::Unreachable) => "proxy_unreachable",
            Self::Proxy(ProxyProblem::Credentials) => "proxy_credentials",
            Self::Proxy(ProxyProblem::Refused) => "proxy_refused",
            Self::Timeout => "timeout",
            Self::Truncated => "truncated",
            Self::NotHttp => "not_http",
            Self::TooLarge => "too_large",
            Self::Url => "url",
        }
    }

    /// Tells whether it was TLS that failed.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(
            self,
            Self::Certificate(_) | Self::TlsAlert | Self::NotTls | Self::Tls
        )
    }

    /// Returns what happened as a sentence without an end, without details.
    fn sentence(self) -> &'static str {
        match self {
            Self::Connect => "could not connect",
            Self::Dns => "host name did not resolve",
            Self::PrivateAddress => "host name resolved to private addresses only",
            Self::Certificate(problem) => problem.sentence(),
            Self::TlsAlert => "the server broke off TLS with an alert",
            Self::NotTls => "what answers does not speak TLS",
            Self::Tls => "TLS handshake failed",
            Self::Proxy(ProxyProblem::Unreachable) => "could not connect to the proxy",
            Self::Proxy(ProxyProblem::Credentials) => {
                "the proxy got no credentials that it takes (407)"
            }
            Self::Proxy(ProxyProblem::Refused) => "the proxy refused to connect to the provider",
            Self::Timeout => "timed out",
            Self::Truncated => "connection ended inside the answer",
            Self::NotHttp => "what answers does not speak HTTP/1",
            Self::TooLarge => "answer is larger than the limit",
            Self::Url => "URL may not be asked",
        }
    }
}

impl CertificateProblem {
    fn sentence(self) -> &'static str {
        match self {
            Self::Expired => "the server's certificate has expired",
            Self::NotYetValid => "the server's certificate is not valid yet",
            Self::WrongName => "the server's certificate is for another host name",
            Self::UnknownAuthority => {
                "the server's certificate is not signed by an authority that is trusted here"
            }
            Self::IsAuthority => {
                "the server shows the certificate of an authority in place of one of its own"
            }
            Self::Other => "the server's certificate cannot be used",
        }
    }
}

/// An exchange that brought no complete answer.
#[derive(Clone, Debug)]
pub struct FetchError {
    kind: FetchErrorKind,
    // Only the innermost message: the outer ones would repeat the URL.
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
            FetchErrorKind::TooLarge | FetchErrorKind::PrivateAddress | FetchErrorKind::Url => {
                Answer::Unusable
            }
            FetchErrorKind::Proxy(ProxyProblem::Credentials) => Answer::Refused,
            FetchErrorKind::Proxy(ProxyProblem::Refused) => Answer::Unusable,
            kind if kind.is_tls() => Answer::Unusable,
            _ => Answer::None,
        }
    }

    pub(crate) fn new(kind: FetchErrorKind) -> Self {
        Self { kind, detail: None }
    }

    pub(crate) fn with_text(kind: FetchErrorKind, text: &str) -> Self {
        Self {
            kind,
            detail: Some(crate::text::printable(text)),
        }
    }

    /// Returns an error with the innermost text of its cause.
    pub(crate) fn told(kind: FetchErrorKind, cause: &(dyn StdError + 'static)) -> Self {
        let innermost = chain(cause).last().unwrap_or(cause);
        Self::with_text(kind, &innermost.to_string())
    }

    /// The same under another kind, with the former sentence behind it.
    pub(crate) fn with_kind(&self, kind: FetchErrorKind) -> Self {
        Self::with_text(kind, &self.to_string())
    }

    pub(crate) fn in_handshake(error: &io::Error) -> Self {
        match find::<rustls::Error>(error) {
            Some(tls) => tls_failure(tls),
            None => Self::told(FetchErrorKind::Connect, error),
        }
    }

    /// Returns what broke an exchange, from connecting to the last byte.
    pub(crate) fn in_exchange(error: &(dyn StdError + 'static)) -> Self {
        if let Some(error) = find::<Self>(error) {
            return error.clone();
        }
        // With TLS 1.3 the client is through the handshake before the server looks at its certificate.
        if let Some(tls) = find::<rustls::Error>(error) {
            return tls_failure(tls);
        }
        // Hung up, reset, broken framing, or no HTTP at all.
        Self::new(match find::<hyper::Error>(error) {
            Some(http) if http.is_parse() => FetchErrorKind::NotHttp,
            _ => FetchErrorKind::Truncated,
        })
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
        f.write_str(self.kind.sentence())?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl StdError for FetchError {}

/// What TLS failed of. The library's own text stands only where ours says less: it has Unix seconds in it.
fn tls_failure(error: &rustls::Error) -> FetchError {
    let (kind, detail) = match error {
        rustls::Error::InvalidCertificate(problem) => {
            let (problem, detail) = certificate_failure(problem);
            (FetchErrorKind::Certificate(problem), detail)
        }
        rustls::Error::AlertReceived(alert) => {
            (FetchErrorKind::TlsAlert, Some(format!("{alert:?}")))
        }
        rustls::Error::InvalidMessage(_) => (FetchErrorKind::NotTls, None),
        other => (FetchErrorKind::Tls, Some(other.to_string())),
    };
    FetchError {
        kind,
        detail: detail.map(|detail| crate::text::printable(&detail)),
    }
}

fn certificate_failure(error: &CertificateError) -> (CertificateProblem, Option<String>) {
    match error {
        CertificateError::Expired => (CertificateProblem::Expired, None),
        CertificateError::ExpiredContext { not_after, .. } => (
            CertificateProblem::Expired,
            Some(format!("on {}", date(*not_after))),
        ),
        CertificateError::NotValidYet => (CertificateProblem::NotYetValid, None),
        CertificateError::NotValidYetContext { not_before, .. } => (
            CertificateProblem::NotYetValid,
            Some(format!("before {}", date(*not_before))),
        ),
        CertificateError::NotValidForName => (CertificateProblem::WrongName, None),
        CertificateError::NotValidForNameContext { presented, .. } => (
            CertificateProblem::WrongName,
            (!presented.is_empty()).then(|| {
                let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
                format!("it has {}", names.join(", "))
            }),
        ),
        // The second where an authority was made anew under its old name, and only the old one is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            (CertificateProblem::UnknownAuthority, None)
        }
        // The type is that of a crate that rustls does not export.
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            (CertificateProblem::IsAuthority, None)
        }
        other => (CertificateProblem::Other, Some(other.to_string())),
    }
}

/// The name in `DnsName("idp.example")` or `IpAddress(192.0.2.1)`.
fn bare(presented: &str) -> &str {
    let inner = presented
        .split_once('(')
        .map_or(presented, |(_, rest)| rest);
    inner.trim_end_matches(')').trim_matches('"')
}

/// The date as HTTP writes it. What is later than it can say is the last that it can.
fn date(time: UnixTime) -> httpdate::HttpDate {
    const LAST: u64 = 253_402_300_799;
    let since = Duration::from_secs(time.as_secs().min(LAST));
    httpdate::HttpDate::from(UNIX_EPOCH + since)
}

/// The error and what it stems from. An I/O error gives the source of what it was made of, and not that
/// itself, which comes behind it here.
fn chain<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let made_of = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|made_of| made_of as &(dyn StdError + 'static));
        made_of.or_else(|| error.source())
    })
}

fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    chain(error).find_map(|inner| inner.downcast_ref::<E>())
}

/// Why a client could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The extra root certificates hold no certificate, or one that cannot be read.
    #[error("extra root certificates are not PEM certificates")]
    Roots,
    /// The file of the extra root certificates cannot be used.
    #[error("extra root certificates: the file {0}")]
    RootsFile(FileProblem),
    /// The client certificate cannot be read, or its private key is missing.
    #[error("client certificate is not PEM with a certificate and its private key")]
    Identity,
    /// Private addresses are to be denied, and a proxy resolves the names.
    #[error("private addresses cannot be denied behind a proxy")]
    PrivateBehindProxy,
    /// The TLS library refused to start.
    #[error("could not set up the HTTP client")]
    Setup(#[source] rustls::Error),
}
