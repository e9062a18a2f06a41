//! The routes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::handler::Handler as _;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use jwks_validator::{AuthError, JwtLayer, JwtValidator, RequireScopes};
use serde::Serialize;
use service_kit::health::{self, Readiness};
use service_kit::problem;
use service_kit::shutdown::Shutdown;
use tower::util::MapResponseLayer;
use tracing::{Level, debug, enabled, info, warn};
use utoipa::ToSchema;

use crate::advice::advice_on_refusal;
use crate::decisions::Decisions;
use crate::openapi::openapi;

/// Path of the only operation beside health and the document.
pub const DATA_PATH: &str = "/api/protected/data";

/// What the routes need.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Decides on tokens.
    pub validator: JwtValidator,
    /// What a token must be allowed to do.
    pub required_scopes: Option<RequireScopes>,
    /// Counts what is decided.
    pub decisions: Arc<Decisions>,
    /// Makes the service unready.
    pub shutdown: Shutdown,
}

/// Returns the service's routes: `/api/protected/data`, `/livez`, `/readyz` and `/openapi.json`.
///
/// Everything but the last three is behind the validator, unknown paths included.
pub fn app(state: AppState) -> Router {
    let decisions = state.decisions;
    let guard = (
        MapResponseLayer::new(move |response| log_refusal(&decisions, response)),
        JwtLayer::new(state.validator.clone()),
    );
    // Around each handler and not around the router: that would box every route once more, and copy the
    // boxes on every request.
    let data = match state.required_scopes {
        Some(scopes) => get(protected_data.layer((guard.clone(), scopes))),
        None => get(protected_data.layer(guard.clone())),
    };
    let guarded = Router::new()
        .route(DATA_PATH, data)
        .fallback(problem::not_found.layer(guard.clone()))
        .method_not_allowed_fallback(problem::method_not_allowed.layer(guard));
    let validator = state.validator;
    // Decided here and not per request: a service that does not log it pays nothing for it.
    let guarded = if enabled!(Level::DEBUG) {
        let explain = middleware::from_fn_with_state(validator.clone(), explain_refusal);
        guarded.layer(explain)
    } else {
        guarded
    };
    guarded
        .merge(health::routes(&state.shutdown, move || {
            readiness(&validator)
        }))
        .merge(service_kit::openapi::routes(&openapi()))
}

/// The one answer that is no refusal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProtectedData {
    /// This service's words.
    #[schema(example = "here I am")]
    protected_data: &'static str,
}

async fn protected_data() -> impl IntoResponse {
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (
        no_store,
        Json(ProtectedData {
            protected_data: "here I am",
        }),
    )
}

/// The caller is told a code; the reason is for the log.
fn log_refusal(decisions: &Decisions, response: Response) -> Response {
    if let Some(error) = response.extensions().get::<AuthError>() {
        decisions.refused(error.reason());
        let status = error.status().as_u16();
        let reason = error.reason().as_str();
        let advice = match advice_on_refusal(error.reason()) {
            Some(advice) => format!("; {advice}"),
            None => String::new(),
        };
        if error.status().is_server_error() {
            match decisions.outage.failed(error) {
                Some(left_out) => warn!(
                    http.status = status,
                    auth.reason = reason,
                    "could not decide on a request: {error}{advice}{left_out}"
                ),
                None => debug!(
                    http.status = status,
                    auth.reason = reason,
                    "could not decide on a request: {error}"
                ),
            }
        } else {
            info!(
                http.status = status,
                auth.reason = reason,
                "refused a request: {error}{advice}"
            );
        }
    } else {
        decisions.accepted();
    }
    response
}

/// Says which check a refused token failed and by how much, to whoever reads debug logs.
async fn explain_refusal(
    State(validator): State<JwtValidator>,
    request: Request,
    next: Next,
) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let response = next.run(request).await;
    let token = authorization.as_ref().and_then(|value| {
        let refused = response.extensions().get::<AuthError>()?;
        let is_about_token = matches!(
            refused.status(),
            StatusCode::UNAUTHORIZED | StatusCode::SERVICE_UNAVAILABLE
        );
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        (is_about_token && scheme.eq_ignore_ascii_case("Bearer")).then_some(token)
    });
    if let Some(token) = token {
        let explanation = validator.explain(token).await.one_line();
        debug!(auth.explanation = explanation, "explained a refusal");
    }
    response
}

fn readiness(validator: &JwtValidator) -> Readiness {
    let result = if validator.ready() {
        Ok(())
    } else {
        let error = validator
            .health()
            .into_iter()
            .find_map(|issuer| issuer.last_error);
        Err(match error {
            Some(kind) => format!("no keys: {kind}"),
            None => "no keys yet".to_owned(),
        })
    };
    Readiness::ready().check("keys", result)
}
