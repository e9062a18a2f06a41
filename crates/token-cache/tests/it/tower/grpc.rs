//! Answers of gRPC servers, as they are on the wire (gRPC over HTTP2, "Responses").

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::time::advance;
use tower::{Layer as _, ServiceExt as _};

use super::api::{Api, ORIGIN, get, layer, post};
use crate::script::{Script, cache};

/// All that there is: no message, and so no trailers.
fn trailers_only(status: &str, challenge: Option<&str>) -> Response<Empty<Bytes>> {
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/grpc")
        .header("grpc-status", status)
        .header("grpc-message", "the access token is not valid");
    if let Some(challenge) = challenge {
        response = response.header(header::WWW_AUTHENTICATE, challenge);
    }
    response.body(Empty::new()).unwrap()
}

/// N13
#[tokio::test(start_paused = true)]
async fn an_unauthenticated_call_costs_its_token_once_per_cool_down_and_is_not_repeated() {
    let script = Script::new([]);
    let cache = cache(&script);
    let challenge = r#"Bearer realm="api", error="invalid_token""#;
    let api = Api::<Full<Bytes>>::new(move |_| trailers_only("16", Some(challenge)));
    // Even where the body could be sent twice.
    let layer = layer(&cache).replay(|body: &Full<Bytes>| Some(body.clone()));
    let service = layer.build().unwrap().layer(api.clone());
    let call = async || service.clone().oneshot(post("message")).await.unwrap();
    for _ in 0..4 {
        let response = call().await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "16");
    }
    // A second passes before each fetch, and the cool-down is two of them by now.
    let numbers = |sent: Vec<String>| sent.concat().replace("Bearer token-", "");
    assert_eq!(numbers(api.authorizations()), "1233");
    advance(Duration::from_secs(1)).await;
    call().await;
    call().await;
    assert_eq!(numbers(api.authorizations()), "123334");
    assert_eq!(script.calls(), 4);
}

/// N13
#[tokio::test(start_paused = true)]
async fn a_grpc_status_that_is_not_about_the_token_leaves_it() {
    let scope = r#"Bearer error="insufficient_scope""#;
    for (name, status, challenge) in [
        ("fine", "0", None),
        ("permission denied", "7", Some(scope)),
        ("unavailable", "14", None),
        ("unauthenticated for want of a scope", "16", Some(scope)),
        ("no number", "1 6", None),
    ] {
        let script = Script::new([]);
        let cache = cache(&script);
        let api = Api::<Empty<Bytes>>::new(move |_| trailers_only(status, challenge));
        let service = layer(&cache).build().unwrap().layer(api.clone());
        for _ in 0..2 {
            service.clone().oneshot(get(ORIGIN)).await.unwrap();
        }
        assert_eq!(script.calls(), 1, "{name}");
    }
}

/// N13
#[tokio::test(start_paused = true)]
async fn a_grpc_status_in_late_trailers_is_handed_on_and_drops_nothing() {
    let script = Script::new([]);
    let cache = cache(&script);
    let inner = tower::service_fn(|_: http::Request<Empty<Bytes>>| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "16".parse().unwrap());
        let message = Full::new(Bytes::from("message"));
        let body = message.with_trailers(ready(Some(Ok(trailers))));
        ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let service = layer(&cache).build().unwrap().layer(inner);
    let response = service.oneshot(get(ORIGIN)).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "16");
    assert_eq!(cache.token().await.unwrap().secret(), "token-1");
    assert_eq!(script.calls(), 1);
}
