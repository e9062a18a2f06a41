//! What a failing provider costs, and whom.

use std::time::Duration;

use clock::ManualClock;
use token_cache::{Freshness, RefreshPolicy, TokenErrorKind, TokenRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, timeout};

use crate::script::{DOWN, Script, Step, WRONG_SECRET, cache, cache_with, settle};

/// B1
#[tokio::test(start_paused = true)]
async fn every_waiter_of_a_failed_attempt_gets_its_failure() {
    let script = Script::gated([WRONG_SECRET]);
    let cache = cache(&script);
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let cache = cache.clone();
        callers.spawn(async move { cache.token().await.unwrap_err().kind() });
    }
    settle().await;
    script.open();
    while let Some(kind) = callers.join_next().await {
        assert_eq!(kind.unwrap(), TokenErrorKind::InvalidClient);
    }
    assert_eq!(script.calls(), 1);
}

/// B4
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_source_is_a_failure_like_another() {
    let script = Script::new([Step::Panic]);
    let cache = cache(&script);
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Panic);
    advance(error.retry_after()).await;
    settle().await;
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_as_cancelled_fails_its_callers_and_is_asked_again() {
    let script = Script::new([Step::Fail(TokenErrorKind::Cancelled)]);
    let cache = cache(&script);
    let request = TokenRequest::new().scope("other");
    for _ in 0..2 {
        let error = cache.token_for(&request).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Cancelled);
        assert_eq!(script.calls(), 1);
    }
    let wait = cache.health_for(&request).unwrap().next_attempt_in.unwrap();
    advance(wait).await;
    settle().await;
    let token = cache.token_for(&request).await.unwrap();
    assert_eq!(token.secret(), "token-2");
}

/// B6
#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_the_token_that_is_still_valid() {
    let script = Script::new([Step::Token("first", Some(3_600))]).then_always(DOWN);
    let cache = cache(&script);
    assert_eq!(cache.token().await.unwrap().secret(), "first");
    for second in 0..3_599 {
        advance(Duration::from_secs(1)).await;
        settle().await;
        assert_eq!(
            cache.token().await.unwrap().secret(),
            "first",
            "after {second} s"
        );
    }
    let health = cache.health();
    assert_eq!(health.freshness, Some(Freshness::Critical));
    assert_eq!(health.last_error, Some(TokenErrorKind::Connect));
    assert!(health.consecutive_failures > 100);
    advance(Duration::from_secs(1)).await;
    settle().await;
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Connect);
}

/// B7, B8
#[tokio::test(start_paused = true)]
async fn callers_fail_at_once_in_an_outage_and_recover_by_themselves() {
    let script = Script::gated([DOWN]).then_always(DOWN);
    let cache = cache(&script);
    script.open();
    assert!(cache.token().await.is_err());
    // The next attempt hangs; callers do not hang with it.
    script.called(2).await;
    let before = Instant::now();
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Connect);
    assert_eq!(Instant::now(), before);
    assert_eq!(error.retry_after(), Duration::from_secs(1));
    script.now_always(None);
    script.open();
    settle().await;
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    assert_eq!(cache.health().last_error, None);
}

/// B26
#[tokio::test(start_paused = true)]
async fn while_one_attempt_probes_the_provider_every_caller_fails_at_once() {
    let script = Script::gated([DOWN]).then_always(DOWN);
    let cache = cache(&script);
    script.open();
    cache.token().await.unwrap_err();
    script.called(2).await;
    let before = Instant::now();
    for _ in 0..1_000 {
        let token = timeout(Duration::from_secs(1), cache.token());
        token.await.unwrap().unwrap_err();
    }
    assert_eq!(Instant::now(), before);
    assert_eq!(script.calls(), 2);
}

/// B9, A1
#[tokio::test(start_paused = true)]
async fn an_outage_costs_one_attempt_per_back_off_step_whatever_the_callers_do() {
    let script = Script::new([]).then_always(DOWN);
    let cache = cache(&script);
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        for _ in 0..20 {
            assert!(cache.token().await.is_err());
        }
        advance(Duration::from_millis(100)).await;
        settle().await;
    }
    let times = script.times();
    for pair in times.windows(2) {
        let wait = pair[1] - pair[0];
        assert!(wait >= Duration::from_millis(250), "{wait:?}");
        assert!(
            wait <= Duration::from_secs(2),
            "a returning provider is noticed within 2 s: {wait:?}"
        );
    }
    assert!(times.len() <= 80, "{} attempts", times.len());
}

