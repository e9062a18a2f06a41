//! A new token whose key the resource server does not know yet, and the one before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{Empty, Full};
use token_cache::{BearerTokenService, TokenCache, TokenRequest};
use tokio::time::advance;
use tower::{Layer as _, ServiceExt as _};

use super::api::{
    Api, INVALID, ORIGIN, answer, fine, get, layer, post, rejects, replace_token, status,
};
use crate::logs::Logs;
use crate::script::{Script, cache};

fn unavailable(of: &str) -> Response<Empty<Bytes>> {
    Response::builder()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .header(header::VIA, of)
        .body(Empty::new())
        .unwrap()
}

/// Accepts the second token from when it is told to.
fn learns_of_token_2(refusal: StatusCode) -> (Api<Empty<Bytes>>, Arc<AtomicBool>) {
    let known = Arc::new(AtomicBool::new(false));
    let api = Api::new({
        let known = Arc::clone(&known);
        move |authorization| match authorization {
            "Bearer token-2" if !known.load(Ordering::SeqCst) => answer(refusal, INVALID),
            _ => fine(),
        }
    });
    (api, known)
}

/// A client whose first token was accepted, and has been replaced.
async fn with_a_second_token(
    script: &Script,
    api: &Api<Empty<Bytes>>,
) -> (TokenCache, BearerTokenService<Api<Empty<Bytes>>>) {
    let cache = cache(script);
    let service = layer(&cache).build().unwrap().layer(api.clone());
    assert_eq!(status(&service).await, StatusCode::OK);
    replace_token(&cache).await;
    (cache, service)
}

/// D22
#[tokio::test(start_paused = true)]
async fn a_new_token_that_is_not_accepted_yet_is_kept_and_the_one_before_it_used() {
    let api = Api::new(rejects("token-2"));
    let (cache, service) = with_a_second_token(&Script::new([]), &api).await;
    let send = async || status(&service).await;
    assert_eq!(send().await, StatusCode::OK);
    let sent = ["Bearer token-1", "Bearer token-2", "Bearer token-1"];
    assert_eq!(api.authorizations(), sent);
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}

