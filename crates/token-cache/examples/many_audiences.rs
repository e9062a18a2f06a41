//! One service that calls several APIs, each of which wants a token of its own.
//!
//! `cargo run -p token-cache --example many_audiences` runs to an end by itself.

#![expect(clippy::print_stdout, reason = "an example shows what happened")]

use std::error::Error;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dev_idp::{DevClient, DevIdp};
use reqwest_middleware::ClientBuilder;
use token_cache::{
    BearerTokenMiddleware, ClientCredentials, RefreshPolicy, SecretString, TokenCache, TokenRequest,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}

pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let idp = DevIdp::builder()
        .client(DevClient::new("reports", "s3cret").scopes(["data:read", "data:write"]))
        .start()
        .await?;
    let api = start_api().await?;
    let source = ClientCredentials::builder("reports", SecretString::from("s3cret"))
        .token_endpoint(&idp.token_endpoint())
        .build()?;
    // Above the number of audiences in use: beyond it the least recently used one is dropped.
    let policy = RefreshPolicy::default().max_keys(100);
    let cache = TokenCache::builder(source).refresh_policy(policy).build()?;

    // The audience is the key: each has its own token, its own refresh and its own failures.
    let orders = TokenRequest::new().audience("https://orders.example");
    let stock = TokenRequest::new()
        .audience("https://stock.example")
        .scope("data:read data:write");
    for request in [&orders, &stock, &orders] {
        let token = cache.token_for(request).await?;
        let left = cache
            .health_for(request)
            .and_then(|health| health.expires_in);
        println!(
            "a token of {} characters, for {left:?}",
            token.secret().len()
        );
    }
    assert_eq!(idp.requests().token, 2);

    // On a client the request says which token it wants. Without a word it is the cache's own.
    let bearer = BearerTokenMiddleware::builder(cache.clone())
        .allow_origin(&api)
        .build()?;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(bearer)
        .build();
    for (wanted, audience) in [
        (Some(&orders), "https://orders.example"),
        (Some(&stock), "https://stock.example"),
        (None, dev_idp::DEFAULT_AUDIENCE),
    ] {
        let mut request = client.get(&api);
        if let Some(wanted) = wanted {
            request = request.with_extension(wanted.clone());
        }
        let seen = request.send().await?.text().await?;
        println!("the API saw a token for {seen}");
        assert_eq!(seen, audience);
    }
    let requests = idp.requests().token;
    println!("{requests} token requests for three audiences");
    assert_eq!(requests, 3);

    cache.shutdown().await;
    idp.shutdown().await;
    Ok(())
}

/// An API that answers with the audience of the token it was sent, unverified.
async fn start_api() -> Result<String, Box<dyn Error>> {
    let audience = async |headers: HeaderMap| unverified_audience(&headers).unwrap_or_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let app = Router::new().fallback(any(audience));
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(origin)
}

fn unverified_audience(headers: &HeaderMap) -> Option<String> {
    let claims = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let claims = URL_SAFE_NO_PAD.decode(claims.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let audience = match &claims["aud"] {
        serde_json::Value::Array(audiences) => audiences.first()?,
        audience => audience,
    };
    audience.as_str().map(str::to_owned)
}
