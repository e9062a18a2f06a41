//! One issuer's keys as readers see them, and the budget for fetching others.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use idp_http::Backoff;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::budget::{AbsentNames, Bucket, FRESH};
use crate::claims::Claims;
use crate::history::{KeyHistory, Sightings};
use crate::key_set::{KeySet, SkippedKey};
use crate::metrics::IssuerMetrics;
use crate::reason::Reason;
use crate::source::{Fetched, IssuerKeys, KeySource, SourceError, SourceErrorKind, Validators};

/// What is known about one issuer. Everything in it is this issuer's alone.
pub(crate) struct Issuer {
    pub(crate) name: Box<str>,
    pub(crate) source: Arc<dyn KeySource>,
    required_claims: Box<[(Box<str>, Box<str>)]>,
    max_stale: Duration,
    pub(crate) metrics: IssuerMetrics,
    snapshot: ArcSwap<Snapshot>,
    state: Mutex<State>,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
    /// Rings when somebody asked for a fetch.
    pub(crate) asked: Notify,
}

struct Snapshot {
    keys: Arc<KeySet>,
    /// When the fetch began that last confirmed the keys; `None` while there are none.
    confirmed: Option<Instant>,
}

struct State {
    bucket: Bucket,
    absent: AbsentNames,
    /// Whether a fetch has been asked for that has not begun.
    requested: bool,
    begun: u64,
    ended: u64,
    /// The number of the last fetch that succeeded, and when it ended.
    last_success: Option<(u64, Instant)>,
    failures: u32,
    last_error: Option<SourceErrorKind>,
    validators: Option<Validators>,
    backoff: Backoff,
    next: Instant,
    sightings: Sightings,
    /// The unusable keys of the last document, so that each is reported once.
    skipped: Vec<SkippedKey>,
    /// Key ids that the operator has revoked.
    revoked: Vec<Box<str>>,
    /// The number of the last fetch that the operator asked for, and when that was.
    manual: Option<(u64, Instant)>,
}

/// The refresh interval where the issuer states no freshness, and the longest one where it does.
const MAX_INTERVAL: Duration = Duration::from_secs(300);
const MAX_AGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(3600);

/// The operator's fetches come at most this often: somebody may have put a loop around them.
const MANUAL_INTERVAL: Duration = Duration::from_secs(10);

