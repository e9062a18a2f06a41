//! The routes.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use jwks_validator::{AuthError, JwtLayer, JwtValidator, RequireScopes};
use serde::Serialize;
use service_kit::health::{self, Readiness};
use service_kit::problem;
use service_kit::shutdown::Shutdown;
use tracing::{info, warn};

/// What the routes need.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Decides on tokens.
    pub validator: JwtValidator,
    /// What a token must be allowed to do.
    pub required_scopes: Option<RequireScopes>,
    /// Makes the service unready.
    pub shutdown: Shutdown,
}

/// Returns the service's routes: `/api/protected/data`, `/livez` and `/readyz`.
///
/// Everything but the two health routes is behind the validator, unknown paths included.
pub fn app(state: AppState) -> Router {
    let data = match state.required_scopes {
        Some(scopes) => get(protected_data).layer(scopes),
        None => get(protected_data),
    };
    let guarded = problem::fallbacks(Router::new().route("/api/protected/data", data))
        .layer(JwtLayer::new(state.validator.clone()))
        .layer(middleware::map_response(log_refusal));
    let validator = state.validator;
    guarded.merge(health::routes(&state.shutdown, move || {
        readiness(&validator)
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProtectedData {
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
async fn log_refusal(response: Response) -> Response {
    if let Some(error) = response.extensions().get::<AuthError>() {
        let status = error.status().as_u16();
        let reason = error.reason().as_str();
        if error.status().is_server_error() {
            warn!(
                http.status = status,
                auth.reason = reason,
                "could not decide on a request: {error}"
            );
        } else {
            info!(
                http.status = status,
                auth.reason = reason,
                "refused a request: {error}"
            );
        }
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
