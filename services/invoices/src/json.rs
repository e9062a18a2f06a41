//! Bodies of requests, and problems about their members.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use service_kit::problem::ProblemDetails;

use crate::invoice::FieldErrors;

/// Reads a JSON object, or returns the problem with what is none.
pub(crate) fn object(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Map<String, Value>, ProblemDetails> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.as_bytes().split(|byte| *byte == b';').next());
    let is_json = kind.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"));
    if !is_json {
        let detail = "The body must be application/json.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ProblemDetails::new(status, detail));
    }
    match idp_http::json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        _ => {
            let detail = "The body must be a JSON object, with each member once.";
            Err(ProblemDetails::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

/// Returns a problem that says for each member why it cannot be taken.
pub(crate) fn refused(errors: &FieldErrors) -> Response {
    let document = json!({
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Some members cannot be taken.",
        "errors": errors,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::BAD_REQUEST, kind, document.to_string()).into_response()
}
