//! The course of fetches: when one is due, what it is asked with, and what it changes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Confirmed, Issuer, IssuerState, Moment, NEVER, Snapshot};
use crate::key_set::{KeySet, SkippedKey};
use crate::source::{EntityTag, Fetched, SourceError, SourceErrorKind};

/// The refresh interval where the issuer states no freshness, and the longest one where it does.
const MAX_INTERVAL: Duration = Duration::from_secs(300);
const MAX_AGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(3600);

impl Issuer {
    /// Returns when the next fetch is due by itself.
    pub(crate) fn next(&self) -> Instant {
        self.state().next
    }

    /// Tells whether a fetch has been asked for that has not begun and may begin.
    pub(crate) fn is_requested(&self) -> bool {
        let state = self.state();
        state.requested && !state.is_held_off(Instant::now())
    }

    /// Notes that a fetch begins and returns what to ask it with.
    pub(crate) fn begin(&self) -> Option<EntityTag> {
        let mut state = self.state();
        state.requested = false;
        state.begun += 1;
        state.begun_at = self.settings.clock.now();
        state.entity_tag.clone()
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
                entity_tag,
            }) => {
                let keys = keys.with_rsa_default(self.settings.rsa_default);
                Ok((Some((Arc::new(keys), entity_tag)), max_age))
            }
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
                let (keys, entity_tag) = modified
                    .unwrap_or_else(|| (Arc::clone(&current.keys), state.entity_tag.clone()));
                let changed = !keys.has_same_keys(&current.keys);
                if changed {
                    state.changed = Some(now);
                    state.absent.clear();
                    state.sightings.note(&keys, now);
                }
                let from = Moment {
                    at: began,
                    wall: state.begun_at,
                };
                self.snapshot.store(Arc::new(Snapshot {
                    keys: Arc::new(keys.with_revoked(&state.revoked)),
                    confirmed: Some(Confirmed::new(from, self.settings.max_stale)),
                }));
                state.entity_tag = entity_tag;
                state.last_success = Some((state.ended, now));
                state.failures = 0;
                state.last_error = None;
                state.backoff.reset();
                state.held_off_until = None;
                state.next =
                    now + refresh_interval(max_age, self.settings.max_stale, fastrand::f64());
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
                let retry = now + wait;
                state.held_off_until = error.retry_after().map(|_| retry);
                // A failed fetch that was asked for must not put off the one that is due, unless the
                // issuer says so.
                state.next = if state.next > now && state.held_off_until.is_none() {
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
        if self.is_unused(&mut state, now) {
            self.is_idle.store(true, Ordering::Relaxed);
            state.next = now + NEVER;
        }
        let ended = state.ended;
        drop(state);
        self.ended.send_replace(ended);
        outcome
    }

    /// Tells whether no token has named the issuer for too long. One with revoked keys is kept: admitted
    /// again, it would not know of them.
    fn is_unused(&self, state: &mut IssuerState, now: Instant) -> bool {
        if self.is_used.swap(false, Ordering::Relaxed) {
            state.used = now;
        }
        let idle_after = self.settings.idle_after;
        idle_after.is_some_and(|limit| now - state.used >= limit) && state.revoked.is_empty()
    }
}

impl IssuerState {
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
