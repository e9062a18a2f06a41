//! How the calls to protected-data go, for the status address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use idp_http::Outage;
use metrics::{Histogram, histogram};
use service_kit::admin::Failures;
use tracing::warn;

use crate::downstream::DownstreamError;

/// Calls run beside each other: where some succeed, the failures of the others go on for so long.
const SETTLE: Duration = Duration::from_secs(10);

/// Calls by outcome, and the last failure.
#[derive(Debug)]
pub(crate) struct CallStats {
    outcomes: [AtomicU64; OUTCOMES.len()],
    repeated: AtomicU64,
    /// The calls that reached for protected-data and failed, each as its error says.
    pub(crate) failures: Failures<String>,
    duration: Histogram,
    /// Which failures are logged.
    pub(crate) outage: Outage,
}

const OUTCOMES: [&str; 7] = [
    "ok",
    "no_token",
    "connect",
    "timeout",
    "overloaded",
    "status",
    "answer",
];

impl CallStats {
    pub(crate) fn new() -> Self {
        Self {
            outcomes: Default::default(),
            repeated: AtomicU64::new(0),
            failures: Failures::default(),
            duration: histogram!("public_data_downstream_duration_seconds"),
            outage: Outage::settling(SETTLE),
        }
    }

    pub(crate) fn note<T>(&self, took: Duration, result: &Result<T, DownstreamError>) {
        self.duration.record(took);
        let index = match result {
            Ok(_) => 0,
            Err(DownstreamError::Token(_)) => 1,
            Err(DownstreamError::Connect) => 2,
            Err(DownstreamError::Timeout) => 3,
            Err(DownstreamError::Busy | DownstreamError::Overloaded(_)) => 4,
            Err(DownstreamError::Status(_) | DownstreamError::Refused(..)) => 5,
            Err(DownstreamError::Answer) => 6,
        };
        self.outcomes[index].fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(_) => {
                self.failures.succeeded();
                if let Some(end) = self.outage.succeeded() {
                    // As loud as its beginning: a reader of that one waits for this one.
                    warn!("protected-data gives data again, {end}");
                }
            }
            // That there is no token is the token's story.
            Err(DownstreamError::Token(_)) => {}
            Err(error) => self.failures.failed(error.to_string()),
        }
    }

    pub(crate) fn repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of calls by outcome.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self
            .outcomes
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        OUTCOMES.into_iter().zip(counts)
    }

    pub(crate) fn repeats(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }
}
