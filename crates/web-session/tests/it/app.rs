//! An application with a provider, and a browser without a screen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::{get, post};
use clock::ManualClock;
use dev_idp::{DevClient, DevIdp};
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt as _;
use url::Url;
use web_session::store::SessionStore;
use web_session::{
    CsrfToken, MemoryStore, Provider, RequirePermission, RequireRole, SecretString, Session,
    SessionLayer, SessionSecrets, Tenancy, UserToken, WebSessions, WebSessionsBuilder,
};

pub(crate) const ORIGIN: &str = "http://localhost:6004";
pub(crate) const OWNER: &str = "owner@acme.example";
pub(crate) const VIEWER: &str = "viewer@acme.example";
/// 2027-01-15T08:00:00Z.
const NOW: u64 = 1_800_000_000;

pub(crate) struct App {
    pub(crate) idp: DevIdp,
    pub(crate) clock: ManualClock,
    pub(crate) sessions: WebSessions,
    router: Router,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(set: impl FnOnce(WebSessionsBuilder) -> WebSessionsBuilder) -> Self {
        let clock = clock();
        let store = MemoryStore::with_clock(1_000, Arc::new(clock.clone()));
        Self::on(clock, store, set).await
    }

    pub(crate) async fn on(
        clock: ManualClock,
        store: impl SessionStore,
        set: impl FnOnce(WebSessionsBuilder) -> WebSessionsBuilder,
    ) -> Self {
        let idp = provider(&clock).await;
        let sessions = builder(&idp, &clock).store(store);
        let sessions = set(sessions).build().unwrap();
        Self::of(idp, clock, sessions).await
    }

    pub(crate) async fn of(idp: DevIdp, clock: ManualClock, sessions: WebSessions) -> Self {
        sessions.start();
        while sessions.ready().await.is_err() {
            tokio::task::yield_now().await;
        }
        Self {
            router: router(&sessions),
            idp,
            clock,
            sessions,
        }
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            app: self,
            cookies: BTreeMap::new(),
            host: "localhost:6004".to_owned(),
        }
    }

    /// A browser in which somebody has signed in.
    pub(crate) async fn signed_in(&self, email: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let answer = browser.sign_in("/", email).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        browser
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.idp.requests().token
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(UNIX_EPOCH + Duration::from_secs(NOW))
}

pub(crate) async fn provider(clock: &ManualClock) -> DevIdp {
    let builder = DevIdp::builder().client(DevClient::web().application_at(ORIGIN));
    let builder = builder.clock(Arc::new(clock.clone()));
    builder.start().await.unwrap()
}

pub(crate) fn secrets() -> SessionSecrets {
    SessionSecrets::from_text(&"s".repeat(32)).unwrap()
}

pub(crate) fn builder(idp: &DevIdp, clock: &ManualClock) -> WebSessionsBuilder {
    builder_with(idp, clock, secrets())
}

pub(crate) fn builder_with(
    idp: &DevIdp,
    clock: &ManualClock,
    secrets: SessionSecrets,
) -> WebSessionsBuilder {
    let provider = Provider::builder("dev-web", SecretString::from("dev-web-secret"))
        .issuer(idp.issuer())
        .authorization_endpoint(&idp.authorization_endpoint())
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    WebSessions::builder(provider, secrets)
        .public_url(ORIGIN)
        .tenancy(Tenancy::required())
        .role_permissions([
            (
                "owner",
                vec!["invoice:read", "invoice:write", "session:revoke"],
            ),
            ("viewer", vec!["invoice:read"]),
        ])
        .clock(Arc::new(clock.clone()))
}

async fn who(session: Session) -> String {
    format!(
        "{} of {}",
        session.email().unwrap_or("nobody"),
        session.tenant_name().unwrap_or("nothing")
    )
}

async fn maybe(session: Option<Session>) -> String {
    match session {
        Some(session) => who(session).await,
        None => "anonymous".to_owned(),
    }
}

async fn token(token: UserToken) -> String {
    format!("generation {}", token.generation())
}

async fn debug(session: Session, token: UserToken, csrf: CsrfToken) -> String {
    let others = session.of_same_person().await.unwrap();
    format!("{session:?} {token:?} {others:?} {csrf:?} ")
}

