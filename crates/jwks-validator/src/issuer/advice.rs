//! What to do about a token that the keys in use do not decide on.

use std::time::Duration;

use tokio::time::Instant;

use super::Issuer;
use crate::reason::Reason;

/// Far longer than a task waits for its turn to run.
const LATELY: Duration = Duration::from_secs(1);

/// What somebody who needs other keys is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Wait until this many fetches have ended, and look again.
    WaitFor(u64),
    /// Refuse.
    Refuse(Reason),
}

impl Issuer {
    /// For a token with a key id that is not in the set. `arrival` is what [`begun`](Self::begun)
    /// said when the token came.
    pub(crate) fn advise_on_unknown_key(&self, kid: Option<&str>, arrival: u64) -> Advice {
        let now = Instant::now();
        let mut state = self.state();
        if state.absent.contains(kid, now) {
            return Advice::Refuse(Reason::UnknownKey);
        }
        if state
            .last_success
            .is_some_and(|(number, _)| number > arrival)
        {
            state.absent.insert(kid, now);
            return Advice::Refuse(Reason::UnknownKey);
        }
        if let Some(number) = state.under_way() {
            return Advice::WaitFor(number);
        }
        // A fetch that began after the token came has failed: nobody knows whether the key exists.
        if state.ended > arrival {
            return Advice::Refuse(Reason::KeyUndetermined);
        }
        if state.bucket.take(now) {
            return Advice::WaitFor(self.request(&mut state));
        }
        if state.succeeded_lately(now) {
            Advice::Refuse(Reason::UnknownKey)
        } else {
            Advice::Refuse(Reason::KeyUndetermined)
        }
    }

    /// For a token whose signature does not verify although its key is known: the issuer may have
    /// replaced the key under its id.
    pub(crate) fn advise_on_bad_signature(&self, arrival: u64) -> Advice {
        let now = Instant::now();
        let mut state = self.state();
        // A set of the last half minute is the issuer's word.
        if state.begun > arrival || state.succeeded_lately(now) {
            return Advice::Refuse(Reason::Signature);
        }
        if let Some(number) = state.under_way() {
            // While fetches fail, whoever forges signatures would occupy a caller's place for the whole wait.
            return if state.failures == 0 {
                Advice::WaitFor(number)
            } else {
                Advice::Refuse(Reason::Signature)
            };
        }
        // Forged signatures are the common case: they may not use the last attempt, which belongs to
        // unknown keys.
        if state.bucket.is_full(now) && state.bucket.take(now) {
            return Advice::WaitFor(self.request(&mut state));
        }
        Advice::Refuse(Reason::Signature)
    }

    /// Tells whether the keys have changed so recently that a caller who looked at them before may be about to
    /// act on that look.
    pub(crate) fn changed_lately(&self) -> bool {
        self.state().changed.is_some_and(|at| at.elapsed() < LATELY)
    }

    /// For any token while there are no keys.
    pub(crate) fn advise_without_keys(&self, why: Reason) -> Advice {
        let state = self.state();
        match state.under_way() {
            // Only the first fetch is worth a wait: during an outage each would cost every caller
            // its whole deadline.
            Some(1) if why == Reason::KeysUnavailable => Advice::WaitFor(1),
            _ => Advice::Refuse(why),
        }
    }
}
