//! Whether events fail now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After so long without another failure, the last ones say nothing about the events of now.
const LATELY: Duration = Duration::from_secs(60);

/// The failures since the last success, and the last failure of all.
#[derive(Debug)]
pub struct Failures<T> {
    /// Read before it is written: most events succeed after another.
    in_a_row: AtomicU64,
    last: Mutex<Option<(Instant, T)>>,
}

/// Events that fail now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failing<T> {
    /// How the last one failed.
    pub last: T,
    /// Whether only one has failed since the last success.
    pub once: bool,
}

impl<T> Default for Failures<T> {
    fn default() -> Self {
        Self {
            in_a_row: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }
}

impl<T: Clone> Failures<T> {
    /// Notes a success.
    pub fn succeeded(&self) {
        if self.in_a_row.load(Ordering::Relaxed) > 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// Notes a failure.
    pub fn failed(&self, failure: T) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), failure));
        self.in_a_row.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the last failure and the time since then.
    pub fn last(&self) -> Option<(Duration, T)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, failure) = last.as_ref()?;
        Some((at.elapsed(), failure.clone()))
    }

    /// Returns the last failure if nothing has succeeded since, and if it was within the last minute.
    pub fn now(&self) -> Option<Failing<T>> {
        let (age, last) = self.last()?;
        let in_a_row = self.in_a_row.load(Ordering::Relaxed);
        let once = in_a_row == 1;
        (in_a_row > 0 && age < LATELY).then_some(Failing { last, once })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_go_on_until_a_success_or_for_a_minute() {
        let failures = Failures::default();
        assert_eq!(failures.now(), None);
        failures.failed("first");
        let first = Failing {
            last: "first",
            once: true,
        };
        assert_eq!(failures.now(), Some(first));
        failures.failed("second");
        let second = Failing {
            last: "second",
            once: false,
        };
        assert_eq!(failures.now(), Some(second));
        tokio::time::advance(LATELY).await;
        assert_eq!(failures.now(), None);
        failures.failed("third");
        failures.succeeded();
        assert_eq!(failures.now(), None);
        assert_eq!(failures.last(), Some((Duration::ZERO, "third")));
    }
}
