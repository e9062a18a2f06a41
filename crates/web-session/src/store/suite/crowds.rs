//! Many callers at once.

use tokio::task::JoinSet;

use super::*;
use crate::store::Mark;

const CROWD: u8 = 50;

/// Does the same fifty times at once, each with its own number, and returns how often it was true.
async fn crowd<F: Future<Output = bool> + Send + 'static>(
    store: &Store,
    act: impl Fn(Store, u8) -> F,
) -> usize {
    let mut tasks: JoinSet<bool> = (0..CROWD).map(|n| act(Arc::clone(store), n)).collect();
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += usize::from(done.unwrap());
    }
    count
}

pub async fn of_fifty_creations_at_once_one_wins(store: &Store) {
    let won = crowd(store, |store, n| async move {
        store.create(&KEY, row(&n.to_string())).await.is_ok()
    });
    assert_eq!(won.await, 1);
    assert_eq!(store.find(&PERSON).await.unwrap(), [KEY]);
}

pub async fn of_fifty_replacements_at_once_one_wins(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let won = crowd(store, |store, n| async move {
        matches!(replace(&store, 1, row(&n.to_string())).await, Swap::Swapped)
    });
    assert_eq!(won.await, 1);
    assert_eq!(loaded(store, &KEY).await.version, 2);
}

pub async fn of_fifty_claims_at_once_one_wins(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let won = crowd(store, |store, n| async move {
        matches!(claim(&store, 1, n, LEASE).await, Claim::Claimed(row) if row.lease.unwrap().owner == Owner([n; 16]))
    });
    assert_eq!(won.await, 1);
    assert_eq!(loaded(store, &KEY).await.version, 2);
}

pub async fn of_fifty_removals_at_once_one_gets_the_row(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let won = crowd(store, |store, _| async move {
        store.remove(&KEY).await.unwrap().is_some()
    });
    assert_eq!(won.await, 1);
    assert_is_gone(store).await;
}

pub async fn of_fifty_marks_at_once_one_is_the_first(store: &Store) {
    let won = crowd(store, |store, _| async move {
        let mark = Mark::Used([1; 32]);
        store.mark(&mark, now(), HOUR).await.unwrap().is_none()
    });
    assert_eq!(won.await, 1);
}
