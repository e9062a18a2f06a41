//! The control API, see the crate's documentation.

mod people;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::StringRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};

use crate::faults::{Effect, Fault};
use crate::form::Form;
use crate::keyring::Rotation;
use crate::keys::Algorithm;
use crate::pages::is_loopback_host;
use crate::provider::{Provider, route};
use crate::requests::Endpoint;
use crate::server::Handler;

const MAX_BODY: usize = 256 * 1024;

pub(crate) fn handler(provider: Arc<Provider>) -> Handler {
    let routes = Router::new()
        .route("/rotate", post(rotate))
        .route("/retire", post(retire))
        .route("/algorithm", post(algorithm))
        .route("/lifetime", post(lifetime))
        .route("/fault", post(add_fault).delete(clear_faults))
        .route("/mint", post(tokens::mint))
        .route("/tamper", post(tokens::tamper))
        .route("/refresh-tokens", post(people::refresh_tokens))
        .route("/pushed-requests", post(people::pushed_requests))
        .route("/client", post(people::client))
        .route("/person", post(people::person))
        .route(
            "/sessions",
            get(people::sessions).delete(people::end_sessions),
        )
        .route("/requests", get(requests))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(refuse_web_pages))
        .with_state(provider);
    Arc::new(move |request| {
        let routes = routes.clone();
        Box::pin(async move { Ok(route(routes, request).await) })
    })
}

/// A request that the control API does not understand, with the reason.
struct BadRequest(&'static str);

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        problem(StatusCode::BAD_REQUEST, self.0)
    }
}

/// A JSON object as the body; none is an empty one.
struct Object(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let body = String::from_request(request, state).await;
        let body = body.map_err(|rejection: StringRejection| {
            let detail = "The body is larger than 256 KiB, or no UTF-8 text.";
            problem(rejection.status(), detail)
        })?;
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        let object = serde_json::from_str(&body);
        let object = object.map_err(|_| BadRequest("The body is not a JSON object."));
        object.map(Self).map_err(IntoResponse::into_response)
    }
}

/// A problem document (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Response {
    let members = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let kind = [(CONTENT_TYPE, "application/problem+json")];
    (status, kind, members.to_string()).into_response()
}

async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "There is nothing at this path.")
}

async fn method_not_allowed() -> Response {
    let detail = "This path does not take this method; Allow lists those that it takes.";
    problem(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Any page in the developer's browser can reach loopback. Its requests carry `Origin`; those that
/// do not, because a hostile name was made to resolve to loopback, carry that name as `Host`.
async fn refuse_web_pages(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(ORIGIN) || !is_loopback_host(headers) {
        let detail = "The control API is not for web pages.";
        return problem(StatusCode::FORBIDDEN, detail);
    }
    next.run(request).await
}

async fn rotate(State(provider): State<Arc<Provider>>, uri: Uri) -> Result<Json<Value>, Response> {
    let query = query(&uri).map_err(IntoResponse::into_response)?;
    let rotation = match query.value("mode") {
        None | Some("overlapping") => Rotation::Overlapping,
        Some("hard") => Rotation::Hard,
        Some(_) => return Err(BadRequest("`mode` is overlapping or hard.").into_response()),
    };
    match provider.rotate(rotation).await {
        Ok(()) => Ok(Json(provider.key_summary())),
        Err(error) => {
            let detail = format!("No new keys: {error}.");
            Err(problem(StatusCode::INTERNAL_SERVER_ERROR, &detail))
        }
    }
}

async fn retire(State(provider): State<Arc<Provider>>) -> Json<Value> {
    provider.keys.lock().retire();
    Json(provider.key_summary())
}

async fn algorithm(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let query = query(&uri)?;
    let algorithm = query.value("name").and_then(Algorithm::from_name);
    provider.settings.lock().algorithm =
        algorithm.ok_or(BadRequest("`name` is RS256, ES256 or EdDSA."))?;
    Ok(Json(provider.key_summary()))
}

async fn lifetime(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let seconds = number(&query(&uri)?, "seconds")?;
    let seconds = seconds.ok_or(BadRequest("`seconds` is missing."))?;
    provider.settings.lock().lifetime = Duration::from_secs(seconds);
    Ok(Json(json!({ "seconds": seconds })))
}

async fn add_fault(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let fault = fault(&query(&uri)?)?;
    provider.faults.add(fault);
    Ok(Json(json!({})))
}

async fn clear_faults(State(provider): State<Arc<Provider>>) -> Json<Value> {
    provider.tampering.clear();
    provider.faults.clear();
    Json(json!({}))
}

async fn requests(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let counts = *provider.requests.borrow();
    Json(json!({
        "token": counts.token,
        "jwks": counts.jwks,
        "metadata": counts.metadata,
        "authorize": counts.authorize,
        "pages": counts.pages,
        "userinfo": counts.userinfo,
        "revocation": counts.revocation,
        "logout": counts.logout,
        "pushed_request": counts.pushed_request,
        "other": counts.other,
    }))
}

fn fault(query: &Form) -> Result<Fault, BadRequest> {
    let endpoint = match query.value("endpoint") {
        Some("token") => Endpoint::Token,
        Some("jwks") => Endpoint::Jwks,
        Some("metadata") => Endpoint::Metadata,
        Some("authorize") => Endpoint::Authorize,
        Some("pages") => Endpoint::Pages,
        Some("userinfo") => Endpoint::Userinfo,
        Some("revocation") => Endpoint::Revocation,
        Some("logout") => Endpoint::Logout,
        Some("pushed_request") => Endpoint::PushedRequest,
        None | Some("any") => Endpoint::Any,
        Some(_) => {
            return Err(BadRequest(
                "`endpoint` is token, jwks, metadata, authorize, pages, userinfo, revocation, logout, \
                 pushed_request or any.",
            ));
        }
    };
    let mut fault = Fault::on(endpoint);
    match number(query, "count")?.unwrap_or(1) {
        0 => {}
        times => fault = fault.times(times),
    }
    if let Some(delay_ms) = number(query, "delay_ms")? {
        fault = fault.delay(Duration::from_millis(delay_ms));
    }
    match query.value("status") {
        Some("-1") => fault = fault.effect(Effect::Close),
        Some("-2") => fault = fault.effect(Effect::LoseAnswer),
        Some(_) => {
            let status = number(query, "status")?
                .and_then(|status| u16::try_from(status).ok())
                // An informational status is not an answer; hyper would refuse to send it.
                .filter(|status| (200..=999).contains(status))
                .ok_or(BadRequest("`status` is -1, -2 or 200 to 999."))?;
            fault = fault.status(status);
            if let Some(seconds) = number(query, "retry_after")? {
                fault = fault.header("retry-after", &seconds.to_string());
            }
            fault = fault.body(query.value("body").unwrap_or_default().to_owned());
        }
        None if query.value("body").is_some() || query.value("retry_after").is_some() => {
            return Err(BadRequest("`body` and `retry_after` need a status."));
        }
        None => {}
    }
    Ok(fault)
}

fn query(uri: &Uri) -> Result<Form, BadRequest> {
    let query = Form::parse(uri.query().unwrap_or_default());
    query.map_err(|_| BadRequest("The query is not form-urlencoded."))
}

fn number(query: &Form, name: &str) -> Result<Option<u64>, BadRequest> {
    let value = query.value(name).map(str::parse);
    value
        .transpose()
        .map_err(|_| BadRequest("A number is expected."))
}
