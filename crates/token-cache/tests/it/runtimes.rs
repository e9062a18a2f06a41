//! Runtimes that end while callers wait on them, and others that go on with the same cache.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clock::ManualClock;
use token_cache::{RefreshPolicy, StartupPolicy, TokenErrorKind};
use tokio::runtime::Runtime;

use crate::script::{self, DOWN, Script, Step};

/// Only a hang takes as long.
const LIMIT: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Does this on a thread of its own, because what hangs may be the dropping of a runtime.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let _ = done.send(work());
    });
    result.recv_timeout(LIMIT).unwrap()
}

/// N1
#[test]
fn a_runtime_whose_callers_ask_for_a_token_during_an_outage_can_be_dropped() {
    for _ in 0..10 {
        let source = Script::new([]).then_always(DOWN);
        let cache = script::cache(&source);
        let runtime = runtime();
        for _ in 0..8 {
            let cache = cache.clone();
            runtime.spawn(async move {
                loop {
                    let _ = cache.token().await;
                    tokio::task::yield_now().await;
                }
            });
        }
        runtime.block_on(source.called(1));
        in_time(move || drop(runtime));
    }
}

/// N1
#[test]
fn a_caller_whose_runtime_ended_is_told_so() {
    let source = Script::gated([]);
    let cache = script::cache(&source);
    let runtime = runtime();
    let (result, caller) = mpsc::channel();
    // Not on one of the runtime's own threads, so that it goes on being polled.
    thread::spawn({
        let (cache, runtime) = (cache.clone(), runtime.handle().clone());
        move || result.send(runtime.block_on(cache.token()).unwrap_err().kind())
    });
    runtime.block_on(source.called(1));
    in_time(move || drop(runtime));
    let kind = caller.recv_timeout(LIMIT).unwrap();
    assert_eq!(kind, TokenErrorKind::Cancelled);
}

/// N2
#[test]
fn another_runtime_finishes_what_one_that_ended_has_begun() {
    let source = Script::gated([]);
    let cache = script::cache(&source);
    let (first, second) = (runtime(), runtime());
    first
        .block_on(cache.start(StartupPolicy::Background))
        .unwrap();
    first.block_on(source.called(1));
    let waiting = second.spawn({
        let cache = cache.clone();
        async move { cache.token().await.unwrap().secret().to_owned() }
    });
    in_time(move || drop(first));
    in_time({
        let source = source.clone();
        move || {
            second.block_on(source.called(2));
            source.open();
            assert_eq!(second.block_on(waiting).unwrap(), "token-2");
        }
    });
}

/// N2
#[test]
fn a_token_goes_on_being_refreshed_ahead_on_another_runtime() {
    let source = Script::new([Step::Token("first", Some(1_000))]);
    let clock = ManualClock::at_unix(2_000_000_000);
    let cache = script::cache_with(&source, RefreshPolicy::default(), clock.clone());
    let (first, second) = (runtime(), runtime());
    first.block_on(cache.token()).unwrap();
    in_time(move || drop(first));
    // Inside the refresh margin, outside the leeway.
    clock.advance(Duration::from_secs(900));
    in_time({
        let source = source.clone();
        move || {
            let token = second.block_on(cache.token()).unwrap();
            assert_eq!(token.secret(), "first");
            second.block_on(source.called(2));
        }
    });
}

/// N1
#[test]
fn outside_of_any_runtime_a_token_that_is_there_is_served_and_none_is_waited_for() {
    let mut polled = std::task::Context::from_waker(std::task::Waker::noop());
    let mut poll = |cache: &token_cache::TokenCache| {
        let mut call = std::pin::pin!(cache.token());
        call.as_mut().poll(&mut polled)
    };
    let cache = script::cache(&Script::new([]));
    match poll(&cache) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), TokenErrorKind::Cancelled),
        other => panic!("{other:?}"),
    }
    runtime().block_on(cache.token()).unwrap();
    assert!(matches!(poll(&cache), std::task::Poll::Ready(Ok(_))));
}
