//! The service's report at its status address.

use std::sync::Arc;

use metrics::{counter, gauge};
use serde_json::{Value, json};
use service_kit::admin::{Failing, Report, ServiceState, Status, milliseconds};
use token_cache::{Freshness, Health, TokenCache, TokenErrorKind};

use crate::config::Config;
use crate::downstream::Downstream;
use crate::record::{TokenFetch, TokenRequests};

/// The sources of the report.
pub(crate) struct PublicDataStatus {
    pub(crate) tokens: TokenCache,
    pub(crate) requests: Arc<TokenRequests>,
    pub(crate) downstream: Arc<Downstream>,
    /// The part that does not change.
    pub(crate) settings: ShownSettings,
}

/// The settings that are shown.
#[derive(Debug)]
pub(crate) struct ShownSettings {
    issuer: String,
    token_endpoint: Option<String>,
    client_id: String,
    scopes: Vec<String>,
    protected_data: String,
}

impl ShownSettings {
    pub(crate) fn new(config: &Config) -> Self {
        let provider = &config.provider;
        Self {
            issuer: provider.issuer.clone(),
            token_endpoint: provider.token_endpoint.as_ref().map(ToString::to_string),
            client_id: config.client_id.clone(),
            scopes: config.request.scopes().map(str::to_owned).collect(),
            protected_data: config.protected_data.to_string(),
        }
    }
}

impl Status for PublicDataStatus {
    fn report(&self) -> Report {
        let health = self.tokens.health();
        let last = self.requests.history.last().map(|(_, fetch)| fetch);
        judge(
            &health,
            last.as_ref(),
            self.downstream.calls().failures.now(),
        )
        .with("token", self.token(&health))
        .with("downstream", self.calls())
    }

    fn record(&self) {
        let calls = self.downstream.calls();
        for (outcome, count) in calls.outcomes() {
            counter!("public_data_downstream_calls_total", "outcome" => outcome).absolute(count);
        }
        counter!("public_data_downstream_repeats_total").absolute(calls.repeats());
        let left = self.tokens.health().expires_in.unwrap_or_default();
        gauge!("public_data_token_expires_in_seconds").set(left.as_secs_f64());
    }
}

impl PublicDataStatus {
    fn token(&self, health: &Health) -> Value {
        let history = self.requests.history.to_json();
        json!({
            "issuer": self.settings.issuer,
            "token_endpoint": self.settings.token_endpoint,
            "client_id": self.settings.client_id,
            "scopes": self.settings.scopes,
            "freshness": health.freshness.map(name),
            "age_ms": health.age.map(milliseconds),
            "lifetime_ms": health.lifetime.map(milliseconds),
            "refresh_after_ms": health.refresh_after.map(milliseconds),
            "leeway_after_ms": health.leeway_after.map(milliseconds),
            "expires_in_ms": health.expires_in.map(milliseconds),
            "provider_clock_ahead_s": health.provider_clock_ahead_s,
            "last_error": health.last_error.map(TokenErrorKind::as_str),
            "consecutive_failures": health.consecutive_failures,
            "next_attempt_in_ms": health.next_attempt_in.map(milliseconds),
            "requests": { "ok": self.requests.ok(), "failed": self.requests.failed() },
            "history": history,
        })
    }

    fn calls(&self) -> Value {
        let calls = self.downstream.calls();
        let outcomes: serde_json::Map<String, Value> = calls
            .outcomes()
            .map(|(outcome, count)| (outcome.to_owned(), count.into()))
            .collect();
        let last_failure = calls
            .failures
            .last()
            .map(|(age, text)| json!({ "age_ms": milliseconds(age), "text": text }));
        json!({
            "url": self.settings.protected_data,
            "outcomes": outcomes,
            "repeats": calls.repeats(),
            "last_failure": last_failure,
        })
    }
}

/// Judges the token, the last request for one, and the calls that fail.
fn judge(health: &Health, last: Option<&TokenFetch>, failing: Option<Failing<String>>) -> Report {
    let failed = health.last_error.and(last);
    let why = || {
        let text = failed.and_then(|fetch| fetch.text.as_deref());
        text.unwrap_or("the provider gave no token")
    };
    let advice = failed.and_then(|fetch| fetch.advice);
    if !health.is_ready() {
        return match health.last_error {
            Some(_) => Report::new(ServiceState::Red, format!("there is no token: {}", why())),
            None => Report::new(
                ServiceState::Amber,
                "a token is being fetched; requests wait for it",
            ),
        }
        .advice(advice);
    }
    if let Some(Failing { last, once, .. }) = failing {
        let text = format!("the last call to protected-data failed: {last}");
        // One can be bad luck.
        let state = if once {
            ServiceState::Amber
        } else {
            ServiceState::Red
        };
        // Where the provider fails too, it is the likelier cause.
        return Report::new(state, text).advice(advice);
    }
    if health.last_error.is_some() {
        let text = format!("no new token: {}; the current one is still served", why());
        return Report::new(ServiceState::Amber, text).advice(advice);
    }
    Report::new(
        ServiceState::Green,
        "the token is good and calls are answered",
    )
}

fn name(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Fresh => "fresh",
        Freshness::Stale => "stale",
        Freshness::Critical => "critical",
        Freshness::Expired => "expired",
    }
}
