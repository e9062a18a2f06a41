//! One token request's state: what readers see, and what callers and the refresher agree on.
//!
//! Readers take one atomic load. Everything else (waiting, failures, invalidation) goes through a
//! mutex that is never held across an await and never taken while a fresh token is served.

// As a path, because `token-cache-schedules` takes this file into a crate of its own.
#[path = "slot/attempts.rs"]
mod attempts;

use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use crate::error::{TokenError, TokenErrorKind};
use crate::freshness::{Freshness, Lifetime, Moment};
use crate::health::Health;
use crate::need::Trigger;
use crate::request::TokenRequest;
use crate::sync::{
    Arc, ArcSwapOption, AtomicBool, Mutex, MutexGuard, Notify, Ordering, PoisonError, watch,
};
use crate::token::{AccessToken, HeldToken};

/// However short its lifetime, a token is not fetched again sooner than this after a success.
pub(crate) const FETCH_FLOOR: Duration = Duration::from_secs(1);
/// A token rejected younger than this counts towards the cool-down: a server that rejects tokens that are
/// this fresh will likely reject the next one too.
const YOUNG: Duration = Duration::from_secs(60);
const MAX_COOL_DOWN: Duration = Duration::from_secs(30);
/// A resource server, and each of several behind one address, learns of a new key within half a minute, or is
/// not going to. Until a token is this old, its rejection may mean that.
const NEW: Duration = Duration::from_secs(35);

/// A token and its times.
#[derive(Debug)]
pub(crate) struct Entry {
    token: HeldToken,
    pub(crate) lifetime: Lifetime,
    /// How many seconds the provider's clock is ahead, if it said.
    pub(crate) clock_ahead_s: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    request: TokenRequest,
    current: ArcSwapOption<Entry>,
    state: Mutex<State>,
    /// Wakes the refresher: a caller asks, or something changed.
    wake: Notify,
    /// Sends whenever waiters have to look again.
    news: watch::Sender<()>,
    /// Set by readers, cleared by the refresher: whether anybody uses this token.
    used: AtomicBool,
    /// Set by the first reader of a stale token, cleared when the refresher has seen to it.
    refresher_told: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// Why an attempt is wanted.
    asked: Option<Trigger>,
    /// In which span the first of them wants it, so that the exchange is a part of that trace.
    asked_in: Option<Span>,
    /// When the first attempt is to begin if nobody asks before.
    start_at: Option<Instant>,
    /// The number of finished attempts.
    finished: u64,
    /// What the last of them brought.
    outcome: Option<Result<Arc<Entry>, TokenError>>,
    /// Set by a failed attempt until the next success: when the next attempt may come.
    window: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
    /// What was rejected since the running attempt began; it must not bring any of it back.
    rejected: Vec<AccessToken>,
    cool_down: Duration,
    cool_until: Option<Instant>,
    /// The token before the current one, dropped or replaced ahead of its end.
    former: Option<Arc<Entry>>,
}

/// What a caller has to do next.
enum Join {
    Ready(AccessToken),
    Failed(TokenError),
    Wait,
}

/// For how long a caller without a token waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until the attempt that runs or starts has ended. In an outage, not at all.
    OneAttempt,
    /// In an outage too, until the next attempt has ended.
    NextAttempt,
}

/// What the refresher has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Instant),
    WhenAsked,
}

impl Slot {
    pub(crate) fn new(request: TokenRequest) -> Self {
        Self {
            request,
            current: ArcSwapOption::empty(),
            state: Mutex::default(),
            wake: Notify::new(),
            news: watch::Sender::new(()),
            used: AtomicBool::new(false),
            refresher_told: AtomicBool::new(false),
        }
    }

    pub(crate) fn request(&self) -> &TokenRequest {
        &self.request
    }

