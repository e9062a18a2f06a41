//! The beginning and the end of a cache, on paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clock::Clock;
use token_cache::{RefreshPolicy, StartupPolicy, TokenCache, TokenErrorKind};
use tokio::time::{Instant, advance};

use crate::script::{self, DOWN, Script, Step, elapse, settle};

const HOUR: Duration = Duration::from_secs(3_600);

/// B18
#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_hanging_fetch_and_its_waiters() {
    let source = Script::gated([]);
    let cache = script::cache(&source);
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await.unwrap_err().kind() }
    });
    source.called(1).await;
    let before = Instant::now();
    cache.shutdown().await;
    assert!(Instant::now() - before <= Duration::from_secs(1));
    assert_eq!(waiter.await.unwrap(), TokenErrorKind::Cancelled);
    assert_eq!(
        cache.token().await.unwrap_err().kind(),
        TokenErrorKind::Cancelled
    );
    cache.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_still_served_after_shutdown_while_it_lives() {
    let source = Script::new([]);
    let cache = script::cache(&source);
    cache.token().await.unwrap();
    cache.shutdown().await;
    assert_eq!(cache.token().await.unwrap().secret(), "token-1");
    advance(HOUR).await;
    assert_eq!(
        cache.token().await.unwrap_err().kind(),
        TokenErrorKind::Cancelled
    );
}

/// B19
#[test]
fn the_refresher_is_started_again_when_its_runtime_went_away() {
    let source = Script::new([]).then_always(Step::Token("short", Some(0)));
    let cache = script::cache(&source);
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async { cache.token().await.unwrap() });
        drop(runtime);
    }
    assert_eq!(source.calls(), 2);
    drop(cache);
}

/// H1
#[tokio::test(start_paused = true)]
async fn start_can_wait_for_the_first_token_or_not() {
    let source = Script::new([DOWN, DOWN]);
    let cache = script::cache(&source);
    cache.start(StartupPolicy::Background).await.unwrap();
    assert!(!cache.health().is_ready());
    cache
        .start(StartupPolicy::Require(Duration::from_secs(10)))
        .await
        .unwrap();
    assert!(cache.health().is_ready());
    let calls = source.calls();
    cache.start(StartupPolicy::Background).await.unwrap();
    settle().await;
    assert_eq!(source.calls(), calls);

    let soon = Script::new([DOWN]);
    let began = Instant::now();
    script::cache(&soon)
        .start(StartupPolicy::Require(Duration::from_secs(1)))
        .await
        .unwrap();
    let waited = began.elapsed();
    assert!(waited <= Duration::from_millis(500), "{waited:?}");

    let never = Script::new([]).then_always(DOWN);
    let error = script::cache(&never)
        .start(StartupPolicy::Require(Duration::from_secs(3)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Connect);
}

#[tokio::test(start_paused = true)]
async fn tasks_end_with_the_last_clone_of_the_cache() {
    let source = Script::new([]).then_always(DOWN);
    let cache = script::cache(&source);
    assert!(cache.token().await.is_err());
    drop(cache);
    settle().await;
    let calls = source.calls();
    advance(HOUR).await;
    settle().await;
    assert_eq!(source.calls(), calls);
}

/// N5
#[tokio::test(start_paused = true)]
async fn a_start_that_needs_a_token_waits_for_attempts_and_does_not_poll() {
    let script = Script::gated([DOWN, DOWN]);
    script.open();
    let clock = CountingClock::default();
    let policy = RefreshPolicy::default().retries(0);
    let cache = TokenCache::builder(script.clone())
        .refresh_policy(policy)
        .clock(Arc::<Looks>::clone(&clock.0))
        .build()
        .unwrap();
    // The second attempt is under way for ten seconds.
    let start = tokio::spawn({
        let cache = cache.clone();
        async move { cache.start(StartupPolicy::Require(HOUR)).await }
    });
    script.called(2).await;
    advance(Duration::from_secs(1)).await;
    let before = clock.looks();
    elapse(Duration::from_secs(10)).await;
    let looks = clock.looks() - before;
    assert!(
        looks <= 10,
        "{looks} looks at the clock while an attempt runs"
    );
    script.open();
    script.open();
    start.await.unwrap().unwrap();
    assert_eq!(script.calls(), 3);
}

#[derive(Debug, Default)]
struct Looks(AtomicU64);

#[derive(Debug, Default)]
struct CountingClock(Arc<Looks>);

impl CountingClock {
    fn looks(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }
}

impl Clock for Looks {
    fn now(&self) -> SystemTime {
        self.0.fetch_add(1, Ordering::Relaxed);
        UNIX_EPOCH + Duration::from_secs(2_000_000_000)
    }
}
