//! Further headers of a token request, as gateways in front of a token endpoint want them.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::ConfigError;

/// More are a mistake.
const MOST: usize = 32;

/// What the protocol, or the connection, says itself.
const OWNED: [&str; 14] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "dpop",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Adds a header, marked sensitive. The problem quotes neither name nor value.
pub(super) fn add(all: &mut HeaderMap, name: &str, value: &str) -> Result<(), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "has no name of a header")?;
    if OWNED.contains(&name.as_str()) || name.as_str().starts_with("content-") {
        return Err("has a name that the token request or the connection owns");
    }
    let mut value = HeaderValue::from_str(value)
        .ok()
        .filter(|value| value.to_str().is_ok_and(|text| !text.is_empty()))
        .ok_or("has no value that a header can carry")?;
    value.set_sensitive(true);
    if all.len() == MOST {
        return Err("is one too many: there may be 32");
    }
    match all.insert(name, value) {
        Some(_) => Err("has a name that is there twice"),
        None => Ok(()),
    }
}

/// Reads lines `Name: value`; empty lines are passed over.
pub(super) fn parse(lines: &str) -> Result<HeaderMap, ConfigError> {
    let mut all = HeaderMap::new();
    for (number, line) in (1..)
        .zip(lines.lines())
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let added = match line.split_once(':') {
            Some((name, value)) => add(&mut all, name.trim(), value.trim()),
            None => Err("is not `Name: value`"),
        };
        added.map_err(|problem| ConfigError::new("headers", format!("line {number} {problem}")))?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N34
    #[test]
    fn header_lines_are_names_and_values_and_nothing_that_the_request_owns() {
        let all = parse("X-Api-Key: k: 1\r\n\n  x-tenant :acme\t\n").unwrap();
        assert_eq!(all["x-api-key"], "k: 1");
        assert_eq!(all["x-tenant"], "acme");
        assert!(all.values().all(HeaderValue::is_sensitive));
        for (name, lines, expected) in [
            ("no colon", "canary", "line 1 is not `Name: value`"),
            ("no name", "\n: canary", "line 2 has no name"),
            ("a space in the name", "x key: canary", "line 1 has no name"),
            ("no value", "x-key: ", "line 1 has no value"),
            ("not ASCII", "x-key: canary\u{e4}", "line 1 has no value"),
            (
                "a control character",
                "x-key: canary\u{1}",
                "line 1 has no value",
            ),
            (
                "twice",
                "x-key: canary\nX-Key: canary",
                "line 2 has a name that is there twice",
            ),
            (
                "credentials",
                "Authorization: canary",
                "line 1 has a name that the",
            ),
            (
                "the form",
                "Content-Length: 7",
                "line 1 has a name that the",
            ),
            (
                "the form's type",
                "content-type: canary",
                "line 1 has a name that the",
            ),
            ("the host", "HOST: canary", "line 1 has a name that the"),
            ("a proof", "DPoP: canary", "line 1 has a name that the"),
            (
                "framing",
                "Transfer-Encoding: canary",
                "line 1 has a name that the",
            ),
            (
                "codings",
                "Accept-Encoding: gzip",
                "line 1 has a name that the",
            ),
        ] {
            let problem = parse(lines).unwrap_err();
            let text = problem.to_string();
            assert!(text.contains(expected), "{name}: {text}");
            assert!(!text.contains("canary"), "{name}: {text}");
        }
        let many: String = (0..33).map(|n| format!("x-{n}: 1\n")).collect();
        assert!(parse(&many).unwrap_err().to_string().contains("line 33"));
    }
}
