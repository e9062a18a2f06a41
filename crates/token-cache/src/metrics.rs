//! Counters of one cache, through the `metrics` facade. Without the feature they are nothing.
//!
//! The handles are registered once, when the cache is built: looking one up by its labels takes
//! longer than reading a token does.

pub(crate) use imp::{CacheMetrics, OpenWindow};

/// How a read of a token went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Fresh,
    Stale,
    /// Inside the leeway, and served in the end.
    Critical,
    /// There was no token, and the caller waited for one.
    Wait,
    Failed,
}

/// What became of a request whose token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Sent once more, and answered with something other than 401.
    Ok,
    /// Sent once more, and rejected again.
    Rejected,
    /// Sent once more, and not answered.
    Failed,
    /// Not sent once more: no other token was to be had.
    NoToken,
    /// Not sent once more: the body cannot be sent twice.
    Body,
}

#[cfg(feature = "metrics")]
impl Replay {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::NoToken => "no_token",
            Self::Body => "body",
        }
    }
}

#[cfg(feature = "metrics")]
mod imp {
    use std::time::Duration;

    use ::metrics::{
        Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge,
        describe_histogram, gauge, histogram,
    };

    use super::{Read, Replay};
    use crate::need::Trigger;

    const REQUESTS: &str = "token_cache_requests_total";
    const READS: &str = "token_cache_reads_total";
    const REFRESHES: &str = "token_cache_refreshes_total";
    const REPLAYS: &str = "token_cache_replays_total";
    const REMAINING: &str = "token_cache_remaining_lifetime_seconds";
    const CLOCK_AHEAD: &str = "token_cache_provider_clock_ahead_seconds";
    const WINDOW: &str = "token_cache_window_open";

    #[derive(Debug)]
    pub(crate) struct CacheMetrics {
        name: String,
        fresh: Counter,
        stale: Counter,
        critical: Counter,
        wait: Counter,
        failed: Counter,
        remaining: Histogram,
        window: Gauge,
    }

    /// Counts one token request as inside its failure window until dropped.
    #[derive(Debug)]
    pub(crate) struct OpenWindow(Gauge);

    impl CacheMetrics {
        pub(crate) fn new(name: &str) -> Self {
            describe();
            let read = |result| counter!(READS, "cache" => name.to_owned(), "result" => result);
            // Alerts ask for an increase, and from nothing to one there is none.
            for outcome in ["ok", "invalid_client"] {
                counter!(REQUESTS, "cache" => name.to_owned(), "outcome" => outcome).increment(0);
            }
            for replay in [
                Replay::Ok,
                Replay::Rejected,
                Replay::Failed,
                Replay::NoToken,
                Replay::Body,
            ] {
                let outcome = replay.as_str();
                counter!(REPLAYS, "cache" => name.to_owned(), "outcome" => outcome).increment(0);
            }
            Self {
                fresh: read("fresh"),
                stale: read("stale"),
                critical: read("critical"),
                wait: read("wait"),
                failed: read("failed"),
                remaining: histogram!(REMAINING, "cache" => name.to_owned()),
                window: gauge!(WINDOW, "cache" => name.to_owned()),
                name: name.to_owned(),
            }
        }

        #[inline]
        pub(crate) fn read(&self, read: Read) {
            let counter = match read {
                Read::Fresh => &self.fresh,
                Read::Stale => &self.stale,
                Read::Critical => &self.critical,
                Read::Wait => &self.wait,
                Read::Failed => &self.failed,
            };
            counter.increment(1);
        }

        /// One network request of the token source; `outcome` is `ok` or the error kind's name.
        pub(crate) fn request(&self, outcome: &'static str) {
            counter!(REQUESTS, "cache" => self.name.clone(), "outcome" => outcome).increment(1);
        }

        pub(crate) fn refresh(&self, trigger: Trigger) {
            let trigger = trigger.as_str();
            counter!(REFRESHES, "cache" => self.name.clone(), "trigger" => trigger).increment(1);
        }

        pub(crate) fn replay(&self, replay: Replay) {
            let outcome = replay.as_str();
            counter!(REPLAYS, "cache" => self.name.clone(), "outcome" => outcome).increment(1);
        }

        /// What is left of the token that an attempt was to replace, when the attempt ends.
        pub(crate) fn remaining(&self, left: Duration) {
            self.remaining.record(left.as_secs_f64());
        }

        pub(crate) fn clock_ahead(&self, seconds: i64) {
            gauge!(CLOCK_AHEAD, "cache" => self.name.clone()).set(seconds as f64);
        }

        pub(crate) fn open_window(&self) -> OpenWindow {
            self.window.increment(1.0);
            OpenWindow(self.window.clone())
        }
    }

    impl Drop for OpenWindow {
        fn drop(&mut self) {
            self.0.decrement(1.0);
        }
    }

    fn describe() {
        describe_counter!(
            REQUESTS,
            Unit::Count,
            "Requests to the token source by outcome"
        );
        describe_counter!(
            READS,
            Unit::Count,
            "Reads of a token by what the caller got"
        );
        describe_counter!(REFRESHES, Unit::Count, "Attempts to get a token by trigger");
        describe_counter!(
            REPLAYS,
            Unit::Count,
            "Requests whose token was rejected by outcome"
        );
        describe_histogram!(
            REMAINING,
            Unit::Seconds,
            "What was left of the old token when an attempt to replace it ended"
        );
        describe_gauge!(
            CLOCK_AHEAD,
            Unit::Seconds,
            "How far the provider's clock is ahead of this machine's"
        );
        describe_gauge!(
            WINDOW,
            Unit::Count,
            "Token requests whose last attempt failed, while callers ask for them"
        );
    }
}

#[cfg(not(feature = "metrics"))]
mod imp {
    use std::time::Duration;

    use super::{Read, Replay};
    use crate::need::Trigger;

    #[derive(Debug)]
    pub(crate) struct CacheMetrics;

    #[derive(Debug)]
    pub(crate) struct OpenWindow;

    impl CacheMetrics {
        pub(crate) fn new(_name: &str) -> Self {
            Self
        }

        pub(crate) fn read(&self, _read: Read) {}

        pub(crate) fn request(&self, _outcome: &'static str) {}

        pub(crate) fn refresh(&self, _trigger: Trigger) {}

        pub(crate) fn replay(&self, _replay: Replay) {}

        pub(crate) fn remaining(&self, _left: Duration) {}

        pub(crate) fn clock_ahead(&self, _seconds: i64) {}

        pub(crate) fn open_window(&self) -> OpenWindow {
            OpenWindow
        }
    }
}
