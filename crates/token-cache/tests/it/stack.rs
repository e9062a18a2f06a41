//! The middleware in a stack with reqwest-retry and reqwest-tracing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use reqwest_middleware::{ClientWithMiddleware, Error};
use reqwest_retry::{RetryDecision, RetryError, RetryPolicy, RetryTransientMiddleware};
use reqwest_tracing::TracingMiddleware;
use token_cache::{TokenCache, TokenError};

use crate::logs::Logs;
use crate::middleware::{Api, INVALID, plain_client, unauthorized};
use crate::script::{DOWN, Script, cache};

/// Retries at once, this often.
struct Times(u32);

impl RetryPolicy for Times {
    fn should_retry(&self, began: SystemTime, past_retries: u32) -> RetryDecision {
        if past_retries < self.0 {
            RetryDecision::Retry {
                execute_after: began,
            }
        } else {
            RetryDecision::DoNotRetry
        }
    }
}

fn retries(times: u32) -> RetryTransientMiddleware<Times> {
    RetryTransientMiddleware::new_with_policy(Times(times))
}

/// Retrying above the token, next to the caller.
fn retry_above(api: &Api, cache: &TokenCache, times: u32) -> ClientWithMiddleware {
    let client = plain_client().with(retries(times));
    client.with(api.bearer(cache)).build()
}

/// Retrying below the token, next to the network.
fn retry_below(api: &Api, cache: &TokenCache, times: u32) -> ClientWithMiddleware {
    let client = plain_client().with(api.bearer(cache));
    client.with(retries(times)).build()
}

#[tokio::test]
async fn a_retry_above_asks_for_the_token_anew_and_one_below_repeats_the_old_one() {
    for (above, second) in [(true, "Bearer token-2"), (false, "Bearer token-1")] {
        let cache = cache(&Script::new([]));
        let first = cache.token().await.unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        // Overloaded once, for long enough that the token is replaced meanwhile.
        let api = Api::start({
            let (cache, seen) = (cache.clone(), Arc::clone(&seen));
            move |authorization| {
                let mut seen = seen.lock().unwrap();
                seen.push(authorization.to_owned());
                if seen.len() == 1 {
                    assert!(cache.invalidate(&first));
                    StatusCode::SERVICE_UNAVAILABLE.into_response()
                } else {
                    "fine".into_response()
                }
            }
        })
        .await;
        let client = if above {
            retry_above(&api, &cache, 2)
        } else {
            retry_below(&api, &cache, 2)
        };
        let response = client.get(&api.origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let expected = ["Bearer token-1", second];
        assert_eq!(*seen.lock().unwrap(), expected, "above: {above}");
    }
}

fn rejects_the_first_token(authorization: &str) -> Response {
    match authorization {
        "Bearer token-1" => unauthorized(INVALID),
        _ => "fine".into_response(),
    }
}

#[tokio::test]
async fn a_replay_after_a_401_is_no_retry() {
    let api = Api::start(rejects_the_first_token).await;
    let client = retry_above(&api, &cache(&Script::new([])), 0);
    let response = client.get(&api.origin).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.requests(), 2);
}

#[tokio::test]
async fn the_replay_spends_the_retries_above_and_begins_those_below_anew() {
    for (above, expected) in [(true, 4), (false, 6)] {
        let sent = AtomicUsize::new(0);
        let api = Api::start(move |_| match sent.fetch_add(1, Ordering::SeqCst) {
            2 => unauthorized(INVALID),
            _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        })
        .await;
        let cache = cache(&Script::new([]));
        let client = if above {
            retry_above(&api, &cache, 2)
        } else {
            retry_below(&api, &cache, 2)
        };
        let response = client.get(&api.origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(api.requests(), expected, "above: {above}");
    }
}

#[tokio::test]
async fn a_missing_token_is_not_retried_and_is_found_inside_the_retry_error() {
    let api = Api::start(|_| "never".into_response()).await;
    let script = Script::new([]).then_always(DOWN);
    let client = retry_above(&api, &cache(&script), 5);
    let error = client.get(&api.origin).send().await.unwrap_err();
    assert_eq!((api.requests(), script.calls()), (0, 1));
    let Error::Middleware(outer) = &error else {
        panic!("{error}");
    };
    assert!(outer.downcast_ref::<TokenError>().is_none());
    let Some(RetryError::Error(Error::Middleware(inner))) = outer.downcast_ref() else {
        panic!("{outer}");
    };
    let token_error = inner.downcast_ref::<TokenError>().unwrap();
    assert!(token_error.is_transient());
}

/// C5
#[tokio::test]
async fn a_stream_does_not_pass_a_retry_at_all() {
    let api = Api::start(|_| "never".into_response()).await;
    let script = Script::new([]);
    let client = retry_above(&api, &cache(&script), 1);
    let stream = reqwest::Body::wrap(http_body_util::Full::new(bytes::Bytes::from("once")));
    let request = client.post(&api.origin).body(stream);
    let error = request.send().await.unwrap_err();
    assert!(error.to_string().contains("not cloneable"), "{error}");
    assert_eq!((api.requests(), script.calls()), (0, 0));
}

/// J1
#[tokio::test]
async fn tracing_above_sees_one_request_and_below_each_sending_and_neither_the_token() {
    for (above, spans) in [(true, 1), (false, 2)] {
        let logs = Logs::capture("info");
        let api = Api::start(rejects_the_first_token).await;
        let bearer = api.bearer(&cache(&Script::new([])));
        let tracing = TracingMiddleware::<reqwest_tracing::DefaultSpanBackend>::new();
        let client = if above {
            plain_client().with(tracing).with(bearer).build()
        } else {
            plain_client().with(bearer).with(tracing).build()
        };
        let response = client.get(&api.origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(api.requests(), 2);
        let text = logs.text();
        let seen = text
            .lines()
            .filter(|line| line.contains("\"message\":\"new\"") && line.contains("otel.name"))
            .count();
        assert_eq!(seen, spans, "above: {above}\n{text}");
        assert!(
            !text.contains("token-1") && !text.contains("token-2"),
            "{text}"
        );
    }
}
