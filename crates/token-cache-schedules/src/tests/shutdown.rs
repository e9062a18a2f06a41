//! The end of a cache while it works.

use shuttle::future::{block_on, spawn};

use super::{explore, explore_all, results};
use crate::error::TokenErrorKind;
use crate::refresher::{Answer, Cache, HOUR};
use crate::slot::Patience;
use crate::sync::{Arc, AtomicBool, Ordering};

/// B18
#[test]
fn shutdown_leaves_no_waiter_behind() {
    explore(|| {
        let cache = Cache::new([Answer::Token("a", HOUR)]);
        let callers = cache.callers(3);
        block_on(cache.shutdown());
        for outcome in results(callers) {
            assert!(
                matches!(outcome.as_deref(), Ok("a") | Err(TokenErrorKind::Cancelled)),
                "{outcome:?}"
            );
        }
        let served = cache.slot.peek(cache.now()).is_some();
        match block_on(cache.token()) {
            Ok(token) => assert!(served && token == "a"),
            Err(kind) => assert!(!served && kind == TokenErrorKind::Cancelled),
        }
        assert!(*cache.begun.borrow() <= 1);
    });
}

/// B18
#[test]
fn shutdown_meets_a_refresh_and_a_rejection() {
    explore(|| {
        let cache = Cache::new([Answer::Token("a", HOUR), Answer::Token("b", HOUR)]);
        assert_eq!(block_on(cache.token()).as_deref(), Ok("a"));
        let rejecting = spawn({
            let cache = Arc::clone(&cache);
            async move {
                assert!(cache.invalidate("a"));
                cache.token().await
            }
        });
        block_on(cache.shutdown());
        let outcome = block_on(rejecting).unwrap();
        assert!(
            matches!(outcome.as_deref(), Ok("b") | Err(TokenErrorKind::Cancelled)),
            "{outcome:?}"
        );
    });
}

/// B18
#[test]
fn no_schedule_of_a_caller_and_a_shutdown_hangs() {
    explore_all(|| {
        let cache = Cache::new([]);
        // A refresher that does nothing is there until the end, which the caller sees or is told.
        let ended = Arc::new(AtomicBool::new(false));
        let caller = spawn({
            let (cache, ended) = (Arc::clone(&cache), Arc::clone(&ended));
            async move {
                let ensure = || !ended.load(Ordering::SeqCst);
                let join = cache
                    .slot
                    .join(|| cache.now(), Patience::OneAttempt, ensure);
                join.await
            }
        });
        ended.store(true, Ordering::SeqCst);
        cache.slot.wake_waiters();
        let error = block_on(caller).unwrap().unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Cancelled);
    });
}
