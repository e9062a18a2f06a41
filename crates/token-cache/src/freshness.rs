//! Whether a token may still be served: a pure function of the token's times and now.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::policy::{LONGEST, RefreshPolicy};

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
    /// Until here on both clocks the token is fresh; `None` where a clock does not reach that far.
    fresh_until: Option<Moment>,
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
        let lifetime = lifetime.min(policy.max_lifetime).min(LONGEST);
        // The floor yields to half of the lifetime, or a ten-second token would be stale from birth.
        let margin = lifetime
            .mul_f64(policy.margin)
            .max(policy.min_margin.min(lifetime / 2))
            .min(policy.max_margin)
            .mul_f64(1.0 - 0.1 * random);
        let leeway = policy.max_leeway.min(lifetime / 5).min(margin);
        let refresh_after = lifetime.saturating_sub(margin);
        let fresh_until = sent
            .monotonic
            .checked_add(refresh_after)
            .zip(sent.wall.checked_add(refresh_after))
            .map(|(monotonic, wall)| Moment { monotonic, wall });
        Self {
            sent,
            fresh_until,
            refresh_after,
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
        // Says the same as the first comparison below, without the subtractions: they would take a
        // fifth of the time of a read.
        if self
            .fresh_until
            .is_some_and(|until| now.monotonic < until.monotonic && now.wall < until.wall)
        {
            return Freshness::Fresh;
        }
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

    pub(crate) fn refresh_after(&self) -> Duration {
        self.refresh_after
    }

    pub(crate) fn critical_after(&self) -> Duration {
        self.critical_after
    }

    pub(crate) fn total(&self) -> Duration {
        self.expires_after
    }

    pub(crate) fn expires_at(&self) -> SystemTime {
        self.sent
            .wall
            .checked_add(self.expires_after)
            .unwrap_or(self.sent.wall)
    }
}

#[cfg(test)]
// Spelled out because another crate compiles this file too, where it has no folder of its own.
#[path = "freshness/tests.rs"]
mod tests;
