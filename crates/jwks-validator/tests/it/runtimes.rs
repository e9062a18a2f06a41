//! When the tasks that fetch keys start, and runtimes that end under them.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{Answer, Reason, RefreshOutcome};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::fake_source::{FakeSource, Script, at_once, builder, elapse, keys, reason, started};
use crate::signer::{NOW, Signer};

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

/// N2
#[tokio::test(start_paused = true)]
async fn the_first_token_starts_what_nobody_has_started() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = builder(&source).build().unwrap();
    assert_eq!(source.calls(), 0);
    assert_eq!(reason(&validator, &signer.good()).await, None);
    validator.start();
    assert_eq!(reason(&validator, &signer.good()).await, None);
    assert_eq!(source.calls(), 1);
    let another = builder(&source).build().unwrap();
    assert!(another.wait_ready().await);
}

/// N1, N2
#[test]
fn another_runtime_goes_on_with_the_keys_of_one_that_ended() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old]);
    let (first, second) = (runtime(), runtime());
    let validator = first.block_on(started(&source));
    for _ in 0..4 {
        let (validator, token) = (validator.clone(), new.good());
        first.spawn(async move {
            loop {
                let _ = validator.validate(&token).await;
                tokio::task::yield_now().await;
            }
        });
    }
    first.block_on(source.called(2));
    in_time(move || drop(first));
    source.set(keys(&[&new]));
    in_time(move || {
        second.block_on(async {
            assert_eq!(reason(&validator, &old.good()).await, None, "as before");
            let outcome = validator.refresh().await.remove(0).outcome;
            assert_eq!(outcome, RefreshOutcome::Refreshed);
            assert_eq!(reason(&validator, &new.good()).await, None);
        });
    });
}

/// N2
#[test]
fn a_fetch_that_went_with_its_runtime_is_made_again_for_those_who_wait_for_it() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Hang);
    let validator = builder(&source).build().unwrap();
    // On one thread: when the call has been counted, it hangs.
    let first = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let second = runtime();
    first.block_on(async { validator.start() });
    first.block_on(source.called(1));
    let waiting = second.spawn({
        let validator = validator.clone();
        async move { validator.wait_ready().await }
    });
    source.set(keys(&[&signer]));
    in_time(move || drop(first));
    assert!(in_time(move || second.block_on(waiting).unwrap()));
    assert_eq!(source.calls(), 2);
}

/// N1
#[tokio::test(start_paused = true)]
async fn after_shutdown_nobody_waits_for_a_fetch() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Hang);
    let validator = builder(&source).build().unwrap();
    validator.shutdown().await;
    let answer = at_once(reason(&validator, &signer.good())).await;
    assert_eq!(answer, Some(Some(Reason::KeysUnavailable)));
    validator.start();
    assert!(!validator.wait_ready().await);
    assert_eq!(source.calls(), 0);
}

/// N3
#[tokio::test(start_paused = true)]
async fn whatever_a_source_does_the_validator_asks_it_again() {
    let signer = Signer::es256("k");
    let Script::Keys(document) = keys(&[&signer]) else {
        unreachable!("what it returns")
    };
    for script in [
        Script::Panic,
        Script::Hang,
        Script::NotModified,
        Script::Fail(Answer::Refused),
        Script::Busy(Duration::ZERO),
        Script::Busy(Duration::MAX),
        Script::Tagged(b"{}".to_vec(), Some(Duration::MAX)),
        Script::Tagged(document.clone(), Some(Duration::ZERO)),
        Script::Tagged(document.clone(), Some(Duration::MAX)),
    ] {
        let source = FakeSource::new(script.clone());
        let validator = builder(&source).max_stale(Duration::MAX).build().unwrap();
        validator.start();
        let asked_again = timeout(Duration::from_secs(3_600), source.called(3)).await;
        assert!(asked_again.is_ok(), "{script:?}");
        source.set(keys(&[&signer]));
        elapse(Duration::from_secs(310)).await;
        assert_eq!(reason(&validator, &signer.good()).await, None, "{script:?}");
    }
}

/// N2, N45
#[test]
fn a_look_at_the_readiness_brings_back_what_went_with_its_runtime() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let clock = ManualClock::at_unix(NOW.unsigned_abs());
    let (first, second) = (runtime(), runtime());
    let validator = builder(&source)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    assert!(first.block_on(validator.wait_ready()));
    in_time(move || drop(first));
    clock.advance(Duration::from_secs(2 * 3_600));
    in_time(move || {
        second.block_on(async {
            assert!(!validator.ready());
            source.called(2).await;
        });
    });
}
