//! An echo, for sessions and for bearer tokens.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use web_session::store::Time;

use crate::api::AppState;
use crate::invoice::FieldErrors;
use crate::json;
use crate::page::rfc3339;

const MAX_MESSAGE: usize = 500;

/// What was said, and when.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hello {
    #[schema(example = "You said \"hi\" at 2026-11-30T12:00:00")]
    message: String,
}

pub(crate) async fn hello(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let members = match json::object(&headers, &body) {
        Ok(members) => members,
        Err(problem) => return problem.into_response(),
    };
    let said = members.get("message").and_then(Value::as_str);
    let Some(said) = said.filter(|it| (1..=MAX_MESSAGE).contains(&it.chars().count())) else {
        let text = "Must be text of 1 to 500 characters.";
        return json::refused(&FieldErrors::from([("message", text)]));
    };
    let now = rfc3339(Time::from(state.clock.now()).unix_millis());
    let now = now.trim_end_matches('Z');
    let message = format!("You said \"{said}\" at {now}");
    Json(Hello { message }).into_response()
}
