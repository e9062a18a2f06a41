//! Counters through the `metrics` facade. Without the feature they are nothing.
//!
//! What every accepted token increments is registered once, when the validator is built: looking a
//! counter up by its labels takes longer than finding a cached token.

pub(crate) use imp::{IssuerMetrics, ValidatorMetrics};

/// What a fetch of keys brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchOutcome {
    Changed,
    Unchanged,
    Failed,
}

#[cfg(feature = "metrics")]
mod imp {
    use std::time::Duration;

    use ::metrics::{Counter, Unit, counter, describe_counter, describe_gauge, gauge};

    use super::FetchOutcome;
    use crate::key::SkipReason;
    use crate::reason::{ErrorResponse, Reason};

    const VALIDATIONS: &str = "jwks_validator_validations_total";
    const CACHE_HITS: &str = "jwks_validator_cache_hits_total";
    const FETCHES: &str = "jwks_validator_key_fetches_total";
    const SKIPPED: &str = "jwks_validator_skipped_keys_total";
    const UNKNOWN: &str = "jwks_validator_unknown_key_ids_total";
    const AGE: &str = "jwks_validator_keys_age_seconds";

    pub(crate) struct ValidatorMetrics {
        accepted: Counter,
        cache_hits: Counter,
    }

    impl ValidatorMetrics {
        pub(crate) fn new() -> Self {
            describe();
            // Alerts ask for an increase, and from nothing to one there is none.
            for reason in Reason::ALL {
                if reason.response() == ErrorResponse::Unavailable {
                    undecided(*reason).increment(0);
                }
            }
            Self {
                accepted: counter!(VALIDATIONS, "outcome" => "accepted", "reason" => ""),
                cache_hits: counter!(CACHE_HITS),
            }
        }

        /// One decision about one token; `None` if it was accepted.
        #[inline]
        pub(crate) fn decided(&self, refused: Option<Reason>) {
            match refused {
                None => self.accepted.increment(1),
                Some(reason) if reason.response() == ErrorResponse::Unavailable => {
                    undecided(reason).increment(1);
                }
                Some(reason) => {
                    let reason = reason.as_str();
                    counter!(VALIDATIONS, "outcome" => "refused", "reason" => reason).increment(1);
                }
            }
        }

        #[inline]
        pub(crate) fn cache_hit(&self) {
            self.cache_hits.increment(1);
        }
    }

    fn undecided(reason: Reason) -> Counter {
        counter!(VALIDATIONS, "outcome" => "undecided", "reason" => reason.as_str())
    }

    /// `issuer` is one that the operator configured, or a word for all others: what tokens name must
    /// not become labels.
    pub(crate) struct IssuerMetrics {
        issuer: String,
    }

    impl IssuerMetrics {
        pub(crate) fn new(issuer: &str) -> Self {
            let metrics = Self {
                issuer: issuer.to_owned(),
            };
            for outcome in ["changed", "unchanged", "failed"] {
                metrics.fetches(outcome).increment(0);
            }
            metrics.unknown_key_ids().increment(0);
            metrics
        }

        pub(crate) fn fetched(&self, outcome: FetchOutcome) {
            let outcome = match outcome {
                FetchOutcome::Changed => "changed",
                FetchOutcome::Unchanged => "unchanged",
                FetchOutcome::Failed => "failed",
            };
            self.fetches(outcome).increment(1);
        }

        fn fetches(&self, outcome: &'static str) -> Counter {
            counter!(FETCHES, "issuer" => self.issuer.clone(), "outcome" => outcome)
        }

        pub(crate) fn skipped(&self, reason: SkipReason) {
            let reason = reason.as_str();
            counter!(SKIPPED, "issuer" => self.issuer.clone(), "reason" => reason).increment(1);
        }

        pub(crate) fn unknown_key_id(&self) {
            self.unknown_key_ids().increment(1);
        }

        fn unknown_key_ids(&self) -> Counter {
            counter!(UNKNOWN, "issuer" => self.issuer.clone())
        }

        /// The age of the keys when an attempt to replace them has ended.
        pub(crate) fn age(&self, age: Duration) {
            gauge!(AGE, "issuer" => self.issuer.clone()).set(age.as_secs_f64());
        }
    }

    fn describe() {
        describe_counter!(
            VALIDATIONS,
            Unit::Count,
            "Decisions about tokens by outcome and reason"
        );
        describe_counter!(
            CACHE_HITS,
            Unit::Count,
            "Tokens found in the cache of verified tokens"
        );
        describe_counter!(
            FETCHES,
            Unit::Count,
            "Fetches of an issuer's keys by outcome"
        );
        describe_counter!(
            SKIPPED,
            Unit::Count,
            "Published keys that are not used, by reason, each time they change"
        );
        describe_counter!(
            UNKNOWN,
            Unit::Count,
            "Tokens whose key was not among the keys in use"
        );
        describe_gauge!(
            AGE,
            Unit::Seconds,
            "Time since the issuer confirmed the keys, as of the last fetch"
        );
    }
}

#[cfg(not(feature = "metrics"))]
mod imp {
    use std::time::Duration;

    use super::FetchOutcome;
    use crate::key::SkipReason;
    use crate::reason::Reason;

    pub(crate) struct ValidatorMetrics;

    impl ValidatorMetrics {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn decided(&self, _refused: Option<Reason>) {}

        pub(crate) fn cache_hit(&self) {}
    }

    pub(crate) struct IssuerMetrics;

    impl IssuerMetrics {
        pub(crate) fn new(_issuer: &str) -> Self {
            Self
        }

        pub(crate) fn fetched(&self, _outcome: FetchOutcome) {}

        pub(crate) fn skipped(&self, _reason: SkipReason) {}

        pub(crate) fn unknown_key_id(&self) {}

        pub(crate) fn age(&self, _age: Duration) {}
    }
}
