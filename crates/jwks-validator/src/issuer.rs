//! One issuer's keys as readers see them, and the budget for fetching others.

mod fetches;
mod next_step;
mod operator;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use clock::Clock;
use idp_http::{Backoff, Outage, SupervisedTask, whole_seconds};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use crate::algorithm::Algorithm;
use crate::budget::{AbsentNames, Bucket, FRESH};
use crate::claims::Claims;
use crate::history::Sightings;
use crate::key_set::{KeySet, SkippedKey};
use crate::metrics::IssuerMetrics;
use crate::reason::Reason;
use crate::required::RequiredClaim;
use crate::source::{EntityTag, IssuerKeys, KeySource, SourceErrorKind};

pub(crate) use fetches::Outcome;
pub(crate) use next_step::NextStep;
pub use operator::{IssuerHealth, KeyHealth};

/// What is known about one issuer. Everything in it is this issuer's alone.
pub(crate) struct Issuer {
    pub(crate) name: Box<str>,
    pub(crate) source: Arc<dyn KeySource>,
    pub(crate) refresher: SupervisedTask,
    required_claims: Box<[RequiredClaim]>,
    settings: IssuerSettings,
    pub(crate) metrics: IssuerMetrics,
    pub(crate) outage: Outage,
    snapshot: ArcSwap<Snapshot>,
    state: Mutex<IssuerState>,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
    /// Wakes the refresher when a fetch has been asked for.
    pub(crate) wake: Notify,
    /// How many more callers may wait for a fetch. What no key vouches for may not fill a server while
    /// the issuer hangs.
    waiting: Semaphore,
    /// Whether a token has named the issuer since the last fetch.
    is_used: AtomicBool,
    is_idle: AtomicBool,
}

/// Longer than any process lives, and short enough for timers.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Enough for the callers of some milliseconds, which a fetch from an issuer that is well takes.
const MAX_WAITING: usize = 64;

/// What holds for every issuer of a validator.
#[derive(Clone, Debug)]
pub(crate) struct IssuerSettings {
    /// For so long keys serve after they were confirmed.
    pub(crate) max_stale: Duration,
    /// What RSA keys are for that do not say so.
    pub(crate) rsa_default: Algorithm,
    pub(crate) clock: Arc<dyn Clock>,
    /// For so long no token may name the issuer; `None` for one that is never idle.
    pub(crate) idle_after: Option<Duration>,
}

struct Snapshot {
    keys: Arc<KeySet>,
    /// `None` while there are none.
    confirmed: Option<Confirmed>,
}

#[derive(Clone, Copy, Debug)]
struct Confirmed {
    /// When the fetch began that last confirmed the keys.
    from: Moment,
    /// When they grow too old. Known ahead, because every token compares it with now.
    until: Moment,
}

/// A moment by both clocks: the monotonic one stands still while a machine is suspended, and the wall clock
/// may be set back.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    wall: SystemTime,
}

impl Moment {
    /// Returns the longer of the times that have passed by the two clocks; `wall` is now.
    fn age(&self, wall: SystemTime) -> Duration {
        let by_wall = wall.duration_since(self.wall).unwrap_or_default();
        self.at.elapsed().max(by_wall)
    }

    /// Tells whether the moment has passed by either clock; `wall` is now.
    fn has_passed(&self, wall: SystemTime) -> bool {
        wall > self.wall || Instant::now() > self.at
    }
}

impl Confirmed {
    fn new(from: Moment, max_stale: Duration) -> Self {
        let max_stale = max_stale.min(NEVER);
        let until = Moment {
            at: from.at + max_stale,
            wall: from.wall.checked_add(max_stale).unwrap_or(from.wall),
        };
        Self { from, until }
    }
}

struct IssuerState {
    bucket: Bucket,
    absent: AbsentNames,
    /// Whether a fetch has been asked for that has not begun.
    requested: bool,
    begun: u64,
    /// What the wall clock showed when the last one began.
    begun_at: SystemTime,
    ended: u64,
    /// The number of the last fetch that succeeded, and when it ended.
    last_success: Option<(u64, Instant)>,
    /// When a fetch last brought other keys than were in use.
    changed: Option<Instant>,
    failures: u32,
    last_error: Option<SourceErrorKind>,
    entity_tag: Option<EntityTag>,
    backoff: Backoff,
    /// When the next fetch is due by itself.
    next: Instant,
    /// No fetch may begin before then: the issuer said so in `Retry-After`.
    held_off_until: Option<Instant>,
    /// When a token last named the issuer, as of the last fetch.
    used: Instant,
    sightings: Sightings,
    /// The unusable keys of the last document, so that each is reported once.
    skipped: Vec<SkippedKey>,
    /// Key ids that the operator has revoked.
    revoked: Vec<Box<str>>,
    /// The number of the last fetch that the operator asked for, and when that was.
    manual: Option<(u64, Instant)>,
}

/// The keys in use, held for the time of one decision.
pub(crate) struct CurrentKeys(Guard<Arc<Snapshot>>);

impl Deref for CurrentKeys {
    type Target = KeySet;

    fn deref(&self) -> &KeySet {
        &self.0.keys
    }
}

