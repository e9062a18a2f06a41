//! The wall clock of a host: it goes on with paused time, is off by something, and can be stepped.

use std::time::SystemTime;

use clock::{Clock, ManualClock};
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    pub(crate) steps: ManualClock,
    start: Instant,
}

impl WallClock {
    /// `offset_ms` is what the clock is ahead of the right time.
    pub(crate) fn new(start: Instant, offset_ms: i64) -> Self {
        let clock = Self {
            steps: ManualClock::at_unix(2_000_000_000),
            start,
        };
        clock.step(offset_ms);
        clock
    }

    pub(crate) fn step(&self, by_ms: i64) {
        let by = std::time::Duration::from_millis(by_ms.unsigned_abs());
        match by_ms < 0 {
            true => self.steps.step_back(by),
            false => self.steps.advance(by),
        }
    }

    pub(crate) fn unix(&self) -> i64 {
        clock::unix_seconds(self.now())
    }
}

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        self.steps.now() + self.start.elapsed()
    }
}
