//! The routes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use idp_http::Outage;
use serde::Serialize;
use service_kit::health::{self, Readiness};
use service_kit::problem::{self, ProblemDetails};
use service_kit::shutdown::Shutdown;
use token_cache::TokenCache;
use tracing::{debug, warn};
use utoipa::ToSchema;

use crate::downstream::{Downstream, DownstreamError};
use crate::forwarded::forwarded;
use crate::openapi::openapi;

/// Path of the only operation beside health and the document.
pub(crate) const DATA_PATH: &str = "/api/public/data";

/// The state of the routes.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Says whether there is a token.
    pub tokens: TokenCache,
    /// Calls protected-data with it.
    pub downstream: Arc<Downstream>,
    /// Makes the service unready.
    pub shutdown: Shutdown,
}

/// Returns the service's routes: `/api/public/data`, `/livez`, `/readyz`, `/openapi.json`, and
/// problem+json for everything else.
pub fn app(state: AppState) -> Router {
    let tokens = state.tokens.clone();
    let health = health::routes(&state.shutdown, move || readiness(&tokens));
    let routes = Router::new()
        .route(DATA_PATH, get(public_data))
        .merge(health)
        .merge(service_kit::openapi::routes(&openapi()));
    problem::fallbacks(routes).with_state(state)
}

/// The one answer that is no refusal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublicData {
    /// This service's words.
    #[schema(example = "hello world")]
    public_data: &'static str,
    /// Those of protected-data.
    #[schema(example = "here I am")]
    protected_data: String,
}

async fn public_data(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let forwarded = forwarded(&headers);
    // The buffer that the request was read into lives as long as its headers: 8 KiB per waiting caller.
    drop(headers);
    match state.downstream.protected_data(forwarded).await {
        Ok(protected_data) => {
            let body = PublicData {
                public_data: "hello world",
                protected_data,
            };
            // A part of the answer is guarded; no cache on the way may keep it.
            let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (no_store, Json(body)).into_response()
        }
        Err(error) => refusal(&error, &state.downstream.calls().outage),
    }
}

/// Tells the caller the class of the failure and the log its reason.
fn refusal(error: &DownstreamError, outage: &Outage) -> Response {
    let status = error.status();
    match error {
        // The cache has logged why, once per attempt and not once per caller.
        DownstreamError::Token(_) => debug!("no token to call protected-data with: {error}"),
        _ => match outage.failed(error) {
            Some(left_out) => warn!(
                http.status = status.as_u16(),
                "protected-data gave no data: {error}{left_out}"
            ),
            None => debug!(
                http.status = status.as_u16(),
                "protected-data gave no data: {error}"
            ),
        },
    }
    let detail = match status {
        StatusCode::SERVICE_UNAVAILABLE => "protected-data cannot be called at present.",
        StatusCode::GATEWAY_TIMEOUT => "protected-data did not answer in time.",
        _ => "protected-data refused the call or gave no usable answer.",
    };
    let problem = ProblemDetails::new(status, detail);
    match error.retry_after() {
        Some(after) => problem.retry_after(after),
        None => problem,
    }
    .into_response()
}

fn readiness(tokens: &TokenCache) -> Readiness {
    let health = tokens.health();
    let result = if health.is_ready() {
        Ok(())
    } else {
        Err(match health.last_error {
            Some(kind) => format!("no token: {}", kind.as_str()),
            None => "no token yet".to_owned(),
        })
    };
    Readiness::ready().check("token", result)
}
