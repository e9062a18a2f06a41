//! How the calls to protected-data go, for the status address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use idp_http::Outage;
use metrics::{Histogram, histogram};
use tokio::time::Instant;
use tracing::warn;

use crate::downstream::DownstreamError;

/// After so long without another failure, the last ones say nothing about the calls of now.
const LATELY: Duration = Duration::from_secs(60);

/// Calls run beside each other: where some succeed, the failures of the others go on for so long.
const SETTLE: Duration = Duration::from_secs(10);

/// Calls by outcome, and the last failure.
#[derive(Debug)]
pub(crate) struct CallStats {
    outcomes: [AtomicU64; OUTCOMES.len()],
    repeated: AtomicU64,
    /// How many calls have failed since one succeeded. Read before it is written: most succeed after another.
    in_a_row: AtomicU64,
    last_failure: Mutex<Option<(Instant, String)>>,
    duration: Histogram,
    /// Which failures are logged.
    pub(crate) outage: Outage,
}

/// Calls that fail now.
#[derive(Debug)]
pub(crate) struct Failing {
    /// How the last one failed.
    pub(crate) text: String,
    /// Whether it was the only one.
    pub(crate) once: bool,
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
            in_a_row: AtomicU64::new(0),
            last_failure: Mutex::default(),
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
                if self.in_a_row.load(Ordering::Relaxed) > 0 {
                    self.in_a_row.store(0, Ordering::Relaxed);
                }
                if let Some(end) = self.outage.succeeded() {
                    // As loud as its beginning: whoever read that one waits for this one.
                    warn!("protected-data gives data again, {end}");
                }
            }
            // That there is no token is the token's story.
            Err(DownstreamError::Token(_)) => {}
            Err(error) => {
                let failure = (Instant::now(), error.to_string());
                let last = &self.last_failure;
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                self.in_a_row.fetch_add(1, Ordering::Relaxed);
            }
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

    /// Returns how long ago the last call failed that reached for protected-data, and how.
    pub(crate) fn last_failure(&self) -> Option<(Duration, String)> {
        let last = &self.last_failure;
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, text) = last.as_ref()?;
        Some((at.elapsed(), text.clone()))
    }

    /// Returns how the last call failed, if it did and was lately.
    pub(crate) fn failing(&self) -> Option<Failing> {
        let (age, text) = self.last_failure()?;
        let in_a_row = self.in_a_row.load(Ordering::Relaxed);
        let once = in_a_row == 1;
        (in_a_row > 0 && age < LATELY).then_some(Failing { text, once })
    }
}
