//! No failure is final, whatever a source does, on paused time.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clock::ManualClock;
use idp_http::IdpClient;
use secrecy::SecretString;
use token_cache::{
    ClientCredentials, IssuedToken, RefreshPolicy, StartupPolicy, TokenCache, TokenError,
    TokenErrorKind, TokenRequest, TokenSource,
};
use tokio::time::{Instant, advance, timeout};

use crate::script::{Script, cache_with, elapse};

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug)]
enum Misdeed {
    Panics,
    NeverAnswers,
    AsksToBeLeftAlone(Duration),
    RefusesForGood,
    Lives(Duration),
    NeverSaysWhetherTheSecretChanged,
    PanicsOverTheSecret,
}

/// Does it to the first three requests.
#[derive(Debug)]
struct Source(Misdeed, AtomicU64);

#[async_trait]
impl TokenSource for Source {
    async fn fetch(&self, _request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        if self.1.fetch_add(1, Ordering::Relaxed) >= 3 {
            return IssuedToken::new("good".to_owned(), Some(HOUR));
        }
        let failed = |kind| Err(TokenError::new(kind));
        match self.0 {
            Misdeed::Panics => panic!("told to"),
            Misdeed::NeverAnswers => pending().await,
            Misdeed::AsksToBeLeftAlone(wait) => {
                let error = TokenError::new(TokenErrorKind::Status5xx);
                Err(error.with_retry_after(Some(wait)))
            }
            Misdeed::Lives(lifetime) => IssuedToken::new("short".to_owned(), Some(lifetime)),
            _ => failed(TokenErrorKind::InvalidClient),
        }
    }

    async fn credentials_version(&self) -> u64 {
        match self.0 {
            Misdeed::NeverSaysWhetherTheSecretChanged => pending().await,
            Misdeed::PanicsOverTheSecret => panic!("told to"),
            _ => 0,
        }
    }
}

/// N3
#[tokio::test(start_paused = true)]
async fn whatever_a_source_does_the_cache_asks_it_again() {
    for misdeed in [
        Misdeed::Panics,
        Misdeed::NeverAnswers,
        Misdeed::AsksToBeLeftAlone(Duration::ZERO),
        Misdeed::AsksToBeLeftAlone(Duration::MAX),
        Misdeed::RefusesForGood,
        Misdeed::Lives(Duration::ZERO),
        Misdeed::Lives(Duration::from_nanos(1)),
        Misdeed::NeverSaysWhetherTheSecretChanged,
        Misdeed::PanicsOverTheSecret,
    ] {
        let policy = RefreshPolicy::default().retries(0);
        let cache = TokenCache::builder(Source(misdeed, AtomicU64::new(0)))
            .refresh_policy(policy)
            .build()
            .unwrap();
        let good = async {
            loop {
                match cache.token().await {
                    Ok(token) if token.secret() == "good" => return,
                    Ok(_) => elapse(Duration::from_secs(1)).await,
                    Err(error) => elapse(error.retry_after()).await,
                }
            }
        };
        assert!(timeout(HOUR, good).await.is_ok(), "{misdeed:?}");
    }
}

/// N3
#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_is_a_failure_after_fifteen_seconds() {
    let cache = TokenCache::builder(Source(Misdeed::NeverAnswers, AtomicU64::new(0)))
        .build()
        .unwrap();
    let began = Instant::now();
    let error = timeout(HOUR, cache.token()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Timeout);
    assert_eq!(began.elapsed().as_secs(), 15);
}

/// As far away as `IdpClient` lets a provider be.
#[derive(Debug)]
struct Slow(Duration);

#[async_trait]
impl TokenSource for Slow {
    async fn fetch(&self, _request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        // On paused time.
        elapse(self.0).await;
        IssuedToken::new("slow".to_owned(), Some(HOUR))
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(120)
    }
}

/// N3
#[tokio::test(start_paused = true)]
async fn a_source_that_may_take_longer_is_waited_for_as_long_as_it_says() {
    for (takes_s, expected) in [(119, Ok(119)), (121, Err(120))] {
        let source = Slow(Duration::from_secs(takes_s));
        let policy = RefreshPolicy::default().retries(0);
        let cache = TokenCache::builder(source)
            .refresh_policy(policy)
            .build()
            .unwrap();
        let began = Instant::now();
        let token = timeout(HOUR, cache.token()).await.unwrap();
        let after = began.elapsed().as_secs();
        let token = token.map(|_| after).map_err(|error| {
            assert_eq!(error.kind(), TokenErrorKind::Timeout);
            after
        });
        assert_eq!(token, expected);
    }
}

/// N3
#[test]
fn a_token_endpoint_may_take_what_its_exchanges_may() {
    for (timeout_s, expected_s) in [(1, 15), (3, 15), (30, 120)] {
        let http = IdpClient::builder().timeout(Duration::from_secs(timeout_s));
        let source = ClientCredentials::builder("id", SecretString::from("x"))
            .token_endpoint("https://idp.example/token")
            .http(http)
            .build()
            .unwrap();
        assert_eq!(source.time_limit(), Duration::from_secs(expected_s));
    }
}

/// N3
#[tokio::test(start_paused = true)]
async fn no_start_is_spread_over_more_time_than_there_is() {
    let policy = RefreshPolicy::default().start_jitter(Duration::MAX);
    let script = Script::new([]);
    let cache = cache_with(&script, policy, ManualClock::at_unix(2_000_000_000));
    cache.start(StartupPolicy::Background).await.unwrap();
    advance(HOUR).await;
    assert_eq!(cache.token().await.unwrap().secret(), "token-1");
}
