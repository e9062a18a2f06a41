//! What an operator may want to know about the token.

use std::time::Duration;

use crate::error::TokenErrorKind;
use crate::freshness::Freshness;

/// The state of a token request at one moment. Holds nothing secret.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// The state of the current token; `None` when there is none.
    pub freshness: Option<Freshness>,
    /// How long ago the request for the current token was sent.
    pub age: Option<Duration>,
    /// How long the current token lives from the request for it on; capped as the policy says.
    pub lifetime: Option<Duration>,
    /// At which [`age`](Self::age) the current token is refreshed in the background. The jitter in it
    /// is drawn once per token.
    pub refresh_after: Option<Duration>,
    /// At which [`age`](Self::age) the current token's leeway begins, inside of which callers wait
    /// briefly for a newer one.
    pub leeway_after: Option<Duration>,
    /// How long the current token may still be served.
    pub expires_in: Option<Duration>,
    /// How many seconds the provider's clock was ahead of this machine's when the current token came,
    /// negative if behind, by the answer's `Date`. Within what a second's resolution and the time of
    /// the exchange leave open it is 0; `None` if the provider did not say.
    pub provider_clock_ahead_s: Option<i64>,
    /// Whether the last attempt brought a token that does not live (`expires_in` of 0 or less): it was for the
    /// callers of that attempt only, and each further call gets another one.
    pub single_use: bool,
    /// The kind of the last failure; `None` after a success.
    pub last_error: Option<TokenErrorKind>,
    /// Attempts that failed since the last success.
    pub consecutive_failures: u32,
    /// How long until the next attempt after a failure.
    pub next_attempt_in: Option<Duration>,
}

impl Health {
    /// Tells whether a token can be served now, or each caller can expect one of its own.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.single_use
            || self
                .freshness
                .is_some_and(|freshness| freshness < Freshness::Expired)
    }
}
