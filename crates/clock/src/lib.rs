//! Wall time that a test can move.
//!
//! Token lifetimes and JWT claims are statements about the wall clock, so everything that compares
//! against them takes a [`Clock`]. Durations (timeouts, back-off, refresh timers) use
//! `tokio::time::Instant` instead: a stepped wall clock must not stretch a timeout.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of the current wall time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current wall time. It may step in either direction between two calls.
    fn now(&self) -> SystemTime;
}

/// The operating system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system clock"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until a test moves it. Clones share their time.
///
/// Times are kept as nanoseconds around 1970; anything outside the years 1678 to 2261 is clamped.
#[derive(Clone, Debug)]
pub struct ManualClock {
    unix_nanos: Arc<AtomicI64>,
}

impl ManualClock {
    /// Returns a clock that shows `now`.
    #[must_use]
    pub fn new(now: SystemTime) -> Self {
        Self {
            unix_nanos: Arc::new(AtomicI64::new(unix_nanos(now))),
        }
    }

    /// Returns a clock that shows `seconds` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn at_unix(seconds: u64) -> Self {
        Self::new(UNIX_EPOCH + Duration::from_secs(seconds.min(i64::MAX as u64 / 1_000_000_000)))
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, now: SystemTime) {
        self.unix_nanos.store(unix_nanos(now), Ordering::SeqCst);
    }

    /// Moves the time forwards.
    pub fn advance(&self, by: Duration) {
        self.step(nanos(by));
    }

    /// Moves the time backwards, as a stepped system clock does.
    pub fn step_back(&self, by: Duration) {
        self.step(-nanos(by));
    }

    fn step(&self, by: i64) {
        let step = |now: i64| Some(now.saturating_add(by));
        // It retries, so two threads that move the clock both take effect; and the step is never `None`.
        let _ = self
            .unix_nanos
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        let nanos = self.unix_nanos.load(Ordering::SeqCst);
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        if nanos < 0 {
            UNIX_EPOCH - distance
        } else {
            UNIX_EPOCH + distance
        }
    }
}

/// Returns the whole seconds since 1970-01-01T00:00:00Z, rounded down; negative before it.
#[must_use]
pub fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            if before.subsec_nanos() == 0 {
                -whole
            } else {
                (-whole).saturating_sub(1)
            }
        }
    }
}

fn unix_nanos(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_share_their_time() {
        let clock = ManualClock::at_unix(1_000);
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(unix_seconds(other.now()), 1_005);
    }

    #[test]
    fn a_manual_clock_steps_back_past_1970() {
        let clock = ManualClock::at_unix(10);
        clock.step_back(Duration::from_millis(10_500));
        assert_eq!(unix_seconds(clock.now()), -1);
        assert!(clock.now() < UNIX_EPOCH);
    }

    #[test]
    fn unix_seconds_round_down_on_both_sides_of_1970() {
        for (offset_ms, expected) in [
            (0, 0),
            (999, 0),
            (1_000, 1),
            (-1, -1),
            (-1_000, -1),
            (-1_001, -2),
        ] {
            let distance = Duration::from_millis(i64::unsigned_abs(offset_ms));
            let time = if offset_ms < 0 {
                UNIX_EPOCH - distance
            } else {
                UNIX_EPOCH + distance
            };
            assert_eq!(unix_seconds(time), expected, "{offset_ms} ms");
        }
    }

    #[test]
    fn far_times_are_clamped_and_do_not_panic() {
        let clock = ManualClock::at_unix(u64::MAX);
        clock.advance(Duration::MAX);
        clock.step_back(Duration::MAX);
        let _ = clock.now();
    }
}
