//! Problem details for HTTP answers (RFC 9457).

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use idp_http::whole_seconds;
use serde::Serialize;

/// An `application/problem+json` answer.
///
/// Every one has the same members in the order of RFC 9457 section 3.1: `type` is `about:blank`, so that
/// `title` is the status phrase (section 4.2.1), then `status` and `detail`; `instance` is never sent. The
/// answer carries `Cache-Control: no-store`. [`Server`](crate::server::Server) adds the member `request_id`.
#[derive(Clone, Debug)]
pub struct ProblemDetails {
    status: StatusCode,
    detail: &'static str,
    retry_after: Option<Duration>,
}

impl ProblemDetails {
    /// Returns a problem that `detail`, a sentence, explains to the caller.
    pub const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self {
            status,
            detail,
            retry_after: None,
        }
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

/// The answer where the service itself is at fault.
pub const DEFECT: ProblemDetails = ProblemDetails::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "The service failed; its log tells more under the request's id.",
);

#[derive(Serialize)]
struct Members {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
}

impl IntoResponse for ProblemDetails {
    fn into_response(self) -> Response {
        let members = Members {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: self.detail,
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
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        response
    }
}

/// The answer to a path that no route has.
pub async fn not_found() -> ProblemDetails {
    ProblemDetails::new(StatusCode::NOT_FOUND, "There is nothing at this path.")
}

/// The answer to a method that the route does not have; axum adds `Allow`.
pub async fn method_not_allowed() -> ProblemDetails {
    let detail = "This path does not take this method; Allow lists those that it takes.";
    ProblemDetails::new(StatusCode::METHOD_NOT_ALLOWED, detail)
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

    #[tokio::test]
    async fn every_problem_has_type_title_status_and_detail_and_is_not_kept() {
        for (problem, expected) in [
            (
                not_found().await,
                r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing at this path."}"#,
            ),
            (
                ProblemDetails::new(StatusCode::BAD_GATEWAY, "It said \"no\"."),
                r#"{"type":"about:blank","title":"Bad Gateway","status":502,"detail":"It said \"no\"."}"#,
            ),
        ] {
            let answer = problem.into_response();
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
            assert!(!answer.headers().contains_key(RETRY_AFTER));
            let body = axum::body::to_bytes(answer.into_body(), 4096)
                .await
                .unwrap();
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        for (name, after, expected) in [
            ("zero", Duration::ZERO, "1"),
            ("a fraction", Duration::from_millis(1001), "2"),
            ("whole", Duration::from_secs(30), "30"),
        ] {
            let problem = ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, "Later.");
            let answer = problem.retry_after(after).into_response();
            assert_eq!(answer.headers()[RETRY_AFTER], expected, "{name}");
        }
    }
}
