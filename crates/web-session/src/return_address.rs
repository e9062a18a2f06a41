//! Where a person goes after a login: back to a page of ours, and nowhere else.

use url::Url;

use crate::public_url::Origin;

/// A path of ours, with its query. It begins with one slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReturnAddress(String);

const MAX: usize = 1_024;

impl ReturnAddress {
    pub(crate) fn home() -> Self {
        Self("/".to_owned())
    }

    /// Reads what a request asks for; anything that is no page of ours is the home page.
    pub(crate) fn parse(text: &str, own: &Origin) -> Self {
        read(text, own).unwrap_or_else(Self::home)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the whole address: a path such as `/.//evil` cannot become a host behind our origin.
    pub(crate) fn on(&self, own: &Origin) -> String {
        own.with(&self.0)
    }
}

fn read(text: &str, own: &Origin) -> Option<ReturnAddress> {
    let is_plain = |byte: u8| matches!(byte, 0x21..=0x7e) && byte != b'\\';
    if text.is_empty() || text.len() > MAX || !text.bytes().all(is_plain) {
        return None;
    }
    let base = Url::parse(&own.to_string()).ok()?;
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let prefix = own.to_string();
    let is_own_url = text
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(&prefix));
    if !is_path && !is_own_url {
        return None;
    }
    let url = base.join(text).ok()?;
    if url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let path = url.path();
    if path.starts_with("//") || is_ours(path) {
        return None;
    }
    let found = match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    (found.len() <= MAX).then_some(ReturnAddress(found))
}

/// Tells whether a path is one of the login's own: returning there would loop.
fn is_ours(path: &str) -> bool {
    // Decoded once, as a router would; what is left encoded is no path of ours.
    let decoded = percent_decoded(path);
    let mut segments = Vec::new();
    for segment in decoded.split('/').filter(|it| !it.is_empty()) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other.to_ascii_lowercase()),
        }
    }
    matches!(&segments[..], [api, auth, ..] if api == "api" && auth == "auth")
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Origin {
        Origin {
            scheme: "http",
            host: "localhost:6004".to_owned(),
        }
    }

    fn parsed(text: &str) -> String {
        ReturnAddress::parse(text, &own()).0
    }

    #[test]
    fn pages_of_ours_are_kept() {
        for (text, expected) in [
            ("/", "/"),
            ("/invoices", "/invoices"),
            ("/invoices?page=2&x=%2f", "/invoices?page=2&x=%2f"),
            ("/a#b", "/a"),
            ("/a/../b", "/b"),
            ("/%2fevil", "/%2fevil"),
            ("http://localhost:6004/invoices", "/invoices"),
            ("http://LOCALHOST:6004/invoices", "/invoices"),
            ("http://localhost:6004", "/"),
            ("/api/v1/hello", "/api/v1/hello"),
            ("/api/authors", "/api/authors"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        let longest = format!("/{}", "a".repeat(1_023));
        assert_eq!(parsed(&longest), longest);
    }

    /// K7
    #[test]
    fn anything_else_is_the_home_page() {
        for text in [
            "",
            "//e",
            "/\\e",
            "\\/e",
            "/%5ce\\",
            "/.//e",
            "/..//e",
            "/a/..//e",
            "https:e",
            "http:e",
            "http:/e",
            "https://localhost:6004.evil/",
            "http://localhost:6004.evil/",
            "http://localhost:6004@e/",
            "http://localhost:60041/",
            "javascript:alert(1)",
            "data:text/html,x",
            "/a\tb",
            "/a\nb",
            " /a",
            "/a\0",
            "http://localhost:6005/",
            "https://localhost:6004/",
            "http://user@localhost:6004/",
            "e",
            "?a",
            "#a",
            "/é",
            "http://localhost:6004//e",
            &format!("/{}", "a".repeat(1_024)),
        ] {
            assert_eq!(parsed(text), "/", "{text}");
        }
    }

    /// K8
    #[test]
    fn the_logins_own_paths_are_the_home_page() {
        for text in [
            "/api/auth",
            "/api/auth/",
            "/api/auth/login",
            "/api/auth/callback?code=x",
            "/API/auth/login",
            "/api/%61uth/login",
            "/api/x/../auth/login",
            "/./api/auth/login",
            "/api/auth%2flogin",
            "/x/%2e%2e/api/auth/login",
            "/api//auth/login",
            "http://localhost:6004/api/auth/login",
        ] {
            assert_eq!(parsed(text), "/", "{text}");
        }
    }

    /// K7
    #[test]
    fn whatever_is_asked_for_the_origin_is_ours() {
        const PARTS: [&str; 24] = [
            "/",
            "//",
            "\\",
            ".",
            "..",
            "@",
            ":",
            "http:",
            "https://",
            "localhost:6004",
            "evil",
            "%2f",
            "%5c",
            "?",
            "#",
            "\t",
            " ",
            "\0",
            "é",
            "a",
            "%",
            "[::1]",
            "http://localhost:6004",
            "javascript:",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let count = random.usize(1..6);
            let text: String = (0..count)
                .map(|_| PARTS[random.usize(..PARTS.len())])
                .collect();
            let location = ReturnAddress::parse(&text, &own()).on(&own());
            let url = Url::parse(&location).unwrap();
            assert_eq!(
                url.origin().ascii_serialization(),
                "http://localhost:6004",
                "{text:?}"
            );
            assert!(location.starts_with("http://localhost:6004/"), "{text:?}");
            assert!(!url.path().starts_with("//"), "{text:?}");
        }
    }
}
