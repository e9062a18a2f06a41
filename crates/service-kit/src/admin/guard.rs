//! Who may ask: people and programs, not web pages of others.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, StatusCode};

use crate::problem::Problem;

/// Any page in an operator's browser can send requests to loopback. They carry its `Origin`, or, when a
/// hostile name was made to resolve here, that name as `Host`.
pub(super) async fn refuse_strangers(is_loopback: bool, request: Request, next: Next) -> Response {
    if is_allowed(request.headers(), is_loopback) {
        return next.run(request).await;
    }
    Problem::new(StatusCode::FORBIDDEN)
        .detail("this address is not for pages and names of others")
        .into_response()
}

fn is_allowed(headers: &HeaderMap, is_loopback: bool) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| is_own(host, is_loopback)) else {
        return false;
    };
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

/// Tells whether somebody who can be trusted calls this listener so.
fn is_own(host: &str, is_loopback: bool) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || !is_loopback,
        // The names of a container network and of a machine in its own domain.
        Err(_) => !is_loopback && !host.is_empty() && !host.contains('.'),
    }
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
        is_allowed(&headers, is_loopback)
    }

    #[test]
    fn names_that_somebody_else_can_own_are_refused() {
        for (host, on_loopback, elsewhere) in [
            ("127.0.0.1:6011", true, true),
            ("127.0.0.1", true, true),
            ("[::1]:6011", true, true),
            ("localhost:6011", true, true),
            ("LocalHost", true, true),
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
        assert!(!is_allowed(&HeaderMap::new(), true), "no host at all");
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
}
