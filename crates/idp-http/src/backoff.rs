//! How long to leave a provider alone after a failed attempt.

use std::time::Duration;

use crate::reply::{MAX_RETRY_AFTER, MIN_RETRY_AFTER};

/// What a failed attempt got from the provider; it decides how soon the next one may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nobody answered: no connection, a timeout, a torn or unusable body.
    None,
    /// An answer came, but not with what was asked for: 429 or 5xx, a certificate that is not
    /// trusted, a wrong address, a redirect, the metadata of another issuer.
    Unusable,
    /// The provider refused the request as such: wrong credentials, a scope that it does not grant.
    Refused,
}

impl Answer {
    /// Shortest and longest nominal wait.
    fn bounds(self) -> (Duration, Duration) {
        match self {
            // The cap keeps the promise that a returning provider is noticed within 2 s: 1.75 s of
            // waiting leaves a quarter of a second for the exchanges themselves.
            Self::None => (Duration::from_millis(500), Duration::from_millis(1750)),
            Self::Unusable => (Duration::from_secs(1), Duration::from_secs(30)),
            // A refusal needs a person, and repeating a wrong secret quickly gets clients locked out.
            Self::Refused => (Duration::from_secs(5), Duration::from_secs(120)),
        }
    }
}

/// Exponential waits with equal jitter (half fixed, half random) between failed attempts.
///
/// Nominal waits double from 0.5 s to 1.75 s where nobody answered, from 1 s to 30 s after
/// an unusable answer, and from 5 s to 2 min after a refusal; the real wait lies between half of that and all of
/// it. A `Retry-After` replaces the wait. A change of [`Answer`] starts over at the new minimum, and
/// nothing is ever given up for good.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    last: Option<(Answer, u32)>,
}

impl Backoff {
    /// Returns a back-off that has seen no failure.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a failed attempt and returns the wait before the next one.
    ///
    /// `retry_after` is what the provider asked for; [`MIN_RETRY_AFTER`] to [`MAX_RETRY_AFTER`] of it
    /// count.
    pub fn after(&mut self, answer: Answer, retry_after: Option<Duration>) -> Duration {
        let failures = match self.last {
            Some((last, failures)) if last == answer => failures.saturating_add(1),
            _ => 0,
        };
        self.last = Some((answer, failures));
        Self::wait(answer, failures, retry_after)
    }

    /// Returns the wait after a failed attempt before which `failures` in a row ended with the same answer, for a
    /// caller that keeps their number itself. `retry_after` counts as in [`after`](Self::after).
    #[must_use]
    pub fn wait(answer: Answer, failures: u32, retry_after: Option<Duration>) -> Duration {
        match retry_after {
            Some(wait) => wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER),
            None => equal_jitter(nominal(answer, failures), fastrand::f64()),
        }
    }

    /// Forgets the failures, after a success or when what was refused has changed.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

fn nominal(answer: Answer, failures: u32) -> Duration {
    let (shortest, longest) = answer.bounds();
    // 2^16 times the shortest wait is far above every longest one.
    shortest.saturating_mul(1 << failures.min(16)).min(longest)
}

/// `random` lies in `[0, 1)`.
fn equal_jitter(nominal: Duration, random: f64) -> Duration {
    let half = nominal / 2;
    half + half.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(answer: Answer, count: u32) -> Vec<u128> {
        (0..count).map(|n| nominal(answer, n).as_millis()).collect()
    }

    #[test]
    fn nominal_waits_double_up_to_their_cap() {
        assert_eq!(waits(Answer::None, 4), [500, 1_000, 1_750, 1_750]);
        assert_eq!(
            waits(Answer::Unusable, 7),
            [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
        assert_eq!(
            waits(Answer::Refused, 6),
            [5_000, 10_000, 20_000, 40_000, 80_000, 120_000]
        );
        assert_eq!(nominal(Answer::Refused, u32::MAX).as_secs(), 120);
    }

    #[test]
    fn jitter_keeps_at_least_half_and_never_exceeds_the_nominal_wait() {
        let nominal = Duration::from_secs(2);
        assert_eq!(equal_jitter(nominal, 0.0), Duration::from_secs(1));
        assert!(equal_jitter(nominal, 0.999_999) <= nominal);
    }

    #[test]
    fn another_kind_of_answer_starts_over_and_retry_after_wins() {
        let mut backoff = Backoff::new();
        for _ in 0..8 {
            backoff.after(Answer::Refused, None);
        }
        assert!(backoff.after(Answer::None, None) <= Duration::from_millis(500));
        let asked = Duration::from_secs(77);
        assert_eq!(backoff.after(Answer::Unusable, Some(asked)), asked);
        backoff.reset();
        assert!(backoff.after(Answer::None, None) <= Duration::from_millis(500));
    }
}
