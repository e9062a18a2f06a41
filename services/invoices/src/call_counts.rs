//! How the calls to protected-data go, for the status address.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::downstream::{Caller, DownstreamError};

/// Calls by outcome, and repetitions.
#[derive(Debug, Default)]
pub(crate) struct CallCounts {
    person: [AtomicU64; OUTCOMES.len()],
    machine: [AtomicU64; OUTCOMES.len()],
    repeats: AtomicU64,
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

impl CallCounts {
    pub(crate) fn note<T>(&self, caller: &Caller, result: &Result<T, DownstreamError>) {
        let index = match result {
            Ok(_) => 0,
            Err(
                DownstreamError::Token(_) | DownstreamError::NoMachine | DownstreamError::Ended,
            ) => 1,
            Err(DownstreamError::Connect) => 2,
            Err(DownstreamError::Timeout) => 3,
            Err(DownstreamError::Busy | DownstreamError::Overloaded(_)) => 4,
            Err(DownstreamError::Status(_)) => 5,
            Err(DownstreamError::Answer) => 6,
        };
        let counts = match caller {
            Caller::Person(_) => &self.person,
            Caller::Machine => &self.machine,
        };
        counts[index].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Returns the number of calls by caller and outcome.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        [("person", &self.person), ("machine", &self.machine)]
            .into_iter()
            .flat_map(|(caller, counts)| {
                let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
                OUTCOMES
                    .into_iter()
                    .zip(counts)
                    .map(move |(outcome, count)| (caller, outcome, count))
            })
    }
}
