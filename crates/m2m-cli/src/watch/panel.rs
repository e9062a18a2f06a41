//! One service as lines of text.

use idp_http::printable;
use serde_json::Value;
use url::Url;

/// Events that are shown of a history.
const EVENTS: usize = 5;
/// Keys that are shown of an issuer.
const KEYS: usize = 6;
/// Columns of the name before each group of lines.
pub(super) const LABEL: usize = 9;

/// A service, ready to be drawn.
#[derive(Debug)]
pub(super) struct Panel {
    /// The first line: the service and its state.
    pub(super) title: String,
    /// `green`, `amber`, `red`, or `gone`.
    pub(super) state: String,
    pub(super) lines: Vec<Line>,
}

/// A line, of which long texts are wrapped.
#[derive(Debug)]
pub(super) enum Line {
    Text(String),
    /// A name, and what belongs to it.
    Labelled(&'static str, String),
    /// A name and a bar that is this wide as the panel allows.
    Bar(&'static str, Bar),
}

/// The life of a token, in shares of its lifetime.
#[derive(Debug)]
pub(super) struct Bar {
    age: f64,
    refresh: f64,
    leeway: f64,
}

impl Bar {
    /// Draws the bar: what has passed, what is left, the margin and the leeway.
    pub(super) fn draw(&self, width: usize) -> String {
        let cell = |index: usize| {
            let at = (index as f64 + 0.5) / width as f64;
            if at < self.age {
                '█'
            } else if at >= self.leeway {
                '▓'
            } else if at >= self.refresh {
                '▒'
            } else {
                '░'
            }
        };
        (0..width).map(cell).collect()
    }
}

impl Panel {
    pub(super) fn new(address: &Url, document: &Value, gone: Option<&str>) -> Self {
        let mut panel = Self {
            title: text(&document["service"]),
            state: match gone {
                Some(_) => "gone".to_owned(),
                None => text(&document["state"]),
            },
            lines: vec![Line::Text(printable(address.as_str()))],
        };
        match gone {
            Some(why) => panel.text(format!("no connection: {why}; this is its last state:")),
            None => panel.text(text(&document["reason"])),
        }
        if let Some(advice) = document["advice"].as_str() {
            panel.text(format!("→ {}", printable(advice)));
        }
        panel.text(String::new());
        panel.token(&document["token"]);
        panel.calls(&document["downstream"]);
        for issuer in items(&document["issuers"]) {
            panel.issuer(issuer);
        }
        panel.validations(document);
        panel.add("answers", counts(&document["http"]["answers"], true));
        let history = [
            &document["token"]["history"],
            &document["issuers"][0]["history"],
        ];
        for (index, event) in history
            .into_iter()
            .flat_map(items)
            .rev()
            .take(EVENTS)
            .enumerate()
        {
            let label = if index == 0 { "lately" } else { "" };
            panel.add(
                label,
                format!("{} ago {}", span(&event["age_ms"]), event_text(event)),
            );
        }
        panel
    }

    fn text(&mut self, text: String) {
        self.lines.push(Line::Text(text));
    }

    fn add(&mut self, label: &'static str, text: String) {
        self.lines.push(Line::Labelled(label, text));
    }

    fn token(&mut self, token: &Value) {
        if token.is_null() {
            return;
        }
        let ms = |name: &str| token[name].as_f64();
        let times = [
            ms("age_ms"),
            ms("lifetime_ms"),
            ms("refresh_after_ms"),
            ms("leeway_after_ms"),
        ];
        if let [Some(age), Some(lifetime), Some(refresh), Some(leeway)] = times {
            let total = lifetime.max(1.0);
            let bar = Bar {
                age: age / total,
                refresh: refresh / total,
                leeway: leeway / total,
            };
            self.lines.push(Line::Bar("token", bar));
            let refresh = match refresh - age {
                left if left > 0.0 => format!("refresh in {}", milliseconds(left)),
                _ => "refresh is due".to_owned(),
            };
            self.add(
                "",
                format!(
                    "{}, {} old, {refresh}, expires in {}",
                    text(&token["freshness"]),
                    milliseconds(age),
                    milliseconds(lifetime - age),
                ),
            );
        } else {
            self.add("token", "there is none".to_owned());
        }
        self.add(
            "",
            format!(
                "{} requests answered, {} failed",
                number(&token["requests"]["ok"]),
                number(&token["requests"]["failed"])
            ),
        );
        self.add("provider", text(&token["issuer"]));
    }

    fn calls(&mut self, downstream: &Value) {
        if !downstream.is_null() {
            self.add("calls", format!("to {}", text(&downstream["url"])));
            self.add("", counts(&downstream["outcomes"], false));
        }
    }

    fn issuer(&mut self, issuer: &Value) {
        self.add("provider", text(&issuer["issuer"]));
        let keys = items(&issuer["keys"]);
        for (index, key) in keys.iter().take(KEYS).enumerate() {
            let label = if index == 0 { "keys" } else { "" };
            let kid = key["kid"].as_str().map_or("(no id)".to_owned(), printable);
            let revoked = if key["revoked"] == true {
                ", revoked"
            } else {
                ""
            };
            let alg = text(&key["alg"]);
            let age = span(&key["age_ms"]);
            self.add(label, format!("{kid} {alg}, known for {age}{revoked}"));
        }
        if keys.is_empty() {
            self.add("keys", "there are none".to_owned());
        }
        self.add(
            "",
            format!(
                "confirmed {} ago, next fetch in {}, {} of 2 fetches left for unknown keys",
                span(&issuer["confirmed_ms"]),
                span(&issuer["next_fetch_in_ms"]),
                number(&issuer["fetches_left"])
            ),
        );
    }

    fn validations(&mut self, document: &Value) {
        let validations = &document["validations"];
        if validations.is_null() {
            return;
        }
        self.add(
            "tokens",
            format!(
                "{} accepted, {} refused, {} undecided",
                number(&validations["accepted"]),
                number(&validations["refused"]),
                number(&validations["undecided"])
            ),
        );
        let reasons = counts(&validations["reasons"], false);
        if !reasons.is_empty() {
            self.add("", reasons);
        }
        let cache = &document["verified_cache"];
        if let (Some(found), Some(all)) = (cache["found"].as_f64(), cache["looked_up"].as_f64()) {
            let rate = 100.0 * found / all.max(1.0);
            self.add(
                "",
                format!(
                    "{rate:.1} % of {all} found in the cache, {} of {} places taken",
                    number(&cache["entries"]),
                    number(&cache["capacity"])
                ),
            );
        }
    }
}

/// What came of a fetch of a token or of keys.
pub(super) fn event_text(event: &Value) -> String {
    let mut said = format!(
        "{} after {}",
        text(&event["outcome"]),
        span(&event["took_ms"])
    );
    if event["lifetime_ms"].is_number() {
        said.push_str(&format!(", a token for {}", span(&event["lifetime_ms"])));
    }
    for (member, sign) in [("added", '+'), ("removed", '-')] {
        for kid in items(&event[member]) {
            said.push_str(&format!(" {sign}{}", text(kid)));
        }
    }
    if let Some(why) = event["text"].as_str() {
        said.push_str(&format!(": {}", printable(why)));
    }
    said
}

/// A member in milliseconds, as a person says it.
pub(super) fn span(ms: &Value) -> String {
    ms.as_f64().map_or("–".to_owned(), milliseconds)
}

fn milliseconds(ms: f64) -> String {
    let seconds = ms.max(0.0) / 1000.0;
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", ms.max(0.0)),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A count, and nothing that is none: what stands there may be anybody's.
fn number(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(|| "?".to_owned(), |number| number.to_string())
}

/// The members of an object of numbers; those that are 0 only where `zeros` are wanted.
fn counts(object: &Value, zeros: bool) -> String {
    let members = object.as_object().into_iter().flatten();
    let shown = members.filter(|(_, count)| zeros || **count != 0);
    let words: Vec<String> = shown
        .map(|(name, count)| format!("{} {}", printable(name), number(count)))
        .collect();
    words.join(", ")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text of a member, without what would move a cursor.
fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_should_be_a_number_and_is_none_is_not_shown() {
        let evil = "\u{9b}2J";
        let document = json!({
            "service": evil, "state": evil, "reason": evil,
            "http": { "answers": { evil: evil }, "shed": evil },
            "token": { "issuer": evil, "requests": { "ok": evil, "failed": 3 } },
            "downstream": { "url": evil, "outcomes": { evil: evil } },
            "issuers": [{ "issuer": evil, "fetches_left": evil, "keys": [] }],
            "validations": { "accepted": evil, "refused": 1, "undecided": 2, "reasons": { evil: evil } },
            "verified_cache": { "found": 1, "looked_up": 2, "entries": evil, "capacity": evil },
        });
        let panel = Panel::new(&"http://127.0.0.1:1".parse().unwrap(), &document, None);
        let shown = format!("{panel:?}");
        assert!(shown.contains("3 failed"), "{shown}");
        // As `Debug` writes it.
        assert!(!shown.contains("\\u{9b}"), "{shown}");
    }
}