async fn remember(session: Session, body: String) -> StatusCode {
    let Ok(Value::Object(members)) = serde_json::from_str(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    match session.merge_data(members).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::CONFLICT,
    }
}

fn router(sessions: &WebSessions) -> Router {
    let write = RequirePermission::all(["invoice:write"]).unwrap();
    let owner = RequireRole::any(["owner"]).unwrap();
    let pages = Router::new()
        .route("/", get(who))
        .route("/page", get(who))
        .route("/token", get(token))
        .route("/debug", get(debug))
        .route(
            "/form",
            get(|token: CsrfToken| async move { token.to_string() }).post(who),
        )
        .route("/write", get(who).layer(write))
        .route("/owners", get(who).layer(owner))
        .layer(SessionLayer::pages(sessions.clone()));
    let api = Router::new()
        .route("/api/me", get(who).post(who).delete(who))
        .route("/api/token", get(token))
        .route(
            "/api/data",
            get(
                |session: Session| async move { Value::Object(session.data().clone()).to_string() },
            )
            .post(remember),
        )
        .layer(SessionLayer::api(sessions.clone()));
    let open = Router::new()
        .route("/open", get(maybe).post(maybe))
        .layer(SessionLayer::optional(sessions.clone()));
    Router::new()
        .route("/asset", post(|| async {}).get(|| async { "asset" }))
        .merge(pages)
        .merge(api)
        .merge(open)
        .merge(sessions.routes())
}

/// Keeps cookies as a browser does, and follows nothing.
#[derive(Clone)]
pub(crate) struct Browser<'a> {
    app: &'a App,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) host: String,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> String {
        self.header("location").unwrap_or_default().to_owned()
    }

    pub(crate) fn set_cookies(&self) -> Vec<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    pub(crate) fn assert_sets_nothing(&self) {
        assert_eq!(self.set_cookies(), Vec::<String>::new());
    }
}

impl Browser<'_> {
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host);
        if !self.cookies.is_empty() {
            let cookies = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            request = request.header(header::COOKIE, cookies.collect::<Vec<_>>().join("; "));
        }
        request
    }

    /// Sends a request and keeps the cookies of the answer.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Reply {
        let reply = self.app.send(request).await;
        for cookie in reply.set_cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match attributes.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        reply
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        let request = self.request("GET", path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.request("GET", path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        form: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = self
            .request("POST", path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(form.to_owned())).unwrap())
            .await
    }

    /// Sends a form with the token that a page has.
    pub(crate) async fn post(&mut self, path: &str, form: &str) -> Reply {
        let token = self.csrf();
        let form = format!("csrf_token={token}&{form}");
        self.post_with(path, &form, &[]).await
    }

    pub(crate) fn csrf(&self) -> String {
        self.cookies
            .get("__Host-CSRF-TOKEN")
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn handle(&self) -> Option<&String> {
        self.cookies.get("__Host-session")
    }

    /// Begins a login and returns where the person is sent.
    pub(crate) async fn begin(&mut self, query: &str) -> String {
        let reply = self
            .get(&format!("/api/auth/login?tenant_name=acme{query}"))
            .await;
        assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text());
        reply.location()
    }

    /// Begins a login, signs in at the provider and returns the callback's path.
    pub(crate) async fn until_callback(&mut self, return_url: &str, email: &str) -> String {
        let there = self.begin(&format!("&return_url={return_url}")).await;
        path_of(&self.app.idp.sign_in(&there, email))
    }

    pub(crate) async fn sign_in(&mut self, return_url: &str, email: &str) -> Reply {
        let callback = self.until_callback(return_url, email).await;
        self.get(&callback).await
    }
}

impl App {
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Reply {
            status: head.status,
            headers: head.headers,
            body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
        }
    }
}

/// The path and query of an address.
pub(crate) fn path_of(address: &str) -> String {
    let url = Url::parse(address).unwrap();
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The parameters of an address.
pub(crate) fn query_of(address: &str) -> BTreeMap<String, String> {
    let url = Url::parse(address).unwrap();
    url.query_pairs().into_owned().collect()
}

/// An address with one parameter changed, or without it.
pub(crate) fn with_parameter(path: &str, name: &str, value: Option<&str>) -> String {
    let base = Url::parse(ORIGIN).unwrap();
    let mut url = base.join(path).unwrap();
    let others: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(own, _)| own != name)
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others);
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
    path_of(url.as_str())
}
