//! The last key fetches, for the status address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jwks_validator::{Fetched, SourceError};
use serde::Serialize;
use service_kit::admin::{History, milliseconds};

use crate::advice::advice_on_keys;

/// The fetches of the issuer's keys.
#[derive(Debug, Default)]
pub(crate) struct KeyFetches {
    pub(crate) history: History<KeyFetch>,
    ended: AtomicU64,
    /// The ids of the last key set, to tell what changed.
    known: Mutex<Vec<String>>,
}

/// One of them.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct KeyFetch {
    /// `changed`, `unchanged` or `failed`.
    outcome: &'static str,
    took_ms: u64,
    /// Ids that were not there before.
    added: Vec<String>,
    /// Ids that are not there any more.
    removed: Vec<String>,
    pub(crate) text: Option<String>,
    pub(crate) advice: Option<&'static str>,
}

impl KeyFetches {
    pub(crate) fn note(&self, took: Duration, result: &Result<Fetched, SourceError>) {
        let mut fetch = KeyFetch {
            outcome: "unchanged",
            took_ms: milliseconds(took),
            ..KeyFetch::default()
        };
        match result {
            Ok(Fetched::Modified { keys, .. }) => {
                // A key without an id is told apart by its algorithm.
                let now: Vec<String> = keys
                    .usable()
                    .map(|(kid, algorithm)| kid.unwrap_or(algorithm.as_str()).to_owned())
                    .collect();
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                let without = |from: &[String], other: &[String]| -> Vec<String> {
                    from.iter()
                        .filter(|id| !other.contains(id))
                        .cloned()
                        .collect()
                };
                fetch.added = without(&now, &known);
                fetch.removed = without(&known, &now);
                if !(fetch.added.is_empty() && fetch.removed.is_empty()) {
                    fetch.outcome = "changed";
                }
                *known = now;
            }
            Ok(_) => {}
            Err(error) => {
                fetch.outcome = "failed";
                fetch.text = Some(error.kind().to_string());
                fetch.advice = Some(advice_on_keys(error.kind()));
            }
        }
        self.history.add(fetch);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many fetches have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}
