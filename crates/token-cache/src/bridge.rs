//! Which new token is spared for now, because the resource server does not know its key yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::token::AccessToken;

/// While the token before it goes out, the new one is tried with one request in this time.
const PROBE: Duration = Duration::from_secs(5);

/// From the moment at which the token before was accepted instead of a new one, requests carry the former, so that
/// not every one of them has to be sent twice.
#[derive(Debug, Default)]
pub(crate) struct Bridge {
    /// Tells that there is something to look at behind the lock.
    held: AtomicBool,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    new: AccessToken,
    /// When the new token goes out again; `None` if the one before it was tried and is not known to help.
    probe: Option<Instant>,
}

impl Bridge {
    /// Tells whether some token may be spared; without a lock, for every request asks it.
    pub(crate) fn may_hold(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Tells whether a request should carry the token before `new`. Says no to one request in 5 s, so that
    /// somebody finds out when `new` is accepted.
    pub(crate) fn spares(&self, new: &AccessToken, now: Instant) -> bool {
        let mut state = self.lock();
        let state = state.as_mut().filter(|state| state.new.is_same(new));
        let Some(probe) = state.and_then(|state| state.probe.as_mut()) else {
            return false;
        };
        if now < *probe {
            return true;
        }
        *probe = now + PROBE;
        false
    }

    /// Tells whether to try the token before `new` where the answer to `new` does not say that it is at fault.
    /// Unless that helped, once for each new token: a resource server that is down is not to be asked twice.
    pub(crate) fn may_try(&self, new: &AccessToken) -> bool {
        let mut state = self.lock();
        if let Some(state) = state.as_ref().filter(|state| state.new.is_same(new)) {
            return state.probe.is_some();
        }
        *state = Some(State {
            new: new.clone(),
            probe: None,
        });
        true
    }

    /// The token before `new` was accepted. Returns whether that is news.
    pub(crate) fn hold(&self, new: &AccessToken, now: Instant) -> bool {
        let mut state = self.lock();
        let known = state.as_ref().filter(|state| state.new.is_same(new));
        let is_news = known.is_none_or(|state| state.probe.is_none());
        if is_news {
            *state = Some(State {
                new: new.clone(),
                probe: Some(now + PROBE),
            });
        }
        self.held.store(true, Ordering::Relaxed);
        is_news
    }

    /// A token was accepted: if it is the one that is spared, it need not be. Returns whether it was.
    pub(crate) fn accepted(&self, token: &AccessToken) -> bool {
        self.may_hold() && self.end(|new| new.is_same(token))
    }

    /// There is no token before `new` any more that would be accepted, or `new` is another one by now.
    pub(crate) fn over(&self) {
        self.end(|_| true);
    }

    fn end(&self, of: impl FnOnce(&AccessToken) -> bool) -> bool {
        let mut state = self.lock();
        let ends = state.as_ref().is_some_and(|state| of(&state.new));
        if ends {
            *state = None;
            self.held.store(false, Ordering::Relaxed);
        }
        ends
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::token::IssuedToken;

    fn token(text: &str) -> AccessToken {
        let issued = IssuedToken::new(text.to_owned(), None).unwrap();
        issued.into_token(UNIX_EPOCH).unwrap()
    }

    /// Requests that carry the token before are under way when the new one is accepted; what becomes of them
    /// changes nothing.
    #[test]
    fn a_token_that_was_accepted_is_spared_no_more() {
        let (old, new) = (token("old"), token("new"));
        let (bridge, now) = (Bridge::default(), Instant::now());
        assert!(bridge.hold(&new, now) && !bridge.hold(&new, now));
        assert!(!bridge.accepted(&old));
        assert!(bridge.may_hold() && bridge.spares(&new, now));
        assert!(bridge.accepted(&new) && !bridge.accepted(&new));
        assert!(!bridge.may_hold() && !bridge.spares(&new, now));
    }

    #[test]
    fn another_new_token_is_not_spared_for_the_one_before_it() {
        let (new, newer) = (token("new"), token("newer"));
        let (bridge, now) = (Bridge::default(), Instant::now());
        bridge.hold(&new, now);
        assert!(!bridge.spares(&newer, now));
        assert!(bridge.may_try(&new) && bridge.may_try(&newer));
        assert!(!bridge.spares(&newer, now) && !bridge.may_try(&newer));
        bridge.hold(&newer, now);
        assert!(bridge.spares(&newer, now) && bridge.may_try(&newer));
    }
}
