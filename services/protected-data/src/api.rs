//! The routes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::handler::Handler as _;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use jwks_validator::{AuthError, JwtLayer, JwtValidator, RequireScopes, TokenFrom};
use serde::Serialize;
use service_kit::health::{self, Readiness};
use service_kit::problem;
use service_kit::shutdown::Shutdown;
use tower::util::MapResponseLayer;
use tracing::{Level, debug, enabled, info, warn};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::decisions::Decisions;
use crate::openapi::openapi_for;

/// Path of the only operation beside health and the document.
pub const DATA_PATH: &str = "/api/protected/data";

/// Target of the log lines about requests that are refused; `cargo up` shows them.
const REFUSAL: &str = "protected_data::refusal";

/// The state of the routes.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Decides on tokens.
    pub validator: JwtValidator,
    /// The scopes that a token must have.
    pub required_scopes: Option<RequireScopes>,
    /// Where a request's token stands.
    pub token_from: TokenFrom,
    /// Counts the decisions.
    pub decisions: Arc<Decisions>,
    /// Makes the service unready.
    pub shutdown: Shutdown,
}

/// Returns the service's routes: `/api/protected/data`, `/livez`, `/readyz` and `/openapi.json`.
///
/// Everything but the last three is behind the validator, unknown paths included.
pub fn app(state: AppState) -> Router {
    let decisions = &state.decisions;
    let tokens = JwtLayer::new(state.validator.clone()).token_from(state.token_from.clone());
    let guard = (logging(decisions), tokens.clone());
    // Around each handler and not around the router: that would box every route once more, and copy the
    // boxes on every request.
    let data = match state.required_scopes {
        Some(scopes) => get(protected_data.layer((logging(decisions), tokens, scopes))),
        None => get(protected_data.layer(guard.clone())),
    };
    let guarded = Router::new()
        .route(DATA_PATH, data)
        .fallback(problem::not_found.layer(guard.clone()))
        .method_not_allowed_fallback(problem::method_not_allowed.layer(guard));
    let validator = state.validator;
    // Decided here and not per request: a service that does not log it pays nothing for it.
    let guarded = if enabled!(Level::DEBUG) {
        let explaining = (validator.clone(), state.token_from.clone());
        let explain = middleware::from_fn_with_state(explaining, explain_refusal);
        guarded.layer(explain)
    } else {
        guarded
    };
    guarded
        .merge(health::routes(&state.shutdown, move || {
            readiness(&validator)
        }))
        .merge(service_kit::openapi::routes(&openapi_for(
            &state.token_from,
        )))
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

/// Logs refusals, and takes the bodies out of the guards, so that axum need not box them once more.
fn logging<B: Into<Body>>(
    decisions: &Arc<Decisions>,
) -> MapResponseLayer<impl Fn(Response<B>) -> Response + Clone + use<B>> {
    let decisions = Arc::clone(decisions);
    MapResponseLayer::new(move |response: Response<B>| {
        log_refusal(&decisions, &response);
        response.map(Into::into)
    })
}

/// The caller is told a code; the reason is for the log.
fn log_refusal<B>(decisions: &Decisions, response: &Response<B>) {
    if let Some(error) = response.extensions().get::<AuthError>() {
        decisions.refused(error.reason());
        let status = error.status().as_u16();
        let reason = error.reason().as_str();
        let advice = match decisions.advice(error.reason()) {
            Some(advice) => format!("; {advice}"),
            None => String::new(),
        };
        if error.status().is_server_error() {
            match decisions.outage.failed(error) {
                Some(left_out) => warn!(
                    target: REFUSAL,
                    { http.status = status, auth.reason = reason },
                    "could not decide on a request: {error}{advice}{left_out}"
                ),
                None => debug!(
                    target: REFUSAL,
                    { http.status = status, auth.reason = reason },
                    "could not decide on a request: {error}"
                ),
            }
        } else {
            info!(
                target: REFUSAL,
                { http.status = status, auth.reason = reason },
                "refused a request: {error}{advice}"
            );
        }
    } else {
        decisions.accepted();
    }
}

/// Writes to the debug log which check a refused token failed and by how much.
async fn explain_refusal(
    State((validator, token_from)): State<(JwtValidator, TokenFrom)>,
    request: Request,
    next: Next,
) -> Response {
    let token = token_from.token(&request);
    let token = token
        .ok()
        .map(|(_, token)| Zeroizing::new(token.to_owned()));
    let response = next.run(request).await;
    let token = token.filter(|_| {
        let refused = response.extensions().get::<AuthError>();
        refused.is_some_and(|error| {
            matches!(
                error.status(),
                StatusCode::UNAUTHORIZED | StatusCode::SERVICE_UNAVAILABLE
            )
        })
    });
    if let Some(token) = token {
        let explanation = validator.explain(&token).await.one_line();
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