/// What somebody who needs other keys is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Wait until this many fetches have ended, and look again.
    WaitFor(u64),
    /// Refuse.
    Refuse(Reason),
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
    pub(crate) fn new(name: &str, label: &str, keys: IssuerKeys, max_stale: Duration) -> Self {
        let now = Instant::now();
        Self {
            name: name.into(),
            source: keys.source,
            required_claims: keys.required_claims.into(),
            max_stale,
            metrics: IssuerMetrics::new(label),
            snapshot: ArcSwap::from_pointee(Snapshot {
                keys: Arc::new(KeySet::empty()),
                confirmed: None,
            }),
            state: Mutex::new(State {
                bucket: Bucket::for_fetches(now),
                absent: AbsentNames::for_at_most(FRESH),
                requested: false,
                begun: 0,
                ended: 0,
                last_success: None,
                failures: 0,
                last_error: None,
                validators: None,
                backoff: Backoff::new(),
                next: now,
                sightings: Sightings::default(),
                skipped: Vec::new(),
                revoked: Vec::new(),
                manual: None,
            }),
            ended: watch::Sender::new(0),
            asked: Notify::new(),
        }
    }

    /// Returns the keys in use: one atomic load.
    pub(crate) fn keys(&self) -> Result<CurrentKeys, Reason> {
        let snapshot = self.snapshot.load();
        match snapshot.confirmed {
            None => Err(Reason::KeysUnavailable),
            Some(at) if at.elapsed() > self.max_stale => Err(Reason::KeysStale),
            Some(_) => Ok(CurrentKeys(snapshot)),
        }
    }

    /// Checks the claims that every token of this issuer must carry.
    pub(crate) fn check_claims(&self, claims: &Claims) -> Result<(), Reason> {
        let has_all = self
            .required_claims
            .iter()
            .all(|(name, value)| claims.has_text(name, value));
        if has_all {
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

    /// Marks the first fetch as asked for, so that callers wait for it instead of being refused.
    pub(crate) fn expect_first_fetch(&self) {
        self.state().requested = true;
    }

    /// Returns how many fetches have begun; what begins later has a higher number.
    pub(crate) fn begun(&self) -> u64 {
        self.state().begun
    }

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
        // A set of the last half minute is the issuer's word, and forged signatures are the common
        // case: they may not use the last attempt, which belongs to unknown keys.
        if state.begun == arrival
            && state.under_way().is_none()
            && !state.succeeded_lately(now)
            && state.bucket.is_full(now)
            && state.bucket.take(now)
        {
            return Advice::WaitFor(self.request(&mut state));
        }
        Advice::Refuse(Reason::Signature)
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

    /// Waits until that many fetches have ended.
    pub(crate) async fn wait_for(&self, number: u64) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self
            .ended
            .subscribe()
            .wait_for(|ended| *ended >= number)
            .await;
    }

    /// Returns how long a refused caller should stay away, in whole seconds.
    pub(crate) fn retry_after(&self) -> Duration {
        let state = self.state();
        let wait = if state.under_way().is_some() {
            Duration::ZERO
        } else {
            state.next.saturating_duration_since(Instant::now())
        };
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Duration::from_secs(seconds.clamp(1, 30))
    }

    /// Asks for a fetch on the operator's behalf. Returns its number, or how long to wait before
    /// asking.
    pub(crate) fn request_manually(&self) -> Result<u64, Duration> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some((number, at)) = state.manual {
            if number > state.ended {
                return Ok(number);
            }
            let wait = MANUAL_INTERVAL.saturating_sub(now - at);
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        // One that runs may have been answered before what the operator knows of.
        let number = self.request(&mut state);
        state.manual = Some((number, now));
        Ok(number)
    }

    /// Returns why that fetch, or every one since, brought no keys.
    pub(crate) fn failure_of(&self, number: u64) -> Option<SourceErrorKind> {
        let state = self.state();
        match state.last_success {
            Some((success, _)) if success >= number => None,
            _ => state.last_error,
        }
    }

    /// Makes a key unusable, or usable again. Tells whether that changed anything.
    pub(crate) fn set_revoked(&self, kid: &str, revoked: bool) -> bool {
        let mut state = self.state();
        let known = state.revoked.iter().position(|known| **known == *kid);
        match (known, revoked) {
            (None, true) => state.revoked.push(kid.into()),
            (Some(at), false) => drop(state.revoked.remove(at)),
            _ => return false,
        }
        let current = self.snapshot.load_full();
        self.snapshot.store(Arc::new(Snapshot {
            keys: Arc::new(current.keys.with_revoked(&state.revoked)),
            confirmed: current.confirmed,
        }));
        true
    }

    /// Returns when the next fetch is due by itself.
    pub(crate) fn next(&self) -> Instant {
        self.state().next
    }

    /// Tells whether a fetch has been asked for that has not begun.
    pub(crate) fn is_requested(&self) -> bool {
        self.state().requested
    }

    /// Notes that a fetch begins and returns what to ask it with.
    pub(crate) fn begin(&self) -> Option<Validators> {
        let mut state = self.state();
        state.requested = false;
        state.begun += 1;
        state.validators.clone()
    }

    /// Notes what the fetch that began at `began` brought, puts its keys in use, and returns the
    /// failure if it was one.
    pub(crate) fn end(
        &self,
        began: Instant,
        conditional: bool,
        result: Result<Fetched, SourceError>,
    ) -> Outcome {
        let now = Instant::now();
        let mut state = self.state();
        // Under the lock, or a revocation that comes meanwhile would be lost.
        let current = self.snapshot.load_full();
        let result = match result {
            Ok(Fetched::Modified {
                keys,
                max_age,
                validators,
            }) => Ok((Some((Arc::new(keys), validators)), max_age)),
            Ok(Fetched::NotModified { max_age }) if conditional && current.confirmed.is_some() => {
                Ok((None, max_age))
            }
            Ok(Fetched::NotModified { .. }) => Err(SourceError::new(
                SourceErrorKind::NothingToKeep,
                idp_http::Answer::None,
            )),
            Err(error) => Err(error),
        };
        state.ended += 1;
        let outcome = match result {
            Ok((modified, max_age)) => {
                let (keys, validators) = modified
                    .unwrap_or_else(|| (Arc::clone(&current.keys), state.validators.clone()));
                let changed = !keys.has_same_keys(&current.keys);
                if changed {
                    state.absent.clear();
                    state.sightings.note(&keys, now);
                }
                self.snapshot.store(Arc::new(Snapshot {
                    keys: Arc::new(keys.with_revoked(&state.revoked)),
                    confirmed: Some(began),
                }));
                state.validators = validators;
                state.last_success = Some((state.ended, now));
                state.failures = 0;
                state.last_error = None;
                state.backoff.reset();
                state.next = now + refresh_interval(max_age, self.max_stale, fastrand::f64());
                let skipped = state.unreported(keys.skipped());
                Outcome::Refreshed {
                    keys,
                    changed,
                    skipped,
                }
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.last_error = Some(error.kind());
                let wait = state.backoff.after(error.answer(), error.retry_after());
                // A failed fetch that somebody asked for must not put off the one that is due.
                let retry = now + wait;
                state.next = if state.next > now {
                    state.next.min(retry)
                } else {
                    retry
                };
                let skipped = match error.kind() {
                    SourceErrorKind::Keys(_) => state.unreported(error.skipped()),
                    _ => Vec::new(),
                };
                Outcome::Failed {
                    error,
                    skipped,
                    failures: state.failures,
                    next_in: state.next - now,
                }
            }
        };
        let ended = state.ended;
        drop(state);
        self.ended.send_replace(ended);
        outcome
    }

    /// Returns since when the keys are known, for an explanation.
    pub(crate) fn history(&self) -> KeyHistory {
        let confirmed = self.snapshot.load().confirmed;
        self.state().sightings.history(confirmed)
    }

    /// Returns the time since the issuer confirmed the keys.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.snapshot.load().confirmed.map(|at| at.elapsed())
    }

    pub(crate) fn health(&self) -> IssuerHealth {
        let snapshot = self.snapshot.load();
        let state = self.state();
        IssuerHealth {
            issuer: self.name.to_string(),
            keys: snapshot.keys.len(),
            skipped_keys: snapshot.keys.skipped().len(),
            revoked_keys: state.revoked.len(),
            age: snapshot.confirmed.map(|at| at.elapsed()),
            usable: snapshot
                .confirmed
                .is_some_and(|at| at.elapsed() <= self.max_stale),
            last_error: state.last_error,
            consecutive_failures: state.failures,
        }
    }

    fn request(&self, state: &mut State) -> u64 {
        state.requested = true;
        self.asked.notify_one();
        state.begun + 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock; if it did, counters that are off by one still do.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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

    /// Returns the unusable keys of a document, unless the last document had the same ones in
    /// whatever order.
    fn unreported(&mut self, skipped: &[SkippedKey]) -> Vec<SkippedKey> {
        let count = |list: &[SkippedKey], key: &SkippedKey| {
            let same = |other: &&SkippedKey| other.kid == key.kid && other.reason == key.reason;
            list.iter().filter(same).count()
        };
        let is_known = skipped.len() == self.skipped.len()
            && skipped
                .iter()
                .all(|key| count(skipped, key) == count(&self.skipped, key));
        if is_known {
            return Vec::new();
        }
        self.skipped = skipped.to_vec();
        self.skipped.clone()
    }

    fn succeeded_lately(&self, now: Instant) -> bool {
        self.last_success.is_some_and(|(_, at)| now - at < FRESH)
    }
}

