//! What an exchange leaves in the log.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use clock::ManualClock;
use serde_json::json;
use token_cache::{
    ClientAuth, ClientCredentials, IssuedToken, RefreshPolicy, SecretString, StartupPolicy,
    TokenCache, TokenError, TokenRequest, TokenSource,
};
use tokio::time::advance;

use crate::logs::Logs;
use crate::script::{DOWN, Script, Step, settle};

const SECRET: &str = "canary-secret";
const TOKEN: &str = "canary-token";

/// J1
#[tokio::test]
async fn an_exchange_has_one_span_that_says_what_and_why_and_holds_no_secret() {
    let logs = Logs::capture("token_cache=trace,idp_http=trace");
    for auth in [ClientAuth::SecretBasic, ClientAuth::SecretPost] {
        let cache = cache(answer_token, auth).await;
        cache.token().await.unwrap();
        cache.shutdown().await;
    }
    let text = logs.text();
    let spans: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(r#""message":"new""#))
        .collect();
    assert_eq!(spans.len(), 2, "{text}");
    for span in spans {
        for part in [
            r#""name":"token_exchange""#,
            r#""token.cache":"reports""#,
            r#""token.trigger":"caller""#,
        ] {
            assert!(span.contains(part), "{part} in {span}");
        }
    }
    assert!(text.contains("token.lifetime_s"), "{text}");
    assert_no_secret(&text);
}

/// J1
#[tokio::test]
async fn a_provider_that_repeats_the_secret_in_its_error_does_not_bring_it_into_the_log() {
    let logs = Logs::capture("token_cache=trace,idp_http=trace");
    for answer in [answer_error, answer_html] {
        let cache = cache(answer, ClientAuth::SecretPost).await;
        let error = cache.token().await.unwrap_err();
        assert_no_secret(&format!("{error} {error:?}"));
        cache.shutdown().await;
    }
    let text = logs.text();
    assert!(text.contains("no new token"), "{text}");
    assert_no_secret(&text);
}

/// A source whose tokens carry this date, as a provider's `Date` does.
#[derive(Debug)]
struct Dated(SystemTime);

#[async_trait]
impl TokenSource for Dated {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        Ok(IssuedToken::new(TOKEN.to_owned(), Some(Duration::from_secs(300)))?.dated(self.0))
    }
}

/// B15
#[tokio::test(start_paused = true)]
async fn the_log_says_whose_clock_is_off_from_half_a_minute_on() {
    let ours = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let second = Duration::from_secs(1);
    for (theirs, expected) in [
        (ours, None),
        (ours + 29 * second, None),
        (ours + 30 * second, Some("30 s ahead of this machine's")),
        // A date has whole seconds, so one of them may be the fraction.
        (ours - 30 * second, None),
        (ours - 31 * second, Some("30 s behind this machine's")),
    ] {
        let logs = Logs::capture("token_cache=info");
        let cache = TokenCache::builder(Dated(theirs))
            .clock(Arc::new(ManualClock::at_unix(2_000_000_000)))
            .build()
            .unwrap();
        cache.token().await.unwrap();
        let text = logs.text();
        let line = text
            .lines()
            .find(|line| line.contains("the provider's clock"));
        match (line, expected) {
            (Some(line), Some(expected)) => assert!(line.contains(expected), "{line}"),
            (line, expected) => assert_eq!(line, expected, "{theirs:?}"),
        }
    }
}

/// N63
#[tokio::test(start_paused = true)]
async fn that_nobody_called_start_is_told_once_at_the_first_token() {
    let logs = Logs::capture("token_cache=warn");
    let text = "nobody has called `start`: the first callers wait for a token";
    let told = || logs.text().matches(text).count();
    let new = || TokenCache::builder(Script::new([])).build().unwrap();
    let other = TokenRequest::new().scope("other");

    let started = new();
    started.start(StartupPolicy::Background).await.unwrap();
    started.token().await.unwrap();
    let required = new();
    let policy = StartupPolicy::Require(Duration::from_secs(1));
    required.start(policy).await.unwrap();
    let cache = new();
    cache.token_for(&other).await.unwrap();
    assert_eq!(told(), 0, "{}", logs.text());

    for _ in 0..2 {
        cache.token().await.unwrap();
    }
    assert_eq!(told(), 1, "{}", logs.text());
}

