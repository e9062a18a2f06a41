//! The service's report at its status address.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use serde_json::{Map, Value, json};
use service_kit::admin::{Failing, Report, ServiceState, Status, milliseconds};
use token_cache::{TokenCache, TokenErrorKind};
use tokio::sync::watch;
use web_session::{OpenCounts, Secrets, Unready, WebSessions};

use crate::book::Book;
use crate::config::Config;
use crate::downstream::Downstream;
use crate::secrets_file::ids;

/// The sources of the report.
pub(crate) struct InvoicesStatus {
    pub(crate) sessions: WebSessions,
    pub(crate) book: Arc<Book>,
    pub(crate) downstream: Arc<Downstream>,
    pub(crate) tokens: Option<TokenCache>,
    pub(crate) ready: watch::Receiver<Result<(), Unready>>,
    /// The part that does not change.
    pub(crate) settings: ShownSettings,
}

/// The settings that are shown.
#[derive(Debug)]
pub(crate) struct ShownSettings {
    issuer: String,
    public_url: String,
    client_id: String,
    insecure_cookies: bool,
    secrets: Option<Secrets>,
    store: &'static str,
    protected_data: String,
}

impl ShownSettings {
    pub(crate) fn new(config: &Config, port: u16) -> Self {
        Self {
            issuer: config.provider.issuer.clone(),
            public_url: config.people.public_url(port),
            client_id: config.clients.web.id.clone(),
            insecure_cookies: config.sessions.insecure_cookies,
            secrets: config.sessions.secrets.clone(),
            store: config.sessions.store.kind(),
            protected_data: config.protected_data.to_string(),
        }
    }
}

impl Status for InvoicesStatus {
    fn report(&self) -> Report {
        self.judge()
            .with("sessions", self.sessions())
            .with("invoices", self.invoices())
            .with("token", self.token())
            .with("downstream", self.calls())
    }

    fn record(&self) {
        let health = self.sessions.health();
        for (outcome, count) in health.logins {
            counter!("web_session_logins_total", "outcome" => outcome.as_str()).absolute(count);
        }
        for (outcome, count) in health.refreshes {
            counter!("web_session_refreshes_total", "outcome" => outcome.as_str()).absolute(count);
        }
        for (reason, count) in health.ended {
            counter!("web_session_ended_total", "reason" => reason.as_str()).absolute(count);
        }
        for (why, count) in health.csrf_refused {
            counter!("web_session_csrf_refused_total", "reason" => why.as_str()).absolute(count);
        }
        for (purpose, counts) in health.unsealed {
            for (outcome, count) in unsealed(counts) {
                let labels = [("purpose", purpose.as_str()), ("outcome", outcome)];
                counter!("web_session_unsealed_total", &labels).absolute(count);
            }
        }
        for (call, counts) in health.store {
            for (outcome, count) in [("answered", counts.answered), ("failed", counts.failed)] {
                let labels = [("op", call.as_str()), ("outcome", outcome)];
                counter!("web_session_store_calls_total", &labels).absolute(count);
            }
            // A counter of the facade holds whole numbers.
            gauge!("web_session_store_seconds_total", "op" => call.as_str())
                .set(counts.took.as_secs_f64());
        }
        counter!("web_session_unreadable_rows_total").absolute(health.unreadable_rows);
        gauge!("web_session_revocations_waiting").set(number(health.revocations_waiting));
        gauge!("web_session_refreshing").set(number(health.refreshing));
        gauge!("web_session_waiters").set(number(health.waiters));
        let counts = self.downstream.counts();
        for (caller, outcome, count) in counts.outcomes() {
            let labels = [("caller", caller), ("outcome", outcome)];
            counter!("invoices_downstream_calls_total", &labels).absolute(count);
        }
        counter!("invoices_downstream_repeats_total").absolute(counts.repeats());
        let (tenants, invoices) = self.book.size();
        gauge!("invoices_tenants").set(number(tenants));
        gauge!("invoices_invoices").set(number(invoices));
    }
}

