//! The error of a refused request.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::reason::Reason;

/// A request or token that was refused, or that could not be decided on.
///
/// As a response it is the answer of RFC 6750 section 3, with a fixed description. It is also put
/// into the response's extensions, so that whoever logs the response can log the [`Reason`]. It holds
/// no byte of the token or its claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthError {
    reason: Reason,
    retry_after: Option<Duration>,
}

impl AuthError {
    pub(crate) fn new(reason: Reason) -> Self {
        Self {
            reason,
            retry_after: None,
        }
    }

    pub(crate) fn with_retry_after(reason: Reason, retry_after: Duration) -> Self {
        Self {
            reason,
            retry_after: Some(retry_after),
        }
    }

    /// Returns why, for the log.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the status code of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.reason.status()
    }

    /// Returns when asking again can help, in whole seconds; only where the answer is 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for AuthError {}