/// A11
#[tokio::test(start_paused = true)]
async fn retry_after_decides_when_the_next_attempt_comes() {
    let script = Script::new([Step::Overloaded(Duration::from_secs(40))]);
    let cache = cache(&script);
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.retry_after(), Duration::from_secs(40));
    advance(Duration::from_secs(39)).await;
    settle().await;
    assert_eq!(script.calls(), 1);
    assert_eq!(
        cache.token().await.unwrap_err().retry_after(),
        Duration::from_secs(1)
    );
    advance(Duration::from_secs(1)).await;
    settle().await;
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}

/// A10, A37
#[tokio::test(start_paused = true)]
async fn an_attempt_retries_transient_failures_twice_and_no_other() {
    let throttled = TokenErrorKind::Throttled;
    let unusable = TokenErrorKind::ExpiresIn;
    for (step, calls) in [
        (DOWN, 3),
        (WRONG_SECRET, 1),
        (Step::Fail(throttled), 1),
        (Step::Fail(unusable), 1),
    ] {
        let script = Script::new([]).then_always(step.clone());
        let clock = ManualClock::at_unix(2_000_000_000);
        let cache = cache_with(&script, RefreshPolicy::default(), clock);
        assert!(cache.token().await.is_err());
        assert_eq!(script.calls(), calls, "{step:?}");
    }
}

/// A37, N32
#[tokio::test(start_paused = true)]
async fn what_a_provider_counts_is_asked_for_a_few_times_a_minute() {
    for kind in [
        TokenErrorKind::TokenSyntax,
        TokenErrorKind::UnexpectedStatus,
        TokenErrorKind::Throttled,
    ] {
        let script = Script::new([]).then_always(Step::Fail(kind));
        let policy = RefreshPolicy::default();
        let cache = cache_with(&script, policy, ManualClock::at_unix(2_000_000_000));
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            assert!(cache.token().await.is_err());
            advance(Duration::from_millis(100)).await;
            settle().await;
        }
        for pair in script.times().windows(2) {
            let wait = pair[1] - pair[0];
            assert!(wait >= Duration::from_millis(2_500), "{kind:?} {wait:?}");
        }
        let calls = script.calls();
        assert!((3..=6).contains(&calls), "{kind:?}: {calls} requests");
    }
}

/// A12, B20, N25
#[tokio::test(start_paused = true)]
async fn rejected_credentials_open_a_window_that_a_new_secret_ends() {
    for kind in [
        TokenErrorKind::InvalidClient,
        TokenErrorKind::Proxy,
        TokenErrorKind::Tls,
        TokenErrorKind::Config,
    ] {
        let script = Script::new([]).then_always(Step::Fail(kind));
        let cache = cache(&script);
        for _ in 0..6 {
            let calls = script.calls();
            let error = cache.token().await.unwrap_err();
            assert_eq!(error.kind(), kind);
            script.called(calls + 1).await;
            settle().await;
        }
        let window = cache.health().next_attempt_in.unwrap();
        assert!(window > Duration::from_secs(10), "{window:?}");
        script.now_always(None);
        script.replace_credentials();
        advance(Duration::from_millis(1_001)).await;
        settle().await;
        assert!(cache.token().await.is_ok(), "{kind:?}");
    }
}

/// B20
#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_for_a_while_is_looked_at_until_it_is_right() {
    let script = Script::new([WRONG_SECRET]).then_always(Step::Fail(TokenErrorKind::Config));
    let cache = cache(&script);
    assert!(cache.token().await.is_err());
    for calls in 2..4 {
        // Taken away, and then there in part.
        script.replace_credentials();
        advance(Duration::from_millis(1_001)).await;
        settle().await;
        assert_eq!(script.calls(), calls);
        assert_eq!(cache.health().last_error, Some(TokenErrorKind::Config));
    }
    script.now_always(None);
    script.replace_credentials();
    advance(Duration::from_millis(1_001)).await;
    settle().await;
    assert!(cache.token().await.is_ok());
}

/// A12
#[tokio::test(start_paused = true)]
async fn rejected_credentials_are_tried_again_without_a_change_on_our_side() {
    let script = Script::new([WRONG_SECRET]);
    let cache = cache(&script);
    let error = cache.token().await.unwrap_err();
    assert!(error.retry_after() >= Duration::from_millis(2_500));
    assert!(error.retry_after() <= Duration::from_secs(5));
    advance(error.retry_after()).await;
    settle().await;
    assert!(cache.token().await.is_ok());
}

/// A12, B20
#[tokio::test(start_paused = true)]
async fn a_secret_that_was_replaced_during_the_request_is_used_at_once_and_once() {
    let script = Script::new([Step::Outdated]);
    let cache = cache(&script);
    let before = Instant::now();
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    assert_eq!(Instant::now(), before);

    let script = Script::new([Step::Outdated]).then_always(WRONG_SECRET);
    let cache = crate::script::cache(&script);
    assert!(cache.token().await.is_err());
    assert_eq!(script.calls(), 2);
}
