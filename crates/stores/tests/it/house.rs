//! Replicas of one application, over one store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use clock::{Clock as _, ManualClock, SystemClock};
use dev_idp::{DevClient, DevIdp};
use http::{Request, StatusCode, header};
use stores::StoreUrl;
use tempfile::TempDir;
use tower::ServiceExt as _;
use url::Url;
use web_session::{
    Provider, SecretString, Session, SessionLayer, SessionSecrets, SessionStore, Tenancy,
    UserToken, WebSessions,
};

const ORIGIN: &str = "http://localhost:6004";
pub(crate) const OWNER: &str = "owner@acme.example";

/// A provider, a clock that all go by, and where sessions are kept.
pub(crate) struct House {
    pub(crate) idp: DevIdp,
    clock: ManualClock,
    place: StoreUrl,
    _folder: Option<TempDir>,
}

#[derive(Clone)]
pub(crate) struct Replica {
    /// Dropped, its background work ends.
    _sessions: WebSessions,
    router: Router,
}

/// Keeps cookies as a browser does, and follows nothing.
#[derive(Clone, Default)]
pub(crate) struct Browser(BTreeMap<String, String>);

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) location: String,
    pub(crate) text: String,
}

impl House {
    /// One over each engine that there is: SQLite, and the servers that the environment names.
    pub(crate) async fn each() -> Vec<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut places = vec![(crate::sqlite::url(&folder), Some(folder))];
        places.extend(crate::postgres::schema().await.map(|place| (place, None)));
        places.extend(crate::redis::place().map(|place| (place, None)));
        let mut houses = Vec::new();
        for (place, folder) in places {
            let clock = ManualClock::new(SystemClock.now());
            let idp = DevIdp::builder()
                .client(DevClient::web().application_at(ORIGIN))
                .clock(Arc::new(clock.clone()))
                .start()
                .await
                .unwrap();
            idp.set_token_lifetime(Duration::from_secs(300));
            houses.push(Self {
                idp,
                clock,
                place,
                _folder: folder,
            });
        }
        houses
    }

    /// The store as one more process opens it.
    pub(crate) fn store(&self) -> Arc<dyn SessionStore> {
        let clock = Arc::new(self.clock.clone());
        self.place.open_with_clock(clock).unwrap()
    }

    /// One more process.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_over(self.store()).await
    }

    pub(crate) async fn replica_over(&self, store: Arc<dyn SessionStore>) -> Replica {
        let clock = || Arc::new(self.clock.clone());
        let provider = Provider::builder("dev-web", SecretString::from("dev-web-secret"))
            .issuer(self.idp.issuer())
            .authorization_endpoint(&self.idp.authorization_endpoint())
            .clock(clock())
            .build()
            .unwrap();
        let secrets = SessionSecrets::from_text(&"s".repeat(32)).unwrap();
        let sessions = WebSessions::builder(provider, secrets)
            .public_url(ORIGIN)
            .tenancy(Tenancy::required())
            .clock(clock())
            .store(store)
            .build()
            .unwrap();
        sessions.start();
        while sessions.ready().await.is_err() {
            tokio::task::yield_now().await;
        }
        let router = Router::new()
            .route(
                "/page",
                get(|session: Session| async move { session.user_id().to_owned() }),
            )
            .route(
                "/token",
                get(|token: UserToken| async move { format!("generation {}", token.generation()) }),
            )
            .layer(SessionLayer::pages(sessions.clone()))
            .merge(sessions.routes());
        Replica {
            _sessions: sessions,
            router,
        }
    }

    pub(crate) async fn replicas(&self) -> [Replica; 3] {
        [
            self.replica().await,
            self.replica().await,
            self.replica().await,
        ]
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> i64 {
        let since = self.clock.now().duration_since(std::time::UNIX_EPOCH);
        i64::try_from(since.unwrap().as_secs()).unwrap()
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.idp.requests().token
    }

    /// Begins a login at a replica, and returns the callback's path.
    pub(crate) async fn until_callback(&self, replica: &Replica, browser: &mut Browser) -> String {
        let login = "/api/auth/login?tenant_name=acme&return_url=/page";
        let there = replica.get(browser, login).await;
        assert_eq!(there.status, StatusCode::FOUND, "{}", there.text);
        let callback = Url::parse(&self.idp.sign_in(&there.location, OWNER)).unwrap();
        format!(
            "{}?{}",
            callback.path(),
            callback.query().unwrap_or_default()
        )
    }

    /// A browser in which somebody has signed in at a replica.
    pub(crate) async fn signed_in(&self, replica: &Replica) -> Browser {
        let mut browser = Browser::default();
        let callback = self.until_callback(replica, &mut browser).await;
        let reply = replica.get(&mut browser, &callback).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
        browser
    }
}

impl Replica {
    pub(crate) async fn get(&self, browser: &mut Browser, path: &str) -> Reply {
        let request = browser.request("GET", path).body(Body::empty()).unwrap();
        self.send(browser, request).await
    }

    /// Sends a form with the token that a page has.
    pub(crate) async fn post(&self, browser: &mut Browser, path: &str) -> Reply {
        let token = browser.0.get("__Host-CSRF-TOKEN").cloned();
        let form = format!("csrf_token={}", token.unwrap_or_default());
        let request = browser.request("POST", path).header(FORM.0, FORM.1);
        let request = request.body(Body::from(form)).unwrap();
        self.send(browser, request).await
    }

    pub(crate) async fn backchannel(&self, token: &str) -> StatusCode {
        let request = Browser::default().request("POST", "/api/auth/backchannel-logout");
        let request = request.header(FORM.0, FORM.1);
        let body = Body::from(format!("logout_token={token}"));
        let request = request.body(body).unwrap();
        self.send(&mut Browser::default(), request).await.status
    }

    async fn send(&self, browser: &mut Browser, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        for cookie in head.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match attributes.contains("Max-Age=0") {
                true => drop(browser.0.remove(name)),
                false => drop(browser.0.insert(name.to_owned(), value.to_owned())),
            }
        }
        let location = head.headers.get(header::LOCATION);
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Reply {
            status: head.status,
            location: location.map_or("", |it| it.to_str().unwrap()).to_owned(),
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

impl Browser {
    pub(crate) fn handle(&self) -> Option<&String> {
        self.0.get("__Host-session")
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::HOST, "localhost:6004");
        let cookies: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match cookies.is_empty() {
            true => request,
            false => request.header(header::COOKIE, cookies.join("; ")),
        }
    }
}
