//! The control API, see the crate's documentation.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::StringRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
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
use crate::mint::TokenSpec;
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
        .route("/mint", post(mint))
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

async fn mint(
    State(provider): State<Arc<Provider>>,
    body: Result<String, StringRejection>,
) -> Result<Json<Value>, Response> {
    let body = body.map_err(|rejection| {
        let detail = "The body is larger than 256 KiB, or no UTF-8 text.";
        problem(rejection.status(), detail)
    })?;
    minted(&provider, &body).map_err(IntoResponse::into_response)
}

fn minted(provider: &Provider, body: &str) -> Result<Json<Value>, BadRequest> {
    let asked = if body.is_empty() {
        Map::new()
    } else {
        serde_json::from_str(body).map_err(|_| BadRequest("The body is not a JSON object."))?
    };
    let token = spec(asked)?.sign(provider);
    let token = token.map_err(|_| BadRequest("The token could not be signed."))?;
    Ok(Json(json!({ "access_token": token })))
}

fn spec(asked: Map<String, Value>) -> Result<TokenSpec, BadRequest> {
    let mut spec = TokenSpec::new();
    for (member, value) in asked {
        match (member.as_str(), value) {
            ("claims", Value::Object(claims)) => {
                for (name, value) in claims {
                    spec = spec.claim(name, value);
                }
            }
            ("header", Value::Object(header)) => {
                for (name, value) in header {
                    spec = spec.header(name, value);
                }
            }
            ("without", Value::Array(names)) => {
                for name in names {
                    spec = spec.without_claim(text(name)?);
                }
            }
            ("without_header", Value::Array(names)) => {
                for name in names {
                    spec = spec.without_header(text(name)?);
                }
            }
            ("algorithm", Value::String(name)) => {
                let algorithm = Algorithm::from_name(&name);
                let algorithm =
                    algorithm.ok_or(BadRequest("`algorithm` is RS256, ES256 or EdDSA."))?;
                spec = spec.algorithm(algorithm);
            }
            ("lifetime_s", value) => {
                let seconds = value.as_u64();
                let seconds = seconds.ok_or(BadRequest("`lifetime_s` is not a whole number."))?;
                spec = spec.lifetime(Duration::from_secs(seconds));
            }
            _ => return Err(BadRequest("A member is unknown or has the wrong type.")),
        }
    }
    Ok(spec)
}

fn text(value: Value) -> Result<String, BadRequest> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(BadRequest("A name is not a string.")),
    }
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
        Some(_) => {
            let status = number(query, "status")?
                .and_then(|status| u16::try_from(status).ok())
                // An informational status is not an answer; hyper would refuse to send it.
                .filter(|status| (200..=999).contains(status))
                .ok_or(BadRequest("`status` is -1 or 200 to 999."))?;
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
