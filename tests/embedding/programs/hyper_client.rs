//! A client of hyper-util that carries the token, and sends its body again when the token is rejected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use dev_idp::DevIdp;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use token_cache::{BearerTokenError, BearerTokenLayer, TokenCache};
use tower::{Layer as _, Service as _, ServiceExt as _};

use crate::{client_credentials, serve};

#[tokio::test]
async fn a_hyper_client_sends_an_order_again_whose_token_was_rejected() {
    let idp = DevIdp::builder().start().await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let orders = async move |headers: HeaderMap, order: String| {
        assert!(headers.contains_key("authorization"));
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::UNAUTHORIZED, String::new()),
            _ => (StatusCode::OK, format!("took {order}")),
        }
    };
    let api = serve(Router::new().route("/orders", post(orders))).await;

    let cache = TokenCache::builder(client_credentials(&idp))
        .build()
        .unwrap();
    let bearer = BearerTokenLayer::builder(cache.clone())
        .allow_origin(&api)
        .replay(|body: &Full<Bytes>| Some(body.clone()))
        .build()
        .unwrap();
    let mut client = bearer.layer(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::post(format!("{api}/orders"));
    let request = request.body(Full::from("an order")).unwrap();
    let answer = client.ready().await.unwrap().call(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "took an order");
    assert_eq!((calls.load(Ordering::SeqCst), idp.requests().token), (2, 2));

    let elsewhere = Request::get("https://elsewhere.example/").body(Full::default());
    let refused = client.ready().await.unwrap().call(elsewhere.unwrap()).await;
    assert!(matches!(refused, Err(BearerTokenError::Token(_))));
    cache.shutdown().await;
}
