//! What became of requests, for the status address.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jwks_validator::Reason;
use tokio::time::Instant;

use crate::advice::advice_on_refusal;

/// After so long without another refusal, one refusal says nothing about the requests of now.
const LATELY: Duration = Duration::from_secs(60);

/// Requests behind the validator by what was decided.
#[derive(Debug, Default)]
pub struct Decisions {
    accepted: AtomicU64,
    /// Whether the last request with a token was refused. Read before it is written: most requests
    /// are accepted after another.
    is_refusing: AtomicBool,
    refusals: Mutex<Refusals>,
}

#[derive(Debug, Default)]
struct Refusals {
    /// There are some fifty reasons.
    by_reason: BTreeMap<&'static str, u64>,
    undecided: u64,
    last: Option<(Instant, Reason)>,
}

/// The counts at one moment.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) undecided: u64,
    pub(crate) by_reason: BTreeMap<&'static str, u64>,
}

impl Decisions {
    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        if self.is_refusing.load(Ordering::Relaxed) {
            self.is_refusing.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self, reason: Reason) {
        let mut refusals = self.refusals();
        let count = refusals.by_reason.entry(reason.as_str()).or_default();
        *count = count.saturating_add(1);
        if reason.status().is_server_error() {
            refusals.undecided += 1;
        }
        // What strangers send says nothing about the configuration.
        if advice_on_refusal(reason).is_some() {
            refusals.last = Some((Instant::now(), reason));
            self.is_refusing.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let refusals = self.refusals();
        let all: u64 = refusals.by_reason.values().sum();
        Counts {
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: all - refusals.undecided,
            undecided: refusals.undecided,
            by_reason: refusals.by_reason.clone(),
        }
    }

    /// Returns why the last request was refused, if it was, lately, and for something that a mistake in
    /// the configuration can cause.
    pub(crate) fn refusing(&self) -> Option<Reason> {
        let (at, reason) = self.refusals().last?;
        let is_refusing = self.is_refusing.load(Ordering::Relaxed);
        (is_refusing && at.elapsed() < LATELY).then_some(reason)
    }

    fn refusals(&self) -> std::sync::MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
