//! Layers that know who makes a request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use jwks_validator::Claims;
use tower::{Layer, Service};

use crate::answer::{self, Format, Notice};
use crate::cookies::SessionSameSite;
use crate::counts::CsrfRefusal;
use crate::csrf;
use crate::fetch_metadata::{Purpose, is_cross_site, purpose};
use crate::public_url::{Arrival, Origin};
use crate::refresh::{Cause, Refreshed};
use crate::session::{Admitted, Session};
use crate::sessions::{Found, Inner, Live, WebSessions};
use crate::state::Freshness;
use crate::store::StoreError;
use crate::tenancy::{LoginTenant, TenantName};

/// A body that may hold a CSRF token is read up to here.
pub(crate) const MAX_FORM: usize = 64 * 1024;

/// Guards what is behind it by the session cookie.
///
/// It finds the session, renews its tokens where they need it, checks that what changes something comes from a page
/// of ours, and adds to every answer what keeps it from being kept or framed. Handlers take
/// [`Session`], [`UserToken`](crate::UserToken) and [`CsrfToken`](crate::CsrfToken).
#[derive(Clone, Debug)]
pub struct SessionLayer {
    sessions: WebSessions,
    kind: Kind,
}

/// The service of [`SessionLayer`].
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    layer: SessionLayer,
}

/// What stands behind a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pages,
    Api,
    Optional,
}

/// What a layer found out about a request, for extractors.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) kind: Kind,
    pub(crate) sessions: WebSessions,
    pub(crate) origin: Origin,
}

impl SessionLayer {
    /// For pages: who has no session and goes to one is sent to log in, and comes back.
    #[must_use]
    pub fn pages(sessions: WebSessions) -> Self {
        let kind = Kind::Pages;
        Self { sessions, kind }
    }

    /// For an API: who has no session gets 401. Where a `JwtLayer` stands before it and took a bearer token, that
    /// decides alone, and the session is not looked at.
    #[must_use]
    pub fn api(sessions: WebSessions) -> Self {
        let kind = Kind::Api;
        Self { sessions, kind }
    }

    /// For what everybody may see: a session that can be had is there, and otherwise the request is anonymous.
    #[must_use]
    pub fn optional(sessions: WebSessions) -> Self {
        let kind = Kind::Optional;
        Self { sessions, kind }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        SessionService { inner, layer }
    }
}

impl<S> Service<Request> for SessionService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone is not the one that said it is ready.
        let clone = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move { Ok(layer.guard(service, request).await) })
    }
}

