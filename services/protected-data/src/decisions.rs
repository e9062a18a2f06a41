//! What became of requests, for the status address.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use idp_http::Outage;
use jwks_validator::Reason;
use tokio::time::Instant;
use tracing::warn;

use crate::advice::advice_on_refusal;

/// After so long without another refusal, the last ones say nothing about the requests of now.
const LATELY: Duration = Duration::from_secs(60);

/// Requests behind the validator by what was decided.
#[derive(Debug)]
pub struct Decisions {
    accepted: AtomicU64,
    /// How many requests have been refused for what a setting can cause since one was accepted. Read before it
    /// is written: most requests are accepted after another.
    in_a_row: AtomicU64,
    refusals: Mutex<Refusals>,
    /// Which requests that could not be decided on are logged.
    pub(crate) outage: Outage,
}

/// Requests run beside each other: where some can be decided on, the outage of the others goes on for so long.
const SETTLE: Duration = Duration::from_secs(10);

impl Default for Decisions {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            in_a_row: AtomicU64::new(0),
            refusals: Mutex::default(),
            outage: Outage::settling(SETTLE),
        }
    }
}

/// Requests that are refused now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusing {
    /// Why the last one was.
    pub(crate) reason: Reason,
    /// Whether it was the only one.
    pub(crate) once: bool,
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
        if self.in_a_row.load(Ordering::Relaxed) > 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
        if let Some(end) = self.outage.succeeded() {
            // As loud as its beginning: whoever read that one waits for this one.
            warn!("requests are decided on again, {end}");
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
            self.in_a_row.fetch_add(1, Ordering::Relaxed);
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
    pub(crate) fn refusing(&self) -> Option<Refusing> {
        let (at, reason) = self.refusals().last?;
        let in_a_row = self.in_a_row.load(Ordering::Relaxed);
        let once = in_a_row == 1;
        (in_a_row > 0 && at.elapsed() < LATELY).then_some(Refusing { reason, once })
    }

    fn refusals(&self) -> std::sync::MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
