//! What comes next for a token that the keys in use do not decide on.

use std::time::Duration;

use tokio::time::Instant;

use super::Issuer;
use crate::reason::Reason;

/// Far longer than a task waits for its turn to run.
const LATELY: Duration = Duration::from_secs(1);

/// What a caller does who needs other keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Wait until this many fetches have ended, and look again.
    WaitFor(u64),
    /// Refuse.
    Refuse(Reason),
}

impl Issuer {
    /// For a token with a key id that is not in the set. `arrival` is what [`begun`](Self::begun)
    /// said when the token came.
    pub(crate) fn after_unknown_key(&self, kid: Option<&str>, arrival: u64) -> NextStep {
        let now = Instant::now();
        let mut state = self.state();
        if state.failures > 0 {
            // The key may have been published since the last good set. An attacker who invents key
            // ids would take every permit to wait, so no caller waits; but a fetch is asked for.
            let is_worth = state.ended <= arrival && state.under_way().is_none();
            if is_worth && !state.is_held_off(now) && state.bucket.take(now) {
                self.request(&mut state);
            }
            return NextStep::Refuse(Reason::KeyUndetermined);
        }
        if state.absent.contains(kid, now) {
            return NextStep::Refuse(Reason::UnknownKey);
        }
        if state.has_succeeded_since(arrival) {
            state.absent.insert(kid, now);
            return NextStep::Refuse(Reason::UnknownKey);
        }
        if let Some(number) = state.under_way() {
            return NextStep::WaitFor(number);
        }
        if state.bucket.take(now) {
            return NextStep::WaitFor(self.request(&mut state));
        }
        if state.succeeded_lately(now) {
            NextStep::Refuse(Reason::UnknownKey)
        } else {
            NextStep::Refuse(Reason::KeyUndetermined)
        }
    }

    /// For a token whose signature does not verify although its key is known: the issuer may have
    /// replaced the key under its id.
    pub(crate) fn after_bad_signature(&self, arrival: u64) -> NextStep {
        let now = Instant::now();
        let mut state = self.state();
        // While fetches fail, an attacker who forges signatures would take every permit to wait.
        if state.has_succeeded_since(arrival) || state.failures > 0 && state.under_way().is_some() {
            return NextStep::Refuse(Reason::Signature);
        }
        // One that began after the last set may bring another key, however young that set is.
        if let Some(number) = state.under_way() {
            return NextStep::WaitFor(number);
        }
        // The issuer has confirmed a set of the last half minute. And forged signatures are the common case:
        // they may not use the last attempt, which belongs to unknown keys.
        let is_worth = state.ended <= arrival
            && !state.succeeded_lately(now)
            && !state.is_held_off(now)
            && state.bucket.is_full(now);
        if is_worth && state.bucket.take(now) {
            return NextStep::WaitFor(self.request(&mut state));
        }
        NextStep::Refuse(Reason::Signature)
    }

    /// Tells whether the keys have changed so recently that a caller who looked at them before may be about to
    /// act on that look.
    pub(crate) fn changed_lately(&self) -> bool {
        self.state().changed.is_some_and(|at| at.elapsed() < LATELY)
    }

    /// For any token while there are no keys.
    pub(crate) fn without_keys(&self, why: Reason) -> NextStep {
        let mut state = self.state();
        match (why, state.under_way()) {
            // During an outage each further one would cost every caller its whole deadline.
            (Reason::KeysUnavailable, Some(1)) => NextStep::WaitFor(1),
            // No fetch has failed, and still they are too old: the process was frozen, or the clock set. If
            // the issuer can be reached, the first caller need not know.
            (Reason::KeysStale, Some(number)) if state.failures == 0 => NextStep::WaitFor(number),
            (Reason::KeysStale, None) if state.failures == 0 => {
                NextStep::WaitFor(self.request(&mut state))
            }
            _ => NextStep::Refuse(why),
        }
    }
}