impl SessionLayer {
    async fn guard<S>(self, mut service: S, request: Request) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let inner = &self.sessions.inner;
        let (mut parts, body) = request.into_parts();
        let origin = match inner.arrive(&parts) {
            Ok((origin, _)) => origin,
            Err(mut answer) => {
                inner.finish(&mut answer, "no-referrer", None);
                return *answer;
            }
        };
        let is_bearers = self.kind == Kind::Api && parts.extensions.get::<Arc<Claims>>().is_some();
        let admission = match is_bearers {
            true => Admission::Goes(None, body),
            false => self.admit(&parts, &origin, body).await,
        };
        let (session, body) = match admission {
            Admission::Goes(session, body) => (session, body),
            Admission::Refused(mut answer) => {
                inner.finish(&mut answer, "same-origin", None);
                return answer;
            }
        };
        parts.extensions.insert(Arrived {
            kind: self.kind,
            sessions: self.sessions.clone(),
            origin,
        });
        let tenant = session.as_ref().map(Session::tenant);
        if let Some(session) = &session {
            parts.extensions.insert(session.clone());
        }
        let is_activity = parts
            .headers
            .get("x-session-activity")
            .is_none_or(|value| value != "none");
        let request = Request::from_parts(parts, body);
        let Ok(mut response) = service.call(request).await;
        if let Some(session) = session.filter(|_| is_activity) {
            session.note_activity();
        }
        let logout = tenant.and_then(|tenant| inner.provider.logout_origin(&tenant));
        inner.finish(&mut response, "same-origin", logout.as_deref());
        response
    }

    /// Finds the session of a request.
    async fn admit(&self, parts: &Parts, origin: &Origin, body: Body) -> Admission {
        let inner = &self.sessions.inner;
        let format = self.format(format_of(parts));
        let unless_optional = |refusal: &dyn Fn() -> Response, body| match self.kind {
            Kind::Optional => Admission::Goes(None, body),
            Kind::Pages | Kind::Api => Admission::Refused(refusal()),
        };
        let nobody = || nobody(inner, self.kind, parts, origin);
        if inner.clock.is_unset() {
            return unless_optional(&|| answer::CLOCK_UNSET.response(format), body);
        }
        let live = match inner.session_of(&parts.headers, origin).await {
            Found::Live(live) => *live,
            Found::Two => return Admission::Refused(answer::TWO_SESSIONS.response(format)),
            Found::Unavailable(error) => {
                tracing::warn!("a session cannot be read: {error}");
                return unless_optional(&|| answer::STORE_AWAY.response(format), body);
            }
            Found::Nobody => return unless_optional(&nobody, body),
        };
        let live = match inner.kept_fresh(live).await {
            Ok(live) => live,
            Err(Unfresh::Ended) => return unless_optional(&nobody, body),
            Err(Unfresh::TooStale(wait)) => {
                let answer = answer::NO_USER_TOKEN.after(wait);
                return unless_optional(&|| answer.response(format), body);
            }
        };
        let body = match inner.check_csrf(parts, origin, &live, body).await {
            Ok(body) => body,
            Err(answer) => return Admission::Refused(answer.response(format)),
        };
        let session = Session(Arc::new(Admitted {
            inner: Arc::clone(inner),
            live,
        }));
        Admission::Goes(Some(session), body)
    }

    fn format(&self, format: Format) -> Format {
        match self.kind {
            Kind::Api => Format::Problem,
            Kind::Pages | Kind::Optional => format,
        }
    }
}

/// How a request goes on.
enum Admission {
    /// To the service behind the layer, perhaps as nobody.
    Goes(Option<Session>, Body),
    Refused(Response),
}

