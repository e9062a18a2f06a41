//! What is different from the document before, as lines.

use std::time::{Duration, SystemTime};

use idp_http::printable;
use serde_json::Value;

use super::panel::event_text;

/// What was seen of a service.
#[derive(Debug, Default)]
pub(super) struct Changes {
    service: String,
    verdict: Option<(String, String)>,
    token_requests: Option<u64>,
    key_fetches: Option<u64>,
}

impl Changes {
    /// Returns a line for each thing that has changed; for the first document its state alone.
    pub(super) fn of(&mut self, document: &Value, is_back: bool) -> Vec<String> {
        let text = |name: &str| printable(document[name].as_str().unwrap_or_default());
        self.service = text("service");
        let mut found = Vec::new();
        let token = &document["token"];
        let requests = token["requests"]["ok"]
            .as_u64()
            .zip(token["requests"]["failed"].as_u64())
            .map(|(ok, failed)| ok.saturating_add(failed));
        for event in new_events(&token["history"], self.token_requests, requests) {
            found.push(format!("token: {}", event_text(event)));
        }
        self.token_requests = requests;
        let issuer = &document["issuers"][0];
        let fetches = issuer["fetches"].as_u64();
        for event in new_events(&issuer["history"], self.key_fetches, fetches) {
            if event["outcome"] != "unchanged" {
                found.push(format!("keys: {}", event_text(event)));
            }
        }
        self.key_fetches = fetches;
        let verdict = (text("state"), text("reason"));
        if is_back || self.verdict.as_ref() != Some(&verdict) {
            let advice = document["advice"].as_str().map(printable);
            let arrow = advice.map_or(String::new(), |advice| format!(" → {advice}"));
            found.push(format!("{}: {}{arrow}", verdict.0, verdict.1));
            self.verdict = Some(verdict);
        }
        let at = stamp(document["now_ms"].as_u64().unwrap_or_default());
        let line = |change| format!("{at} {} {change}", self.service);
        found.into_iter().map(line).collect()
    }

    /// Returns the line for a connection that has ended.
    pub(super) fn gone(&self, why: &str) -> String {
        // The service's clock cannot be asked any more, and this machine's may differ.
        format!("{} is gone: {why}", self.service)
    }
}

/// The last events of a history, as many as the count grew by; none where there was no count before.
fn new_events(history: &Value, before: Option<u64>, now: Option<u64>) -> &[Value] {
    let events = history.as_array().map_or(&[][..], Vec::as_slice);
    // A service that was started anew counts from the beginning.
    let new = match (before, now) {
        (Some(before), Some(now)) if now >= before => now - before,
        (Some(_), Some(now)) => now,
        _ => 0,
    };
    let new = usize::try_from(new).unwrap_or(usize::MAX).min(events.len());
    &events[events.len() - new..]
}

/// The time of a document, in whole seconds of UTC.
fn stamp(since_1970_ms: u64) -> String {
    // The last second of the year 9999, beyond which there is no such form.
    let since_1970 = Duration::from_millis(since_1970_ms.min(253_402_300_799_000));
    let at = SystemTime::UNIX_EPOCH + since_1970;
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn public(state: &str, ok: u64, history: Value) -> Value {
        json!({
            "service": "public-data", "now_ms": 1_000, "state": state, "reason": "because",
            "advice": "check ISSUER", "token": { "requests": { "ok": ok, "failed": 0 }, "history": history },
        })
    }

    #[test]
    fn a_line_is_told_once_and_only_when_something_changed() {
        let mut changes = Changes::default();
        let first = json!([{ "outcome": "ok", "took_ms": 4, "lifetime_ms": 300_000 }]);
        assert_eq!(
            changes.of(&public("green", 1, first.clone()), false),
            ["1970-01-01T00:00:01Z public-data green: because → check ISSUER"]
        );
        assert_eq!(
            changes.of(&public("green", 1, first.clone()), false),
            [""; 0]
        );
        let second = json!([
            first[0],
            { "outcome": "ok", "took_ms": 5, "lifetime_ms": 60_000 },
        ]);
        let lines = changes.of(&public("amber", 2, second.clone()), false);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("token: ok") && lines[0].contains("60 s"),
            "{lines:?}"
        );
        assert!(lines[1].contains("amber"), "{lines:?}");
        // Started anew.
        let lines = changes.of(&public("amber", 1, second), true);
        assert_eq!(lines.len(), 2, "{lines:?}");
    }

    #[test]
    fn nothing_that_moves_a_cursor_is_passed_on() {
        let mut changes = Changes::default();
        let document = json!({ "service": "a\u{1b}[2J", "state": "green\n", "reason": "\u{7}" });
        let lines = changes.of(&document, false);
        assert!(!lines[0].contains(|c: char| c.is_control()), "{lines:?}");
    }
}
