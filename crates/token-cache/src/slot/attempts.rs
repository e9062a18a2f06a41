//! Attempts: when one is due, and what its end changes. The refresher's side of a slot.

use tokio::time::Instant;
use tracing::Span;

use super::{Due, Entry, FETCH_FLOOR, Slot};
use crate::error::TokenError;
use crate::freshness::{Freshness, Moment};
use crate::need::{Need, Trigger};
use crate::sync::{Arc, Ordering};

impl Slot {
    /// Notes that the refresher is dropped, and with it the attempt that ran. To be called before another
    /// one can start.
    pub(crate) fn drop_attempt(&self) {
        let mut state = self.lock();
        if state.running {
            state.running = false;
            state.asked = Some(Trigger::Retry);
        }
    }

    /// Tells readers and waiters that there is no refresher. To be called when another one can start.
    pub(crate) fn refresher_gone(&self) {
        self.refresher_told.store(false, Ordering::Relaxed);
        self.wake_waiters();
    }

    /// Lets all who wait look again, whether there is a refresher first of all.
    pub(crate) fn wake_waiters(&self) {
        self.news.send_modify(|()| {});
    }

    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        !state.running && state.asked.is_none()
    }

    /// Returns and clears whether anybody read the token since the last call.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Decides when the next attempt is due. `keep` is false for a token that nobody uses any more.
    pub(crate) fn due(&self, now: impl FnOnce() -> Moment, keep: bool) -> Due {
        let state = self.lock();
        // Cleared before the clocks are read: a reader that sees a later time than this wakes us again.
        self.refresher_told.store(false, Ordering::Relaxed);
        let now = now();
        let wanted = if state.asked.is_some() || (keep && state.window.is_some()) {
            Some(now.monotonic)
        } else if state.is_single_use() {
            // Not fetched ahead of its callers.
            None
        } else {
            let current = self.current.load();
            current
                .as_deref()
                .map(|entry| entry.lifetime.until_stale(now))
                // Whether anybody uses the token is decided when it is stale, not before.
                .filter(|left| keep || !left.is_zero())
                .map(|left| now.monotonic + left)
                .or(state.start_at)
        };
        let Some(wanted) = wanted else {
            self.refresher_told
                .store(state.is_single_use(), Ordering::Relaxed);
            return Due::WhenAsked;
        };
        let earliest = state.window.max(state.not_before);
        let at = earliest.map_or(wanted, |earliest| wanted.max(earliest));
        if at <= now.monotonic {
            return Due::Now;
        }
        if at > wanted {
            // Held back. Readers of a stale token would wake the refresher all the time for nothing.
            self.refresher_told.store(true, Ordering::Relaxed);
        }
        Due::At(at)
    }

    /// Begins an attempt and returns what it is for, with the span of the caller that asked first.
    pub(crate) fn begin(&self) -> (Trigger, Option<Span>) {
        let mut state = self.lock();
        self.refresher_told.store(false, Ordering::Relaxed);
        state.running = true;
        state.rejected.clear();
        let start = state.start_at.take();
        let trigger = match state.asked.take() {
            Some(Trigger::Invalidated) => Trigger::Invalidated,
            _ if state.window.is_some() => Trigger::Retry,
            Some(trigger) => trigger,
            None if start.is_some() => Trigger::Start,
            None => Trigger::Ahead,
        };
        (trigger, state.asked_in.take())
    }

    /// Returns what the source is told about the attempt that `trigger` caused.
    pub(crate) fn need(&self, trigger: Trigger, now: Moment) -> Need {
        let state = self.lock();
        let mut rejected = state.rejected.clone();
        let current = self.current.load();
        // Only a rejection leaves the slot without the token that was in it.
        if current.is_none()
            && let Some(former) = state.former.as_deref().map(Entry::token)
            && !rejected.iter().any(|it| it.is_same(former))
        {
            rejected.insert(0, former.clone());
        }
        let unexpired = |entry: &&Entry| entry.lifetime.freshness(now) < Freshness::Expired;
        let held = current.as_deref().filter(unexpired);
        Need::new(trigger, held.map(|entry| entry.token().clone()), rejected)
    }

    /// Publishes a token that was asked for at `asked_at` and tells the waiters, unless it is one that was rejected
    /// while this attempt ran. Returns whether it was published.
    pub(crate) fn succeed(&self, entry: Entry, asked_at: Instant) -> bool {
        let mut state = self.lock();
        state.running = false;
        state.not_before = Some(asked_at + FETCH_FLOOR);
        state.window = None;
        state.failures = 0;
        if state.rejected.iter().any(|it| it.is_same(entry.token())) {
            // The waiters stay for the next attempt, which starts after the rejection.
            state.asked = Some(Trigger::Invalidated);
            return false;
        }
        // What was asked for while this attempt ran, it has brought.
        state.asked = None;
        state.finished += 1;
        let entry = Arc::new(entry);
        state.outcome = Some(Ok(Arc::clone(&entry)));
        // A token for the waiting callers only is not kept.
        if !entry.lifetime.total().is_zero() {
            let replaced = self.current.load_full();
            // The provider may give out the same token for as long as it lives.
            if let Some(replaced) = replaced.filter(|it| !it.token().is_same(entry.token())) {
                state.former = Some(replaced);
            }
            self.current.store(Some(entry));
        }
        drop(state);
        self.wake_waiters();
        true
    }

    /// Records a failure and opens the failure window. The current token stays.
    pub(crate) fn fail(&self, error: TokenError, next_attempt: Instant) {
        let mut state = self.lock();
        state.running = false;
        state.failures = state.failures.saturating_add(1);
        state.window = Some(next_attempt);
        state.finished += 1;
        state.outcome = Some(Err(error));
        drop(state);
        self.wake_waiters();
    }

    /// Ends the failure window: what was refused has changed.
    pub(crate) fn reopen(&self) {
        let mut state = self.lock();
        state.window = None;
        state.asked = Some(Trigger::Retry);
    }
}