/// The answer to a request that has no session and needs one.
pub(crate) fn nobody(inner: &Inner, kind: Kind, parts: &Parts, origin: &Origin) -> Response {
    if kind == Kind::Api {
        return unauthorized(origin, Format::Problem);
    }
    let is_page = parts.method == Method::GET && purpose(&parts.headers) == Purpose::Navigation;
    if !is_page {
        return unauthorized(origin, format_of(parts));
    }
    let path = path_of(parts);
    if inner.cookies.same_site == SessionSameSite::Strict && is_cross_site(&parts.headers) {
        // The next request comes from our own site, with the cookie.
        return answer::moving_page(&origin.with(path));
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_url", path)
        .finish();
    answer::redirect(
        StatusCode::FOUND,
        &origin.with(&format!("/api/auth/login?{query}")),
    )
}

fn unauthorized(origin: &Origin, format: Format) -> Response {
    let mut response = answer::SIGN_IN.response(format);
    let challenge = format!("Session realm=\"{}\"", origin.host);
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The address that the request came with, before routers took a part of it away.
fn uri_of(parts: &Parts) -> &Uri {
    let original = parts.extensions.get::<axum::extract::OriginalUri>();
    original.map_or(&parts.uri, |original| &original.0)
}

fn path_of(parts: &Parts) -> &str {
    uri_of(parts)
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str)
}

/// A person who goes to a page gets a page, and everything else a problem.
pub(crate) fn format_of(parts: &Parts) -> Format {
    match purpose(&parts.headers) {
        Purpose::Navigation => Format::Page,
        Purpose::Prefetch | Purpose::Other => Format::Problem,
    }
}

/// Why a session cannot go on.
pub(crate) enum Unfresh {
    Ended,
    /// The person was known by a token that expired too long ago.
    TooStale(Duration),
}

impl Inner {
    /// Compares the request's host with ours.
    pub(crate) fn arrive(
        &self,
        parts: &Parts,
    ) -> Result<(Origin, Option<TenantName>), Box<Response>> {
        let format = format_of(parts);
        let answer = match self
            .public_url
            .arrival(&parts.method, uri_of(parts), &parts.headers)
        {
            Arrival::Own(origin, tenant) => return Ok((origin, tenant)),
            Arrival::Elsewhere(to) => answer::redirect(StatusCode::TEMPORARY_REDIRECT, &to),
            Arrival::Repeated => answer::TWO_HOSTS.response(format),
            // It holds no session.
            Arrival::Apex(origin) => return Ok((origin, None)),
            Arrival::Foreign => answer::FOREIGN_HOST.response(format),
        };
        Err(Box::new(answer))
    }

    /// Renews what has to be, and waits for that only where the token has expired: that is how a person who was
    /// disabled is noticed.
    pub(crate) async fn kept_fresh(self: &Arc<Self>, live: Live) -> Result<Live, Unfresh> {
        let now = self.clock.now();
        let freshness = live.state.tokens.freshness(now);
        if freshness == Freshness::Fresh || live.state.tokens.refresh.is_none() {
            return Ok(live);
        }
        let held = live.state.held(now).map(|hold| hold.until.since(now));
        let generation = live.state.tokens.generation;
        if freshness < Freshness::Expired {
            if held.is_none() {
                drop(self.flights.begin(self, live.key, generation, Cause::Age));
            }
            return Ok(live);
        }
        let wait = match held {
            Some(wait) => wait,
            None => match self.refreshed(live.key, generation, Cause::Age).await {
                Refreshed::Tokens(row, state) => return Ok(Live { row, state, ..live }),
                Refreshed::Ended => return Err(Unfresh::Ended),
                Refreshed::Held(wait) => wait,
            },
        };
        let now = self.clock.now();
        let known_until = live.state.tokens.expires.plus(self.settings.max_stale);
        match now < known_until {
            true => Ok(Live {
                held: Some(now.plus(wait)),
                ..live
            }),
            false => Err(Unfresh::TooStale(wait)),
        }
    }

    /// Checks that a request which changes something comes from a page of this session's. Returns the body, which
    /// may have been read for that.
    pub(crate) async fn check_csrf(
        &self,
        parts: &Parts,
        origin: &Origin,
        live: &Live,
        body: Body,
    ) -> Result<Body, Notice> {
        if !csrf::is_unsafe(&parts.method) {
            return Ok(body);
        }
        let refuse = |why: CsrfRefusal| {
            self.counts.csrf_refused(why);
            tracing::info!(
                reason = why.as_str(),
                "a request that may come from elsewhere was refused"
            );
            answer::CSRF
        };
        csrf::check_origin(&parts.headers, origin, &self.settings.trusted_origins)
            .map_err(refuse)?;
        if !csrf::is_form(&parts.headers) {
            csrf::check_token(&live.handle, &parts.headers, None).map_err(refuse)?;
            return Ok(body);
        }
        let bytes = to_bytes(body, MAX_FORM)
            .await
            .map_err(|_| answer::TOO_LARGE)?;
        csrf::check_token(&live.handle, &parts.headers, Some(&bytes)).map_err(refuse)?;
        Ok(Body::from(bytes))
    }
}

impl Session {
    pub(crate) fn tenant(&self) -> LoginTenant {
        self.0.live.state.person.tenant()
    }

    /// Writes behind the answer that the session was used: at once the first time, then once a minute at most.
    fn note_activity(&self) {
        let (inner, live) = (&self.0.inner, &self.0.live);
        let idle = inner.settings.idle;
        let idle_ends = inner.clock.now().plus(idle);
        let first = live.state.created.plus(idle);
        let quantum = Duration::from_secs(60).min(idle / 20);
        let is_first = live.row.idle_ends <= first;
        if !is_first && idle_ends < live.row.idle_ends.plus(quantum) {
            return;
        }
        let idle_ends = idle_ends.max(first.plus(Duration::from_millis(1)));
        let (inner, key) = (Arc::clone(inner), live.key);
        let tasks = inner.tasks.clone();
        tasks.spawn(async move {
            let touched: Result<(), StoreError> = inner.touch(&key, idle_ends).await;
            if let Err(error) = touched {
                tracing::debug!("activity was not written: {error}");
            }
        });
    }
}