/// N89
#[tokio::test(start_paused = true)]
async fn an_outage_is_told_at_its_start_once_a_minute_and_at_its_end() {
    let logs = Logs::capture("token_cache=info");
    let script = Script::new([]).then_always(DOWN);
    let cache = TokenCache::builder(script.clone())
        .clock(Arc::new(ManualClock::at_unix(2_000_000_000)))
        .build()
        .unwrap();
    let lines = |text: &str| {
        let of = |line: &&str| line.contains("no new token") || line.contains("issued again");
        text.lines()
            .filter(of)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    cache.token().await.unwrap_err();
    for _ in 0..150 {
        advance(Duration::from_secs(1)).await;
        settle().await;
    }
    let told = lines(&logs.text());
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(!told[0].contains("more since"), "{}", told[0]);
    assert!(
        told[1].contains("more since the line before"),
        "{}",
        told[1]
    );
    script.now_always(None);
    for _ in 0..3 {
        advance(Duration::from_secs(1)).await;
        settle().await;
    }
    let told = lines(&logs.text());
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(
        told[3].contains("tokens are issued again, after "),
        "{}",
        told[3]
    );
    assert!(told[3].contains("WARN"), "{}", told[3]);
    cache.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_says_what_a_failure_leaves_to_serve_and_what_was_asked_for() {
    let logs = Logs::capture("token_cache=info");
    let request = TokenRequest::new().scope("data:read").scope("data:write");
    let script = Script::new([Step::Token("first", Some(300))]).then_always(DOWN);
    let cache = TokenCache::builder(script)
        .request(request)
        .clock(Arc::new(ManualClock::at_unix(2_000_000_000)))
        .build()
        .unwrap();
    cache.token().await.unwrap();
    let refused = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("no new token"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    while refused(&logs.text()).is_empty() {
        advance(Duration::from_secs(10)).await;
        settle().await;
    }
    let line = refused(&logs.text()).remove(0);
    assert!(line.contains("the current token is still served"), "{line}");
    assert!(
        logs.text()
            .contains(r#""oauth.scope":"data:read data:write""#),
        "{}",
        logs.text()
    );
    let failures = refused(&logs.text()).len();
    advance(Duration::from_secs(300)).await;
    while refused(&logs.text()).len() == failures {
        advance(Duration::from_secs(10)).await;
        settle().await;
    }
    let line = refused(&logs.text()).pop().unwrap();
    assert!(line.contains("there is no token to serve"), "{line}");
}

fn assert_no_secret(text: &str) {
    // Base64 of the client id and the secret, as Basic sends them.
    for secret in [SECRET, TOKEN, "cmVwb3J0czpjYW5hcnktc2VjcmV0"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn answer_token() -> Response {
    Json(json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 300 }))
        .into_response()
}

fn answer_error() -> Response {
    let description = format!("bad secret {SECRET}");
    let body = json!({ "error": "invalid_client", "error_description": description });
    (StatusCode::UNAUTHORIZED, Json(body)).into_response()
}

fn answer_html() -> Response {
    let body = format!("<html>{SECRET} {TOKEN}</html>");
    (StatusCode::BAD_REQUEST, body).into_response()
}

async fn cache(answer: fn() -> Response, auth: ClientAuth) -> TokenCache {
    let app = Router::new().route("/token", post(async move || answer()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let source = ClientCredentials::builder("reports", SecretString::from(SECRET))
        .token_endpoint(&url)
        .auth(auth)
        .build()
        .unwrap();
    let policy = RefreshPolicy::default().retries(0);
    TokenCache::builder(source)
        .name("reports")
        .refresh_policy(policy)
        .build()
        .unwrap()
}