/// C2
#[tokio::test(start_paused = true)]
async fn when_the_token_before_is_refused_too_both_are_dropped() {
    let first = AtomicUsize::new(0);
    let api = Api::new(move |authorization| match authorization {
        "Bearer token-1" if first.fetch_add(1, Ordering::SeqCst) == 0 => fine(),
        "Bearer token-1" | "Bearer token-2" => answer(StatusCode::UNAUTHORIZED, INVALID),
        _ => fine(),
    });
    let (cache, service) = with_a_second_token(&Script::new([]), &api).await;
    let send = async || status(&service).await;
    assert_eq!(send().await, StatusCode::UNAUTHORIZED);
    assert_eq!(api.requests(), 3);
    assert_eq!(send().await, StatusCode::OK);
    assert_eq!(cache.token().await.unwrap().secret(), "token-3");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_accepted_for_long_is_replaced_although_the_one_before_it_would_do() {
    let api = Api::new(rejects("token-2"));
    let (cache, service) = with_a_second_token(&Script::new([]), &api).await;
    let send = async || status(&service).await;
    for _ in 0..35 {
        assert_eq!(send().await, StatusCode::OK);
        assert_eq!(cache.token().await.unwrap().secret(), "token-2");
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(send().await, StatusCode::OK);
    assert_eq!(cache.token().await.unwrap().secret(), "token-3");
}

#[tokio::test(start_paused = true)]
async fn the_log_says_once_that_a_token_is_not_accepted_yet_and_once_that_it_is() {
    let (api, known) = learns_of_token_2(StatusCode::SERVICE_UNAVAILABLE);
    let logs = Logs::capture("token_cache=info");
    let count = |text: &str| logs.text().matches(text).count();
    let (_cache, service) = with_a_second_token(&Script::new([]), &api).await;
    for known_now in [false, true] {
        known.store(known_now, Ordering::SeqCst);
        for _ in 0..12 {
            assert_eq!(status(&service).await, StatusCode::OK);
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(count("a new token is not accepted yet"), 1);
        assert_eq!(count("the new token is accepted"), usize::from(known_now));
    }
    assert!(!logs.text().contains("token-"), "{}", logs.text());
}

/// B11
#[tokio::test(start_paused = true)]
async fn a_token_for_something_else_never_stands_in() {
    for refusal in [StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE] {
        let api = Api::new(move |authorization| match authorization {
            "Bearer token-1" => fine(),
            _ => answer(refusal, INVALID),
        });
        let script = Script::new([]);
        let cache = cache(&script);
        let service = layer(&cache).build().unwrap().layer(api.clone());
        let mut other = get::<Empty<Bytes>>(ORIGIN);
        let orders = TokenRequest::new().audience("orders");
        other.extensions_mut().insert(orders);
        let answer = service.clone().oneshot(other).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(status(&service).await, refusal);
        let sent = api.authorizations();
        assert_eq!(
            sent.iter().filter(|sent| *sent == "Bearer token-1").count(),
            1,
            "{sent:?}"
        );
    }
}

/// D22
#[tokio::test(start_paused = true)]
async fn a_resource_server_that_learns_of_no_new_key_for_minutes_refuses_no_request() {
    let api = Api::new(|authorization| match authorization {
        "Bearer token-1" => fine(),
        _ => answer(StatusCode::UNAUTHORIZED, INVALID),
    });
    let script = Script::new([]);
    let (_cache, service) = with_a_second_token(&script, &api).await;
    for second in 0..120 {
        assert_eq!(status(&service).await, StatusCode::OK, "after {second} s");
        advance(Duration::from_secs(1)).await;
    }
    // One, its successor, and one for every 35 s or a little more.
    assert_eq!(script.calls(), 5);
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
    assert_eq!(send().await, StatusCode::OK);
    assert!(cache.invalidate(&cache.token().await.unwrap()));
    assert_eq!(send().await, StatusCode::UNAUTHORIZED);
    assert_eq!(send().await, StatusCode::OK);
    assert_eq!(
        api.authorizations(),
        ["Bearer token-1", "Bearer token-2", "Bearer token-3"]
    );
}

/// D22
#[tokio::test(start_paused = true)]
async fn the_token_before_goes_out_until_one_request_in_five_seconds_shows_the_new_one_accepted() {
    for refusal in [StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE] {
        let (api, known) = learns_of_token_2(refusal);
        let (cache, service) = with_a_second_token(&Script::new([]), &api).await;
        // The first request, and the one after five seconds, are sent twice.
        for _ in 0..8 {
            assert_eq!(status(&service).await, StatusCode::OK, "{refusal}");
            advance(Duration::from_secs(1)).await;
        }
        known.store(true, Ordering::SeqCst);
        for _ in 0..4 {
            assert_eq!(status(&service).await, StatusCode::OK, "{refusal}");
            advance(Duration::from_secs(1)).await;
        }
        let sent: Vec<_> = api.authorizations();
        let sent = sent
            .iter()
            .map(|sent| sent.trim_start_matches("Bearer token-"));
        let sent: String = sent.collect();
        assert_eq!(
            sent,
            ["1", "21", "1111", "21", "11", "11", "22"].concat(),
            "{refusal}"
        );
        assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    }
}

/// C18
#[tokio::test(start_paused = true)]
async fn a_resource_server_that_is_unavailable_is_asked_twice_once_for_a_new_token() {
    let down = Arc::new(AtomicBool::new(false));
    let api = Api::new({
        let down = Arc::clone(&down);
        move |authorization| match down.load(Ordering::SeqCst) {
            true => unavailable(authorization.trim_start_matches("Bearer ")),
            false => fine(),
        }
    });
    let cache = cache(&Script::new([]));
    let service = layer(&cache).build().unwrap().layer(api.clone());
    assert_eq!(status(&service).await, StatusCode::OK);
    down.store(true, Ordering::SeqCst);
    assert_eq!(status(&service).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(api.requests(), 2, "the token was accepted before");
    replace_token(&cache).await;
    for _ in 0..3 {
        let answer = service.clone().oneshot(get(ORIGIN)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::VIA], "token-2", "the first answer");
    }
    assert_eq!(api.requests(), 6);
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}

/// C6
#[tokio::test(start_paused = true)]
async fn a_post_is_not_repeated_after_503() {
    let api = Api::<Full<Bytes>>::new(|authorization| match authorization {
        "Bearer token-2" => unavailable(""),
        _ => fine(),
    });
    let cache = cache(&Script::new([]));
    let layer = layer(&cache).replay(|body: &Full<Bytes>| Some(body.clone()));
    let service = layer.build().unwrap().layer(api.clone());
    let send = async || {
        service
            .clone()
            .oneshot(post("body"))
            .await
            .unwrap()
            .status()
    };
    assert_eq!(send().await, StatusCode::OK);
    replace_token(&cache).await;
    assert_eq!(send().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(api.requests(), 2);
}

/// C2
#[tokio::test(start_paused = true)]
async fn a_token_before_that_is_refused_itself_does_not_cost_the_new_one() {
    let first = AtomicUsize::new(0);
    let api = Api::new(move |authorization| match authorization {
        "Bearer token-1" if first.fetch_add(1, Ordering::SeqCst) == 0 => fine(),
        "Bearer token-1" => answer(StatusCode::UNAUTHORIZED, INVALID),
        _ => unavailable(""),
    });
    let (cache, service) = with_a_second_token(&Script::new([]), &api).await;
    assert_eq!(status(&service).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    assert_eq!(api.requests(), 3);
}

/// D22
#[tokio::test(start_paused = true)]
async fn a_token_before_that_is_refused_while_it_goes_out_gives_way_to_the_new_one() {
    let withdrawn = Arc::new(AtomicBool::new(false));
    let api = Api::new({
        let withdrawn = Arc::clone(&withdrawn);
        move |authorization| {
            let refused = match withdrawn.load(Ordering::SeqCst) {
                false => "Bearer token-2",
                true => "Bearer token-1",
            };
            match authorization == refused {
                true => answer(StatusCode::UNAUTHORIZED, INVALID),
                false => fine(),
            }
        }
    });
    let (cache, service) = with_a_second_token(&Script::new([]), &api).await;
    assert_eq!(status(&service).await, StatusCode::OK);
    withdrawn.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(status(&service).await, StatusCode::OK);
    }
    let sent = [
        "token-1", "token-2", "token-1", "token-1", "token-2", "token-2",
    ];
    assert_eq!(
        api.authorizations(),
        sent.map(|token| format!("Bearer {token}"))
    );
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}
