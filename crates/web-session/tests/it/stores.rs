//! The store of one process.

use std::sync::Arc;
use std::time::Duration;

use web_session::MemoryStore;
use web_session::store::{
    Body, Claim, Index, Key, Mark, NewRow, Owner, SessionStore, StoreErrorKind, Swap, Time,
};

use crate::app::clock;

const KEY: Key = Key::new([1; 32]);
const PERSON: Index = Index::new([2; 32]);
const NOW: Time = Time::from_unix_millis(1_800_000_000_000);

fn row(text: &str) -> NewRow {
    NewRow {
        body: Body::from_sealed(text.as_bytes().to_vec()),
        subject: PERSON,
        tenant: Index::new([4; 32]),
        session: Some(Index::new([3; 32])),
        idle_ends: NOW.plus(Duration::from_secs(60)),
        ends: NOW.plus(Duration::from_secs(100)),
        keeps_lease: false,
    }
}

fn text(row: &web_session::store::Row) -> String {
    String::from_utf8(row.body.sealed().unwrap()).unwrap()
}

#[tokio::test]
async fn a_row_is_replaced_by_its_version_alone() {
    let store = MemoryStore::with_clock(10, Arc::new(clock()));
    store.create(&KEY, row("one")).await.unwrap();
    let again = store.create(&KEY, row("two")).await.unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Exists);
    assert!(matches!(
        store.replace(&KEY, 1, row("two")).await.unwrap(),
        Swap::Swapped
    ));
    let Swap::Changed(current) = store.replace(&KEY, 1, row("three")).await.unwrap() else {
        panic!("an old version");
    };
    assert_eq!((current.version, text(&current).as_str()), (2, "two"));
    assert!(matches!(
        store
            .replace(&Key::new([9; 32]), 1, row("x"))
            .await
            .unwrap(),
        Swap::Gone
    ));
    assert_eq!(text(&store.remove(&KEY).await.unwrap().unwrap()), "two");
    assert!(store.remove(&KEY).await.unwrap().is_none());
    assert!(store.load(&KEY).await.unwrap().is_none());
    assert!(matches!(
        store.replace(&KEY, 2, row("x")).await.unwrap(),
        Swap::Gone
    ));
}

#[tokio::test]
async fn a_lease_is_taken_once_until_it_ends() {
    let clock = clock();
    let store = MemoryStore::with_clock(10, Arc::new(clock.clone()));
    store.create(&KEY, row("one")).await.unwrap();
    let claim =
        |version, owner| store.claim(&KEY, version, Owner([owner; 16]), Duration::from_secs(10));
    assert!(matches!(claim(1, 1).await.unwrap(), Claim::Claimed(row) if row.version == 2));
    assert!(
        matches!(claim(1, 2).await.unwrap(), Claim::Changed(_)),
        "an old version"
    );
    assert!(
        matches!(claim(2, 2).await.unwrap(), Claim::Changed(_)),
        "a lease that runs"
    );
    clock.advance(Duration::from_secs(11));
    assert!(matches!(claim(2, 2).await.unwrap(), Claim::Claimed(row) if row.version == 3));
    let kept = NewRow {
        keeps_lease: true,
        ..row("two")
    };
    assert!(matches!(
        store.replace(&KEY, 3, kept).await.unwrap(),
        Swap::Swapped
    ));
    assert!(
        matches!(claim(4, 3).await.unwrap(), Claim::Changed(_)),
        "it goes on"
    );
    assert!(matches!(
        store.replace(&KEY, 4, row("three")).await.unwrap(),
        Swap::Swapped
    ));
    assert!(
        matches!(claim(5, 3).await.unwrap(), Claim::Claimed(_)),
        "it ended"
    );
}

/// K56
#[tokio::test]
async fn a_row_that_has_expired_is_not_there_and_activity_only_moves_forward() {
    let clock = clock();
    let store = MemoryStore::with_clock(1, Arc::new(clock.clone()));
    store.create(&KEY, row("one")).await.unwrap();
    let idle_ends = |seconds| NOW.plus(Duration::from_secs(seconds));
    store.touch(&KEY, idle_ends(90)).await.unwrap();
    store.touch(&KEY, idle_ends(70)).await.unwrap();
    assert_eq!(store.load(&KEY).await.unwrap().unwrap().version, 1);
    assert!(matches!(
        store.replace(&KEY, 1, row("two")).await.unwrap(),
        Swap::Swapped
    ));
    assert_eq!(
        store.load(&KEY).await.unwrap().unwrap().idle_ends,
        idle_ends(90)
    );
    clock.advance(Duration::from_secs(91));
    assert!(store.load(&KEY).await.unwrap().is_none());
    assert!(store.find(&PERSON).await.unwrap().is_empty());
    assert!(store.is_empty());
    let fresh = NewRow {
        idle_ends: idle_ends(200),
        ends: idle_ends(150),
        ..row("three")
    };
    store.create(&KEY, fresh).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert_eq!(store.sweep(10).await.unwrap(), 1);
}

/// K67
#[tokio::test]
async fn a_full_store_takes_no_more_and_keeps_what_it_has() {
    let store = MemoryStore::with_clock(1, Arc::new(clock()));
    store.create(&KEY, row("one")).await.unwrap();
    let other = Key::new([9; 32]);
    assert_eq!(
        store.create(&other, row("x")).await.unwrap_err().kind(),
        StoreErrorKind::Full
    );
    assert!(store.load(&KEY).await.unwrap().is_some());
    store.remove(&KEY).await.unwrap();
    store.create(&other, row("x")).await.unwrap();
    assert_eq!(store.find(&PERSON).await.unwrap(), [other]);
}

#[tokio::test]
async fn of_a_used_mark_the_first_time_stays_and_of_a_logout_the_last() {
    let clock = clock();
    let store = MemoryStore::with_clock(1, Arc::new(clock.clone()));
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    let lifetime = Duration::from_secs(60);
    let (used, ended) = (Mark::Used([1; 32]), Mark::LoggedOut(PERSON));
    for (mark, expected) in [(used, at(0)), (ended, at(5))] {
        assert_eq!(store.mark(&mark, at(0), lifetime).await.unwrap(), None);
        assert_eq!(
            store.mark(&mark, at(5), lifetime).await.unwrap(),
            Some(at(0))
        );
        assert_eq!(store.marked(&mark).await.unwrap(), Some(expected));
    }
    clock.advance(Duration::from_secs(61));
    assert_eq!(store.marked(&used).await.unwrap(), None);
    assert_eq!(store.sweep(10).await.unwrap(), 2);
}
