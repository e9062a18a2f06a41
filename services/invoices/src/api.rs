//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler as _;
use axum::routing::{get, post};
use clock::Clock;
use jwks_validator::{JwtLayer, JwtValidator};
use service_kit::health::{self, Readiness};
use service_kit::problem;
use service_kit::shutdown::Shutdown;
use tokio::sync::{Semaphore, watch};
use url::Url;
use web_session::{RequirePermission, SessionLayer, Unready, WebSessions};

use crate::book::Book;
use crate::downstream::Downstream;
use crate::openapi::openapi;
use crate::{account, assets, calls, documents, events, hello, home, page, pages, people};

/// The state of the routes.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Who the people are.
    pub sessions: WebSessions,
    /// The invoices.
    pub book: Arc<Book>,
    /// Calls protected-data.
    pub downstream: Arc<Downstream>,
    /// Decides on bearer tokens, where they are taken.
    pub bearers: Option<JwtValidator>,
    /// Where a person becomes one.
    pub signup: Option<Url>,
    /// The time on invoices.
    pub clock: Arc<dyn Clock>,
    /// Places for streams of events.
    pub listeners: Arc<Semaphore>,
    /// Whether people could log in when that was last looked at.
    pub ready: watch::Receiver<Result<(), Unready>>,
    /// Makes the service unready, and ends streams.
    pub shutdown: Shutdown,
}

/// Returns the service's routes: pages, the API below `/api/v1/`, those of the sessions below `/api/auth/`, health,
/// `/openapi.json` and `/assets/`.
pub fn app(state: AppState) -> Router {
    let sessions = &state.sessions;
    let ready = state.ready.clone();
    let health = health::routes(&state.shutdown, move || {
        let ready = *ready.borrow();
        Readiness::ready().check("sessions", ready.map_err(Unready::as_str))
    });
    let open = Router::new()
        .route(assets::STYLE_PATH, get(assets::style))
        .route(assets::SCRIPT_PATH, get(assets::script))
        .route(assets::ICON_PATH, get(assets::icon))
        .method_not_allowed_fallback(problem::method_not_allowed);
    Router::new()
        .merge(pages_of(&state))
        .merge(api_of(&state))
        .merge(hello_of(&state))
        .merge(home_of(&state))
        .merge(sessions.routes())
        .merge(open)
        .merge(health)
        .merge(service_kit::openapi::routes(&openapi()))
        .with_state(state)
}

fn permission(name: &str) -> RequirePermission {
    RequirePermission::all([name]).expect("a permission has a name")
}

fn pages_of(state: &AppState) -> Router<AppState> {
    let (read, write) = (permission("invoice:read"), permission("invoice:write"));
    let revoke = permission("session:revoke");
    Router::new()
        .route(
            "/invoices",
            get(pages::list.layer(read.clone())).post(pages::create.layer(write.clone())),
        )
        .route("/invoices/new", get(pages::new.layer(write.clone())))
        .route("/invoices/{id}", get(pages::show.layer(read)))
        .route(
            "/invoices/{id}/cancel",
            post(pages::cancel.layer(write.clone())),
        )
        .route("/invoices/{id}/pay", post(pages::pay.layer(write)))
        .route("/account", get(account::show))
        .route("/account/sessions/end-others", post(account::end_others))
        .route("/account/sessions/{n}/end", post(account::end))
        .route("/people", get(people::show.layer(revoke.clone())))
        .route(
            "/people/{user_id}/end-sessions",
            post(people::end_sessions.layer(revoke)),
        )
        .route("/calls", get(calls::show))
        .method_not_allowed_fallback(page::method_not_allowed)
        .layer(SessionLayer::pages(state.sessions.clone()))
}

fn api_of(state: &AppState) -> Router<AppState> {
    let (read, write) = (permission("invoice:read"), permission("invoice:write"));
    Router::new()
        .route(
            "/api/v1/invoices",
            get(documents::list.layer(read.clone())).post(documents::create.layer(write.clone())),
        )
        .route(
            "/api/v1/invoices/{id}",
            get(documents::show.layer(read.clone())).put(documents::change.layer(write)),
        )
        .route("/api/v1/events", get(events::stream.layer(read)))
        .route("/api/v1/protected", get(calls::as_person))
        .route("/api/v1/machine", get(calls::as_machine))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(SessionLayer::api(state.sessions.clone()))
}

/// Takes a bearer token too, where one can be judged.
fn hello_of(state: &AppState) -> Router<AppState> {
    let router = Router::new()
        .route("/api/v1/hello", post(hello::hello))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(SessionLayer::api(state.sessions.clone()));
    match &state.bearers {
        Some(validator) => router.layer(JwtLayer::new(validator.clone()).optional(true)),
        None => router,
    }
}

/// What everybody may see, unknown paths included.
fn home_of(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/", get(home::show))
        .fallback(page::not_found)
        .method_not_allowed_fallback(page::method_not_allowed)
        .layer(SessionLayer::optional(state.sessions.clone()))
}
