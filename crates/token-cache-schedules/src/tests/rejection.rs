//! Rejected tokens while others are fetched.

use std::sync::atomic::Ordering;

use shuttle::future::{JoinHandle, block_on, spawn};

use super::{explore, explore_all, results};
use crate::freshness::Lifetime;
use crate::policy::RefreshPolicy;
use crate::refresher::{Answer, Cache, HOUR, until};
use crate::slot::Entry;
use crate::sync::Arc;

/// A cache that holds `a`, and whose refresher is about to fetch again.
fn holding_a(then: &[&'static str]) -> Arc<Cache> {
    let answers = ["a"].iter().chain(then);
    let cache = Cache::new(answers.map(|token| Answer::Token(token, HOUR)));
    assert_eq!(block_on(cache.token()).as_deref(), Ok("a"));
    cache
}

fn rejecting(cache: &Arc<Cache>, token: &'static str) -> JoinHandle<bool> {
    let cache = Arc::clone(cache);
    spawn(async move { cache.invalidate(token) })
}

/// Inside the refresh margin, where a reader starts the refresh.
fn grow_stale(cache: &Cache) {
    cache.suspend(HOUR - HOUR / 15);
    cache.slot.wake_refresher(|| true);
}

/// B16
#[test]
fn a_fetch_begun_before_a_rejection_does_not_bring_the_rejected_token_back() {
    explore(|| {
        let cache = holding_a(&["a", "b"]);
        grow_stale(&cache);
        block_on(until(&cache.begun, |attempts| *attempts == 2));
        assert!(cache.invalidate("a"));
        assert_eq!(block_on(cache.token()).as_deref(), Ok("b"));
    });
}

/// B16
#[test]
fn a_late_rejection_hides_no_earlier_one() {
    explore(|| {
        let cache = holding_a(&["a", "b"]);
        grow_stale(&cache);
        block_on(until(&cache.begun, |attempts| *attempts == 2));
        assert!(cache.invalidate("a"));
        assert!(!cache.invalidate("older"));
        assert_eq!(block_on(cache.token()).as_deref(), Ok("b"));
    });
}

/// A38
#[test]
fn a_token_given_out_again_after_its_rejection_is_taken() {
    explore(|| {
        let cache = holding_a(&["a"]);
        assert!(cache.invalidate("a"));
        assert_eq!(block_on(cache.token()).as_deref(), Ok("a"));
        assert_eq!(*cache.begun.borrow(), 2);
    });
}

/// B16
#[test]
fn a_late_rejection_never_drops_a_newer_token() {
    explore(|| {
        let cache = holding_a(&["b"]);
        grow_stale(&cache);
        let rejections = vec![rejecting(&cache, "a"), rejecting(&cache, "a")];
        let callers = cache.callers(2);
        let accepted = results(rejections).into_iter().filter(|a| *a).count();
        assert!(accepted <= 1);
        for outcome in results(callers) {
            let token = outcome.unwrap();
            assert!(["a", "b"].contains(&token.as_str()), "{token}");
        }
        // The one refresh brought the newer token; nobody drops it and nobody fetches another.
        while cache.ended.load(Ordering::Relaxed) < 2 {
            shuttle::thread::yield_now();
        }
        assert_eq!(block_on(cache.token()).as_deref(), Ok("b"));
        assert_eq!(*cache.begun.borrow(), 2);
        assert!(cache.slot.is_idle(), "another fetch is asked for");
    });
}

/// B17
#[test]
fn one_of_many_rejections_of_a_token_counts() {
    explore(|| {
        let cache = holding_a(&["b"]);
        let rejections: Vec<_> = (0..3)
            .map(|_| {
                let cache = Arc::clone(&cache);
                spawn(async move {
                    let accepted = cache.invalidate("a");
                    (accepted, cache.token().await)
                })
            })
            .collect();
        let outcomes = results(rejections);
        assert_eq!(outcomes.iter().filter(|(accepted, _)| *accepted).count(), 1);
        for (_, outcome) in outcomes {
            assert_eq!(outcome.as_deref(), Ok("b"));
        }
        assert_eq!(*cache.begun.borrow(), 2);
    });
}

/// B16
#[test]
fn no_schedule_loses_a_token_between_its_publication_and_a_late_rejection() {
    explore_all(|| {
        let cache = Cache::new([]);
        publish(&cache, "a");
        let publisher = spawn({
            let cache = Arc::clone(&cache);
            async move { publish(&cache, "b") }
        });
        cache.invalidate("a");
        block_on(publisher).unwrap();
        let (token, _) = cache.slot.peek(cache.now()).unwrap();
        assert_eq!(token.secret(), "b");
    });
}

fn publish(cache: &Cache, token: &str) {
    cache.slot.begin();
    let sent = cache.now();
    let lifetime = Lifetime::new(sent, HOUR, &RefreshPolicy::default(), 0.0);
    let entry = Entry::new(&Cache::held(token), lifetime);
    assert!(cache.slot.succeed(entry, sent.monotonic));
}
