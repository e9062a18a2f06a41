//! Why there is no metadata.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::backoff::Answer;
use crate::error::FetchError;
use crate::url_rules::UrlProblem;

/// Why no metadata was found.
#[derive(Clone, Debug)]
pub struct DiscoveryError {
    pub(super) problem: DiscoveryProblem,
    pub(super) overloaded: bool,
    pub(super) retry_after: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) enum DiscoveryProblem {
    Fetch(FetchError),
    Status(StatusCode),
    Document(&'static str),
    IssuerMismatch {
        configured: String,
        published: String,
    },
    Endpoint(&'static str, UrlProblem),
    PrivateEndpoint(&'static str),
    ForeignEndpoint(&'static str),
}

impl DiscoveryError {
    pub(super) fn new(problem: DiscoveryProblem) -> Self {
        Self {
            problem,
            overloaded: false,
            retry_after: None,
        }
    }

    /// Returns what the attempt got, for [`Backoff`](crate::Backoff).
    #[must_use]
    pub fn answer(&self) -> Answer {
        match &self.problem {
            DiscoveryProblem::Fetch(error) => error.answer(),
            _ => Answer::Unusable,
        }
    }

    /// Tells whether the provider says that it cannot serve now: 408, 425, 429 or 5xx.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// Returns the status that the provider answered with, where that is why there are no metadata.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.problem {
            DiscoveryProblem::Status(status) => Some(status.as_u16()),
            _ => None,
        }
    }

    /// Returns the wait that the provider asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the exchange's error when no complete answer came.
    #[must_use]
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match &self.problem {
            DiscoveryProblem::Fetch(error) => Some(error),
            _ => None,
        }
    }

    /// Tells whether the published issuer differs from the configured one.
    #[must_use]
    pub fn is_issuer_mismatch(&self) -> bool {
        matches!(self.problem, DiscoveryProblem::IssuerMismatch { .. })
    }

    /// Returns the issuer that the metadata names, where it differs from the configured one: at most
    /// 200 printable characters of it.
    #[must_use]
    pub fn published_issuer(&self) -> Option<&str> {
        match &self.problem {
            DiscoveryProblem::IssuerMismatch { published, .. } => Some(published),
            _ => None,
        }
    }
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("discovery failed: ")?;
        match &self.problem {
            DiscoveryProblem::Fetch(error) => write!(f, "{error}"),
            DiscoveryProblem::Status(status) => {
                write!(f, "the provider answered {}", status.as_u16())
            }
            DiscoveryProblem::Document(what) => write!(f, "unusable metadata: {what}"),
            DiscoveryProblem::IssuerMismatch {
                configured,
                published,
            } => write!(
                f,
                "the metadata names issuer \"{published}\", but \"{configured}\" is configured; \
                 they must be equal byte for byte"
            ),
            DiscoveryProblem::Endpoint(name, problem) => {
                write!(f, "unusable metadata: `{name}` {problem}")
            }
            DiscoveryProblem::ForeignEndpoint(name) => {
                write!(
                    f,
                    "unusable metadata: `{name}` is on another origin than the issuer"
                )
            }
            DiscoveryProblem::PrivateEndpoint(name) => {
                write!(
                    f,
                    "unusable metadata: `{name}` is a private address, the issuer is not"
                )
            }
        }
    }
}

impl std::error::Error for DiscoveryError {}
