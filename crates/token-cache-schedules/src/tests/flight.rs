//! Callers without a token and the attempt that they share.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shuttle::future::{block_on, spawn, yield_now};

use super::{explore, explore_all, results};
use crate::error::TokenErrorKind;
use crate::refresher::{Answer, Cache, DOWN, HOUR, until};
use crate::slot::Patience;
use crate::sync::{Arc, AtomicBool};

/// B1
#[test]
fn cold_callers_share_one_attempt_and_its_token() {
    explore(|| {
        let cache = Cache::new([Answer::Token("a", HOUR)]);
        for outcome in results(cache.callers(4)) {
            assert_eq!(outcome.as_deref(), Ok("a"));
        }
        assert_eq!(*cache.begun.borrow(), 1);
    });
}

/// B1, B7
#[test]
fn cold_callers_share_one_attempt_and_its_failure() {
    explore(|| {
        let cache = Cache::new([Answer::Down(HOUR)]);
        for outcome in results(cache.callers(4)) {
            assert_eq!(outcome, Err(DOWN));
        }
        assert_eq!(*cache.begun.borrow(), 1);
    });
}

/// B8
#[test]
fn after_a_failure_the_next_attempt_comes_by_itself() {
    explore(|| {
        let cache = Cache::new([Answer::Down(HOUR / 3_600), Answer::Token("a", HOUR)]);
        let early = cache.callers(2);
        block_on(until(&cache.begun, |attempts| *attempts == 2));
        for outcome in results(early) {
            assert!(
                matches!(outcome.as_deref(), Err(&DOWN) | Ok("a")),
                "{outcome:?}"
            );
        }
    });
}

/// B20
#[test]
fn callers_that_meet_changed_credentials_get_the_old_failure_or_the_new_token() {
    explore(|| {
        let cache = Cache::new([Answer::Down(HOUR), Answer::Token("a", HOUR)]);
        assert_eq!(block_on(cache.token()), Err(DOWN));
        let callers = cache.callers(2);
        // The refresher itself does it in the cache, so it is awake.
        cache.slot.reopen();
        cache.slot.wake_refresher(|| true);
        for outcome in results(callers) {
            assert!(
                matches!(outcome.as_deref(), Err(&DOWN) | Ok("a")),
                "{outcome:?}"
            );
        }
        assert_eq!(block_on(cache.token()).as_deref(), Ok("a"));
        assert_eq!(*cache.begun.borrow(), 2);
    });
}

/// B3
#[test]
fn a_caller_that_leaves_cancels_nothing() {
    explore(|| {
        let cache = Cache::new([Answer::Token("a", HOUR)]);
        let leaving = cache.caller();
        let staying = cache.caller();
        leaving.abort();
        assert_eq!(block_on(staying).unwrap().as_deref(), Ok("a"));
        if let Ok(outcome) = block_on(leaving) {
            assert_eq!(outcome.as_deref(), Ok("a"));
        }
        assert_eq!(*cache.begun.borrow(), 1);
    });
}

/// B4
#[test]
fn a_waiter_replaces_a_refresher_that_ended() {
    explore(|| {
        let cache = Cache::new([Answer::Token("a", HOUR)]);
        let callers = cache.callers(3);
        let killer = spawn({
            let cache = Arc::clone(&cache);
            async move { cache.kill_refresher() }
        });
        for outcome in results(callers) {
            assert_eq!(outcome.as_deref(), Ok("a"));
        }
        block_on(killer).unwrap();
        // There is one answer, so no more than one fetch came to its end.
        assert!(*cache.begun.borrow() <= 2);
    });
}

/// N1
#[test]
fn no_schedule_of_a_refresher_that_is_lost_leaves_a_caller_behind() {
    explore_all(|| {
        let cache = Cache::new([]);
        // Lost once, and not to be had again.
        let lost = Arc::new(AtomicBool::new(false));
        let caller = spawn({
            let (cache, lost) = (Arc::clone(&cache), Arc::clone(&lost));
            async move {
                let ensure = || !lost.load(Ordering::SeqCst);
                let join = cache
                    .slot
                    .join(|| cache.now(), Patience::OneAttempt, ensure);
                join.await
            }
        });
        lost.store(true, Ordering::SeqCst);
        cache.slot.refresher_gone();
        assert!(block_on(caller).unwrap().is_err());
    });
}

/// B8
#[test]
fn a_caller_that_waits_through_an_outage_gets_what_ends_it() {
    explore(|| {
        let cache = Cache::new([
            Answer::Down(HOUR / 3_600),
            Answer::Down(HOUR / 3_600),
            Answer::Token("a", HOUR),
        ]);
        let callers = cache.callers(1);
        assert_eq!(block_on(cache.token_at_last()).as_deref(), Ok("a"));
        assert_eq!(*cache.begun.borrow(), 3);
        results(callers);
    });
}

/// A22
#[test]
fn a_token_without_a_lifetime_goes_only_to_who_waited_for_it() {
    explore(|| {
        let cache = Cache::new(["a", "b"].map(|token| Answer::Token(token, Duration::ZERO)));
        let late = spawn({
            let cache = Arc::clone(&cache);
            async move {
                until(&cache.begun, |attempts| *attempts == 1).await;
                while !cache.slot.is_idle() {
                    yield_now().await;
                }
                cache.token().await
            }
        });
        assert_eq!(block_on(cache.token()).as_deref(), Ok("a"));
        assert_eq!(block_on(late).unwrap().as_deref(), Ok("b"));
        assert_eq!(*cache.begun.borrow(), 2);
    });
}

/// B11
#[test]
fn two_keys_do_not_influence_each_other() {
    explore(|| {
        let down = Cache::new([Answer::Down(HOUR)]);
        let up = Cache::new([Answer::Token("a", HOUR)]);
        let (failing, served) = (down.callers(2), up.callers(2));
        for outcome in results(served) {
            assert_eq!(outcome.as_deref(), Ok("a"));
        }
        block_on(down.shutdown());
        for outcome in results(failing) {
            assert!(
                matches!(outcome, Err(DOWN | TokenErrorKind::Cancelled)),
                "{outcome:?}"
            );
        }
        assert_eq!(block_on(up.token()).as_deref(), Ok("a"));
        assert_eq!(*up.begun.borrow(), 1);
    });
}

/// B14
#[test]
fn a_reader_of_a_stale_token_wakes_the_refresher_each_time() {
    explore(|| {
        let cache = Cache::new(["a", "b", "c"].map(|token| Answer::Token(token, HOUR)));
        assert_eq!(block_on(cache.token()).as_deref(), Ok("a"));
        for attempts in [2, 3] {
            // Inside the refresh margin of an hour, which the refresher's own timer does not see.
            cache.suspend(HOUR - HOUR / 15);
            for outcome in results(cache.callers(2)) {
                assert!(outcome.is_ok());
            }
            block_on(until(&cache.begun, |begun| *begun == attempts));
            // Inside the margin until the attempt ends, fresh afterwards.
            while cache.ended.load(Ordering::Relaxed) < attempts {
                assert!(block_on(cache.token()).is_ok());
                shuttle::thread::yield_now();
            }
        }
        assert_eq!(block_on(cache.token()).as_deref(), Ok("c"));
        assert_eq!(*cache.begun.borrow(), 3);
    });
}
