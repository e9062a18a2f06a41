//! The last token requests, for the status address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use service_kit::admin::{History, milliseconds};
use token_cache::{IssuedToken, TokenError};

use crate::advice::advice;

/// The requests to the token endpoint, retries included.
#[derive(Debug, Default)]
pub(crate) struct TokenRequests {
    pub(crate) history: History<TokenFetch>,
    ok: AtomicU64,
    failed: AtomicU64,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TokenFetch {
    /// `ok`, or the kind of failure.
    outcome: &'static str,
    took_ms: u64,
    lifetime_ms: Option<u64>,
    /// The failure, without the words of the provider.
    pub(crate) text: Option<String>,
    pub(crate) advice: Option<&'static str>,
}

impl TokenRequests {
    pub(crate) fn note(&self, took: Duration, result: &Result<IssuedToken, TokenError>) {
        let took_ms = milliseconds(took);
        self.history.add(match result {
            Ok(issued) => {
                self.ok.fetch_add(1, Ordering::Relaxed);
                TokenFetch {
                    outcome: "ok",
                    took_ms,
                    lifetime_ms: issued.lifetime().map(milliseconds),
                    text: None,
                    advice: None,
                }
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                TokenFetch {
                    outcome: error.kind().as_str(),
                    took_ms,
                    lifetime_ms: None,
                    // The sentence of the kind alone: details may hold words of the provider.
                    text: Some(TokenError::new(error.kind()).to_string()),
                    advice: Some(advice(error)),
                }
            }
        });
    }

    pub(crate) fn ok(&self) -> u64 {
        self.ok.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}
