//! What a fresh token costs in allocations, counted per thread.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, header};
use token_cache::{
    AccessToken, IssuedToken, StartupPolicy, TokenCache, TokenError, TokenRequest, TokenSource,
};
use tokio::runtime::{Builder, Runtime};

const TIMES: usize = 1_000;

#[derive(Debug)]
struct Source;

#[async_trait]
impl TokenSource for Source {
    async fn fetch(&self, _request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        IssuedToken::new("x".repeat(800), Some(Duration::from_secs(3_600)))
    }
}

/// A cache with a token, and the runtime that its task is on.
fn warm_cache() -> (Runtime, TokenCache) {
    #[cfg(feature = "metrics")]
    {
        // Per process; whoever comes second finds the first one's.
        let _ = metrics_util::debugging::DebuggingRecorder::new().install();
    }
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let cache = TokenCache::builder(Source).build().unwrap();
    let start = cache.start(StartupPolicy::Require(Duration::from_secs(10)));
    runtime.block_on(start).unwrap();
    (runtime, cache)
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the token is fresh"),
    }
}

fn allocations(mut what: impl FnMut()) -> u64 {
    // The first call sets up what a thread needs once.
    what();
    let counted = allocation_counter::measure(|| {
        for _ in 0..TIMES {
            what();
        }
    });
    counted.count_total
}

fn attach(headers: &mut HeaderMap<HeaderValue>, token: &AccessToken) {
    headers.insert(header::AUTHORIZATION, token.authorization().clone());
}

#[test]
fn attaching_a_fresh_token_allocates_nothing() {
    let (_runtime, cache) = warm_cache();
    let mut headers = HeaderMap::with_capacity(8);
    let count = allocations(|| {
        headers.remove(header::AUTHORIZATION);
        attach(&mut headers, &ready(cache.token()).unwrap());
    });
    assert_eq!(count, 0);
    // The counting works.
    assert_eq!(allocations(|| drop(Box::new(7))), TIMES as u64);
}

#[test]
fn the_token_of_another_request_allocates_nothing_either() {
    let (runtime, cache) = warm_cache();
    let request = TokenRequest::new()
        .scope("a b")
        .audience("https://x.example");
    runtime.block_on(cache.token_for(&request)).unwrap();
    let mut headers = HeaderMap::with_capacity(8);
    let count = allocations(|| {
        headers.remove(header::AUTHORIZATION);
        attach(&mut headers, &ready(cache.token_for(&request)).unwrap());
    });
    assert_eq!(count, 0);
}

#[cfg(feature = "tower")]
#[test]
fn the_tower_layer_allocates_nothing_for_a_request_that_is_sent_once() {
    use http::{Request, Response, Uri};
    use http_body_util::Full;
    use tower::{Layer as _, Service as _};

    type Body = Full<bytes::Bytes>;

    let (_runtime, cache) = warm_cache();
    let layer = token_cache::BearerTokenLayer::builder(cache)
        .allow_origin("https://api.example")
        .build()
        .unwrap();
    // Gives the headers back, so that their buffer can be used again.
    let inner = tower::service_fn(|request: Request<Body>| {
        let headers = request.into_parts().0.headers;
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(headers)))
    });
    let mut service = layer.layer(inner);
    let uri = Uri::from_static("https://api.example/data");
    let mut headers = HeaderMap::with_capacity(8);
    let count = allocations(|| {
        headers.remove(header::AUTHORIZATION);
        let mut request = Request::new(Full::from("order"));
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = std::mem::take(&mut headers);
        headers = ready(service.call(request)).unwrap().into_body();
        assert_eq!(headers.len(), 1);
    });
    assert_eq!(count, 0);
}

/// N26
#[test]
fn a_tenant_that_shares_the_http_client_costs_little() {
    const TENANTS: u64 = 100;
    let http = idp_http::IdpClient::builder().build().unwrap();
    let tenants = || -> Vec<TokenCache> {
        (0..TENANTS)
            .map(|tenant| {
                let secret = secrecy::SecretString::from("a secret of a usual length");
                let source = token_cache::ClientCredentials::builder("tenant", secret)
                    .issuer(&format!("https://{tenant}.idp.example"))
                    .http_client(http.clone())
                    .build()
                    .unwrap();
                TokenCache::builder(source).build().unwrap()
            })
            .collect()
    };
    let mut kept = Vec::new();
    let counted = allocation_counter::measure(|| kept = tenants());
    assert_eq!(kept.len() as u64, TENANTS);
    let each = counted.bytes_current / i64::try_from(TENANTS).unwrap();
    assert!(each <= 20 * 1_024, "{each} bytes for each tenant");
}
