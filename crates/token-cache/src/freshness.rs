//! Whether a token may still be served: a pure function of the token's times and now.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::policy::RefreshPolicy;

/// The state of a token at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// Outside the refresh margin: served.
    Fresh,
    /// Inside the refresh margin: served, and one refresh runs in the background.
    Stale,
    /// Inside the leeway: callers wait briefly for the refresh, then get it if it is unexpired.
    Critical,
    /// Past its lifetime: never served.
    Expired,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) monotonic: Instant,
    pub(crate) wall: SystemTime,
}

/// The times of one token, fixed when it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    sent: Moment,
    refresh_after: Duration,
    critical_after: Duration,
    expires_after: Duration,
}

impl Lifetime {
    /// `sent` is the moment before the request went out: the provider's clock for `expires_in` started
    /// at some later one. `random` in `[0, 1)` spreads the refreshes of a fleet.
    pub(crate) fn new(
        sent: Moment,
        lifetime: Duration,
        policy: &RefreshPolicy,
        random: f64,
    ) -> Self {
        let lifetime = lifetime.min(policy.max_lifetime);
        // The floor yields to half of the lifetime, or a ten-second token would be stale from birth.
        let margin = lifetime
            .mul_f64(policy.margin)
            .max(policy.min_margin.min(lifetime / 2))
            .min(policy.max_margin)
            .mul_f64(1.0 - 0.1 * random);
        let leeway = policy.max_leeway.min(lifetime / 5).min(margin);
        Self {
            sent,
            refresh_after: lifetime.saturating_sub(margin),
            critical_after: lifetime.saturating_sub(leeway),
            expires_after: lifetime,
        }
    }

    /// The older of the token's two ages counts, so that neither a stopped monotonic clock (a
    /// suspended machine) nor a wall clock stepped back can stretch a lifetime.
    pub(crate) fn age(&self, now: Moment) -> Duration {
        let monotonic = now.monotonic.saturating_duration_since(self.sent.monotonic);
        let wall = now.wall.duration_since(self.sent.wall).unwrap_or_default();
        monotonic.max(wall)
    }

    pub(crate) fn freshness(&self, now: Moment) -> Freshness {
        let age = self.age(now);
        if age < self.refresh_after {
            Freshness::Fresh
        } else if age < self.critical_after {
            Freshness::Stale
        } else if age < self.expires_after {
            Freshness::Critical
        } else {
            Freshness::Expired
        }
    }

    /// How long until the token is [`Freshness::Stale`], if no clock steps.
    pub(crate) fn until_stale(&self, now: Moment) -> Duration {
        self.refresh_after.saturating_sub(self.age(now))
    }

    /// How long the token may still be served.
    pub(crate) fn until_expiry(&self, now: Moment) -> Duration {
        self.expires_after.saturating_sub(self.age(now))
    }

    pub(crate) fn total(&self) -> Duration {
        self.expires_after
    }

    pub(crate) fn sent(&self) -> Moment {
        self.sent
    }

    pub(crate) fn expires_at(&self) -> SystemTime {
        self.sent
            .wall
            .checked_add(self.expires_after)
            .unwrap_or(self.sent.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn at(start: Instant, monotonic_ms: u64, wall_ms: i64) -> Moment {
        let base = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let distance = Duration::from_millis(wall_ms.unsigned_abs());
        Moment {
            monotonic: start + Duration::from_millis(monotonic_ms),
            wall: if wall_ms < 0 {
                base - distance
            } else {
                base + distance
            },
        }
    }

    fn token(start: Instant, lifetime_s: u64) -> Lifetime {
        let lifetime = Duration::from_secs(lifetime_s);
        Lifetime::new(at(start, 0, 0), lifetime, &RefreshPolicy::default(), 0.0)
    }

    /// A22, A23, B21, B22, B23
    #[test]
    fn every_lifetime_has_its_three_points() {
        let start = Instant::now();
        // lifetime, refresh, leeway, expiry: all in milliseconds after sending
        for (lifetime_s, refresh, critical, expiry) in [
            (0, 0, 0, 0),
            (1, 500, 800, 1_000),
            (2, 1_000, 1_600, 2_000),
            (5, 2_500, 4_000, 5_000),
            (10, 5_000, 8_000, 10_000),
            (20, 10_000, 16_000, 20_000),
            (60, 45_000, 48_000, 60_000),
            (300, 225_000, 270_000, 300_000),
            (3_600, 3_300_000, 3_570_000, 3_600_000),
            (86_400, 86_100_000, 86_370_000, 86_400_000),
            (1_000_000_000, 86_100_000, 86_370_000, 86_400_000),
        ] {
            let token = token(start, lifetime_s);
            for (after, state) in [
                (0, Freshness::Fresh),
                (refresh, Freshness::Stale),
                (critical, Freshness::Critical),
                (expiry, Freshness::Expired),
            ] {
                let now = at(start, after, i64::try_from(after).unwrap());
                let expected = if after == expiry {
                    Freshness::Expired
                } else {
                    state
                };
                assert_eq!(
                    token.freshness(now),
                    expected,
                    "{lifetime_s} s, at {after} ms"
                );
                if after > 0 {
                    let just_before = at(start, after - 1, i64::try_from(after - 1).unwrap());
                    assert!(
                        token.freshness(just_before) < state,
                        "{lifetime_s} s, before {after} ms"
                    );
                }
            }
        }
    }

    /// B13, B14
    #[test]
    fn either_clock_can_end_a_lifetime_and_neither_can_stretch_it() {
        let start = Instant::now();
        let token = token(start, 300);
        // The machine slept: only the wall clock went on.
        assert_eq!(token.freshness(at(start, 10, 300_000)), Freshness::Expired);
        // The wall clock was stepped back an hour: the monotonic clock still counts.
        assert_eq!(
            token.freshness(at(start, 300_000, -3_300_000)),
            Freshness::Expired
        );
        assert_eq!(token.freshness(at(start, 10, -3_600_000)), Freshness::Fresh);
        // Stepped forward an hour: not served, although little time passed.
        assert_eq!(
            token.freshness(at(start, 10, 3_600_000)),
            Freshness::Expired
        );
    }

    /// B10
    #[test]
    fn jitter_moves_the_refresh_later_by_at_most_a_tenth_of_the_margin() {
        let start = Instant::now();
        let policy = RefreshPolicy::default();
        let day = Duration::from_secs(3_600);
        for random in [0.0, 0.25, 0.5, 0.999] {
            let token = Lifetime::new(at(start, 0, 0), day, &policy, random);
            let refresh = token.until_stale(at(start, 0, 0));
            assert!(refresh >= Duration::from_secs(3_300) && refresh <= Duration::from_secs(3_330));
        }
    }
}
