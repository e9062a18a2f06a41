//! The cache on paused time.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use clock::ManualClock;
use token_cache::{
    AccessToken, Freshness, RefreshPolicy, StartupPolicy, TokenError, TokenErrorKind, TokenRequest,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, timeout};

use crate::script::{DOWN, Script, Step, cache, cache_with, settle};

const HOUR: Duration = Duration::from_secs(3_600);

/// B1
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_callers_without_a_token_cost_one_request() {
    const CALLERS: usize = 10_000;
    let script = Script::gated([]);
    let cache = cache(&script);
    let barrier = Arc::new(Barrier::new(CALLERS));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, barrier) = (cache.clone(), Arc::clone(&barrier));
        callers.spawn(async move {
            barrier.wait().await;
            cache.token().await.unwrap().secret().to_owned()
        });
    }
    script.called(1).await;
    script.open();
    while let Some(token) = callers.join_next().await {
        assert_eq!(token.unwrap(), "token-1");
    }
    assert_eq!(script.calls(), 1);
}

/// B2
#[tokio::test(start_paused = true)]
async fn refreshes_happen_ahead_of_expiry_and_nobody_waits() {
    let script = Script::new([]);
    let cache = cache(&script);
    cache
        .start(StartupPolicy::Require(Duration::from_secs(1)))
        .await
        .unwrap();
    let mut tokens = std::collections::BTreeSet::new();
    for _ in 0..4 * 60 {
        advance(Duration::from_secs(60)).await;
        settle().await;
        let before = Instant::now();
        tokens.insert(cache.token().await.unwrap().secret().to_owned());
        assert_eq!(Instant::now(), before, "a caller waited");
    }
    // Four hours of one-hour tokens that are refreshed 5 min early.
    assert_eq!(script.calls(), 5);
    assert_eq!(tokens.len(), 5);
}

/// B3, B5
#[tokio::test(start_paused = true)]
async fn callers_leave_at_their_own_deadline_and_the_fetch_goes_on() {
    let script = Script::gated([]);
    let cache = cache(&script);
    let impatient = timeout(Duration::from_millis(10), cache.token()).await;
    assert!(impatient.is_err());
    let patient = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.unwrap() }
    });
    settle().await;
    script.open();
    assert_eq!(patient.await.unwrap().secret(), "token-1");
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn health_tells_when_a_token_is_refreshed_and_when_its_leeway_begins() {
    let script = Script::new([Step::Token("first", Some(1_000))]).then_always(DOWN);
    let cache = cache(&script);
    assert_eq!(cache.health().lifetime, None);
    cache.token().await.unwrap();
    let health = cache.health();
    let seconds = |time: Option<Duration>| time.unwrap().as_secs();
    assert_eq!(seconds(health.lifetime), 1_000);
    let refresh_after = seconds(health.refresh_after);
    assert!((750..=775).contains(&refresh_after), "{health:?}");
    assert_eq!(seconds(health.leeway_after), 970);
    advance(Duration::from_secs(980)).await;
    let health = cache.health();
    assert_eq!(seconds(health.refresh_after), refresh_after);
    assert_eq!(seconds(health.age), 980);
    assert_eq!(seconds(health.expires_in), 20);
}

/// B28
#[tokio::test(start_paused = true)]
async fn a_fleet_that_restarts_spreads_its_first_requests_and_a_caller_ends_the_wait() {
    let policy = RefreshPolicy::default().start_jitter(Duration::from_secs(1));
    let began = Instant::now();
    let fleet: Vec<_> = (0..40).map(|_| Script::new([])).collect();
    let caches: Vec<_> = fleet
        .iter()
        .map(|script| cache_with(script, policy, ManualClock::at_unix(2_000_000_000)))
        .collect();
    for cache in &caches {
        cache.start(StartupPolicy::Background).await.unwrap();
    }
    settle().await;
    assert!(fleet.iter().all(|script| script.calls() == 0));
    // One of them is asked.
    caches[0].token().await.unwrap();
    assert_eq!(Instant::now(), began);
    for _ in 0..100 {
        advance(Duration::from_millis(10)).await;
        settle().await;
    }
    let first = fleet.iter().map(|script| script.times()[0] - began);
    let mut tenths: Vec<_> = first.map(|after| after.as_millis() / 100).collect();
    assert_eq!(tenths[0], 0);
    tenths.sort_unstable();
    tenths.dedup();
    // Forty random times in fewer than five of ten parts: once in 10^12 runs.
    assert!(tenths.len() >= 5, "{tenths:?}");
    assert!(fleet.iter().all(|script| script.calls() == 1));
}

