//! The addresses below `/api/auth/`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use crate::answer::{self, Format};
use crate::fetch_metadata::{Purpose, purpose};
use crate::guard::{Kind, Unfresh, format_of, nobody};
use crate::public_url::Origin;
use crate::session::{Admitted, Session};
use crate::sessions::{Found, Inner, Live, WebSessions};
use crate::state::SessionState;
use crate::tenancy::TenantName;
use crate::user_token::UserTokenError;

/// A request to one of our addresses, on a host of ours.
pub(crate) struct Visit<'r> {
    pub(crate) parts: &'r Parts,
    pub(crate) origin: Origin,
    /// Of the host.
    pub(crate) label: Option<TenantName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Login,
    Callback,
    Session,
    Token,
    Logout,
    LoggedOut,
    BackChannelLogout,
}

impl Address {
    const ALL: [(&'static str, Self); 7] = [
        ("/api/auth/login", Self::Login),
        ("/api/auth/callback", Self::Callback),
        ("/api/auth/session", Self::Session),
        ("/api/auth/token", Self::Token),
        ("/api/auth/logout", Self::Logout),
        ("/api/auth/logged-out", Self::LoggedOut),
        ("/api/auth/backchannel-logout", Self::BackChannelLogout),
    ];

    fn methods(self) -> &'static str {
        match self {
            Self::Logout => "GET, POST",
            Self::BackChannelLogout => "POST",
            _ => "GET",
        }
    }

    /// What the address is left by must not tell where the person was: its query has a code or a state.
    fn referrer_policy(self) -> &'static str {
        match self {
            Self::Login | Self::Callback | Self::LoggedOut => "no-referrer",
            _ => "same-origin",
        }
    }
}

pub(crate) fn router<S: Clone + Send + Sync + 'static>(sessions: &WebSessions) -> Router<S> {
    let mut router = Router::new().route("/api/auth/style.css", any(style));
    for (path, address) in Address::ALL {
        let inner = Arc::clone(&sessions.inner);
        let handler = async move |request: Request| respond(&inner, address, request).await;
        router = router.route(path, any(handler));
    }
    router
}

async fn respond(inner: &Arc<Inner>, address: Address, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut logout_origin = None;
    let mut response = match inner.arrive(&parts) {
        Err(answer) => *answer,
        Ok((origin, label)) => {
            let parts = &parts;
            let visit = Visit {
                parts,
                origin,
                label,
            };
            match (address, &parts.method) {
                (Address::Login, &Method::GET) => crate::login::get(inner, visit).await,
                (Address::Callback, &Method::GET) => crate::callback::get(inner, visit).await,
                (Address::Session, &Method::GET) => session(inner, visit).await,
                (Address::Token, &Method::GET) => token(inner, visit).await,
                (Address::Logout, &Method::GET) => {
                    let (page, origin) = crate::logout::page(inner, visit).await;
                    logout_origin = origin;
                    page
                }
                (Address::Logout, &Method::POST) => crate::logout::post(inner, visit, body).await,
                (Address::LoggedOut, &Method::GET) => crate::logout::logged_out(inner, &visit),
                (Address::BackChannelLogout, &Method::POST) => {
                    crate::logout::backchannel(inner, visit, body).await
                }
                _ => not_allowed(parts, address.methods()),
            }
        }
    };
    inner.finish(
        &mut response,
        address.referrer_policy(),
        logout_origin.as_deref(),
    );
    response
}

