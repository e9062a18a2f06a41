//! What the model knows of one token request.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use token_cache::TokenErrorKind;

use super::{Verdict, ensure};
use crate::simulation::numbers::{self, Class, FLOOR, SECRET_POLL, SLACK, SURELY_USED};
use crate::simulation::trace::{Key, Moment};

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) current: Option<Entry>,
    /// The last token that came, and when.
    pub(super) came: Option<(Entry, Duration)>,
    pub(super) attempt: Option<Attempt>,
    /// When the last attempt ended.
    pub(super) ended: Duration,
    pub(super) failure: Option<Failure>,
    pub(super) failures: u32,
    /// The class of the last failures and their number: at least, at most.
    pub(super) run: Option<(Class, u32, u32)>,
    pub(super) not_before: Duration,
    /// Somebody surely waits for an attempt since then.
    pub(super) asked: Option<Duration>,
    /// Somebody may have asked.
    pub(super) perhaps_asked: bool,
    /// A reader surely got a stale token then.
    pub(super) woken: Option<Duration>,
    pub(super) rejected: BTreeSet<u64>,
    pub(super) cool_down: Duration,
    pub(super) cool_until: Duration,
    pub(super) last_used: Option<Duration>,
    /// The secret that the last attempt failed with, and when it was seen to be replaced.
    pub(super) refused_secret: Option<u64>,
    pub(super) secret_replaced: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) sent: Moment,
    pub(super) lifetime: Duration,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) began: Duration,
    pub(super) sent: Moment,
    pub(super) fetching: bool,
    pub(super) retry: u32,
    /// When the next fetch of this attempt begins, at the earliest and at the latest.
    pub(super) next: Option<(Duration, Duration)>,
    pub(super) secret: u64,
    pub(super) secret_reread: bool,
    /// The secret was replaced: callers may wait for this attempt although the last one failed.
    pub(super) joinable: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) kind: TokenErrorKind,
    pub(super) opens_from: Duration,
    pub(super) opens_until: Duration,
    /// Until when the request surely counts as used.
    pub(super) used_until: Duration,
}

impl Slot {
    /// When the next attempt has begun at the latest.
    pub(super) fn due(&self, key: Key) -> Option<Duration> {
        if self.attempt.is_some() {
            return None;
        }
        let wanted = [self.asked, self.woken].into_iter().flatten();
        let window = self.failure.map(|failure| {
            let polled = self.refused_secret.and(self.secret_replaced);
            let polled = polled.map_or(Duration::MAX, |at| at + SECRET_POLL);
            failure.opens_until.min(polled)
        });
        let by_itself = match self.failure {
            Some(failure) => window.filter(|at| key == Key::Own || *at < failure.used_until),
            None => self
                .current
                .filter(|_| !self.is_for_callers_only())
                .map(|entry| entry.sent.monotonic + numbers::stale_from(entry.lifetime).1)
                .filter(|at| key == Key::Own || self.surely_used(*at)),
        };
        let due = wanted.chain(by_itself).min()?;
        let due = due.max(self.not_before).max(self.ended);
        Some(due.max(window.unwrap_or_default()))
    }

    pub(super) fn surely_used(&self, by: Duration) -> bool {
        self.last_used
            .is_some_and(|used| used <= by && by < used + SURELY_USED)
    }

    pub(super) fn may_begin(&self, now: Moment, secret: u64) -> Verdict {
        ensure(now.monotonic >= self.not_before, || {
            "a second fetch within a second".into()
        })?;
        if let Some(failure) = self.failure {
            return ensure(
                now.monotonic >= failure.opens_from || self.is_secret_replaced(secret),
                || "a fetch before the window opened".into(),
            );
        }
        let is_stale = |entry: Entry| {
            !self.is_for_callers_only() && entry.age(now) >= numbers::stale_from(entry.lifetime).0
        };
        let reason =
            self.asked.is_some() || self.perhaps_asked || self.current.is_some_and(is_stale);
        ensure(reason, || "a fetch for no reason".into())
    }

    /// Nobody fetches tokens without a lifetime ahead of callers.
    pub(super) fn is_for_callers_only(&self) -> bool {
        self.came.is_some_and(|(entry, _)| entry.lifetime.is_zero())
    }

    pub(super) fn is_secret_replaced(&self, secret: u64) -> bool {
        self.refused_secret.is_some_and(|refused| refused != secret)
    }

