//! One token request's state: what readers see, and what callers and the refresher agree on.
//!
//! Readers take one atomic load. Everything else (waiting, failures, invalidation) goes through a
//! mutex that is never held across an await and never taken while a fresh token is served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::error::{TokenError, TokenErrorKind};
use crate::freshness::{Freshness, Lifetime, Moment};
use crate::health::Health;
use crate::request::TokenRequest;
use crate::token::AccessToken;

/// However short its lifetime, a token is not fetched again sooner than this after a success.
pub(crate) const FETCH_FLOOR: Duration = Duration::from_secs(1);
/// A token rejected younger than this counts towards the cool-down: whoever rejects tokens that are
/// this fresh will likely reject the next one too.
const YOUNG: Duration = Duration::from_secs(60);
const MAX_COOL_DOWN: Duration = Duration::from_secs(30);

/// A token and its times.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) token: AccessToken,
    pub(crate) lifetime: Lifetime,
}

#[derive(Debug)]
pub(crate) struct Slot {
    request: TokenRequest,
    current: ArcSwapOption<Entry>,
    state: Mutex<State>,
    /// Wakes the refresher: somebody asks, or something changed.
    wake: Notify,
    /// The number of finished attempts; waiters watch it.
    finished: watch::Sender<u64>,
    /// Set by readers, cleared by the refresher: whether anybody uses this token.
    used: AtomicBool,
    /// Set by the first reader of a stale token, cleared when an attempt starts.
    nudged: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// A refresher task exists.
    attended: bool,
    /// The cache was shut down, or this slot was evicted.
    closed: bool,
    running: bool,
    asked: bool,
    outcome: Option<Result<AccessToken, TokenError>>,
    /// Set by a failed attempt until the next success: when the next attempt may come.
    window: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
    /// The token that was last rejected, and how many were.
    rejected: Option<AccessToken>,
    rejections: u64,
    cool_down: Duration,
    cool_until: Option<Instant>,
}

/// What a caller has to do next.
enum Join {
    Ready(AccessToken),
    Failed(TokenError),
    Wait,
    /// Nobody would answer: the refresher has to be started first.
    Unattended,
}

/// What the refresher has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Instant),
    WhenAsked,
}

/// The state before an attempt, needed to judge its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    rejections: u64,
}

