//! The call to protected-data: transports and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::Next;
use token_cache::{IssuedToken, TokenRequest, TokenSource};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::concurrency_limit::MAX_WAIT;
use super::*;

#[derive(Debug)]
struct Source;

#[async_trait]
impl TokenSource for Source {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        IssuedToken::new("token".to_owned(), None)
    }
}

/// Answers by itself; fails where it has nothing to say.
struct Transport(Option<&'static str>);

#[async_trait]
impl Middleware for Transport {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        assert_eq!(request.url().path(), "/base/api/protected/data");
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer token");
        match self.0 {
            Some(body) => Ok(axum::http::Response::new(body).into()),
            None => Err(Error::middleware(DownstreamError::Timeout)),
        }
    }
}

#[tokio::test]
async fn a_transport_gets_the_token_and_decides_the_outcome() {
    let base = Url::parse("http://127.0.0.1:1/base/").unwrap();
    let call = async |transport| {
        let tokens = TokenCache::builder(Source).build().unwrap();
        let downstream = Downstream::with_transport(&base, false, tokens, transport).unwrap();
        downstream.protected_data(HeaderMap::new()).await
    };
    let answered = call(Transport(Some(r#"{"protectedData":"x"}"#))).await;
    assert_eq!(answered.unwrap(), "x");
    let failed = call(Transport(None)).await;
    assert!(
        matches!(failed, Err(DownstreamError::Timeout)),
        "{failed:?}"
    );
}

/// Never answers, and counts the callers that wait.
struct Silent(Arc<AtomicUsize>);

#[async_trait]
impl Middleware for Silent {
    async fn handle(
        &self,
        _: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

/// Never gives a token.
#[derive(Debug)]
struct Mute;

#[async_trait]
impl TokenSource for Mute {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        std::future::pending().await
    }
}

/// Sends ten more calls at once than may be under way, and returns each result and how long it took.
async fn crowd(
    source: impl TokenSource,
    transport: impl Middleware,
) -> Vec<(Result<String, DownstreamError>, Duration)> {
    let base = Url::parse("http://127.0.0.1:1/").unwrap();
    let tokens = TokenCache::builder(source).build().unwrap();
    let downstream = Downstream::with_transport(&base, false, tokens, transport).unwrap();
    let downstream = Arc::new(downstream);
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..MAX_CALLS + 10 {
        let downstream = Arc::clone(&downstream);
        callers.spawn(async move {
            let result = downstream.protected_data(HeaderMap::new()).await;
            (result, begun.elapsed())
        });
    }
    callers.join_all().await
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_a_token_keep_nobody_from_calling() {
    for (result, _) in crowd(Mute, Transport(None)).await {
        assert!(!matches!(result, Err(DownstreamError::Busy)), "{result:?}");
    }
}

/// Gives one token at once and every other one after more than a call waits.
#[derive(Debug, Default)]
struct Slow(AtomicUsize);

#[async_trait]
impl TokenSource for Slow {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        if before > 0 {
            // On paused time.
            tokio::time::sleep(MAX_WAIT + Duration::from_millis(500)).await;
        }
        IssuedToken::new(format!("token-{before}"), Some(Duration::from_secs(300)))
    }
}

/// Refuses the first token with this status.
struct Refusing(u16);

#[async_trait]
impl Middleware for Refusing {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let answer = if request.headers()[header::AUTHORIZATION] == "Bearer token-0" {
            axum::http::Response::builder().status(self.0).body("")
        } else {
            axum::http::Response::builder().body(r#"{"protectedData":"x"}"#)
        };
        Ok(answer.unwrap().into())
    }
}

/// C1
#[tokio::test(start_paused = true)]
async fn callers_whose_token_was_refused_keep_nobody_from_calling() {
    for (result, _) in crowd(Slow::default(), Refusing(401)).await {
        assert_eq!(result.unwrap(), "x");
    }
}

/// Gives one token, and then nobody answers.
#[derive(Debug, Default)]
struct Away(AtomicUsize);

#[async_trait]
impl TokenSource for Away {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err(TokenError::new(TokenErrorKind::Connect));
        }
        IssuedToken::new("token-0".to_owned(), Some(Duration::from_secs(300)))
    }
}

/// C2, N14
#[tokio::test(start_paused = true)]
async fn a_refused_token_that_cannot_be_replaced_counts_as_a_missing_token() {
    let base = Url::parse("http://127.0.0.1:1/").unwrap();
    for (rejected, status, expected) in [
        (&[401][..], 401, 503),
        (&[401, 403], 403, 503),
        (&[401], 403, 502),
    ] {
        let tokens = TokenCache::builder(Away::default()).build().unwrap();
        let rejected = rejected.iter().map(|it| StatusCode::from_u16(*it).unwrap());
        let attaching = Attaching {
            rejected_statuses: rejected.collect(),
            ..Attaching::default()
        };
        let http = client(&base, false, tokens.clone(), &attaching).unwrap();
        let http = http.with(Refusing(status)).build();
        let downstream = Downstream::over(http, &base, tokens, &attaching);
        let error = downstream
            .protected_data(HeaderMap::new())
            .await
            .unwrap_err();
        assert_eq!(error.status(), expected, "{error:?}");
        let is_for_the_token = matches!(error, DownstreamError::Token(_));
        assert_eq!(is_for_the_token, expected == 503, "{error:?}");
        assert_eq!(error.retry_after().is_some(), expected == 503);
    }
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_may_wait_for_an_answer_are_refused_after_two_seconds() {
    let called = Arc::new(AtomicUsize::new(0));
    let mut refused = 0;
    for (result, after) in crowd(Source, Silent(Arc::clone(&called))).await {
        let error = result.unwrap_err();
        match error {
            DownstreamError::Busy => {
                refused += 1;
                assert_eq!(after, MAX_WAIT);
                assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
            }
            DownstreamError::Timeout => assert_eq!(after, TOTAL_TIMEOUT),
            error => panic!("{error:?}"),
        }
    }
    assert_eq!(refused, 10);
    assert_eq!(called.load(Ordering::Relaxed), MAX_CALLS);
}

/// C15
#[test]
fn retry_after_is_passed_on_clamped() {
    // Sun, 06 Nov 1994 08:49:37 GMT
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for (value, expected) in [
        (Some("7"), 7),
        (Some("0"), 1),
        (Some("9999999"), 300),
        (Some("99999999999999999999999"), 300),
        (Some("Sun, 06 Nov 1994 08:50:07 GMT"), 30),
        (None, 1),
        (Some("x"), 1),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        }
        for status in [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ] {
            let error = from_status(status, &headers, now);
            assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(
                error.retry_after(),
                Some(Duration::from_secs(expected)),
                "{value:?}"
            );
        }
    }
}
