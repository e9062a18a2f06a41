//! A service that calls an API with reqwest, and whose settings hold a clock and an HTTP client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use dev_idp::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use token_cache::{
    BearerTokenMiddleware, ClientCredentials, Clock, ConfigError, FetchErrorKind, IdpClient,
    IdpClientBuilder, ManualClock, SecretString, SystemClock, TokenCache, TokenError, TokenRequest,
};

use crate::serve;

struct Settings {
    issuer: String,
    secret: SecretString,
    http: IdpClientBuilder,
    clock: Arc<dyn Clock>,
}

impl Settings {
    fn cache(self) -> Result<TokenCache, ConfigError> {
        let source = ClientCredentials::builder(DEFAULT_CLIENT_ID, self.secret)
            .issuer(&self.issuer)
            .http(self.http)
            .build()?;
        TokenCache::builder(source)
            .request(TokenRequest::new().scope("data:read"))
            .clock(self.clock)
            .build()
    }
}

fn client(cache: &TokenCache, api: &str) -> Result<ClientWithMiddleware, ConfigError> {
    let bearer = BearerTokenMiddleware::builder(cache.clone())
        .allow_origin(api)
        .build()?;
    Ok(ClientBuilder::new(reqwest::Client::new())
        .with(bearer)
        .build())
}

/// For a line in the log of the service.
fn is_unreachable(error: &TokenError) -> bool {
    error.fetch_error_kind() == Some(FetchErrorKind::Connect)
}

#[tokio::test]
async fn a_reqwest_service_asks_once_per_token_and_says_when_nobody_answers() {
    let idp = DevIdp::builder().start().await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let data = async move |headers: HeaderMap| {
        assert!(headers.contains_key("authorization"));
        counted.fetch_add(1, Ordering::SeqCst);
    };
    let api = serve(Router::new().route("/data", get(data))).await;
    let clock = ManualClock::new(SystemClock.now());
    let settings = |clock: Arc<dyn Clock>| Settings {
        issuer: idp.issuer().to_owned(),
        secret: DEFAULT_CLIENT_SECRET.into(),
        http: IdpClient::builder().timeout(Duration::from_secs(2)),
        clock,
    };

    let cache = settings(Arc::new(clock.clone())).cache().unwrap();
    let client = client(&cache, &api).unwrap();
    for _ in 0..3 {
        let answer = client.get(format!("{api}/data")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!((calls.load(Ordering::SeqCst), idp.requests().token), (3, 1));

    // A day later the token has expired.
    clock.advance(Duration::from_secs(24 * 3_600));
    assert!(clock.now() > SystemTime::UNIX_EPOCH);
    client.get(format!("{api}/data")).send().await.unwrap();
    assert_eq!((calls.load(Ordering::SeqCst), idp.requests().token), (4, 2));
    cache.shutdown().await;

    idp.pause().await;
    let cache = settings(Arc::new(SystemClock)).cache().unwrap();
    assert!(is_unreachable(&cache.token().await.unwrap_err()));
    cache.shutdown().await;
}