/// What a fetch changed.
#[derive(Debug)]
pub(crate) enum Outcome {
    Refreshed {
        keys: Arc<KeySet>,
        changed: bool,
        /// Unusable keys that have not been reported.
        skipped: Vec<SkippedKey>,
    },
    Failed {
        error: SourceError,
        /// As above.
        skipped: Vec<SkippedKey>,
        failures: u32,
        next_in: Duration,
    },
}

/// How an issuer's keys are doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuerHealth {
    /// The issuer.
    pub issuer: String,
    /// How many usable keys there are.
    pub keys: usize,
    /// How many published keys are not usable.
    pub skipped_keys: usize,
    /// How many key ids the operator has revoked, published or not.
    pub revoked_keys: usize,
    /// Time since the keys were last confirmed by the issuer; `None` while there are none.
    pub age: Option<Duration>,
    /// Whether tokens of this issuer can be decided on.
    pub usable: bool,
    /// Why the last fetch failed; `None` after a success.
    pub last_error: Option<SourceErrorKind>,
    /// How many fetches have failed since the last success.
    pub consecutive_failures: u32,
}

/// Returns 80 % of the freshness, give or take 10 %. `random` lies in `[0, 1)`.
fn refresh_interval(max_age: Option<Duration>, max_stale: Duration, random: f64) -> Duration {
    let fresh = max_age.map_or(MAX_INTERVAL, |age| {
        age.clamp(*MAX_AGE.start(), *MAX_AGE.end())
    });
    // Keys that may not outlive a shorter limit have to be confirmed within it.
    fresh
        .min(MAX_INTERVAL)
        .min(max_stale)
        .mul_f64(0.8 * (0.9 + 0.2 * random))
}

#[cfg(test)]
mod tests;
