//! The id of a request: the caller's, or a new one.
//!
//! [`Server`](crate::server::Server) gives every request exactly one well-formed `x-request-id`, whatever
//! came in, sends it back on the answer, adds it to problem documents as `request_id`, and lets every line
//! that is logged on the request's task end with it (`request.id`). A service that calls another one on
//! behalf of the request sends the header on.

use std::future::Future;

use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::Body as _;

/// Name of the header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are replaced: an id stands in every line about its request.
pub const MAX_REQUEST_ID: usize = 128;

/// Larger problem documents than any of ours stay as they are.
const MAX_PROBLEM: u64 = 8 * 1024;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of one request: 1 to 128 characters of `A–Z a–z 0–9 - _ . : / + =`, so that it can stand in a
/// header, a log line and JSON without being escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the caller's id if the headers hold exactly one and it is well-formed, else a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(&REQUEST_ID).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if is_request_id(value.as_bytes()) => Self(value.clone()),
            _ => Self::new(),
        }
    }

    /// 128 bits in hex. They tell requests apart and are no secret, so no entropy of the operating system
    /// is spent on them.
    fn new() -> Self {
        let id = format!("{:032x}", fastrand::u128(..));
        Self(HeaderValue::try_from(id).expect("hex digits are visible ASCII"))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("only visible ASCII gets in")
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Runs `future` so that lines logged by it carry this id.
    pub(crate) fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self.clone(), future)
    }

    /// Calls `read` with the id of the request that this task works on, if it is one.
    pub(crate) fn with_current<T>(read: impl FnOnce(&Self) -> T) -> Option<T> {
        CURRENT.try_with(read).ok()
    }

    /// Puts the id on an answer, and into it if it is a problem document.
    pub(crate) async fn mark(&self, mut response: Response) -> Response {
        response.headers_mut().insert(REQUEST_ID, self.header());
        if !is_problem(&response) {
            return response;
        }
        // Set by axum from the body as it was.
        response.headers_mut().remove(CONTENT_LENGTH);
        let is_whole = matches!(response.body().size_hint().exact(), Some(1..=MAX_PROBLEM));
        if !is_whole {
            return response;
        }
        let (parts, body) = response.into_parts();
        // A problem of a known size is one of this process, whose body is in memory: this neither waits nor
        // fails.
        let body = axum::body::to_bytes(body, MAX_PROBLEM as usize).await;
        let body = self.added_to(body.unwrap_or_default());
        Response::from_parts(parts, body.into())
    }

    /// Appends the member to a JSON object that has others. The text is not parsed: it is this process's
    /// own, and parsing would put its members in another order.
    fn added_to(&self, body: Bytes) -> Bytes {
        let Some(open) = body.strip_suffix(b"}") else {
            return body;
        };
        let mut added = Vec::with_capacity(body.len() + MAX_REQUEST_ID);
        added.extend_from_slice(open);
        added.extend_from_slice(b",\"request_id\":\"");
        added.extend_from_slice(self.0.as_bytes());
        added.extend_from_slice(b"\"}");
        added.into()
    }
}

fn is_problem(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == "application/problem+json")
}

/// Tells whether these bytes can be passed on as an id.
#[must_use]
pub fn is_request_id(value: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID).contains(&value.len())
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http::StatusCode;

    use super::*;
    use crate::problem::ProblemDetails;

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().unwrap());
        values.map(|value| (REQUEST_ID, value)).collect()
    }

    /// C11
    #[test]
    fn a_well_formed_id_is_kept_and_every_other_is_replaced() {
        let longest = "x".repeat(MAX_REQUEST_ID);
        for kept in ["a", "7f1c-42:a/b_c.d+e=", &longest] {
            assert_eq!(RequestId::of(&headers(&[kept])).as_str(), kept);
        }
        let too_long = "x".repeat(MAX_REQUEST_ID + 1);
        let made = [
            headers(&[]),
            headers(&[""]),
            headers(&["a b"]),
            headers(&["a\"b"]),
            headers(&["a,b"]),
            headers(&[&too_long]),
            headers(&["a", "a"]),
        ]
        .map(|headers| RequestId::of(&headers).as_str().to_owned());
        for id in &made {
            assert!(id.len() == 32 && is_request_id(id.as_bytes()), "{id}");
        }
        assert_ne!(made[0], made[1]);
    }

    #[tokio::test]
    async fn an_answer_carries_the_id_and_a_problem_contains_it() {
        let id = RequestId::of(&headers(&["abc"]));
        let problem = ProblemDetails::new(StatusCode::NOT_FOUND, "No.").into_response();
        for (name, answer, expected) in [
            (
                "a problem",
                problem,
                r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"No.","request_id":"abc"}"#,
            ),
            ("another answer", r#"{"a":1}"#.into_response(), r#"{"a":1}"#),
            (
                "a problem's head",
                {
                    let mut head =
                        ProblemDetails::new(StatusCode::NOT_FOUND, "No.").into_response();
                    *head.body_mut() = axum::body::Body::empty();
                    head.headers_mut().insert(CONTENT_LENGTH, 34.into());
                    head
                },
                "",
            ),
        ] {
            let marked = id.mark(answer).await;
            assert_eq!(marked.headers()[REQUEST_ID], "abc", "{name}");
            assert!(!marked.headers().contains_key(CONTENT_LENGTH), "{name}");
            let body = axum::body::to_bytes(marked.into_body(), 4096)
                .await
                .unwrap();
            assert_eq!(body, expected, "{name}");
        }
    }
}
