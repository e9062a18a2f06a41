//! Token sources, settings and runtimes at their worst.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use clock::ManualClock;
use token_cache::{
    IssuedToken, RefreshPolicy, StartupPolicy, TokenCache, TokenError, TokenErrorKind,
    TokenRequest, TokenSource,
};
use tokio::task::JoinSet;
use tokio::time::{advance, timeout};

use crate::script::{Script, Step, cache, cache_with, settle};

const HOUR: Duration = Duration::from_secs(3_600);

/// B19
#[test]
fn a_refresher_whose_runtime_went_away_before_it_ran_is_replaced() {
    let script = Script::new([]);
    let cache = cache(&script);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        let mut call = pin!(cache.token());
        // The refresher is spawned and not polled yet.
        poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await
    });
    assert_eq!(script.calls(), 0);
    let token = runtime().block_on(async { timeout(HOUR, cache.token()).await });
    assert_eq!(token.unwrap().unwrap().secret(), "token-1");
}

/// A21, B7
#[tokio::test(start_paused = true)]
async fn a_token_that_expired_on_its_way_is_a_failure() {
    let script = Script::gated([Step::Token("late", Some(2))]);
    let cache = cache(&script);
    let caller = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.unwrap_err() }
    });
    script.called(1).await;
    advance(Duration::from_secs(2)).await;
    script.open();
    let error = caller.await.unwrap();
    assert_eq!(error.kind(), TokenErrorKind::Timeout);
    // And the next attempt comes by itself.
    script.called(2).await;
    script.open();
    settle().await;
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}

/// A22
#[tokio::test(start_paused = true)]
async fn tokens_without_a_lifetime_are_not_fetched_ahead_of_callers() {
    let script = Script::new([Step::Token("first", Some(100))])
        .then_always(Step::Token("now-only", Some(0)));
    let cache = cache(&script);
    assert_eq!(cache.token().await.unwrap().secret(), "first");
    advance(HOUR).await;
    settle().await;
    let refreshes = script.calls();
    assert!(refreshes <= 3, "{refreshes} fetches");
    advance(HOUR).await;
    settle().await;
    assert_eq!(script.calls(), refreshes);
    assert_eq!(cache.token().await.unwrap().secret(), "now-only");
    assert_eq!(script.calls(), refreshes + 1);
}

/// B14
#[tokio::test(start_paused = true)]
async fn a_suspend_is_noticed_after_a_refresh_that_readers_asked_for_too() {
    let script = Script::gated([]);
    let clock = ManualClock::at_unix(2_000_000_000);
    let cache = cache_with(&script, RefreshPolicy::default(), clock.clone());
    script.open();
    cache.token().await.unwrap();
    for fetches in 2..5 {
        // Into the refresh margin by the wall clock alone.
        clock.advance(HOUR - Duration::from_secs(200));
        // One reader starts the refresh, the other comes while it runs.
        for _ in 0..2 {
            cache.token().await.unwrap();
            script.called(fetches).await;
            settle().await;
        }
        script.open();
        settle().await;
    }
    assert_eq!(cache.token().await.unwrap().secret(), "token-4");
}

/// A11
#[tokio::test(start_paused = true)]
async fn no_wait_that_a_source_asks_for_is_taken_beyond_its_bounds() {
    for (asked, expected_s) in [(Duration::ZERO, 1), (Duration::MAX, 300)] {
        let script = Script::new([Step::Overloaded(asked)]);
        let cache = cache(&script);
        let error = cache.token().await.unwrap_err();
        let expected = Duration::from_secs(expected_s);
        assert_eq!(error.retry_after(), expected);
        advance(expected).await;
        settle().await;
        assert_eq!(script.calls(), 2);
    }
}

/// B23
#[tokio::test(start_paused = true)]
async fn no_setting_and_no_lifetime_is_too_long() {
    let script = Script::new([
        Step::Token("forever", Some(u64::MAX)),
        Step::Fail(TokenErrorKind::Status5xx),
    ]);
    let policy = RefreshPolicy::default()
        .min_margin(Duration::MAX)
        .max_margin(Duration::MAX)
        .max_leeway(Duration::MAX)
        .critical_wait(Duration::MAX)
        .max_lifetime(Duration::MAX)
        .retry_window(Duration::MAX)
        .idle_after(Duration::MAX)
        .retries(u32::MAX);
    let cache = cache_with(&script, policy, ManualClock::at_unix(2_000_000_000));
    cache
        .start(StartupPolicy::Require(Duration::MAX))
        .await
        .unwrap();
    let token = cache.token().await.unwrap();
    assert_eq!(token.secret(), "forever");
    assert!(cache.invalidate(&token));
    assert_eq!(cache.token().await.unwrap().secret(), "token-3");
}

/// Panics wherever the cache asks it something first.
#[derive(Debug, Default)]
struct Fragile {
    looks: AtomicU64,
    fetches: AtomicU64,
}

#[async_trait]
impl TokenSource for Fragile {
    async fn fetch(&self, _request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        if self.fetches.fetch_add(1, Ordering::Relaxed) == 0 {
            std::panic::resume_unwind(Box::new("scripted"));
        }
        IssuedToken::new("token".to_owned(), Some(HOUR))
    }

    async fn credentials_version(&self) -> u64 {
        if self.looks.fetch_add(1, Ordering::Relaxed) < 2 {
            std::panic::resume_unwind(Box::new("scripted"));
        }
        1
    }
}

/// B4
#[tokio::test(start_paused = true)]
async fn no_panic_of_a_source_ends_the_refresher() {
    let cache = TokenCache::builder(Fragile::default()).build().unwrap();
    let token = timeout(Duration::from_secs(1), cache.token()).await;
    assert_eq!(token.unwrap().unwrap().secret(), "token");
}

/// B12
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_whose_place_is_taken_while_it_asks_gets_another() {
    let policy = RefreshPolicy::default().max_keys(2);
    let clock = ManualClock::at_unix(2_000_000_000);
    let cache = cache_with(&Script::new([]), policy, clock);
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let cache = cache.clone();
        callers.spawn(async move {
            for round in 0..200 {
                let request = TokenRequest::new().audience(&format!("{caller}-{round}"));
                cache.token_for(&request).await.unwrap();
            }
        });
    }
    while let Some(finished) = callers.join_next().await {
        finished.unwrap();
    }
}

/// B18
#[tokio::test(start_paused = true)]
async fn start_does_not_wait_on_after_shutdown() {
    let cache = cache(&Script::gated([]));
    let start = tokio::spawn({
        let cache = cache.clone();
        async move { cache.start(StartupPolicy::Require(Duration::MAX)).await }
    });
    settle().await;
    cache.shutdown().await;
    let error = timeout(HOUR, start).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Cancelled);
}

/// B13
#[tokio::test(start_paused = true)]
async fn whoever_waited_in_vain_gets_a_token_that_a_stepped_clock_makes_valid_again() {
    let script = Script::gated([]);
    let clock = ManualClock::at_unix(2_000_000_000);
    let cache = cache_with(&script, RefreshPolicy::default(), clock.clone());
    script.open();
    cache.token().await.unwrap();
    clock.advance(HOUR);
    let caller = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.unwrap().secret().to_owned() }
    });
    script.called(2).await;
    clock.step_back(HOUR);
    cache.shutdown().await;
    assert_eq!(caller.await.unwrap(), "token-1");
}
