//! The decisions on requests, for the status address.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use idp_http::Outage;
use jwks_validator::Reason;
use service_kit::admin::Failures;
use tracing::warn;

use crate::advice::advice_for_issuer;

/// Requests behind the validator by decision.
#[derive(Debug)]
pub struct Decisions {
    /// The issuer whose tokens are accepted: the advice depends on it.
    issuer: String,
    accepted: AtomicU64,
    refusals: Mutex<Refusals>,
    /// The refusals that a mistake in the configuration can cause.
    pub(crate) failures: Failures<Reason>,
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
            refusals: Mutex::default(),
            failures: Failures::default(),
            outage: Outage::settling(SETTLE),
        }
    }
}

#[derive(Debug, Default)]
struct Refusals {
    /// There are some fifty reasons.
    by_reason: BTreeMap<&'static str, u64>,
    undecided: u64,
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

    /// Returns advice on such a refusal, by the names of the variables.
    pub(crate) fn advice(&self, reason: Reason) -> Option<&'static str> {
        advice_for_issuer(&self.issuer, reason)
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.failures.succeeded();
        if let Some(end) = self.outage.succeeded() {
            // As loud as its beginning: a reader of that one waits for this one.
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
            self.failures.failed(reason);
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

    fn refusals(&self) -> std::sync::MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
