//! Marks.

use super::*;
use crate::store::Mark;

const USED: Mark = Mark::Used([1; 32]);
const LOGGED_OUT: Mark = Mark::LoggedOut(Index::new([1; 32]));

async fn mark(store: &Store, mark: &Mark, at: Time) -> Option<Time> {
    store.mark(mark, at, HOUR).await.unwrap()
}

pub async fn of_a_used_mark_the_first_time_stays(store: &Store) {
    assert_eq!(store.marked(&USED).await.unwrap(), None);
    let first = now();
    assert_eq!(mark(store, &USED, first).await, None);
    for later in [hours(1), past()] {
        assert_eq!(mark(store, &USED, later).await, Some(first));
        assert_eq!(store.marked(&USED).await.unwrap(), Some(first));
    }
}

pub async fn of_a_logout_the_last_time_stays(store: &Store) {
    let (first, last) = (now(), hours(1));
    assert_eq!(mark(store, &LOGGED_OUT, first).await, None);
    assert_eq!(mark(store, &LOGGED_OUT, last).await, Some(first));
    assert_eq!(mark(store, &LOGGED_OUT, past()).await, Some(last));
    assert_eq!(store.marked(&LOGGED_OUT).await.unwrap(), Some(last));
}

pub async fn marks_of_two_kinds_are_two(store: &Store) {
    let at = now();
    assert_eq!(mark(store, &USED, at).await, None);
    assert_eq!(store.marked(&LOGGED_OUT).await.unwrap(), None);
    assert_eq!(mark(store, &LOGGED_OUT, hours(1)).await, None);
    assert_eq!(mark(store, &Mark::Used([2; 32]), at).await, None);
    assert_eq!(store.marked(&USED).await.unwrap(), Some(at));
}

pub async fn an_expired_mark_is_unknown(store: &Store) {
    let at = now();
    for kind in [USED, LOGGED_OUT] {
        let brief = store.mark(&kind, hours(2), Duration::ZERO).await.unwrap();
        assert_eq!(brief, None);
        assert_eq!(store.marked(&kind).await.unwrap(), None);
        assert_eq!(mark(store, &kind, at).await, None);
        assert_eq!(store.marked(&kind).await.unwrap(), Some(at));
    }
}
