//! Who may ask: people and programs, not web pages of others.

use std::sync::Arc;

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, StatusCode};

use crate::problem::ProblemDetails;

const SITE: &str = "sec-fetch-site";

/// Any page in an operator's browser can send requests to loopback. They carry its `Origin`, or, when a
/// hostile name was made to resolve here, that name as `Host`.
pub(super) async fn refuse_strangers(
    names: Arc<OwnNames>,
    request: Request,
    next: Next,
) -> Response {
    if names.allow(request.headers()) {
        return next.run(request).await;
    }
    let detail =
        "This address is not for pages and names of others; ADMIN_ALLOWED_HOSTS allows a name.";
    ProblemDetails::new(StatusCode::FORBIDDEN, detail).into_response()
}

/// The names under which the status address may be called.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnNames {
    /// On loopback, only the machine's own names count.
    pub(super) is_loopback: bool,
    /// Those of the configuration.
    pub(super) allowed: Vec<String>,
}

impl OwnNames {
    fn allow(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let Some(host) = host.filter(|host| self.contain(host)) else {
            return false;
        };
        if !is_sent_by_own_page(headers) {
            return false;
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let is_ours = |origin: &http::HeaderValue| {
            let authority = origin
                .to_str()
                .ok()
                .and_then(|it| it.strip_prefix("http://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        };
        origins.all(is_ours)
    }

    /// Tells whether this is one of the listener's names.
    fn contain(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        // A full name may end with the dot of the root.
        let name = host.strip_suffix('.').unwrap_or(host);
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        if self.allowed.iter().any(|it| name.eq_ignore_ascii_case(it)) {
            return true;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(ip) => idp_http::is_loopback_address(ip) || !self.is_loopback,
            // The names of a container network and of a machine in its own domain.
            Err(_) => !self.is_loopback && !host.is_empty() && !host.contains('.'),
        }
    }
}

/// A request that a page elsewhere makes without reading the answer, as for an image, has no `Origin`; it would
/// still take a listener's place. Browsers say where it comes from (Fetch Metadata section 2); a link from
/// another page to this one is welcome.
fn is_sent_by_own_page(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|it| it == value);
    let is_followed_link = is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
    !headers.contains_key(SITE) || is(SITE, "same-origin") || is(SITE, "none") || is_followed_link
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, origin: Option<&str>, is_loopback: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        names(is_loopback).allow(&headers)
    }

    fn names(is_loopback: bool) -> OwnNames {
        OwnNames {
            is_loopback,
            allowed: vec!["m2m.example".to_owned()],
        }
    }

    #[test]
    fn names_that_somebody_else_can_own_are_refused_unless_they_are_configured() {
        for (host, on_loopback, elsewhere) in [
            ("127.0.0.1:6011", true, true),
            ("127.0.0.1", true, true),
            ("[::1]:6011", true, true),
            ("[::ffff:127.0.0.1]:6011", true, true),
            ("localhost:6011", true, true),
            ("LocalHost", true, true),
            ("localhost.", true, true),
            ("m2m.example:6011", true, true),
            ("M2M.Example.", true, true),
            ("m2m.example.evil.example", false, false),
            ("x.m2m.example", false, false),
            ("10.0.0.7:6011", false, true),
            ("[2001:db8::1]:6011", false, true),
            ("public-data:6011", false, true),
            ("rebound.example:6011", false, false),
            ("127.0.0.1.rebound.example", false, false),
            ("localhost.rebound.example", false, false),
            ("user@127.0.0.1", false, false),
            ("127.0.0.1:6011/", false, false),
            ("", false, false),
        ] {
            assert_eq!(allowed(host, None, true), on_loopback, "{host}");
            assert_eq!(allowed(host, None, false), elsewhere, "{host}");
        }
        assert!(!names(true).allow(&HeaderMap::new()), "no host at all");
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        for (origin, expected) in [
            ("http://127.0.0.1:6011", true),
            ("https://127.0.0.1:6011", false),
            ("http://127.0.0.1:6012", false),
            ("http://127.0.0.1", false),
            ("http://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(
                allowed("127.0.0.1:6011", Some(origin), true),
                expected,
                "{origin}"
            );
        }
    }

    #[test]
    fn what_a_page_elsewhere_embeds_is_refused_and_a_link_from_it_is_not() {
        for (site, mode, destination, expected) in [
            ("same-origin", "cors", "empty", true),
            ("none", "navigate", "document", true),
            ("cross-site", "navigate", "document", true),
            ("cross-site", "navigate", "iframe", false),
            ("cross-site", "no-cors", "image", false),
            ("same-site", "no-cors", "script", false),
        ] {
            let headers = [
                ("host", "127.0.0.1:6011"),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", destination),
            ];
            let headers = headers.map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            });
            let headers = HeaderMap::from_iter(headers);
            assert_eq!(
                names(true).allow(&headers),
                expected,
                "{site} {destination}"
            );
        }
    }
}
