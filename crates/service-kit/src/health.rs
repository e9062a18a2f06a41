//! Liveness and readiness routes.

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem;
use crate::shutdown::Shutdown;

/// Path of the liveness route.
pub const LIVE_PATH: &str = "/livez";

/// Path of the readiness route.
pub const READY_PATH: &str = "/readyz";

/// Whether a service can do its work now, and if not, what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    reasons: Vec<UnreadyReason>,
}

/// One failed check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FailedCheck)]
pub(crate) struct UnreadyReason {
    /// The name of the check.
    #[schema(example = "token")]
    check: &'static str,
    /// Why it failed.
    #[schema(example = "no token yet")]
    reason: Cow<'static, str>,
}

impl Readiness {
    /// Ready, with nothing checked.
    pub const fn ready() -> Self {
        Self {
            reasons: Vec::new(),
        }
    }

    /// Unready because `check` failed.
    pub fn unready(check: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::ready().check(check, Err(reason))
    }

    /// Adds the result of one more check; the whole is ready when all are.
    ///
    /// Every caller of the route is shown the reason, so it must hold no secret and no text from another server.
    #[must_use]
    pub fn check(
        mut self,
        check: &'static str,
        result: Result<(), impl Into<Cow<'static, str>>>,
    ) -> Self {
        if let Err(reason) = result {
            self.reasons.push(UnreadyReason {
                check,
                reason: reason.into(),
            });
        }
        self
    }

    /// Tells whether every check passed.
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Returns a router with `GET` (and `HEAD`) `/livez` and `/readyz`.
///
/// `/livez` is 200 `{"status":"ok"}` as long as the process answers. `/readyz` calls `ready` and is 200
/// `{"status":"ready"}` or 503 with one entry per failed check; while `shutdown` is draining it is 503
/// with the check `shutdown`, whatever `ready` says. Both are sent with `Cache-Control: no-store`, and
/// [`Server`](crate::server::Server) never sheds them. `ready` runs on a request's task: it must not
/// block.
///
/// Merge them outside of any authentication layer, as whole paths: there is no prefix under which
/// other routes would escape that layer.
pub fn routes<S, F>(shutdown: &Shutdown, ready: F) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    F: Fn() -> Readiness + Clone + Send + Sync + 'static,
{
    let shutdown = shutdown.clone();
    Router::new()
        .route(
            LIVE_PATH,
            get(|| async { json(StatusCode::OK, &HealthDocument::new("ok")) }),
        )
        .route(
            READY_PATH,
            get(move || async move { readiness(&shutdown, &ready()) }),
        )
        // Set here: a fallback of the router that merges these comes too early for them.
        .method_not_allowed_fallback(problem::method_not_allowed)
}

/// The answer of a health route.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthDocument<'a> {
    /// `ok`, `ready` or `unready`.
    #[schema(pattern = "^(ok|ready|unready)$")]
    status: &'static str,
    /// The checks that failed; left out if none did.
    #[serde(skip_serializing_if = "<[UnreadyReason]>::is_empty")]
    #[schema(required = false, min_items = 1)]
    reasons: &'a [UnreadyReason],
}

impl HealthDocument<'_> {
    const fn new(status: &'static str) -> Self {
        Self {
            status,
            reasons: &[],
        }
    }
}

fn readiness(shutdown: &Shutdown, readiness: &Readiness) -> Response {
    if shutdown.is_draining() {
        let reasons = [UnreadyReason {
            check: "shutdown",
            reason: "draining".into(),
        }];
        let report = HealthDocument {
            status: "unready",
            reasons: &reasons,
        };
        return json(StatusCode::SERVICE_UNAVAILABLE, &report);
    }
    if readiness.is_ready() {
        return json(StatusCode::OK, &HealthDocument::new("ready"));
    }
    let report = HealthDocument {
        status: "unready",
        reasons: &readiness.reasons,
    };
    json(StatusCode::SERVICE_UNAVAILABLE, &report)
}

fn json(status: StatusCode, report: &HealthDocument<'_>) -> Response {
    // Strings always serialize; the status alone is still a correct answer otherwise.
    let body = serde_json::to_vec(report).unwrap_or_default();
    let mut response = Body::from(body).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
