//! What became of requests, for the status address.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use idp_http::Outage;
use jwks_validator::Reason;
use tokio::time::Instant;
use tracing::warn;

use crate::advice::advice_for_issuer;

/// After so long without another refusal, the last ones say nothing about the requests of now.
const LATELY: Duration = Duration::from_secs(60);

/// Requests behind the validator by what was decided.
#[derive(Debug)]
pub struct Decisions {
    /// Whose tokens are accepted: what helps depends on that.
    issuer: String,
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
            issuer: String::new(),
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
    /// What to change, if a setting can cause it.
    pub(crate) advice: Option<&'static str>,
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
    /// Returns the counts of a service that accepts the tokens of this issuer.
    #[must_use]
    pub fn of_issuer(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            ..Self::default()
        }
    }

    /// Returns which variables decide about such a refusal.
    pub(crate) fn advice(&self, reason: Reason) -> Option<&'static str> {
        advice_for_issuer(&self.issuer, reason)
    }

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
        if self.advice(reason).is_some() {
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
        let advice = self.advice(reason);
        (in_a_row > 0 && at.elapsed() < LATELY).then_some(Refusing {
            reason,
            once,
            advice,
        })
    }

    fn refusals(&self) -> std::sync::MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
