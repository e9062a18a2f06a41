//! What an exchange leaves in the log.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use token_cache::{ClientAuth, ClientCredentials, RefreshPolicy, SecretString, TokenCache};

use crate::logs::Logs;

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
    let mut policy = RefreshPolicy::default();
    policy.retries = 0;
    TokenCache::builder(source)
        .name("reports")
        .refresh_policy(policy)
        .build()
        .unwrap()
}