/// A22, B22
#[tokio::test(start_paused = true)]
async fn a_lifetime_of_zero_serves_the_callers_at_hand_and_is_fetched_once_a_second_at_most() {
    let script = Script::new([]).then_always(Step::Token("now-only", Some(0)));
    let cache = cache(&script);
    assert!(!cache.health().is_ready());
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(cache.token().await.unwrap().secret(), "now-only");
    }
    let health = cache.health();
    assert!(health.single_use && health.is_ready(), "{health:?}");
    assert_eq!(script.calls(), 5);
    assert_eq!(Instant::now() - start, Duration::from_secs(4));
    // And nobody asks when nobody calls.
    advance(HOUR).await;
    settle().await;
    assert_eq!(script.calls(), 5);
}

/// A22, B22
#[tokio::test(start_paused = true)]
async fn short_tokens_are_used_and_refreshed_without_a_gap() {
    let script = Script::new([]).then_always(Step::Token("short", Some(5)));
    let cache = cache(&script);
    cache.token().await.unwrap();
    for _ in 0..600 {
        advance(Duration::from_millis(100)).await;
        settle().await;
        let before = Instant::now();
        cache.token().await.unwrap();
        assert_eq!(Instant::now(), before, "a caller waited");
    }
    let calls = script.calls();
    assert!(
        (20..=25).contains(&calls),
        "{calls} fetches in a minute of 5 s tokens"
    );
}

/// A21
#[tokio::test(start_paused = true)]
async fn a_token_without_a_lifetime_lives_for_five_minutes() {
    let script = Script::new([Step::Token("untold", None)]);
    let cache = cache(&script);
    cache.token().await.unwrap();
    let expires_in = cache.health().expires_in.unwrap();
    assert_eq!(expires_in, Duration::from_secs(300));
}

/// B13, B14
#[tokio::test(start_paused = true)]
async fn a_token_that_the_wall_clock_calls_expired_is_not_served_after_a_suspend() {
    let script = Script::new([]);
    let clock = ManualClock::at_unix(2_000_000_000);
    let cache = cache_with(&script, RefreshPolicy::default(), clock.clone());
    assert_eq!(cache.token().await.unwrap().secret(), "token-1");
    // The machine slept for an hour: the monotonic clock stood still.
    clock.advance(HOUR);
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    // The wall clock is stepped back: the token is neither older nor younger for it.
    clock.step_back(HOUR);
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    assert_eq!(script.calls(), 2);
}

/// B13
#[tokio::test(start_paused = true)]
async fn a_token_that_a_clock_ended_before_its_caller_looked_is_not_served() {
    let script = Script::gated([]);
    let clock = ManualClock::at_unix(2_000_000_000);
    let cache = cache_with(&script, RefreshPolicy::default(), clock.clone());
    let mut caller = pin!(cache.token());
    assert!(poll_fn(|cx| Poll::Ready(caller.as_mut().poll(cx).is_pending())).await);
    script.open();
    settle().await;
    assert_eq!(cache.health().freshness, Some(Freshness::Fresh));
    clock.advance(HOUR);
    script.open();
    assert_eq!(caller.await.unwrap().secret(), "token-2");
}

/// B7, B21
#[tokio::test(start_paused = true)]
async fn a_caller_whose_old_token_ends_while_it_waits_gets_what_the_attempt_brings() {
    for (answer, expected) in [
        (Step::Token("new", Some(60)), Ok("new")),
        (DOWN, Err(TokenErrorKind::Connect)),
    ] {
        let script = Script::gated([Step::Token("old", Some(100)), answer]);
        let cache = cache(&script);
        script.open();
        cache.token().await.unwrap();
        advance(Duration::from_millis(99_500)).await;
        script.called(2).await;
        let caller = tokio::spawn({
            let cache = cache.clone();
            async move { cache.token().await }
        });
        // Past the end of the old token and of the brief wait.
        for _ in 0..4 {
            settle().await;
            advance(Duration::from_millis(500)).await;
        }
        script.open();
        let token = caller.await.unwrap();
        let token = token.as_ref().map(AccessToken::secret);
        assert_eq!(token.map_err(TokenError::kind), expected);
        assert_eq!(script.calls(), 2);
    }
}

