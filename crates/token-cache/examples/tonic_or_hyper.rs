//! The token on a client made of `tower` services: hyper-util's here, a tonic channel in the same
//! way.
//!
//! `cargo run -p token-cache --example tonic_or_hyper --features tower` runs to an end by itself.

#![expect(clippy::print_stdout, reason = "an example shows what happened")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use dev_idp::DevIdp;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use token_cache::{
    BearerTokenError, BearerTokenLayer, ClientCredentials, SecretString, TokenCache,
};
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}

pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let idp = DevIdp::builder().start().await?;
    let (api, calls) = start_api().await?;
    let secret = SecretString::from(dev_idp::DEFAULT_CLIENT_SECRET);
    let source = ClientCredentials::builder(dev_idp::DEFAULT_CLIENT_ID, secret)
        .issuer(idp.issuer())
        .build()?;
    let cache = TokenCache::builder(source).build()?;

    // With tonic: `connected_to(endpoint)` instead of `allow_origin`, no `replay` since streams are
    // sent once, `.service(channel)`, and the result goes into the generated client's `new`.
    let bearer = BearerTokenLayer::builder(cache.clone())
        .allow_origin(&api)
        .replay(|body: &Full<Bytes>| Some(body.clone()))
        .build()?;
    let mut client = ServiceBuilder::new()
        .layer(bearer)
        .service(Client::builder(TokioExecutor::new()).build_http());

    // The API rejects the first token that it sees: the request goes out once more with another.
    let request = Request::post(format!("{api}/orders")).body(Full::from("an order"))?;
    let response = client.ready().await?.call(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    println!("{status} {}", String::from_utf8_lossy(&body));
    println!(
        "{} calls, {} token requests",
        calls.load(Ordering::SeqCst),
        idp.requests().token
    );
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(idp.requests().token, 2);

    // Any other place gets no token, and no request.
    let request = Request::get("https://elsewhere.example/").body(Full::default())?;
    match client.ready().await?.call(request).await {
        Err(BearerTokenError::Token(error)) => println!("elsewhere: {error}"),
        _ => return Err("it was sent".into()),
    }

    cache.shutdown().await;
    idp.shutdown().await;
    Ok(())
}

/// An API that has seen the first token revoked.
async fn start_api() -> Result<(String, Arc<AtomicUsize>), Box<dyn Error>> {
    let calls = Arc::new(AtomicUsize::new(0));
    let orders = {
        let calls = Arc::clone(&calls);
        async move |body: String| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => rejection(),
            _ => format!("took {body}").into_response(),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let app = Router::new().route("/orders", any(orders));
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok((origin, calls))
}

fn rejection() -> Response {
    let challenge = r#"Bearer error="invalid_token""#;
    let headers = [(header::WWW_AUTHENTICATE, challenge)];
    (StatusCode::UNAUTHORIZED, headers).into_response()
}