fn unsealed(counts: OpenCounts) -> [(&'static str, u64); 4] {
    [
        ("opened", counts.opened),
        ("malformed", counts.malformed),
        ("unknown_key", counts.unknown_key),
        ("bad_tag", counts.bad_tag),
    ]
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

impl InvoicesStatus {
    /// Judges whether people can log in, and the calls that fail.
    fn judge(&self) -> Report {
        if let Err(unready) = *self.ready.borrow() {
            let text = format!("nobody can log in: {unready}");
            return Report::new(ServiceState::Red, text).advice(Some(match unready {
                Unready::Clock => "set the clock of this machine",
                Unready::Store => "check SESSION_STORE",
                _ => "is the provider running? check ISSUER, or APPLICATION_VANITY_DOMAIN",
            }));
        }
        if self.sessions.health().refused_logins > 0 {
            let text = "the last login failed: the provider refuses the client, or answers what cannot be used";
            return Report::new(ServiceState::Amber, text).advice(Some(
                "the log names the variable; check WEB_CLIENT_ID and WEB_CLIENT_SECRET, or CLIENT_ID and CLIENT_SECRET",
            ));
        }
        if let Some(Failing { last, .. }) = self.downstream.failures().now() {
            let text = format!("the last call to protected-data failed: {last}");
            return Report::new(ServiceState::Amber, text);
        }
        let is_tokenless = |tokens: &TokenCache| {
            let health = tokens.health();
            !health.is_ready() && health.last_error.is_some()
        };
        if self.tokens.as_ref().is_some_and(is_tokenless) {
            let text = "people can log in; the service has no token of its own";
            return Report::new(ServiceState::Amber, text)
                .advice(Some("check CLIENT_ID, CLIENT_SECRET and TOKEN_SCOPE"));
        }
        if self.settings.insecure_cookies {
            let text = "people can log in; everybody on the way can read their sessions";
            return Report::new(ServiceState::Amber, text)
                .advice(Some("serve https, and take DANGEROUS_INSECURE_COOKIES out"));
        }
        Report::new(ServiceState::Green, "people can log in")
    }

    fn sessions(&self) -> Value {
        let health = self.sessions.health();
        let labelled = |counts: Vec<(&'static str, u64)>| -> Map<String, Value> {
            let counts = counts.into_iter();
            counts
                .map(|(name, count)| (name.to_owned(), count.into()))
                .collect()
        };
        let logins = health.logins.into_iter().map(|(it, n)| (it.as_str(), n));
        let refreshes = health.refreshes.into_iter().map(|(it, n)| (it.as_str(), n));
        let ended = health.ended.into_iter().map(|(it, n)| (it.as_str(), n));
        let refused = health.csrf_refused.into_iter();
        let refused = refused.map(|(it, n)| (it.as_str(), n));
        let unknown_key_ids: u64 = health.unsealed.iter().map(|(_, it)| it.unknown_key).sum();
        let (mut calls, mut failed, mut took) = (0_u64, 0_u64, Duration::ZERO);
        for (_, counts) in health.store {
            calls += counts.answered + counts.failed;
            failed += counts.failed;
            took += counts.took;
        }
        let mean = took.as_micros() / u128::from(u64::max(1, calls));
        let store = json!({ "calls": calls, "failed": failed, "mean_us": mean });
        json!({
            "issuer": self.settings.issuer,
            "public_url": self.settings.public_url,
            "client_id": self.settings.client_id,
            "insecure_cookies": self.settings.insecure_cookies,
            "secrets": self.settings.secrets.as_ref().map(ids),
            "store": self.settings.store,
            "logins": labelled(logins.collect()),
            "refreshes": labelled(refreshes.collect()),
            "ended": labelled(ended.collect()),
            "csrf_refused": labelled(refused.collect()),
            "unknown_key_ids": unknown_key_ids,
            "store": store,
            "unreadable_rows": health.unreadable_rows,
            "revocations_waiting": health.revocations_waiting,
            "refreshing": health.refreshing,
            "waiters": health.waiters,
        })
    }

    fn invoices(&self) -> Value {
        let (tenants, invoices) = self.book.size();
        json!({ "tenants": tenants, "invoices": invoices })
    }

    fn token(&self) -> Value {
        let Some(tokens) = &self.tokens else {
            return Value::Null;
        };
        let health = tokens.health();
        json!({
            "ready": health.is_ready(),
            "expires_in_ms": health.expires_in.map(milliseconds),
            "last_error": health.last_error.map(TokenErrorKind::as_str),
            "consecutive_failures": health.consecutive_failures,
            "next_attempt_in_ms": health.next_attempt_in.map(milliseconds),
        })
    }

    fn calls(&self) -> Value {
        let counts = self.downstream.counts();
        let mut callers: Map<String, Value> = Map::new();
        for (caller, outcome, count) in counts.outcomes() {
            let outcomes = callers.entry(caller).or_insert_with(|| json!({}));
            outcomes[outcome] = count.into();
        }
        let last_failure = self
            .downstream
            .failures()
            .last()
            .map(|(age, text)| json!({ "age_ms": milliseconds(age), "text": text }));
        json!({
            "url": self.settings.protected_data,
            "outcomes": callers,
            "repeats": counts.repeats(),
            "last_failure": last_failure,
        })
    }
}
