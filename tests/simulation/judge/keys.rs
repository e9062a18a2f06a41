//! Which keys one protected-data has, and when it can get others. Whether its fetches are due or paid for is judged
//! by the simulation of `jwks-validator`.

use std::time::Duration;

use axum::body::Bytes;
use jwks_validator::Answer;

use super::FetchEnd;
use super::bucket::Bucket;
use super::tokens::Moment;
use crate::reference;

#[derive(Debug, Default)]
pub(crate) struct KeyWatch {
    /// The last good set, and when the fetch began that confirmed it.
    pub(super) good: Option<(Vec<reference::Key>, Moment)>,
    pub(super) revoked: Vec<String>,
    began: Option<Moment>,
    pub(super) failures: u32,
    /// When the next one may come by itself, and when it comes at the latest; zero before the first.
    due: Duration,
    pub(super) due_by: Duration,
    /// What may have been spent on single tokens, at most.
    spent: Bucket,
}

/// The share of an interval after which a refresh comes.
const EARLIEST: f64 = 0.72;
const LATEST: f64 = 0.88;
const MAX_INTERVAL: Duration = Duration::from_secs(300);
const MIN_AGE: Duration = Duration::from_secs(60);

impl KeyWatch {
    /// Whether there is certainly a fetch left for an unknown key, and a wait for it.
    pub(super) fn can_surely_ask(&self, now: Duration) -> bool {
        self.failures == 0 && self.spent.has_one(now)
    }

    pub(super) fn began(&mut self, moment: Moment) {
        self.began = Some(moment);
        self.spent.charge(moment.monotonic);
    }

    pub(super) fn ended(&mut self, end: FetchEnd, now: Duration, max_stale: Duration) {
        let began = self.began.take().unwrap();
        match end {
            FetchEnd::Keys(document, max_age) => {
                match (document, &mut self.good) {
                    (Some(document), _) => self.good = Some((key_set(&document), began)),
                    (None, Some(good)) => good.1 = began,
                    (None, None) => {}
                }
                let fresh = max_age.map_or(MAX_INTERVAL, |age| age.max(MIN_AGE));
                let interval = fresh.min(MAX_INTERVAL).min(max_stale);
                self.due = now + interval.mul_f64(EARLIEST);
                self.due_by = now + interval.mul_f64(LATEST);
                self.failures = 0;
            }
            FetchEnd::Failed { answer, asked } => {
                self.failures += 1;
                let (shortest, longest) = waits(answer, asked, self.failures);
                let (retry, retry_by) = (now + shortest, now + longest);
                // One that a token caused does not put off the one that is due, unless the issuer says so.
                // Jitter decides whether there is one.
                let is_held_off = asked.is_some();
                let (may_be_ahead, is_ahead) = (
                    self.due_by > now && !is_held_off,
                    self.due > now && !is_held_off,
                );
                self.due = if may_be_ahead {
                    self.due.clamp(now, retry)
                } else {
                    retry
                };
                self.due_by = if is_ahead {
                    self.due_by.min(retry_by)
                } else {
                    retry_by
                };
            }
        }
    }

    /// The keys that tokens may be signed with: those of the last good fetch, unless it is too old.
    pub(super) fn usable(&self, now: Moment, max_stale: Duration) -> Option<Vec<reference::Key>> {
        let (keys, began) = self.good.as_ref()?;
        let is_revoked = |key: &&reference::Key| {
            let kid = key.kid.as_ref();
            kid.is_some_and(|kid| self.revoked.contains(kid))
        };
        let usable = keys.iter().filter(|key| !is_revoked(key)).cloned();
        let by_wall = now.wall.saturating_sub(began.wall);
        let age = by_wall.max(now.monotonic - began.monotonic);
        (age <= max_stale).then(|| usable.collect())
    }
}

pub(super) fn key_set(document: &Bytes) -> Vec<reference::Key> {
    reference::Key::set(document)
}

/// The shortest and the longest wait after a failure, the last of so many in a row.
pub(super) fn waits(
    answer: Answer,
    asked: Option<Duration>,
    failures: u32,
) -> (Duration, Duration) {
    if let Some(asked) = asked {
        return (asked, asked);
    }
    let (shortest_ms, longest_ms) = match answer {
        Answer::None => (250, 1_750),
        Answer::Unusable => (500, (1_000 << failures.min(5)).min(30_000)),
        Answer::Refused => (2_500, (5_000 << failures.min(5)).min(120_000)),
    };
    (
        Duration::from_millis(shortest_ms),
        Duration::from_millis(longest_ms),
    )
}
