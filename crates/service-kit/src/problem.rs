//! Problem details for HTTP answers (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// An `application/problem+json` answer.
///
/// `type` is left out, which means `about:blank` (RFC 9457 section 4.2.1); so the title is the status
/// phrase unless [`Problem::kind`] names a type. `instance` is never sent. The answer carries
/// `Cache-Control: no-store`. [`Server`](crate::server::Server) adds the member `request_id`.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    kind: Option<&'static str>,
    title: Option<&'static str>,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// Starts a problem whose title is the phrase of `status`.
    pub const fn new(status: StatusCode) -> Self {
        Self {
            status,
            kind: None,
            title: None,
            detail: None,
            retry_after: None,
        }
    }

    /// Names the problem type by a URI, together with the title that this type always has.
    pub const fn kind(mut self, uri: &'static str, title: &'static str) -> Self {
        self.kind = Some(uri);
        self.title = Some(title);
        self
    }

    /// Explains this occurrence to the caller.
    ///
    /// The text leaves the process: it must hold nothing that came from a token, a secret or another
    /// server's answer.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds `Retry-After` in whole seconds, rounded up, at least 1.
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns the status of the answer.
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

/// The members that go on the wire, in the order of RFC 9457 section 3.1.
#[derive(Serialize)]
struct Members<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let members = Members {
            kind: self.kind,
            title: self
                .title
                .or(self.status.canonical_reason())
                .unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
        };
        // Strings and a number always serialize; an empty body is the honest answer otherwise.
        let body = serde_json::to_vec(&members).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            let whole = after
                .as_secs()
                .saturating_add(u64::from(after.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(whole.max(1)));
        }
        response
    }
}

/// The answer to a path that no route has.
pub async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND)
}

/// The answer to a method that the route does not have; axum adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED)
}

/// Gives `router` problem answers for unknown paths (404) and unknown methods (405).
///
/// Install it before the layers that must also see those requests: a layer added afterwards, such as
/// an authentication layer, wraps the fallback too.
pub fn fallbacks<S>(router: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(problem: Problem) -> (Response<()>, Vec<u8>) {
        let (parts, body) = problem.into_response().into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let body = runtime.block_on(axum::body::to_bytes(body, 4096)).unwrap();
        (Response::from_parts(parts, ()), body.to_vec())
    }

    #[test]
    fn an_untyped_problem_has_the_status_phrase_as_its_title() {
        let (answer, body) = parts(Problem::new(StatusCode::NOT_FOUND));
        assert_eq!(body, br#"{"title":"Not Found","status":404}"#);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        assert!(!answer.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn a_typed_problem_carries_type_title_and_detail() {
        let problem = Problem::new(StatusCode::BAD_GATEWAY)
            .kind("https://example.com/refused", "Refused")
            .detail("said \"no\"");
        let (_, body) = parts(problem);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"type":"https://example.com/refused","title":"Refused","status":502,"detail":"said \"no\""}"#
        );
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        for (name, after, expected) in [
            ("zero", Duration::ZERO, "1"),
            ("a fraction", Duration::from_millis(1001), "2"),
            ("whole", Duration::from_secs(30), "30"),
        ] {
            let (answer, _) =
                parts(Problem::new(StatusCode::SERVICE_UNAVAILABLE).retry_after(after));
            assert_eq!(answer.headers()[RETRY_AFTER], expected, "{name}");
        }
    }
}
