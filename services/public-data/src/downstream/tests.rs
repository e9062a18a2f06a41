//! The call to protected-data: transports and answers.

use async_trait::async_trait;
use axum::http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::Next;
use token_cache::{IssuedToken, TokenRequest, TokenSource};

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

/// C15
#[test]
fn retry_after_is_passed_on_clamped() {
    for (value, expected) in [
        (Some("7"), 7),
        (Some("0"), 1),
        (Some("9999999"), 300),
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
            let error = from_status(status, &headers);
            assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(
                error.retry_after(),
                Some(Duration::from_secs(expected)),
                "{value:?}"
            );
        }
    }
}
