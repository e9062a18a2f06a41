//! Answers that nobody should give, with something in them that must not get any further.

use axum::body::Bytes;
use axum::http::{StatusCode, header};

use crate::faults::Nonsense;
use crate::network::Response;

/// Stands in foreign bodies and in headers of callers; must be in no answer, log line or call.
pub(crate) const CANARY: &str = "canary-7f3a";

pub(crate) fn answer(nonsense: Nonsense) -> Response {
    let (status, kind, body) = match nonsense {
        Nonsense::Status(status, _) => (status, "text/plain", CANARY.to_owned()),
        Nonsense::Html => (200, "text/html", format!("<p>{CANARY}</p>")),
        Nonsense::OtherJson => (
            200,
            "application/json",
            format!(r#"{{"{CANARY}":["{CANARY}"],"keys":7,"protectedData":7,"access_token":7}}"#),
        ),
        Nonsense::EmptyKeys => (200, "application/json", r#"{"keys":[]}"#.to_owned()),
        Nonsense::HalfJson => (200, "application/json", format!(r#"{{"{CANARY}":["#)),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
    if let Nonsense::Status(401, _) = nonsense {
        let challenge = r#"Bearer error="invalid_token""#;
        headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
    }
    if let Nonsense::Status(_, Some(seconds)) = nonsense {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
