//! The tower layer, over a scripted service and over a real client.

mod api;
mod former;
mod grpc;
mod rules;
mod tonic_client;

use std::future::ready;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use token_cache::{BearerTokenError, BearerTokenLayer, TokenErrorKind, TokenRequest};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tower::{Layer as _, Service, ServiceExt as _};

use self::api::{
    Api, INVALID, ORIGIN, answer, authorization, fine, get, kind_of, layer, post, rejects, send,
};
use crate::script::{DOWN, Script, Step, cache};

#[tokio::test(start_paused = true)]
async fn the_token_is_attached_cold_and_warm_and_an_existing_header_left_alone() {
    let script = Script::new([]);
    let cache = cache(&script);
    let api = Api::<Empty<Bytes>>::new(|_| fine());
    let mut own = get(ORIGIN);
    own.headers_mut()
        .insert(header::AUTHORIZATION, "Basic eA==".parse().unwrap());
    send(layer(&cache), &api, own).await.unwrap();
    assert_eq!(script.calls(), 0);
    send(layer(&cache), &api, get(ORIGIN)).await.unwrap();
    send(layer(&cache), &api, get(ORIGIN)).await.unwrap();
    let expected = ["Basic eA==", "Bearer token-1", "Bearer token-1"];
    assert_eq!(api.authorizations(), expected);
    let sent = api.seen.lock().unwrap();
    assert!(sent[2].headers()[header::AUTHORIZATION].is_sensitive());
}

/// C1
#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_replaced_and_the_request_sent_once_more() {
    for warm in [false, true] {
        let script = Script::new([]);
        let cache = cache(&script);
        if warm {
            cache.token().await.unwrap();
        }
        let api = Api::<Empty<Bytes>>::new(rejects("token-1"));
        let request = Request::builder()
            .method(Method::DELETE)
            .uri("https://api.example/a?b")
            .header("x-mine", "1")
            .extension(7_u8)
            .body(Empty::new())
            .unwrap();
        let status = send(layer(&cache), &api, request).await.unwrap();
        assert_eq!(status, StatusCode::OK);
        let expected = ["Bearer token-1", "Bearer token-2"];
        assert_eq!(api.authorizations(), expected, "warm: {warm}");
        let seen = api.seen.lock().unwrap();
        for request in seen.iter() {
            assert_eq!(request.method(), Method::DELETE);
            assert_eq!(request.uri(), "https://api.example/a?b");
            assert_eq!(request.headers()["x-mine"], "1");
            assert_eq!(request.headers().len(), 2);
            assert_eq!(request.extensions().get(), Some(&7_u8));
        }
    }
}

/// C2
#[tokio::test(start_paused = true)]
async fn a_second_rejection_is_the_answer() {
    let script = Script::new([]);
    let api = Api::<Empty<Bytes>>::new(|_| answer(StatusCode::UNAUTHORIZED, INVALID));
    let status = send(layer(&cache(&script)), &api, get(ORIGIN)).await;
    assert_eq!(status.unwrap(), StatusCode::UNAUTHORIZED);
    assert_eq!((api.requests(), script.calls()), (2, 2));
}

/// C1, C3
#[tokio::test(start_paused = true)]
async fn a_dead_token_is_replaced_however_it_is_refused() {
    for challenge in [
        "Bearer",
        r#"Basic realm="x""#,
        r#"Bearer a="b" error=invalid_token"#,
    ] {
        let script = Script::new([]);
        let api = Api::<Empty<Bytes>>::new(move |authorization| match authorization {
            "Bearer token-1" => answer(StatusCode::UNAUTHORIZED, challenge),
            _ => fine(),
        });
        let got = send(layer(&cache(&script)), &api, get(ORIGIN)).await;
        assert_eq!(got.unwrap(), StatusCode::OK, "{challenge}");
        assert_eq!((api.requests(), script.calls()), (2, 2));
    }
}

/// C3, C4
#[tokio::test(start_paused = true)]
async fn other_refusals_cost_neither_a_token_nor_a_replay() {
    let scope = r#"Bearer error="insufficient_scope""#;
    for (status, challenge) in [
        (StatusCode::UNAUTHORIZED, scope),
        (StatusCode::FORBIDDEN, scope),
        (StatusCode::FORBIDDEN, INVALID),
    ] {
        let script = Script::new([]);
        let api = Api::<Empty<Bytes>>::new(move |_| answer(status, challenge));
        let got = send(layer(&cache(&script)), &api, get(ORIGIN)).await;
        assert_eq!(got.unwrap(), status);
        let counts = (api.requests(), script.calls());
        assert_eq!(counts, (1, 1), "{status} {challenge}");
    }
}

