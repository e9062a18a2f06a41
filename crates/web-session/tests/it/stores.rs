//! The store of one process.

use std::sync::Arc;
use std::time::Duration;

use web_session::MemoryStore;
use web_session::store::{
    Body, Claim, Index, Key, Mark, NewRow, Owner, SessionStore, StoreErrorKind, Time,
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

/// K56
#[tokio::test]
async fn a_row_is_there_until_the_moment_that_it_expires_at() {
    let clock = clock();
    let store = MemoryStore::with_clock(1, Arc::new(clock.clone()));
    store.create(&KEY, row("one")).await.unwrap();
    clock.advance(Duration::from_millis(59_999));
    assert!(store.load(&KEY).await.unwrap().is_some());
    store
        .touch(&KEY, NOW.plus(Duration::from_secs(200)))
        .await
        .unwrap();
    clock.advance(Duration::from_millis(40_000));
    assert!(store.load(&KEY).await.unwrap().is_some());
    clock.advance(Duration::from_millis(1));
    assert!(store.load(&KEY).await.unwrap().is_none());
    assert!(store.is_empty());
}

#[tokio::test]
async fn a_lease_and_a_mark_hold_until_the_moment_that_they_end_at() {
    let clock = clock();
    let store = MemoryStore::with_clock(1, Arc::new(clock.clone()));
    store.create(&KEY, row("one")).await.unwrap();
    let lifetime = Duration::from_secs(10);
    let claim = |version| store.claim(&KEY, version, Owner([1; 16]), lifetime);
    let mark = Mark::Used([1; 32]);
    store.mark(&mark, NOW, lifetime).await.unwrap();
    assert!(matches!(claim(1).await.unwrap(), Claim::Claimed(_)));
    clock.advance(Duration::from_millis(9_999));
    assert!(matches!(claim(2).await.unwrap(), Claim::Changed(_)));
    assert!(store.marked(&mark).await.unwrap().is_some());
    clock.advance(Duration::from_millis(1));
    assert!(matches!(claim(2).await.unwrap(), Claim::Claimed(_)));
    assert!(store.marked(&mark).await.unwrap().is_none());
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
