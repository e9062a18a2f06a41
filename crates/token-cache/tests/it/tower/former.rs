//! A new token that is rejected, and the one before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::{Empty, Full};
use token_cache::{BearerTokenService, TokenCache, TokenRequest};
use tokio::time::advance;
use tower::{Layer as _, ServiceExt as _};

use super::api::{
    Api, INVALID, ORIGIN, answer, fine, get, layer, post, rejects, replace_token, status,
};
use crate::script::{Script, Step, cache, settle};

/// A client whose first token was replaced.
async fn with_a_second_token(
    script: &Script,
    api: &Api<Empty<Bytes>>,
) -> (TokenCache, BearerTokenService<Api<Empty<Bytes>>>) {
    let cache = cache(script);
    let service = layer(&cache).build().unwrap().layer(api.clone());
    cache.token().await.unwrap();
    replace_token(&cache).await;
    (cache, service)
}

/// N10, D22
#[tokio::test(start_paused = true)]
async fn a_new_token_that_is_rejected_is_kept_for_35_seconds_and_the_one_before_it_sent_instead() {
    let api = Api::new(rejects("token-2"));
    let script = Script::new([]);
    let (cache, service) = with_a_second_token(&script, &api).await;
    for second in 0..35 {
        assert_eq!(status(&service).await, StatusCode::OK, "after {second} s");
        let sent = &api.authorizations()[2 * second..];
        assert_eq!(sent, ["Bearer token-2", "Bearer token-1"]);
        assert_eq!(cache.token().await.unwrap().secret(), "token-2");
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(script.calls(), 2);
    assert_eq!(status(&service).await, StatusCode::OK);
    assert_eq!(cache.token().await.unwrap().secret(), "token-3");
}

/// N10
#[tokio::test(start_paused = true)]
async fn two_replicas_of_different_opinion_refuse_at_most_a_quarter_of_the_requests() {
    for (name, replaced_ahead) in [("dropped", false), ("replaced ahead", true)] {
        // The replicas that the first sending of a call and its replay come to: a bit each.
        let ways = Arc::new(AtomicUsize::new(0));
        let api = Api::new({
            let ways = Arc::clone(&ways);
            move |authorization| {
                let way = ways.load(Ordering::SeqCst);
                ways.store(way >> 1, Ordering::SeqCst);
                let knows_the_new_key = way & 1 == 1;
                match (authorization == "Bearer token-1") == knows_the_new_key {
                    true => answer(StatusCode::UNAUTHORIZED, INVALID),
                    false => fine(),
                }
            }
        });
        let script = Script::new([Step::Token("token-1", Some(100))]);
        let cache = cache(&script);
        let service = layer(&cache).build().unwrap().layer(api.clone());
        cache.token().await.unwrap();
        match replaced_ahead {
            false => replace_token(&cache).await,
            true => {
                advance(Duration::from_secs(80)).await;
                script.called(2).await;
                settle().await;
            }
        }
        let mut refused = 0;
        // As a load balancer does it: each of the four ways as often as the others.
        for call in 0..200 {
            ways.store(call % 4, Ordering::SeqCst);
            refused += usize::from(status(&service).await != StatusCode::OK);
        }
        assert_eq!(refused, 50, "{name}");
        assert_eq!(script.calls(), 2, "{name}");
        assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    }
}

/// N10, C2
#[tokio::test(start_paused = true)]
async fn when_the_token_before_is_refused_too_that_is_the_answer_and_both_stay() {
    let api = Api::new(|_| answer(StatusCode::UNAUTHORIZED, INVALID));
    let script = Script::new([]);
    let (cache, service) = with_a_second_token(&script, &api).await;
    for sent in [2, 4] {
        assert_eq!(status(&service).await, StatusCode::UNAUTHORIZED);
        assert_eq!(api.requests(), sent);
    }
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    assert_eq!(script.calls(), 2);
}

/// N10
#[tokio::test(start_paused = true)]
async fn a_token_before_that_has_expired_is_not_sent() {
    for (name, lifetime, expected) in [("lives", 12, "token-1"), ("expired", 10, "token-3")] {
        let api = Api::new(rejects("token-2"));
        let script = Script::new([Step::Token("token-1", Some(lifetime))]);
        let (cache, service) = with_a_second_token(&script, &api).await;
        advance(Duration::from_secs(10)).await;
        assert_eq!(status(&service).await, StatusCode::OK);
        let sent = ["Bearer token-2".to_owned(), format!("Bearer {expected}")];
        assert_eq!(api.authorizations(), sent, "{name}");
        let kept = cache.token().await.unwrap();
        assert_eq!(kept.secret() == "token-2", name == "lives", "{name}");
    }
}

/// N10
#[tokio::test(start_paused = true)]
async fn a_token_that_was_given_out_twice_is_not_the_one_before_itself() {
    let same = Step::Token("same", Some(10));
    let api = Api::new(rejects("same"));
    let script = Script::new([same.clone(), same]);
    let cache = cache(&script);
    let service = layer(&cache).build().unwrap().layer(api.clone());
    cache.token().await.unwrap();
    advance(Duration::from_secs(6)).await;
    script.called(2).await;
    settle().await;
    assert_eq!(status(&service).await, StatusCode::OK);
    assert_eq!(api.authorizations(), ["Bearer same", "Bearer token-3"]);
}

/// B11
#[tokio::test(start_paused = true)]
async fn a_token_for_something_else_never_stands_in() {
    let api = Api::new(rejects("token-3"));
    let script = Script::new([]);
    let cache = cache(&script);
    let service = layer(&cache).build().unwrap().layer(api.clone());
    let orders = TokenRequest::new().audience("orders");
    let send = async || {
        let mut request = get::<Empty<Bytes>>(ORIGIN);
        request.extensions_mut().insert(orders.clone());
        service.clone().oneshot(request).await.unwrap().status()
    };
    assert_eq!(status(&service).await, StatusCode::OK);
    assert_eq!(send().await, StatusCode::OK);
    let token = cache.token_for(&orders).await.unwrap();
    assert!(cache.invalidate(&token));
    cache.token_for(&orders).await.unwrap();
    assert_eq!(send().await, StatusCode::OK);
    let sent = ["token-1", "token-2", "token-3", "token-2"];
    assert_eq!(
        api.authorizations(),
        sent.map(|token| format!("Bearer {token}"))
    );
}

/// C5
#[tokio::test(start_paused = true)]
async fn a_new_token_is_replaced_where_the_request_cannot_be_sent_with_the_one_before_it() {
    let api = Api::<Full<Bytes>>::new(rejects("token-2"));
    let cache = cache(&Script::new([]));
    let service = layer(&cache).build().unwrap().layer(api.clone());
    let send = async || {
        let sent = service.clone().oneshot(post("body"));
        sent.await.unwrap().status()
    };
    cache.token().await.unwrap();
    replace_token(&cache).await;
    // Within the cool-down of the first one it stays.
    advance(Duration::from_secs(1)).await;
    assert_eq!(send().await, StatusCode::UNAUTHORIZED);
    assert_eq!(send().await, StatusCode::OK);
    assert_eq!(api.authorizations(), ["Bearer token-2", "Bearer token-3"]);
}

/// C18
#[tokio::test(start_paused = true)]
async fn a_resource_server_that_is_unavailable_is_asked_once() {
    let down = Arc::new(AtomicBool::new(false));
    let api = Api::new({
        let down = Arc::clone(&down);
        move |_| match down.load(Ordering::SeqCst) {
            true => answer(StatusCode::SERVICE_UNAVAILABLE, INVALID),
            false => fine(),
        }
    });
    let (cache, service) = with_a_second_token(&Script::new([]), &api).await;
    assert_eq!(status(&service).await, StatusCode::OK);
    down.store(true, Ordering::SeqCst);
    let answer = service.clone().oneshot(get(ORIGIN)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], INVALID);
    assert_eq!(api.requests(), 2);
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}