fn not_allowed(parts: &Parts, methods: &'static str) -> Response {
    let mut response = answer::METHOD.response(format_of(parts));
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

async fn style() -> Response {
    let mut response = Response::new(Body::from(answer::STYLE));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/css; charset=utf-8"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Login and callback are for people who go there: neither for what a page loads, nor for a browser that guesses.
pub(crate) fn refuse_unless_navigation(parts: &Parts) -> Option<Response> {
    match purpose(&parts.headers) {
        Purpose::Navigation => None,
        Purpose::Prefetch => Some(answer::PREFETCH.response(Format::Problem)),
        Purpose::Other => Some(answer::NOT_A_NAVIGATION.response(Format::Problem)),
    }
}

/// Reads a query. Fails where it is longer than `max` or one of these names stands there twice.
pub(crate) fn parameters<const N: usize>(
    parts: &Parts,
    max: usize,
    names: [&str; N],
) -> Option<[Option<String>; N]> {
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > max {
        return None;
    }
    let mut found = [const { None }; N];
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if let Some(at) = names.iter().position(|one| *one == name)
            && found[at].replace(value.into_owned()).is_some()
        {
            return None;
        }
    }
    Some(found)
}

/// The session of a request to one of our own addresses, or the answer without one.
pub(crate) async fn live(
    inner: &Arc<Inner>,
    visit: &Visit<'_>,
    format: Format,
) -> Result<Option<Live>, Response> {
    if inner.clock.is_unset() {
        return Err(answer::CLOCK_UNSET.response(format));
    }
    match inner.session_of(&visit.parts.headers, &visit.origin).await {
        Found::Live(live) => Ok(Some(*live)),
        Found::Nobody => Ok(None),
        Found::Two => Err(answer::TWO_SESSIONS.response(format)),
        Found::Unavailable(error) => {
            tracing::warn!("a session cannot be read: {error}");
            Err(answer::STORE_AWAY.response(format))
        }
    }
}

/// The body of a request to one of our own addresses.
pub(crate) async fn body_of(body: Body, max: usize) -> Result<Vec<u8>, Response> {
    let bytes = to_bytes(body, max).await;
    bytes
        .map(Vec::from)
        .map_err(|_| answer::TOO_LARGE.response(Format::Problem))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionDocument<'a> {
    user_id: &'a str,
    tenant_id: &'a str,
    metadata: SessionMetadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionMetadata<'a> {
    email: Option<&'a str>,
    display_name: Option<&'a str>,
    tenant_name: Option<&'a str>,
    roles: &'a [String],
    permissions: Vec<&'a str>,
    /// In milliseconds since 1970.
    expires_at: u64,
}

async fn session(inner: &Arc<Inner>, visit: Visit<'_>) -> Response {
    let live = match fresh(inner, &visit).await {
        Ok(live) => live,
        Err(answer) => return answer,
    };
    let state: &SessionState = &live.state;
    let person = &state.person;
    answer::json(
        StatusCode::OK,
        &SessionDocument {
            user_id: &person.subject,
            tenant_id: &person.tenant_id,
            metadata: SessionMetadata {
                email: person.email.as_deref(),
                display_name: person.display_name.as_deref(),
                tenant_name: person.tenant_name.as_ref().map(TenantName::as_str),
                roles: &person.roles,
                permissions: inner.permissions(state),
                expires_at: live.row.ends.unix_millis(),
            },
        },
    )
}

/// The session of a request as an API's guard would have it.
async fn fresh(inner: &Arc<Inner>, visit: &Visit<'_>) -> Result<Live, Response> {
    let nobody = || nobody(inner, Kind::Api, visit.parts, &visit.origin);
    let live = live(inner, visit, Format::Problem)
        .await?
        .ok_or_else(nobody)?;
    inner.kept_fresh(live).await.map_err(|error| match error {
        Unfresh::Ended => nobody(),
        Unfresh::TooStale(wait) => answer::NO_USER_TOKEN.after(wait).response(Format::Problem),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenDocument<'a> {
    access_token: &'a str,
    /// In milliseconds since 1970.
    expires_at: u64,
}

async fn token(inner: &Arc<Inner>, visit: Visit<'_>) -> Response {
    use secrecy::ExposeSecret as _;

    if !inner.settings.hands_out_tokens {
        return answer::NOT_FOUND.response(format_of(visit.parts));
    }
    let live = match fresh(inner, &visit).await {
        Ok(live) => live,
        Err(answer) => return answer,
    };
    let session = Session(Arc::new(Admitted {
        inner: Arc::clone(inner),
        live,
    }));
    match session.user_token().await {
        Ok(token) => answer::json(
            StatusCode::OK,
            &TokenDocument {
                access_token: token.secret().expose_secret(),
                expires_at: token.expires().unix_millis(),
            },
        ),
        Err(UserTokenError::Unavailable(wait)) => {
            answer::NO_USER_TOKEN.after(wait).response(Format::Problem)
        }
        Err(_) => nobody(inner, Kind::Api, visit.parts, &visit.origin),
    }
}