impl Slot {
    pub(crate) fn new(request: TokenRequest) -> Self {
        Self {
            request,
            current: ArcSwapOption::empty(),
            state: Mutex::default(),
            wake: Notify::new(),
            finished: watch::Sender::new(0),
            used: AtomicBool::new(false),
            nudged: AtomicBool::new(false),
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
        (freshness < Freshness::Expired).then(|| (entry.token.clone(), freshness))
    }

    /// Tells the refresher to look at the clocks again, once per attempt. Its own timer follows the
    /// monotonic clock only, so after a suspend or a step it would be late.
    pub(crate) fn nudge(&self) {
        if set(&self.nudged) {
            self.wake.notify_one();
        }
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits for the running attempt or asks for one. `attend` starts a refresher when there is none;
    /// it returns false when the cache is shut down.
    ///
    /// Cancelling it leaves the attempt running.
    pub(crate) async fn join(
        &self,
        now: impl Fn() -> Moment,
        attend: impl Fn() -> bool,
    ) -> Result<AccessToken, TokenError> {
        let mut finished = self.finished.subscribe();
        let mut target = None;
        loop {
            match self.step(&mut target, now()) {
                Join::Ready(token) => return Ok(token),
                Join::Failed(error) => return Err(error),
                Join::Wait => {
                    // The sender lives in `self`, so this cannot fail.
                    let _ = finished.changed().await;
                }
                Join::Unattended => {
                    if !attend() {
                        return Err(TokenError::new(TokenErrorKind::Cancelled));
                    }
                }
            }
        }
    }

    fn step(&self, target: &mut Option<u64>, now: Moment) -> Join {
        let mut state = self.lock();
        if let Some(target) = *target
            && *self.finished.borrow() >= target
            && let Some(outcome) = &state.outcome
        {
            return match outcome {
                Ok(token) => Join::Ready(token.clone()),
                Err(error) => Join::Failed(state.dated(error)),
            };
        }
        if state.closed {
            return Join::Failed(TokenError::new(TokenErrorKind::Cancelled));
        }
        if !state.attended {
            return Join::Unattended;
        }
        if target.is_none() {
            // Published between the caller's look and this lock.
            if let Some((token, Freshness::Fresh | Freshness::Stale)) = self.peek(now) {
                return Join::Ready(token);
            }
            set(&self.used);
            // In an outage callers fail at once, also while the next attempt is under way: it may
            // take seconds, and each of them would wait for it.
            if let Some(until) = state.window
                && (state.running || now.monotonic < until)
                && let Some(Err(error)) = &state.outcome
            {
                return Join::Failed(state.dated(error));
            }
            *target = Some(*self.finished.borrow() + 1);
            if !state.running {
                state.asked = true;
                self.wake.notify_one();
            }
        }
        Join::Wait
    }

    /// Asks for an attempt without waiting for it, unless there is a token or an attempt.
    pub(crate) fn ask(&self, now: Moment) {
        let mut state = self.lock();
        if !state.running && self.peek(now).is_none() {
            state.asked = true;
            self.wake.notify_one();
        }
    }

    /// Drops the current token if it is `rejected`. Returns whether it was.
    pub(crate) fn invalidate(&self, rejected: &AccessToken, now: Moment) -> bool {
        let mut state = self.lock();
        let current = self.current.load_full();
        let Some(entry) = current.filter(|entry| entry.token.is_same(rejected)) else {
            // A late answer to an older token must not drop the newer one; but a fetch that is under
            // way must not bring the rejected one back.
            if state.running
                && !state
                    .rejected
                    .as_ref()
                    .is_some_and(|last| last.is_same(rejected))
            {
                state.rejected = Some(rejected.clone());
                state.rejections += 1;
            }
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
        state.rejected = Some(rejected.clone());
        state.rejections += 1;
        state.asked = true;
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
            expires_in: lifetime.map(|lifetime| lifetime.until_expiry(now)),
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

    // The refresher's side.

    /// Claims the refresher's place. Only one task at a time has it.
    pub(crate) fn attend(&self) -> bool {
        let mut state = self.lock();
        if state.attended || state.closed {
            return false;
        }
        state.attended = true;
        true
    }

    /// Gives the refresher's place back, when its task ended for whatever reason. Waiters look again.
    pub(crate) fn unattend(&self) {
        let mut state = self.lock();
        state.attended = false;
        if state.running {
            state.running = false;
            state.asked = true;
        }
        drop(state);
        self.finished.send_modify(|_| {});
    }

    /// Ends the slot: waiters and later callers get [`TokenErrorKind::Cancelled`].
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.finished.send_modify(|_| {});
        self.wake.notify_one();
    }

    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        !state.running && !state.asked
    }

    /// Returns and clears whether anybody read the token since the last call.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Decides when the next attempt is due. `keep` is false for a token that nobody uses any more.
    pub(crate) fn due(&self, now: Moment, keep: bool) -> Due {
        let state = self.lock();
        let wanted = if state.asked || (keep && state.window.is_some()) {
            Some(now.monotonic)
        } else if keep {
            let current = self.current.load();
            current
                .as_deref()
                .map(|entry| now.monotonic + entry.lifetime.until_stale(now))
        } else {
            None
        };
        let Some(wanted) = wanted else {
            return Due::WhenAsked;
        };
        let earliest = state.window.max(state.not_before);
        let at = earliest.map_or(wanted, |earliest| wanted.max(earliest));
        if at <= now.monotonic {
            Due::Now
        } else {
            Due::At(at)
        }
    }

    pub(crate) fn begin(&self) -> Begun {
        let mut state = self.lock();
        self.nudged.store(false, Ordering::Relaxed);
        state.running = true;
        state.asked = false;
        Begun {
            rejections: state.rejections,
        }
    }

    /// Publishes a token and tells the waiters, unless it is the one that was rejected while this
    /// attempt ran. Returns whether it was published.
    pub(crate) fn succeed(&self, begun: Begun, entry: Entry) -> bool {
        let mut state = self.lock();
        state.running = false;
        state.not_before = Some(entry.lifetime.sent().monotonic + FETCH_FLOOR);
        state.window = None;
        state.failures = 0;
        let rejected_meanwhile = begun.rejections != state.rejections
            && state
                .rejected
                .as_ref()
                .is_some_and(|rejected| rejected.is_same(&entry.token));
        if rejected_meanwhile {
            // The waiters stay for the next attempt, which starts after the rejection.
            state.asked = true;
            return false;
        }
        state.outcome = Some(Ok(entry.token.clone()));
        // A token for the waiting callers only is not kept.
        if !entry.lifetime.total().is_zero() {
            self.current.store(Some(Arc::new(entry)));
        }
        drop(state);
        self.finished.send_modify(|finished| *finished += 1);
        true
    }

    /// Records a failure and opens the failure window. The current token stays.
    pub(crate) fn fail(&self, error: TokenError, next_attempt: Instant) {
        let mut state = self.lock();
        state.running = false;
        state.failures = state.failures.saturating_add(1);
        state.window = Some(next_attempt);
        state.outcome = Some(Err(error));
        drop(state);
        self.finished.send_modify(|finished| *finished += 1);
    }

    /// Ends the failure window: what was refused has changed.
    pub(crate) fn reopen(&self) {
        let mut state = self.lock();
        state.window = None;
        state.asked = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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
