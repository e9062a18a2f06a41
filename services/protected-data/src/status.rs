//! The service's report at its status address.

use std::sync::Arc;

use jwks_validator::{IssuerHealth, JwtValidator, Reason};
use metrics::gauge;
use serde_json::{Value, json};
use service_kit::admin::{Failing, Report, ServiceState, Status, milliseconds};

use crate::config::Config;
use crate::decisions::Decisions;
use crate::record::{KeyFetch, KeyFetches};

/// The sources of the report.
pub(crate) struct ProtectedDataStatus {
    pub(crate) validator: JwtValidator,
    pub(crate) fetches: Arc<KeyFetches>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) settings: ShownSettings,
}

/// The settings that are shown.
#[derive(Debug)]
pub(crate) struct ShownSettings {
    /// Several are shown as they are configured, with spaces between them.
    audience: Option<String>,
    /// Where the keys come from: `JWKS_URI`, or the issuer's metadata.
    source: String,
}

impl ShownSettings {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            audience: (!config.audiences.is_empty()).then(|| config.audiences.join(" ")),
            source: match &config.provider.jwks_uri {
                Some(url) => url.to_string(),
                None => format!("metadata of {}", config.provider.issuer),
            },
        }
    }
}

impl Status for ProtectedDataStatus {
    fn report(&self) -> Report {
        let issuers = self.validator.health();
        let last = self.fetches.history.last().map(|(_, fetch)| fetch);
        let issuers_and_keys: Vec<Value> =
            issuers.iter().map(|issuer| self.issuer(issuer)).collect();
        let refusing = self.decisions.failures.now();
        let change = refusing.and_then(|refusing| self.decisions.advice(refusing.last));
        judge(&issuers, last.as_ref(), refusing, change)
            .with("audience", &self.settings.audience)
            .with("issuers", issuers_and_keys)
            .with("validations", self.validations())
            .with("verified_cache", self.verified_cache())
    }

    fn record(&self) {
        for health in self.validator.health() {
            let age = health.age.map_or(f64::NAN, |age| age.as_secs_f64());
            gauge!("protected_data_keys_age_seconds", "issuer" => health.issuer.clone()).set(age);
            let usable = f64::from(u8::from(health.usable));
            gauge!("protected_data_keys_usable", "issuer" => health.issuer).set(usable);
        }
    }
}

impl ProtectedDataStatus {
    fn issuer(&self, health: &IssuerHealth) -> Value {
        let keys: Vec<Value> = self
            .validator
            .keys()
            .into_iter()
            .filter(|key| key.issuer == health.issuer)
            .map(|key| {
                json!({
                    "kid": key.kid,
                    "alg": key.algorithm.as_str(),
                    "age_ms": milliseconds(key.age),
                    "revoked": key.revoked,
                })
            })
            .collect();
        let history = self.fetches.history.to_json();
        json!({
            "issuer": health.issuer,
            "source": self.settings.source,
            "usable": health.usable,
            "keys": keys,
            "skipped_keys": health.skipped_keys,
            "revoked_keys": health.revoked_keys,
            "confirmed_ms": health.age.map(milliseconds),
            "next_fetch_in_ms": milliseconds(health.next_fetch_in),
            "fetches_left": health.fetches_left,
            "last_error": health.last_error.map(|kind| kind.to_string()),
            "consecutive_failures": health.consecutive_failures,
            "fetches": self.fetches.ended(),
            "history": history,
        })
    }

    fn validations(&self) -> Value {
        let counts = self.decisions.counts();
        json!({
            "accepted": counts.accepted,
            "refused": counts.refused,
            "undecided": counts.undecided,
            "reasons": counts.by_reason,
        })
    }

    fn verified_cache(&self) -> Option<Value> {
        let cache = self.validator.verified_cache()?;
        Some(json!({
            "entries": cache.entries,
            "capacity": cache.capacity,
            "looked_up": cache.looked_up,
            "found": cache.found,
        }))
    }
}

/// Judges the keys, the last fetch of them, and requests that are refused; `change` is the advice on these.
fn judge(
    issuers: &[IssuerHealth],
    last: Option<&KeyFetch>,
    refusing: Option<Failing<Reason>>,
    change: Option<&'static str>,
) -> Report {
    let failed = issuers
        .iter()
        .any(|issuer| issuer.last_error.is_some())
        .then_some(last)
        .flatten();
    let why = || {
        let text = failed.and_then(|fetch| fetch.text.as_deref());
        text.unwrap_or("the provider gave no keys")
    };
    let advice = failed.and_then(|fetch| fetch.advice);
    let usable = issuers.iter().any(|issuer| issuer.usable);
    if !usable && failed.is_none() {
        return Report::new(
            ServiceState::Amber,
            "the keys are being fetched; requests wait for them",
        );
    }
    if !usable {
        let text = format!("there are no keys: {}", why());
        return Report::new(ServiceState::Red, text).advice(advice);
    }
    if let Some(Failing {
        last: reason, once, ..
    }) = refusing
    {
        // An unknown key that cannot be asked about is the provider's doing, and one can be bad luck.
        let state = if reason.status().is_server_error() && !once {
            ServiceState::Red
        } else {
            ServiceState::Amber
        };
        let advice = advice.or(change);
        return Report::new(state, format!("the last token was refused: {reason}")).advice(advice);
    }
    if failed.is_some() {
        let text = format!(
            "the keys could not be refreshed: {}; those that are there are still used",
            why()
        );
        return Report::new(ServiceState::Amber, text).advice(advice);
    }
    Report::new(
        ServiceState::Green,
        "the keys are current and tokens are decided on",
    )
}