/// B16
#[tokio::test(start_paused = true)]
async fn a_late_rejection_of_an_old_token_leaves_the_new_one_alone() {
    let script = Script::new([]);
    let cache = cache(&script);
    let old = cache.token().await.unwrap();
    assert!(cache.invalidate(&old));
    let new = cache.token().await.unwrap();
    assert_eq!(new.secret(), "token-2");
    assert!(!cache.invalidate(&old));
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
    assert_eq!(script.calls(), 2);
}

/// B16
#[tokio::test(start_paused = true)]
async fn a_fetch_begun_before_a_rejection_does_not_bring_the_rejected_token_back() {
    let script = Script::gated([
        Step::Token("same", Some(100)),
        Step::Token("same", Some(100)),
    ]);
    let cache = cache(&script);
    script.open();
    let rejected = cache.token().await.unwrap();
    advance(Duration::from_secs(80)).await;
    script.called(2).await;
    // The refresh is under way when the token is rejected, and then brings the same one.
    assert!(cache.invalidate(&rejected));
    script.open();
    script.open();
    assert_eq!(cache.token().await.unwrap().secret(), "token-3");
}

/// A38, B17
#[tokio::test(start_paused = true)]
async fn a_resource_server_that_rejects_everything_does_not_become_load_on_the_provider() {
    let script = Script::new([]);
    let cache = cache(&script);
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let token = cache.token().await.unwrap();
        cache.invalidate(&token);
        advance(Duration::from_millis(100)).await;
    }
    // 1 + 1 + 2 + 4 + 8 + 16 + 30 s of cool-down cover the minute.
    assert!(script.calls() <= 8, "{} fetches", script.calls());
}

/// B11, B12
#[tokio::test(start_paused = true)]
async fn other_requests_have_tokens_of_their_own_within_a_bound() {
    let script = Script::new([]);
    let policy = RefreshPolicy::default().max_keys(3);
    let cache = cache_with(&script, policy, ManualClock::at_unix(2_000_000_000));
    let own = cache.token().await.unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|scope| TokenRequest::new().scope(scope));
    let token_a = cache.token_for(&a).await.unwrap();
    advance(Duration::from_secs(1)).await;
    let token_b = cache.token_for(&b).await.unwrap();
    advance(Duration::from_secs(1)).await;
    assert!(!token_a.is_same(&token_b) && !token_a.is_same(&own));
    assert!(cache.token_for(&a).await.unwrap().is_same(&token_a));
    assert!(
        cache
            .token_for(&TokenRequest::new())
            .await
            .unwrap()
            .is_same(&own)
    );
    assert_eq!(script.calls(), 3);
    advance(Duration::from_secs(1)).await;
    cache.token_for(&c).await.unwrap();
    assert!(
        cache.health_for(&b).is_none(),
        "the least recently used goes"
    );
    assert!(cache.health_for(&a).is_some());
    assert!(cache.token_for(&a).await.unwrap().is_same(&token_a));
}

/// B24
#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_asks_for_any_more_is_not_refreshed() {
    let script = Script::new([]);
    let cache = cache(&script);
    let request = TokenRequest::new().scope("rare");
    cache.token_for(&request).await.unwrap();
    advance(HOUR * 24).await;
    settle().await;
    assert_eq!(script.calls(), 1);
    assert_eq!(cache.token_for(&request).await.unwrap().secret(), "token-2");
}

/// B24
#[tokio::test(start_paused = true)]
async fn a_request_that_somebody_asks_for_is_refreshed_and_the_caches_own_in_any_case() {
    let script = Script::new([]);
    let cache = cache(&script);
    let request = TokenRequest::new().scope("often");
    cache.token().await.unwrap();
    cache.token_for(&request).await.unwrap();
    for _ in 0..12 {
        advance(Duration::from_secs(300)).await;
        settle().await;
        let before = Instant::now();
        cache.token_for(&request).await.unwrap();
        assert_eq!(Instant::now(), before, "a caller waited");
    }
    // Both have been refreshed once, 5 min before their hour was over.
    assert_eq!(script.calls(), 4);
}
