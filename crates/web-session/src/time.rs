//! Moments, and the clock that sessions are judged by.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// Returns the moment that is so many milliseconds after 1970.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// Returns a later moment; the last there is, where it would be later than that.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// Returns how long ago `earlier` was; nothing, where it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::default().plus(since)
    }
}

/// The wall clock, which never goes back here: what has expired stays so when it is set back, and a machine that
/// was asleep is noticed.
#[derive(Debug)]
pub struct ForwardClock {
    wall: Arc<dyn Clock>,
    /// The latest wall time, and when it was read.
    latest: Mutex<(Time, Instant)>,
}

/// 2020-01-01T00:00:00Z. A clock that shows less has not been set.
const EARLIEST: Time = Time::from_unix_millis(1_577_836_800_000);

impl ForwardClock {
    /// Returns one that goes by this clock.
    #[must_use]
    pub fn new(wall: Arc<dyn Clock>) -> Self {
        let latest = Mutex::new((wall.now().into(), Instant::now()));
        Self { wall, latest }
    }

    /// Returns what time it is.
    #[must_use]
    pub fn now(&self) -> Time {
        let (wall, instant) = (Time::from(self.wall.now()), Instant::now());
        // Nothing can panic while the lock is held.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let ran = latest.0.plus(instant.saturating_duration_since(latest.1));
        if wall >= ran {
            *latest = (wall, instant);
        }
        wall.max(ran)
    }

    /// Tells whether the wall clock shows a year before 2020, so that nothing can be judged by it.
    pub(crate) fn is_unset(&self) -> bool {
        Time::from(self.wall.now()) < EARLIEST
    }
}

#[cfg(test)]
mod tests {
    use clock::ManualClock;

    use super::*;

    /// K73
    #[tokio::test(start_paused = true)]
    async fn time_goes_on_when_the_wall_clock_is_set_back() {
        let wall = ManualClock::at_unix(1_800_000_000);
        let clock = ForwardClock::new(Arc::new(wall.clone()));
        let start = clock.now();
        wall.set(UNIX_EPOCH + Duration::from_secs(1_799_996_400));
        assert_eq!(clock.now(), start);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now().since(start), Duration::from_secs(5));
        wall.set(UNIX_EPOCH + Duration::from_secs(1_800_003_600));
        assert_eq!(clock.now().since(start), Duration::from_secs(3_600));
        wall.set(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        assert_eq!(clock.now().since(start), Duration::from_secs(3_600));
    }

    /// K73
    #[tokio::test]
    async fn a_clock_before_2020_is_unset() {
        let clock = |seconds| ForwardClock::new(Arc::new(ManualClock::at_unix(seconds)));
        assert!(clock(1_577_836_799).is_unset());
        assert!(!clock(1_577_836_800).is_unset());
    }
}
