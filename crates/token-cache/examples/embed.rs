//! One service that calls one API: the token is fetched once, kept, and attached to each call.
//!
//! `cargo run -p token-cache --example embed` runs to an end by itself: the provider and the API are
//! part of it.

#![expect(clippy::print_stdout, reason = "an example shows what happened")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use dev_idp::{DevClient, DevIdp};
use reqwest_middleware::ClientBuilder;
use token_cache::{
    BearerTokenMiddleware, ClientCredentials, SecretString, StartupPolicy, TokenCache, TokenRequest,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}

pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    // What the service is given: a provider, its credentials there, and an API.
    let idp = DevIdp::builder()
        .client(DevClient::new("reports", "s3cret").scopes(["data:read"]))
        .start()
        .await?;
    let api = start_api().await?;

    // Once, where the service starts.
    let source = ClientCredentials::builder("reports", SecretString::from("s3cret"))
        .issuer(idp.issuer())
        .build()?;
    let cache = TokenCache::builder(source)
        .name("reports")
        .request(TokenRequest::new().scope("data:read"))
        .build()?;
    // `Background` returns at once and lets the service start while the provider is down.
    let limit = Duration::from_secs(5);
    cache.start(StartupPolicy::Require(limit)).await?;
    let bearer = BearerTokenMiddleware::builder(cache.clone())
        .allow_origin(&api)
        .build()?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let client = ClientBuilder::new(client).with(bearer).build();

    // For each request that the service serves.
    for _ in 0..3 {
        let response = client.get(format!("{api}/data")).send().await?;
        println!("{} {}", response.status(), response.text().await?);
    }
    let requests = idp.requests().token;
    println!("three calls cost {requests} token request");
    assert_eq!(requests, 1);

    // For the readiness probe.
    let health = cache.health();
    println!("ready: {}, {:?}", health.is_ready(), health.freshness);

    // Any other place gets no token, and no request.
    let error = client.get("https://elsewhere.example/").send().await;
    println!("elsewhere: {}", error.err().ok_or("it was sent")?);

    // Where the service ends.
    cache.shutdown().await;
    idp.shutdown().await;
    Ok(())
}

/// An API that wants a token. A real one validates it.
async fn start_api() -> Result<String, Box<dyn Error>> {
    let data = async |headers: HeaderMap| match headers.get(header::AUTHORIZATION) {
        Some(value) if value.as_bytes().starts_with(b"Bearer ") => (StatusCode::OK, "here I am"),
        _ => (StatusCode::UNAUTHORIZED, "who are you?"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let app = Router::new().route("/data", get(data));
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(origin)
}