    /// Whether callers without a token fail at once, if the model can tell.
    pub(super) fn is_window_open(&self, now: Duration) -> Option<bool> {
        let Some(failure) = self.failure else {
            return Some(false);
        };
        match &self.attempt {
            Some(attempt) if attempt.joinable && attempt.began < failure.opens_from => Some(false),
            Some(attempt) if attempt.joinable => None,
            Some(_) => Some(true),
            None if now < failure.opens_from => Some(true),
            None if now < failure.opens_until + SLACK => None,
            None => Some(false),
        }
    }

    /// Returns whether the token was published.
    pub(super) fn succeed(&mut self, entry: Entry, now: Moment) -> bool {
        self.attempt = None;
        self.ended = now.monotonic;
        self.failure = None;
        self.failures = 0;
        self.run = None;
        self.not_before = entry.sent.monotonic + FLOOR;
        if self.rejected.contains(&entry.number) {
            self.asked = Some(now.monotonic);
            return false;
        }
        self.asked = None;
        self.perhaps_asked = false;
        self.came = Some((entry, now.monotonic));
        if !entry.lifetime.is_zero() {
            self.current = Some(entry);
        }
        true
    }

    pub(super) fn fail(&mut self, kind: TokenErrorKind, asked: Option<Duration>, now: Duration) {
        self.attempt = None;
        self.ended = now;
        self.failures += 1;
        let class = Class::of(kind);
        let (least, most) = match self.run {
            Some((last, least, most)) if last == class => (least, most),
            _ => (0, 0),
        };
        self.run = Some((class, least + 1, most + 1));
        let shortest = asked.unwrap_or(class.wait(least) / 2);
        let longest = asked.unwrap_or(class.wait(most));
        self.failure = Some(Failure {
            kind,
            opens_from: now + shortest,
            opens_until: now + longest,
            used_until: self.last_used.unwrap_or_default() + SURELY_USED,
        });
    }

    /// Returns whether the cache has to drop the token.
    pub(super) fn reject(&mut self, number: u64, now: Moment) -> bool {
        let Some(entry) = self.current.filter(|entry| entry.number == number) else {
            if self.attempt.is_some() {
                self.rejected.insert(number);
            }
            return false;
        };
        if now.monotonic < self.cool_until {
            return false;
        }
        self.cool_down = if entry.age(now) < Duration::from_secs(60) {
            (self.cool_down * 2).clamp(Duration::from_secs(1), Duration::from_secs(30))
        } else {
            Duration::from_secs(1)
        };
        self.cool_until = now.monotonic + self.cool_down;
        self.current = None;
        if self.attempt.is_some() {
            self.rejected.insert(number);
        } else {
            self.asked.get_or_insert(now.monotonic);
        }
        // An attempt that fails does not end what was asked for while it ran.
        self.perhaps_asked = true;
        true
    }

    pub(super) fn health(
        &self,
        failures: u32,
        expires_in: Option<Duration>,
        next_in: Option<Duration>,
        now: Moment,
    ) -> Verdict {
        let expected = self
            .current
            .map(|entry| entry.lifetime.saturating_sub(entry.age(now)));
        ensure(expires_in == expected, || {
            format!("expires in {expires_in:?}, expected {expected:?}")
        })?;
        ensure(failures == self.failures, || {
            format!("{failures} failures, expected {}", self.failures)
        })?;
        let plausible = match (self.failure, next_in) {
            _ if self.attempt.is_some() => true,
            (None, next_in) => next_in.is_none(),
            (Some(_), None) => false,
            (Some(failure), Some(next_in)) => {
                let shortest = failure.opens_from.saturating_sub(now.monotonic);
                let longest = failure.opens_until.saturating_sub(now.monotonic);
                (shortest..=longest).contains(&next_in)
            }
        };
        ensure(plausible, || format!("the next attempt in {next_in:?}"))
    }
}

impl Entry {
    pub(super) fn age(&self, now: Moment) -> Duration {
        let wall = now.wall.duration_since(self.sent.wall).unwrap_or_default();
        wall.max(now.monotonic - self.sent.monotonic)
    }

    pub(super) fn lives(&self, now: Moment) -> bool {
        self.age(now) < self.lifetime
    }

    pub(super) fn expires_at(&self) -> SystemTime {
        self.sent.wall + self.lifetime
    }
}
