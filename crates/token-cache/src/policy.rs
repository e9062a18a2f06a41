//! When to refresh, and what to wait for at start.

use std::time::Duration;

/// A hundred years: longer than anything runs, and every clock has the moment at their end.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// When a token is refreshed and how long callers wait. The defaults suit services that make calls
/// all day and tokens that live for minutes to hours. No duration is longer than a hundred years.
#[derive(Clone, Copy, Debug)]
pub struct RefreshPolicy {
    pub(crate) margin: f64,
    pub(crate) min_margin: Duration,
    pub(crate) max_margin: Duration,
    pub(crate) max_leeway: Duration,
    pub(crate) critical_wait: Duration,
    pub(crate) default_lifetime: Duration,
    pub(crate) max_lifetime: Duration,
    pub(crate) retries: u32,
    pub(crate) retry_window: Duration,
    pub(crate) idle_after: Duration,
    pub(crate) start_jitter: Duration,
    pub(crate) max_keys: usize,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            margin: 0.25,
            min_margin: Duration::from_secs(10),
            max_margin: Duration::from_secs(300),
            max_leeway: Duration::from_secs(30),
            critical_wait: Duration::from_secs(1),
            default_lifetime: Duration::from_secs(300),
            max_lifetime: Duration::from_secs(24 * 3600),
            retries: 2,
            retry_window: Duration::from_secs(3),
            idle_after: Duration::from_secs(600),
            start_jitter: Duration::ZERO,
            max_keys: 1000,
        }
    }
}

impl RefreshPolicy {
    /// Sets the share of the lifetime at whose end the background refresh starts. Default 0.25: early
    /// enough for several attempts, late enough that a day of one-hour tokens takes about 26 requests.
    #[must_use]
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// Sets the shortest refresh margin, where half of the lifetime allows it. Default 10 s: an attempt
    /// with its retries fits in.
    #[must_use]
    pub fn min_margin(mut self, min_margin: Duration) -> Self {
        self.min_margin = min_margin;
        self
    }

    /// Sets the longest refresh margin. Default 5 min.
    #[must_use]
    pub fn max_margin(mut self, max_margin: Duration) -> Self {
        self.max_margin = max_margin;
        self
    }

    /// Sets the longest leeway, the end of the lifetime in which callers wait for a newer token. The
    /// leeway is this or 20 % of the lifetime, whichever is shorter. Default 30 s: what clocks and
    /// queues between here and the resource server may take.
    #[must_use]
    pub fn max_leeway(mut self, max_leeway: Duration) -> Self {
        self.max_leeway = max_leeway;
        self
    }

    /// Sets how long a caller inside the leeway waits for a newer token before it gets the old one.
    /// Default 1 s.
    #[must_use]
    pub fn critical_wait(mut self, critical_wait: Duration) -> Self {
        self.critical_wait = critical_wait;
        self
    }

    /// Sets the lifetime of a token whose reply does not say. Default 5 min.
    #[must_use]
    pub fn default_lifetime(mut self, default_lifetime: Duration) -> Self {
        self.default_lifetime = default_lifetime;
        self
    }

    /// Sets the longest lifetime that is believed. Default 24 h.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = max_lifetime;
        self
    }

    /// Sets how often one attempt asks again after a transient failure. Default 2.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets how long after its start an attempt may begin another retry. Default 3 s.
    #[must_use]
    pub fn retry_window(mut self, retry_window: Duration) -> Self {
        self.retry_window = retry_window;
        self
    }

    /// Sets how long tokens of requests other than the cache's own are refreshed without a caller. Default
    /// 10 min.
    #[must_use]
    pub fn idle_after(mut self, idle_after: Duration) -> Self {
        self.idle_after = idle_after;
        self
    }

    /// Sets of how long a wait [`StartupPolicy::Background`] takes a random part before the first request, so
    /// that a fleet which restarts at once does not ask at once. A caller that needs the token ends
    /// the wait. Default 0: one service gains nothing from it.
    #[must_use]
    pub fn start_jitter(mut self, start_jitter: Duration) -> Self {
        self.start_jitter = start_jitter;
        self
    }

    /// Sets how many token requests are kept at once, the cache's own included; beyond it the least recently
    /// used goes. Those for which an attempt runs are kept until it has ended, so there can be more for a
    /// while. Default 1000.
    #[must_use]
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// With no duration that a clock cannot add to now.
    pub(crate) fn bounded(mut self) -> Self {
        for duration in [
            &mut self.min_margin,
            &mut self.max_margin,
            &mut self.max_leeway,
            &mut self.critical_wait,
            &mut self.default_lifetime,
            &mut self.max_lifetime,
            &mut self.retry_window,
            &mut self.idle_after,
            &mut self.start_jitter,
        ] {
            *duration = (*duration).min(LONGEST);
        }
        self
    }
}

/// What [`TokenCache::start`](crate::TokenCache::start) waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartupPolicy {
    /// Starts the first request and returns at once. A provider that is down delays nothing.
    #[default]
    Background,
    /// Waits until a token is there, at most this long, and fails without one. The cache goes on
    /// asking in either case.
    Require(Duration),
}
