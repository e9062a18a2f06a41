//! When to refresh, and what to wait for at start.

use std::time::Duration;

/// A hundred years: longer than anything runs, and every clock has the moment at their end.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// When a token is refreshed and how long callers wait. The defaults suit services that make calls
/// all day and tokens that live for minutes to hours. No duration is longer than a hundred years.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RefreshPolicy {
    /// The share of the lifetime at whose end the background refresh starts. Default 0.25: early
    /// enough for several attempts, late enough that a day of one-hour tokens takes about 26 requests.
    pub margin: f64,
    /// The shortest refresh margin, where half of the lifetime allows it. Default 10 s: an attempt
    /// with its retries fits in.
    pub min_margin: Duration,
    /// The longest refresh margin. Default 5 min.
    pub max_margin: Duration,
    /// The longest leeway, the end of the lifetime in which callers wait for a newer token. The
    /// leeway is this or 20 % of the lifetime, whichever is shorter. Default 30 s: what clocks and
    /// queues between here and the resource server may take.
    pub max_leeway: Duration,
    /// How long a caller inside the leeway waits for a newer token before it gets the old one.
    /// Default 1 s.
    pub critical_wait: Duration,
    /// The lifetime of a token whose reply does not say. Default 5 min.
    pub default_lifetime: Duration,
    /// The longest lifetime that is believed. Default 24 h.
    pub max_lifetime: Duration,
    /// Retries inside one attempt, for transient failures. Default 2.
    pub retries: u32,
    /// How long after its start an attempt may begin another retry. Default 3 s.
    pub retry_window: Duration,
    /// Keys other than the cache's own stop refreshing after this long without a caller. Default
    /// 10 min.
    pub idle_after: Duration,
    /// With [`StartupPolicy::Background`], the first request is sent after a random part of this, so
    /// that a fleet which restarts at once does not ask at once. A caller that needs the token ends
    /// the wait. Default 0: one service gains nothing from it.
    pub start_jitter: Duration,
    /// Token requests that are kept at once, the cache's own included; beyond it the least recently
    /// used goes. Those for which an attempt runs are kept until it has ended, so there can be more for a
    /// while. Default 1000.
    pub max_keys: usize,
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
