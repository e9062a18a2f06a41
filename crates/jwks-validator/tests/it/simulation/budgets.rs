//! Whether every fetch of an issuer was due, or paid for by whoever asked for it, and none was left out.

use std::ops::RangeInclusive;
use std::time::Duration;

use jwks_validator::Answer;

use super::known::Outcome;

#[derive(Debug)]
pub(super) struct Budgets {
    /// The interval while the issuer states no freshness.
    longest: Duration,
    /// When the next fetch is due, at the earliest and at the latest: jitter decides.
    due: (Duration, Duration),
    /// How many have begun and ended, and when the last one did.
    begun: usize,
    ended: usize,
    began_at: Duration,
    free_since: Duration,
    /// How many of one kind have failed in a row, and how many at all.
    failures: Option<(Answer, u32)>,
    pub(super) failed: u32,
    /// Whether somebody was there who may have asked for the one that runs.
    was_asked_for: bool,
    /// The issuer wants to be left alone until then.
    held_off_until: Duration,
    /// When callers were there.
    calls: Vec<RangeInclusive<Duration>>,
    /// Fetches that were not due.
    paid: Vec<Duration>,
    /// Fetches that may have been paid for.
    charged: Vec<Duration>,
    /// The number of the last fetch for the operator, and when it was asked for.
    manual: Option<(usize, Duration)>,
    is_stopped: bool,
}

/// Timers count milliseconds.
const SLACK: Duration = Duration::from_millis(2);
/// An attempt is given up then.
const LONGEST: Duration = Duration::from_secs(15).saturating_add(SLACK);
const HALF_MINUTE: Duration = Duration::from_secs(30);
const MANUAL_INTERVAL: Duration = Duration::from_secs(10);

impl Budgets {
    pub(super) fn new(max_stale: Duration) -> Self {
        Self {
            longest: max_stale.min(Duration::from_secs(300)),
            due: (Duration::ZERO, Duration::ZERO),
            begun: 0,
            ended: 0,
            began_at: Duration::ZERO,
            free_since: Duration::ZERO,
            failures: None,
            failed: 0,
            was_asked_for: false,
            held_off_until: Duration::ZERO,
            calls: Vec::new(),
            paid: Vec::new(),
            charged: Vec::new(),
            manual: None,
            is_stopped: false,
        }
    }

    /// Notes that a caller was there who is not there any more.
    pub(super) fn called(&mut self, from: Duration, to: Duration) {
        self.calls.push(from..=to);
    }

    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// What the operator's wish for a fetch comes to: the number of that fetch, or the time to wait.
    pub(super) fn asked_manually(&mut self, now: Duration) -> Result<usize, Duration> {
        if let Some((number, at)) = self.manual {
            if number > self.ended {
                return Ok(number);
            }
            let wait = MANUAL_INTERVAL.saturating_sub(now - at);
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        if self.is_held_off(now) {
            return Err(self.held_off_until - now);
        }
        let number = self.begun + 1;
        self.manual = Some((number, now));
        Ok(number)
    }

    pub(super) fn is_held_off(&self, now: Duration) -> bool {
        now < self.held_off_until
    }

    /// `is_stale` tells whether the keys in use are too old.
    pub(super) fn began(&mut self, at: Duration, is_stale: bool) {
        assert!(!self.is_stopped, "a fetch after the end at {at:?}");
        assert!(
            at <= self.latest() + SLACK,
            "begun late, at {at:?}: {self:?}"
        );
        let is_too_soon = at + SLACK < self.held_off_until;
        assert!(!is_too_soon, "before it may, at {at:?}: {self:?}");
        self.begun += 1;
        self.began_at = at;
        let is_manual = self
            .manual
            .is_some_and(|(number, from)| number == self.begun && from <= at);
        let has_caller = self.calls.iter().any(|call| call.contains(&at));
        self.was_asked_for = is_manual || has_caller;
        // While no fetch fails, keys that grew too old are a reason of their own.
        let is_due = at >= self.due.0 || (is_stale && self.failed == 0);
        assert!(
            is_due || self.was_asked_for,
            "nobody asked, at {at:?}: {self:?}"
        );
        if has_caller {
            self.charged.push(at);
        }
        if is_due || is_manual {
            return;
        }
        self.paid.push(at);
        for (first, from) in self.paid.iter().enumerate() {
            let most = 2 + (at - *from).as_secs() / HALF_MINUTE.as_secs();
            let count = (self.paid.len() - first) as u64;
            assert!(count <= most, "{count} since {from:?}: {self:?}");
        }
    }

    pub(super) fn ended(&mut self, at: Duration, outcome: Outcome) {
        self.ended += 1;
        self.free_since = at;
        assert!(at <= self.began_at + LONGEST, "too slow: {self:?}");
        if self.is_stopped {
            // Cut off, and nobody takes notice of what it brought.
            return;
        }
        let (answer, retry_after) = match outcome {
            Outcome::Success(max_age) => {
                self.failures = None;
                self.failed = 0;
                self.held_off_until = Duration::ZERO;
                let fresh = max_age.map_or(self.longest, |age| {
                    age.max(Duration::from_secs(60)).min(self.longest)
                });
                let (from, to) = (fresh.mul_f64(0.72), fresh.mul_f64(0.88));
                self.due = (at + from - SLACK, at + to);
                return;
            }
            Outcome::Failure(answer, retry_after) => (answer, retry_after),
        };
        let before = match self.failures {
            Some((last, count)) if last == answer => count + 1,
            _ => 0,
        };
        self.failures = Some((answer, before));
        self.failed += 1;
        let retry = match retry_after {
            Some(wait) => (at + wait, at + wait),
            None => {
                let wait = longest_wait(answer, before);
                (at + wait / 2, at + wait)
            }
        };
        self.held_off_until = retry_after.map_or(Duration::ZERO, |wait| at + wait);
        // A failure that was asked for does not put off the fetch that is due, unless the issuer says so.
        self.due = if retry_after.is_some() {
            retry
        } else if self.due.0 > at {
            (self.due.0.min(retry.0), self.due.1.min(retry.1))
        } else if self.was_asked_for && self.due.1 > at {
            (at, retry.1)
        } else {
            retry
        };
    }

    /// Fails when a fetch should have begun or ended by now.
    pub(super) fn check(&self, now: Duration) {
        let limit = if self.is_idle() {
            self.latest() + SLACK
        } else {
            self.began_at + LONGEST
        };
        assert!(
            self.is_stopped || now <= limit,
            "nothing happens until {now:?}: {self:?}"
        );
    }

    /// Tells whether an unknown key id that comes now causes a fetch, and waits for it, for certain: two have
    /// come back in a minute, and at most one has been used.
    pub(super) fn has_one_left(&self, now: Duration) -> bool {
        let recent = |at: &&Duration| now - **at < 2 * HALF_MINUTE;
        self.failed == 0 && self.is_idle() && self.charged.iter().filter(recent).count() <= 1
    }

    fn is_idle(&self) -> bool {
        self.begun == self.ended && !self.is_stopped
    }

    fn latest(&self) -> Duration {
        self.due.1.max(self.free_since)
    }
}

/// The longest wait after that many failures of one kind; the shortest is half of it.
fn longest_wait(answer: Answer, before: u32) -> Duration {
    let (first_ms, longest_ms): (u64, u64) = match answer {
        Answer::None => (500, 1_750),
        Answer::Unusable => (1_000, 30_000),
        Answer::Refused => (5_000, 120_000),
    };
    Duration::from_millis((first_ms << before.min(10)).min(longest_ms))
}
