//! Why a token is fetched.

use crate::token::AccessToken;

/// Why a token is fetched, for a [`TokenSource`](crate::TokenSource) that finds tokens in more than one place.
///
/// A store that replicas share has to tell a refresh ahead of expiry from a refusal: with the token that is in it,
/// it serves neither. `Debug` shows no byte of a token.
#[derive(Clone, Debug)]
pub struct Need {
    trigger: Trigger,
    held: Option<AccessToken>,
    rejected: Vec<AccessToken>,
}

/// What causes an attempt to get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// The cache was started.
    Start,
    /// The token is inside its refresh margin.
    Ahead,
    /// A caller waits.
    Caller,
    /// The token was rejected.
    Invalidated,
    /// The last attempt failed.
    Retry,
}

impl Need {
    pub(crate) fn new(
        trigger: Trigger,
        held: Option<AccessToken>,
        rejected: Vec<AccessToken>,
    ) -> Self {
        Self {
            trigger,
            held,
            rejected,
        }
    }

    /// Returns what caused the attempt. The retries inside one have the cause of its first request.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.trigger
    }

    /// Returns the unexpired token that is served meanwhile. It is to be replaced.
    #[must_use]
    pub fn held(&self) -> Option<&AccessToken> {
        self.held.as_ref()
    }

    /// Returns the rejected tokens, oldest first: the one that was held until then, and those whose rejection
    /// became known while the attempt runs. Only the provider itself may give one of them out again.
    #[must_use]
    pub fn rejected(&self) -> &[AccessToken] {
        &self.rejected
    }
}

impl Trigger {
    /// Returns the name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Ahead => "ahead",
            Self::Caller => "caller",
            Self::Invalidated => "invalidated",
            Self::Retry => "retry",
        }
    }
}