impl Issuer {
    /// `label` stands for the issuer in metrics.
    pub(crate) fn new(
        name: &str,
        label: &str,
        keys: IssuerKeys,
        settings: IssuerSettings,
        refresher: SupervisedTask,
    ) -> Self {
        let now = Instant::now();
        let wall = settings.clock.now();
        Self {
            name: name.into(),
            source: keys.source,
            refresher,
            required_claims: keys.required_claims.into(),
            settings,
            metrics: IssuerMetrics::new(label),
            outage: Outage::new(),
            snapshot: ArcSwap::from_pointee(Snapshot {
                keys: Arc::new(KeySet::empty()),
                confirmed: None,
            }),
            state: Mutex::new(IssuerState {
                bucket: Bucket::for_fetches(now),
                absent: AbsentNames::for_at_most(FRESH),
                // The first one, so that callers wait for it instead of being refused.
                requested: true,
                begun: 0,
                begun_at: wall,
                ended: 0,
                last_success: None,
                changed: None,
                failures: 0,
                last_error: None,
                entity_tag: None,
                backoff: Backoff::new(),
                next: now,
                held_off_until: None,
                used: now,
                sightings: Sightings::default(),
                skipped: Vec::new(),
                revoked: Vec::new(),
                manual: None,
            }),
            ended: watch::Sender::new(0),
            wake: Notify::new(),
            waiting: Semaphore::new(MAX_WAITING),
            is_used: AtomicBool::new(true),
            is_idle: AtomicBool::new(false),
        }
    }

    /// Notes that a token named the issuer, and tells whether it is still in use.
    pub(crate) fn note_use(&self) -> bool {
        // Only the first one after a fetch writes what all cores read.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        !self.is_idle()
    }

    /// Tells whether no token has named the issuer for so long that it is not fetched any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }

    /// Returns a permit to wait for a fetch, unless too many callers have one.
    pub(crate) fn permit_to_wait(&self) -> Option<SemaphorePermit<'_>> {
        self.waiting.try_acquire().ok()
    }

    /// Returns the keys in use: one atomic load. `now` is what the wall clock shows.
    pub(crate) fn keys(&self, now: SystemTime) -> Result<CurrentKeys, Reason> {
        let snapshot = self.snapshot.load();
        match snapshot.confirmed {
            None => Err(Reason::KeysUnavailable),
            Some(keys) if keys.until.has_passed(now) => Err(Reason::KeysStale),
            Some(_) => Ok(CurrentKeys(snapshot)),
        }
    }

    /// Checks the claims that every token of this issuer must carry.
    pub(crate) fn check_claims(&self, claims: &Claims) -> Result<(), Reason> {
        if claims.has_all(&self.required_claims) {
            Ok(())
        } else {
            Err(Reason::ClaimMismatch)
        }
    }

    /// Tells whether a fetch has ended, none has brought keys, and the operator has revoked none.
    pub(crate) fn is_barren(&self) -> bool {
        let state = self.state();
        state.ended > 0 && state.last_success.is_none() && state.revoked.is_empty()
    }

    /// Returns how many fetches have begun; what begins later has a higher number.
    pub(crate) fn begun(&self) -> u64 {
        self.state().begun
    }

    /// Waits until that many fetches have ended, and returns true, or until the refresher is gone, and
    /// returns false. `ensure` starts a refresher when there is none; if it cannot, this returns false.
    pub(crate) async fn wait_for(&self, number: u64, ensure: impl Fn() -> bool) -> bool {
        // Before the look at the refresher: if it goes after that, this is woken.
        let mut ended = self.ended.subscribe();
        while *ended.borrow_and_update() < number {
            // Fails only when the sender is gone, and `self` holds it.
            if !ensure() || ended.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Notes that the refresher is dropped, and with it the fetch that ran. To be called before another one
    /// can start.
    pub(crate) fn drop_fetch(&self) {
        let mut state = self.state();
        if state.begun > state.ended {
            if state.requested {
                // A caller waits for the one after it, so it keeps its number.
                state.ended = state.begun;
            } else {
                state.begun = state.ended;
                state.requested = true;
            }
        }
        if state.requested {
            // The wake-up may have gone to the refresher before the next one.
            self.wake.notify_one();
        }
    }

    /// Lets all who wait look again, because there is no refresher. To be called when another one can start.
    pub(crate) fn refresher_gone(&self) {
        let ended = self.state().ended;
        self.ended.send_replace(ended);
    }

    /// Returns how long a refused caller should stay away, in whole seconds.
    pub(crate) fn retry_after(&self) -> Duration {
        let state = self.state();
        let now = Instant::now();
        let is_soon = state.under_way().is_some() && !state.is_held_off(now);
        let wait = if is_soon {
            Duration::ZERO
        } else {
            state.next.saturating_duration_since(now)
        };
        Duration::from_secs(whole_seconds(wait).min(30))
    }

    fn request(&self, state: &mut IssuerState) -> u64 {
        state.requested = true;
        self.wake.notify_one();
        state.begun + 1
    }

    fn state(&self) -> MutexGuard<'_, IssuerState> {
        // Nothing panics under the lock; if it did, counters that are off by one still do.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IssuerState {
    /// Returns the number of the fetch that runs or is asked for.
    fn under_way(&self) -> Option<u64> {
        if self.begun > self.ended {
            Some(self.begun)
        } else if self.requested {
            Some(self.begun + 1)
        } else {
            None
        }
    }

    fn has_succeeded_since(&self, arrival: u64) -> bool {
        self.last_success
            .is_some_and(|(number, _)| number > arrival)
    }

    /// Tells whether the issuer has said in `Retry-After` that it is too soon for a fetch.
    fn is_held_off(&self, now: Instant) -> bool {
        self.held_off_until.is_some_and(|until| now < until)
    }

    fn succeeded_lately(&self, now: Instant) -> bool {
        self.last_success.is_some_and(|(_, at)| now - at < FRESH)
    }
}

#[cfg(test)]
mod tests;
