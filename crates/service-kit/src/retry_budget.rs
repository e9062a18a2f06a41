//! How many calls may be repeated.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Seconds that the budget looks back on.
const WINDOW: usize = 10;
/// One repetition for so many calls: in an outage the service that is called gets at most a tenth more.
const CALLS_PER_RETRY: u32 = 10;

/// Allows a repetition while fewer than a tenth of the calls of the last ten seconds were repeated.
///
/// Counted over a window and not as a bucket that fills: repetitions saved up in good times must not be
/// spent on a service that is just failing.
#[derive(Debug)]
pub struct RetryBudget {
    start: Instant,
    seconds: Mutex<[Second; WINDOW]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    calls: u32,
    retries: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryBudget {
    /// Returns a budget that has seen no call.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            seconds: Mutex::default(),
        }
    }

    /// Counts a call.
    pub fn call(&self) {
        self.with_current(|second, _| second.calls = second.calls.saturating_add(1));
    }

    /// Takes a repetition from the budget, and tells whether there was one.
    pub fn take(&self) -> bool {
        self.with_current(|second, (calls, retries)| {
            let allowed = retries < calls / CALLS_PER_RETRY;
            if allowed {
                second.retries += 1;
            }
            allowed
        })
    }

    fn with_current<T>(&self, act: impl FnOnce(&mut Second, (u32, u32)) -> T) -> T {
        let number = self.start.elapsed().as_secs();
        // Nothing in here panics half-way.
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let window = u64::try_from(WINDOW).unwrap_or(u64::MAX);
        let sums = seconds
            .iter()
            .filter(|second| number - second.number.min(number) < window)
            .fold((0_u32, 0_u32), |(calls, retries), second| {
                (
                    calls.saturating_add(second.calls),
                    retries.saturating_add(second.retries),
                )
            });
        let index = usize::try_from(number % window).unwrap_or_default();
        let current = &mut seconds[index];
        if current.number != number {
            *current = Second {
                number,
                ..Second::default()
            };
        }
        act(current, sums)
    }
}

/// How long a caller waits before a repetition: enough for a restarted listener, little for a caller.
pub const RETRY_DELAY: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use super::*;

    /// C18
    #[tokio::test(start_paused = true)]
    async fn under_a_steady_load_at_most_a_tenth_of_the_calls_of_any_ten_seconds_is_repeated() {
        for rate in [1, 7, 10, 250] {
            let budget = RetryBudget::new();
            let mut retries_of_second: Vec<u32> = Vec::new();
            for _ in 0..60 {
                let mut retries = 0;
                for _ in 0..rate {
                    budget.call();
                    retries += u32::from(budget.take());
                }
                retries_of_second.push(retries);
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            for window in retries_of_second.windows(WINDOW) {
                assert!(
                    window.iter().sum::<u32>() <= rate,
                    "{rate} calls a second: {window:?}"
                );
            }
            assert!(
                retries_of_second.iter().sum::<u32>() > 0,
                "{rate} calls a second"
            );
        }
    }

    /// C18
    #[tokio::test(start_paused = true)]
    async fn good_times_save_nothing_up() {
        let budget = RetryBudget::new();
        for _ in 0..10_000 {
            budget.call();
        }
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!budget.take());
    }
}
