//! How many calls may be repeated.

use std::time::Duration;

use tower::retry::budget::TpsBudget;

/// The time that the budget looks back on.
const WINDOW: Duration = Duration::from_secs(10);
/// In an outage protected-data gets at most a tenth more.
const RETRIES_PER_CALL: f32 = 0.1;

/// How long a caller waits before a repetition: enough for a restarted listener, little for a caller.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(25);

/// Returns a budget that allows a repetition while fewer than a tenth of the calls of the last ten seconds were
/// repeated.
///
/// It has no reserve, and older calls do not count: repetitions saved up in good times must not be spent on a service
/// that is just failing.
pub(crate) fn retry_budget() -> TpsBudget {
    TpsBudget::new(WINDOW, 0, RETRIES_PER_CALL)
}

#[cfg(test)]
mod tests {
    use tower::retry::budget::Budget as _;

    use super::*;

    /// C18
    #[tokio::test(start_paused = true)]
    async fn under_a_steady_load_at_most_a_tenth_of_the_calls_of_any_ten_seconds_is_repeated() {
        for rate in [1, 7, 10, 250] {
            let budget = retry_budget();
            let mut retries_of_second: Vec<u32> = Vec::new();
            for _ in 0..60 {
                let mut retries = 0;
                for _ in 0..rate {
                    budget.deposit();
                    retries += u32::from(budget.withdraw());
                }
                retries_of_second.push(retries);
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            for window in retries_of_second.windows(10) {
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
        let budget = retry_budget();
        for _ in 0..10_000 {
            budget.deposit();
        }
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!budget.withdraw());
    }
}
