//! The document that says how a service is doing.

use std::time::{Duration, SystemTime};

use clock::{Clock as _, SystemClock};
use serde::Serialize;
use serde_json::{Map, Value};

use super::history::milliseconds;
use crate::server::Counters;

/// How a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// All is well.
    Green,
    /// Something fails or is not there yet, and requests are answered all the same, or will be shortly.
    Amber,
    /// Requests are refused.
    Red,
}

impl ServiceState {
    /// Returns 0 for green, 1 for amber and 2 for red.
    #[must_use]
    pub fn level(self) -> f64 {
        match self {
            Self::Green => 0.0,
            Self::Amber => 1.0,
            Self::Red => 2.0,
        }
    }
}

/// The state of a service with the reason for it. Must hold no secret and no text of another server.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How the service is doing.
    pub state: ServiceState,
    /// Why, in a sentence.
    pub reason: String,
    /// The change that helps, by the names of the variables.
    pub advice: Option<String>,
    /// Members of this service alone, which stand beside the others.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

impl Report {
    /// Returns a report of this state.
    pub fn new(state: ServiceState, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.into(),
            advice: None,
            details: Map::new(),
        }
    }

    /// Adds what to change.
    #[must_use]
    pub fn advice(mut self, advice: Option<impl Into<String>>) -> Self {
        self.advice = advice.map(Into::into);
        self
    }

    /// Adds a member. One that cannot be written as JSON is left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.details.insert(name.to_owned(), value);
        }
        self
    }
}

/// The answer of `/status`.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    service: &'static str,
    now_ms: u64,
    uptime_ms: u64,
    http: Value,
    #[serde(flatten)]
    pub(super) report: Report,
}

impl Document {
    pub(super) fn new(
        service: &'static str,
        uptime: Duration,
        counters: &Counters,
        report: Report,
    ) -> Self {
        let since_1970 = SystemClock.now().duration_since(SystemTime::UNIX_EPOCH);
        let count = |(name, count): (&str, u64)| (name.to_owned(), Value::from(count));
        let answers: Map<String, Value> = answers(counters).map(count).collect();
        let mut http: Map<String, Value> = interventions(counters).map(count).collect();
        http.insert("answers".to_owned(), answers.into());
        Self {
            service,
            now_ms: milliseconds(since_1970.unwrap_or_default()),
            uptime_ms: milliseconds(uptime),
            http: http.into(),
            report,
        }
    }
}

/// Answers by class of status. There is no 1xx: hyper sends those by itself.
pub(super) fn answers(counters: &Counters) -> impl Iterator<Item = (&'static str, u64)> {
    let classes = [(2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx")];
    classes
        .map(|(class, name)| (name, counters.answers(class)))
        .into_iter()
}

/// Events in which the server acted by itself.
pub(super) fn interventions(counters: &Counters) -> impl Iterator<Item = (&'static str, u64)> {
    [
        ("shed", counters.shed()),
        ("timeouts", counters.timeouts()),
        ("panics", counters.panics()),
        ("evicted", counters.evicted()),
    ]
    .into_iter()
}
