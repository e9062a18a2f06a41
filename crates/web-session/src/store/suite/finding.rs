//! Indexes, and what has expired.

use super::*;
use crate::store::Mark;

async fn found(store: &Store, index: &Index) -> Vec<Key> {
    let mut keys = store.find(index).await.unwrap();
    keys.sort_unstable();
    keys
}

pub async fn a_row_is_found_by_each_of_its_indexes(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let colleague = NewRow {
        subject: Index::new([13; 32]),
        session: Some(Index::new([15; 32])),
        ..row("two")
    };
    store.create(&OTHER_KEY, colleague).await.unwrap();
    assert_eq!(found(store, &PERSON).await, [KEY]);
    assert_eq!(found(store, &SESSION).await, [KEY]);
    assert_eq!(found(store, &TENANT).await, [KEY, OTHER_KEY]);
    assert_eq!(found(store, &Index::new([13; 32])).await, [OTHER_KEY]);
    assert_eq!(found(store, &Index::new([15; 32])).await, [OTHER_KEY]);
    assert_eq!(found(store, &Index::new([9; 32])).await, []);
}

pub async fn a_row_without_a_session_at_the_provider_is_found_by_the_others(store: &Store) {
    let without = NewRow {
        session: None,
        ..row("one")
    };
    store.create(&KEY, without).await.unwrap();
    assert_eq!(loaded(store, &KEY).await.session, None);
    assert_eq!(found(store, &PERSON).await, [KEY]);
    assert_eq!(found(store, &TENANT).await, [KEY]);
    assert_eq!(found(store, &SESSION).await, []);
}

pub async fn an_expired_row_is_not_found(store: &Store) {
    store.create(&KEY, idle_row()).await.unwrap();
    store.create(&OTHER_KEY, ended_row()).await.unwrap();
    let live = Key::new([9; 32]);
    store.create(&live, row("one")).await.unwrap();
    for index in [PERSON, TENANT, SESSION] {
        assert_eq!(found(store, &index).await, [live]);
    }
}

pub async fn a_removed_row_is_not_found_and_its_like_are(store: &Store) {
    for key in [KEY, OTHER_KEY] {
        store.create(&key, row("one")).await.unwrap();
    }
    for (key, left) in [(KEY, &[OTHER_KEY][..]), (OTHER_KEY, &[])] {
        store.remove(&key).await.unwrap();
        for index in [PERSON, TENANT, SESSION] {
            assert_eq!(found(store, &index).await, left);
        }
    }
}

pub async fn indexes_follow_a_replacement(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let [person, tenant, session] = [13, 14, 15].map(|byte| Index::new([byte; 32]));
    let moved = NewRow {
        subject: person,
        tenant,
        session: Some(session),
        ..row("two")
    };
    replaced(store, 1, moved).await;
    for index in [person, tenant, session] {
        assert_eq!(found(store, &index).await, [KEY]);
    }
    for index in [PERSON, TENANT, SESSION] {
        assert_eq!(found(store, &index).await, []);
    }
    let without = NewRow {
        session: None,
        ..row("three")
    };
    replaced(store, 2, without).await;
    assert_eq!(found(store, &session).await, []);
    assert_eq!(found(store, &PERSON).await, [KEY]);
}

pub async fn a_sweep_takes_at_most_so_many_and_nothing_that_lives(store: &Store) {
    for byte in 10..15 {
        let expired = if byte % 2 == 0 {
            idle_row()
        } else {
            ended_row()
        };
        store.create(&Key::new([byte; 32]), expired).await.unwrap();
    }
    let (old, new) = (Mark::Used([1; 32]), Mark::Used([2; 32]));
    store.mark(&old, now(), Duration::ZERO).await.unwrap();
    store.mark(&new, now(), HOUR).await.unwrap();
    store.create(&KEY, row("one")).await.unwrap();
    assert_eq!(store.sweep(0).await.unwrap(), 0);
    let mut total = 0;
    loop {
        let swept = store.sweep(2).await.unwrap();
        assert!(swept <= 2);
        total += swept;
        if swept == 0 {
            break;
        }
    }
    // Those that do so by themselves have nothing left to sweep.
    assert!([0, 6].contains(&total), "{total}");
    assert_eq!(text(&loaded(store, &KEY).await), "one");
    assert!(store.marked(&new).await.unwrap().is_some());
    assert_eq!(found(store, &PERSON).await, [KEY]);
}