    /// The hot path: one atomic load, and the token if there is one that is not expired.
    pub(crate) fn peek(&self, now: Moment) -> Option<(AccessToken, Freshness)> {
        let guard = self.current.load();
        let entry = guard.as_deref()?;
        let freshness = entry.lifetime.freshness(now);
        set(&self.used);
        (freshness < Freshness::Expired).then(|| (entry.token().clone(), freshness))
    }

    /// Returns the token before this one, if this is the current one and new, and the other has not expired.
    pub(crate) fn token_before(&self, token: &AccessToken, now: Moment) -> Option<AccessToken> {
        let state = self.lock();
        let guard = self.current.load();
        let current = guard.as_deref()?;
        let is_new = current.token().is_same(token) && current.lifetime.age(now) < NEW;
        let former = state.former.as_deref().filter(|_| is_new)?;
        let lives = former.lifetime.freshness(now) < Freshness::Expired;
        (lives && !former.token().is_same(token)).then(|| former.token().clone())
    }

    /// Tells the refresher to look at the clocks again, unless it was told and has yet to. Its own
    /// timer follows the monotonic clock only, so after a suspend or a step it would be late. `ensure`
    /// starts a refresher when there is none.
    pub(crate) fn wake_refresher(&self, ensure: impl FnOnce() -> bool) {
        if !set(&self.refresher_told) {
            return;
        }
        if ensure() {
            self.wake.notify_one();
        } else {
            // The next reader may be on a runtime that can.
            self.refresher_told.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits for the running attempt or asks for one. `ensure` starts a refresher when there is none;
    /// it returns false when none can be: the cache or the caller's runtime was shut down.
    ///
    /// Cancelling it leaves the attempt running.
    pub(crate) async fn join(
        &self,
        now: impl Fn() -> Moment,
        patience: Patience,
        ensure: impl Fn() -> bool,
    ) -> Result<AccessToken, TokenError> {
        let mut news = self.news.subscribe();
        let mut target = None;
        loop {
            // First the refresher, then the step: if it goes after this, that is news.
            let has_refresher = ensure();
            match self.step(&mut target, now(), patience, has_refresher) {
                Join::Ready(token) => return Ok(token),
                Join::Failed(error) => return Err(error),
                Join::Wait => {
                    // The sender lives in `self`, so this cannot fail.
                    let _ = news.changed().await;
                }
            }
        }
    }

    fn step(
        &self,
        target: &mut Option<u64>,
        now: Moment,
        patience: Patience,
        has_refresher: bool,
    ) -> Join {
        let mut state = self.lock();
        if target.is_some_and(|target| state.finished >= target)
            && let Some(outcome) = &state.outcome
        {
            match outcome {
                Ok(entry) if entry.serves_waiters(now) => {
                    return Join::Ready(entry.token().clone());
                }
                Err(error) => return Join::Failed(state.dated(error)),
                // A clock stepped since: as if the caller came now.
                Ok(_) => *target = None,
            }
        }
        if !has_refresher {
            return Join::Failed(TokenError::new(TokenErrorKind::Cancelled));
        }
        if target.is_none() {
            // Published between the caller's look and this lock.
            if let Some((token, Freshness::Fresh | Freshness::Stale)) = self.peek(now) {
                return Join::Ready(token);
            }
            set(&self.used);
            // In an outage callers fail at once, also while the next attempt is under way: it may
            // take seconds, and each of them would wait for it.
            if patience == Patience::OneAttempt
                && let Some(until) = state.window
                && (state.running || now.monotonic < until)
                && let Some(Err(error)) = &state.outcome
            {
                return Join::Failed(state.dated(error));
            }
            *target = Some(state.finished + 1);
            if !state.running {
                state.asked.get_or_insert(Trigger::Caller);
                state.asked_in.get_or_insert_with(Span::current);
                self.wake.notify_one();
            }
        }
        Join::Wait
    }

    /// Asks for an attempt at `at` without waiting for it, unless there is a token or was an attempt.
    pub(crate) fn ask(&self, now: Moment, at: Instant) {
        let mut state = self.lock();
        if !state.running && state.finished == 0 && self.peek(now).is_none() {
            if at <= now.monotonic {
                state.asked.get_or_insert(Trigger::Start);
            } else {
                state.start_at.get_or_insert(at);
            }
            self.wake.notify_one();
        }
    }

    /// Drops the current token if it is `rejected`. Returns whether it was.
    pub(crate) fn invalidate(&self, rejected: &AccessToken, now: Moment) -> bool {
        let mut state = self.lock();
        let current = self.current.load_full();
        let Some(entry) = current.filter(|entry| entry.token().is_same(rejected)) else {
            // A late answer to an older token must not drop the newer one; but a fetch that is under
            // way must not bring the rejected one back.
            state.reject(rejected);
            return false;
        };
        if state.cool_until.is_some_and(|until| now.monotonic < until) {
            return false;
        }
        state.cool_down = if entry.lifetime.age(now) < YOUNG {
            (state.cool_down * 2).clamp(FETCH_FLOOR, MAX_COOL_DOWN)
        } else {
            FETCH_FLOOR
        };
        state.cool_until = Some(now.monotonic + state.cool_down);
        state.reject(rejected);
        state.former = Some(entry);
        state.asked = Some(Trigger::Invalidated);
        state.asked_in = Some(Span::current());
        // Publishing happens under the same lock, so nothing newer can be lost here.
        self.current.store(None);
        self.wake.notify_one();
        true
    }

    pub(crate) fn health(&self, now: Moment) -> Health {
        let state = self.lock();
        let current = self.current.load();
        let lifetime = current.as_deref().map(|entry| entry.lifetime);
        Health {
            freshness: lifetime.map(|lifetime| lifetime.freshness(now)),
            age: lifetime.map(|lifetime| lifetime.age(now)),
            lifetime: lifetime.map(|lifetime| lifetime.total()),
            refresh_after: lifetime.map(|lifetime| lifetime.refresh_after()),
            leeway_after: lifetime.map(|lifetime| lifetime.critical_after()),
            expires_in: lifetime.map(|lifetime| lifetime.until_expiry(now)),
            provider_clock_ahead_s: current.as_deref().and_then(|entry| entry.clock_ahead_s),
            single_use: state.is_single_use(),
            last_error: match &state.outcome {
                Some(Err(error)) => Some(error.kind()),
                _ => None,
            },
            consecutive_failures: state.failures,
            next_attempt_in: state
                .window
                .map(|until| until.saturating_duration_since(now.monotonic)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(crate) fn new(token: &AccessToken, lifetime: Lifetime) -> Self {
        Self {
            token: HeldToken::new(token),
            lifetime,
            clock_ahead_s: None,
        }
    }

    fn token(&self) -> &AccessToken {
        self.token.get()
    }

    /// Whether the callers of its own attempt may have the token: without a lifetime, only they do.
    pub(crate) fn serves_waiters(&self, now: Moment) -> bool {
        self.lifetime.total().is_zero() || self.lifetime.freshness(now) < Freshness::Expired
    }
}

impl State {
    /// Notes a rejection for the attempt that runs, if one does.
    fn reject(&mut self, token: &AccessToken) {
        if self.running && !self.rejected.iter().any(|it| it.is_same(token)) {
            self.rejected.push(token.clone());
        }
    }

    /// Tells whether the last attempt brought a token for its callers only.
    fn is_single_use(&self) -> bool {
        matches!(&self.outcome, Some(Ok(entry)) if entry.lifetime.total().is_zero())
    }

    fn dated(&self, error: &TokenError) -> TokenError {
        match self.window {
            Some(until) => error.clone().with_retry_at(until),
            None => error.clone(),
        }
    }
}

/// Sets a flag and returns whether it was clear. Reads first: a store on every call would bounce the
/// cache line between cores.
fn set(flag: &AtomicBool) -> bool {
    !flag.load(Ordering::Relaxed) && !flag.swap(true, Ordering::Relaxed)
}