/// A38
#[tokio::test(start_paused = true)]
async fn nothing_is_replayed_without_another_token() {
    let same = Script::new([]).then_always(Step::Token("same", Some(300)));
    let down = Script::new([Step::Token("one", Some(300))]).then_always(DOWN);
    for script in [same, down] {
        let api = Api::<Empty<Bytes>>::new(|_| answer(StatusCode::UNAUTHORIZED, INVALID));
        let status = send(layer(&cache(&script)), &api, get(ORIGIN)).await;
        assert_eq!(status.unwrap(), StatusCode::UNAUTHORIZED);
        assert_eq!((api.requests(), script.calls()), (1, 2));
    }
}

/// C5
#[tokio::test(start_paused = true)]
async fn a_body_that_may_not_be_sent_twice_is_sent_once_and_the_next_request_has_a_new_token() {
    let script = Script::new([]);
    let cache = cache(&script);
    let api = Api::<Full<Bytes>>::new(rejects("token-1"));
    let status = send(layer(&cache), &api, post("body")).await.unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!((api.requests(), script.calls()), (1, 1));
    let status = send(layer(&cache), &api, post("body")).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(api.authorizations(), ["Bearer token-1", "Bearer token-2"]);
}

/// C6
#[tokio::test(start_paused = true)]
async fn a_request_that_fails_midway_is_not_sent_again() {
    let script = Script::new([]);
    let calls = Arc::new(AtomicUsize::new(0));
    let broken = tower::service_fn({
        let calls = Arc::clone(&calls);
        move |_: Request<Empty<Bytes>>| {
            calls.fetch_add(1, Ordering::SeqCst);
            ready(Err::<Response<Empty<Bytes>>, _>(io::Error::other("reset")))
        }
    });
    let service = layer(&cache(&script)).build().unwrap().layer(broken);
    for _ in 0..2 {
        let error = service.clone().oneshot(get(ORIGIN)).await.unwrap_err();
        assert!(matches!(error, BearerTokenError::Inner(_)));
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "reset");
    }
    assert_eq!((calls.load(Ordering::SeqCst), script.calls()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_a_function_copies_is_sent_twice_in_full() {
    let cache = cache(&Script::new([]));
    let api = Api::<Full<Bytes>>::new(rejects("token-1"));
    let layer = layer(&cache).replay(|body: &Full<Bytes>| Some(body.clone()));
    let mut service = layer.build().unwrap().layer(api.clone());
    let response = service.ready().await.unwrap().call(post("body")).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let seen = std::mem::take(&mut *api.seen.lock().unwrap());
    assert_eq!(seen.len(), 2);
    for request in seen {
        let body = request.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "body");
    }
}

/// C8
#[tokio::test(start_paused = true)]
async fn a_request_outside_the_allowed_origins_is_not_sent_and_no_token_asked_for() {
    let script = Script::new([]);
    let api = Api::<Empty<Bytes>>::new(|_| fine());
    for uri in [
        "https://other.example/",
        "http://api.example/",
        "https://api.example:8443/",
        "https://api.example:99999/",
        "https://api.example./",
        "https://api.example@evil.example/",
        "https://api.example:443@evil.example/",
        "https://api.example.evil.example/",
        "https://xapi.example/",
        "/only/a/path",
        "api.example:443",
        "*",
    ] {
        let result = send(layer(&cache(&script)), &api, get(uri)).await;
        assert_eq!(kind_of(result), TokenErrorKind::OriginNotAllowed, "{uri}");
    }
    assert_eq!((api.requests(), script.calls()), (0, 0));
}

/// C8
#[tokio::test(start_paused = true)]
async fn spellings_of_the_same_origin_are_covered() {
    let cache = cache(&Script::new([]));
    let api = Api::<Empty<Bytes>>::new(|_| fine());
    for (origin, uri) in [
        (ORIGIN, "https://API.Example/a?b"),
        (ORIGIN, "https://api.example:443/"),
        (ORIGIN, "https://api.example:/"),
        (ORIGIN, "https://user@api.example/"),
        (
            "https://bücher.example",
            "https://xn--bcher-kva.example:443/",
        ),
        ("http://[::1]:6002", "http://[::1]:6002/"),
        ("http://127.0.0.1", "http://127.0.0.1:80/"),
    ] {
        let layer = BearerTokenLayer::builder(cache.clone()).allow_origin(origin);
        let result = send(layer, &api, get(uri)).await;
        assert!(result.is_ok(), "{uri}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_alone_goes_where_the_service_is_connected_to() {
    let cache = cache(&Script::new([]));
    let api = Api::<Empty<Bytes>>::new(|_| fine());
    let layer = || BearerTokenLayer::builder(cache.clone()).connected_to(ORIGIN);
    send(layer(), &api, get("/pkg.Service/Method"))
        .await
        .unwrap();
    send(layer(), &api, get("https://api.example/"))
        .await
        .unwrap();
    for uri in ["https://evil.example/", "api.example:443"] {
        let result = send(layer(), &api, get(uri)).await;
        assert_eq!(kind_of(result), TokenErrorKind::OriginNotAllowed, "{uri}");
    }
    assert_eq!(api.authorizations(), ["Bearer token-1", "Bearer token-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_is_not_built_without_an_origin_that_may_have_tokens() {
    let cache = cache(&Script::new([]));
    let none = BearerTokenLayer::builder(cache.clone()).build();
    assert_eq!(none.unwrap_err().setting(), "allow_origin");
    let plain = BearerTokenLayer::builder(cache.clone()).connected_to("http://api.example");
    assert_eq!(plain.build().unwrap_err().setting(), "allow_origin");
    let plain = BearerTokenLayer::builder(cache).dangerous_allow_http_origin("http://api.example");
    assert!(plain.build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_request_fails_with_the_reason_when_there_is_no_token() {
    let script = Script::new([]).then_always(DOWN);
    let api = Api::<Empty<Bytes>>::new(|_| fine());
    let result = send(layer(&cache(&script)), &api, get(ORIGIN)).await;
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with("the request may not go out"));
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.downcast_ref::<token_cache::TokenError>().is_some());
    assert_eq!(api.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_ask_for_a_token_of_its_own_and_keeps_to_it_in_the_replay() {
    let script = Script::new([]);
    let cache = cache(&script);
    cache.token().await.unwrap();
    let api = Api::<Empty<Bytes>>::new(rejects("token-2"));
    let mut request = get(ORIGIN);
    let other = TokenRequest::new().scope("other");
    request.extensions_mut().insert(other.clone());
    send(layer(&cache), &api, request).await.unwrap();
    assert_eq!(api.authorizations(), ["Bearer token-2", "Bearer token-3"]);
    // The cache's own is untouched.
    assert_eq!(cache.token().await.unwrap().secret(), "token-1");
    let kept = cache.token_for(&other).await.unwrap();
    assert_eq!(kept.secret(), "token-3");
}

/// B3
#[tokio::test(start_paused = true)]
async fn dropping_a_request_that_waits_for_a_token_cancels_no_fetch() {
    let script = Script::gated([]);
    let cache = cache(&script);
    let api = Api::<Empty<Bytes>>::new(|_| fine());
    let waiting = tokio::spawn({
        let (layer, api) = (layer(&cache), api.clone());
        async move { send(layer, &api, get(ORIGIN)).await }
    });
    script.called(1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    script.open();
    assert_eq!(cache.token().await.unwrap().secret(), "token-1");
    assert_eq!((api.requests(), script.calls()), (0, 1));
}

/// B17
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_rejections_at_once_cost_one_refresh_and_one_replay_each() {
    const CALLERS: usize = 500;
    let script = Script::new([]);
    let cache = cache(&script);
    cache.token().await.unwrap();
    let api = Api::<Empty<Bytes>>::new(rejects("token-1"));
    let service = layer(&cache).build().unwrap().layer(api.clone());
    let barrier = Arc::new(Barrier::new(CALLERS));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (service, barrier) = (service.clone(), Arc::clone(&barrier));
        callers.spawn(async move {
            barrier.wait().await;
            service.oneshot(get(ORIGIN)).await.unwrap().status()
        });
    }
    while let Some(status) = callers.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
    assert_eq!(script.calls(), 2);
    assert!(api.requests() <= 2 * CALLERS);
}

#[tokio::test]
async fn it_goes_over_the_hyper_client_and_under_other_layers() {
    let app = Router::new().fallback(any(async |headers: HeaderMap| {
        match authorization(&headers) {
            "Bearer token-2" => Response::new(Body::from("fine")),
            _ => answer(StatusCode::UNAUTHORIZED, INVALID).map(Body::new),
        }
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let bearer = BearerTokenLayer::builder(cache(&Script::new([])))
        .allow_origin(&origin)
        .replay(|body: &Full<Bytes>| Some(body.clone()))
        .build()
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let service = tower::ServiceBuilder::new()
        .concurrency_limit(1)
        .layer(bearer)
        .concurrency_limit(1)
        .service(client);
    let request = Request::post(&origin).body(Full::from("body")).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "fine");
}
