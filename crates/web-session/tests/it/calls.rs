//! Calls as the person.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dev_idp::{Endpoint, Fault, RefreshTokens};
use http::{HeaderMap, StatusCode, header};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tower::ServiceExt as _;
use web_session::{SessionLayer, UserCallError, UserCalls, UserToken};

use crate::app::{App, Browser, OWNER};

/// A resource server that refuses tokens as it is told, and notes what it was sent.
#[derive(Clone, Default)]
struct Resource {
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    answers: Arc<Mutex<BTreeMap<String, Refusal>>>,
    /// For all tokens that have no answer of their own.
    others: Arc<Mutex<Option<Refusal>>>,
    /// Who waits for whom before an answer.
    together: Arc<Mutex<Option<Arc<Barrier>>>>,
}

type Refusal = (u16, &'static str);

const INVALID: Refusal = (401, r#"Bearer realm="api", error="invalid_token""#);

impl Resource {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn refuse(&self, token: &str, refusal: Refusal) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(format!("Bearer {token}"), refusal);
    }

    fn refuse_all(&self, refusal: Option<Refusal>) {
        *self.others.lock().unwrap() = refusal;
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn answer(State(resource): State<Resource>, headers: HeaderMap) -> Response {
    let token = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    resource.seen.lock().unwrap().push(headers);
    let refusal = resource.answers.lock().unwrap().get(&token).copied();
    let together = match refusal {
        Some(_) => resource.together.lock().unwrap().clone(),
        None => None,
    };
    if let Some(together) = together {
        together.wait().await;
    }
    let refusal = refusal.or_else(|| *resource.others.lock().unwrap());
    match refusal {
        Some((302, location)) => {
            (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
        }
        Some((status, challenge)) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        }
        None => "data".into_response(),
    }
}

/// An application whose route `/call` calls the resource server as the person.
struct Calling {
    app: App,
    resource: Resource,
    router: Router,
}

impl Calling {
    async fn start() -> Self {
        let app = App::start().await;
        let resource = Resource::default();
        let address = resource.start().await;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .tls_certs_only([]);
        let calls = UserCalls::builder(client)
            .allow_origin(&format!("http://{address}"))
            .build()
            .unwrap();
        let url = format!("http://{address}/data");
        let router = Router::new()
            .route("/token", get(secret))
            .route("/call", get(call))
            .layer(SessionLayer::api(app.sessions.clone()))
            .with_state((calls, url));
        Self {
            app,
            resource,
            router,
        }
    }

    async fn get(&self, browser: &Browser<'_>, path: &str) -> (StatusCode, String) {
        let request = browser.request("GET", path).header("x-private", "canary");
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await;
        (status, String::from_utf8(body.unwrap().into()).unwrap())
    }

    async fn call(&self, browser: &Browser<'_>) -> StatusCode {
        self.get(browser, "/call").await.0
    }

    async fn signed_in(&self) -> Browser<'_> {
        self.app.signed_in(OWNER).await
    }

    async fn token(&self, browser: &Browser<'_>) -> String {
        self.get(browser, "/token").await.1
    }
}

type Calls = State<(UserCalls, String)>;

async fn secret(token: UserToken) -> String {
    use secrecy::ExposeSecret as _;
    token.secret().expose_secret().to_owned()
}

async fn call(State((calls, url)): Calls, token: UserToken) -> Response {
    let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
    match calls.send(&token, request).await {
        Ok(response) => response.status().into_response(),
        Err(UserCallError::Ended) => StatusCode::GONE.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// K93
#[tokio::test]
async fn five_hundred_refusals_at_once_are_one_refresh_and_one_replay_each() {
    const MANY: usize = 500;
    let calling = Calling::start().await;
    let browser = calling.signed_in().await;
    let token = calling.token(&browser).await;
    calling.resource.refuse(&token, INVALID);
    *calling.resource.together.lock().unwrap() = Some(Arc::new(Barrier::new(MANY)));
    let before = calling.app.token_requests();
    let calls = (0..MANY).map(|_| calling.call(&browser));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(calling.app.token_requests(), before + 1);
    assert_eq!(calling.resource.calls(), 2 * MANY);
    let refreshes = calling.app.sessions.health().refreshes;
    let total: u64 = refreshes.iter().map(|(_, count)| count).sum();
    assert_eq!(total, 1, "{refreshes:?}");
}

/// K93
#[tokio::test]
async fn a_refusal_that_comes_after_the_refresh_costs_no_other_one() {
    let calling = Calling::start().await;
    let browser = calling.signed_in().await;
    let token = calling.token(&browser).await;
    calling.resource.refuse(&token, INVALID);
    let before = calling.app.token_requests();
    let late = Arc::new(Barrier::new(2));
    *calling.resource.together.lock().unwrap() = Some(Arc::clone(&late));
    let meanwhile = async {
        while calling.resource.calls() == 0 {
            tokio::task::yield_now().await;
        }
        *calling.resource.together.lock().unwrap() = None;
        assert_eq!(calling.call(&browser).await, StatusCode::OK);
        late.wait().await;
    };
    let (answer, ()) = tokio::join!(calling.call(&browser), meanwhile);
    assert_eq!(answer, StatusCode::OK);
    assert_eq!(calling.app.token_requests(), before + 1);
}

/// K93
#[tokio::test]
async fn a_token_that_is_refused_again_is_the_answer_and_the_next_refresh_comes_later_each_time() {
    let calling = Calling::start().await;
    let browser = calling.signed_in().await;
    calling.resource.refuse_all(Some(INVALID));
    let first = calling.app.token_requests();
    // The wait before each refresh, in seconds since the one before it.
    for (refreshed, wait) in [0, 1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
        let refreshed = first + u64::try_from(refreshed).unwrap();
        // Real time passes too, and counts where it is more than that of the clock.
        if wait >= 8 {
            calling.app.advance(wait / 2);
            let calls = calling.resource.calls();
            assert_eq!(calling.call(&browser).await, StatusCode::UNAUTHORIZED);
            assert_eq!(calling.app.token_requests(), refreshed, "{wait} s");
            assert_eq!(calling.resource.calls(), calls + 1, "no replay");
        }
        if wait > 0 {
            calling.app.advance(wait + 2);
        }
        let calls = calling.resource.calls();
        assert_eq!(calling.call(&browser).await, StatusCode::UNAUTHORIZED);
        assert_eq!(calling.app.token_requests(), refreshed + 1, "{wait} s");
        assert_eq!(calling.resource.calls(), calls + 2, "one replay");
    }
    calling.resource.refuse_all(None);
    assert_eq!(calling.call(&browser).await, StatusCode::OK);
}

/// K93
#[tokio::test]
async fn other_refusals_refresh_nothing() {
    let calling = Calling::start().await;
    let browser = calling.signed_in().await;
    let before = calling.app.token_requests();
    for (status, challenge) in [
        (403, r#"Bearer error="insufficient_scope""#),
        (403, r#"Bearer error="invalid_token""#),
        (401, "Bearer"),
        (401, r#"Basic realm="x""#),
        (400, r#"Bearer error="invalid_request""#),
        (500, r#"Bearer error="invalid_token""#),
    ] {
        calling.resource.refuse_all(Some((status, challenge)));
        let calls = calling.resource.calls();
        assert_eq!(calling.call(&browser).await, status, "{challenge}");
        assert_eq!(calling.resource.calls(), calls + 1, "{status} {challenge}");
    }
    assert_eq!(calling.app.token_requests(), before);
}

/// K93
#[tokio::test]
async fn a_refusal_stands_while_the_provider_is_away_and_a_refresh_that_is_refused_ends_the_session()
 {
    let calling = Calling::start().await;
    let browser = calling.signed_in().await;
    calling.resource.refuse_all(Some(INVALID));
    let on = || Fault::on(Endpoint::Token);
    calling.app.idp.fault(on().times(1).status(503));
    assert_eq!(calling.call(&browser).await, StatusCode::UNAUTHORIZED);
    calling.app.advance(31);
    let refused = on().times(1).status(400);
    let refused = refused.header("content-type", "application/json");
    calling
        .app
        .idp
        .fault(refused.body(r#"{"error":"invalid_grant"}"#));
    assert_eq!(calling.call(&browser).await, StatusCode::GONE);
    assert_eq!(calling.call(&browser).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_a_refresh_token_a_refusal_stands() {
    let calling = Calling::start().await;
    calling.app.idp.set_refresh_tokens(RefreshTokens::Omit);
    let browser = calling.signed_in().await;
    calling.resource.refuse_all(Some(INVALID));
    for _ in 0..3 {
        assert_eq!(calling.call(&browser).await, StatusCode::UNAUTHORIZED);
    }
}

/// K97
#[tokio::test]
async fn the_token_goes_to_allowed_origins_alone_with_nothing_of_the_request_and_no_redirect_takes_it()
 {
    let calling = Calling::start().await;
    let browser = calling.signed_in().await;
    let token = calling.token(&browser).await;
    let elsewhere = Resource::default();
    let other = elsewhere.start().await;
    let location: &'static str = format!("http://{other}/").leak();
    calling.resource.refuse_all(Some((302, location)));
    assert_eq!(calling.call(&browser).await, StatusCode::FOUND);
    let seen = calling.resource.seen.lock().unwrap().clone();
    let names: Vec<&str> = seen[0].keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["authorization", "accept", "host"]);
    assert_eq!(seen[0]["authorization"], format!("Bearer {token}"));

    let client = || reqwest::Client::builder().no_proxy().tls_certs_only([]);
    let calls = UserCalls::builder(client()).allow_origin("http://127.0.0.1:1");
    let state = (calls.build().unwrap(), format!("http://{other}/"));
    let router = Router::new().route("/call", get(call));
    let router = router
        .layer(SessionLayer::api(calling.app.sessions.clone()))
        .with_state(state);
    let request = browser.request("GET", "/call").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(elsewhere.calls(), 0);

    for origin in [
        "http://api.example",
        "ftp://api.example",
        "api.example",
        "https://api.example/v1",
        "https://user@api.example",
    ] {
        let calls = UserCalls::builder(client()).allow_origin(origin);
        assert!(calls.build().is_err(), "{origin}");
    }
    assert!(UserCalls::builder(client()).build().is_err());
    let http = UserCalls::builder(client()).dangerous_allow_http_origin("http://api.example");
    assert!(http.build().is_ok());
}
