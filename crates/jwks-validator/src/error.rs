//! The error of a refused request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::http::{Challenges, RequestContext, is_grpc};
use crate::reason::{ErrorResponse, Reason};

/// A request or token that was refused, or that could not be decided on.
///
/// [As a response](Self::into_http_response) it is the answer of RFC 6750 section 3, with a fixed description, or
/// what gRPC has for it. It is also put into the response's extensions, so that a layer that logs the response can
/// log the [`Reason`]. It holds no byte of the token or its claims.
#[derive(Clone)]
pub struct AuthError {
    reason: Reason,
    retry_after: Option<Duration>,
    /// Of the layer that the request came through, where the answer comes from behind it.
    challenges: Option<Arc<Challenges>>,
    for_grpc: bool,
}

impl AuthError {
    pub(crate) fn with_retry_after(reason: Reason, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::from(reason)
        }
    }

    /// Makes it an answer with the challenge of this layer.
    pub(crate) fn challenged_by(mut self, challenges: Arc<Challenges>) -> Self {
        self.challenges = Some(challenges);
        self
    }

    pub(crate) fn take_challenges(&mut self) -> Option<Arc<Challenges>> {
        self.challenges.take()
    }

    /// Makes it an answer that the sender of this request can read.
    pub(crate) fn in_answer_to<'r>(mut self, request: impl Into<RequestContext<'r>>) -> Self {
        self.for_grpc = is_grpc(request.into().headers);
        self
    }

    pub(crate) fn is_for_grpc(&self) -> bool {
        self.for_grpc
    }

    /// Returns why, for the log.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the status code of the answer; to a gRPC request that is 200, and the `grpc-status` stands
    /// for this one.
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

/// Where the answer is 503, with a wait of 1 s; of 30 s where the clock is not set.
impl From<Reason> for AuthError {
    fn from(reason: Reason) -> Self {
        let wait_s = match reason {
            // Setting a clock may take that long.
            Reason::ClockUnset => Some(30),
            _ if reason.response() == ErrorResponse::Unavailable => Some(1),
            _ => None,
        };
        Self {
            reason,
            retry_after: wait_s.map(Duration::from_secs),
            challenges: None,
            for_grpc: false,
        }
    }
}

/// Errors are equal if reason and wait are, whichever layer they come from.
impl PartialEq for AuthError {
    fn eq(&self, other: &Self) -> bool {
        (self.reason, self.retry_after) == (other.reason, other.retry_after)
    }
}

impl Eq for AuthError {}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthError")
            .field("reason", &self.reason)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for AuthError {}
