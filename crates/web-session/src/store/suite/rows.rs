//! Rows and their versions.

use super::*;
use crate::store::StoreErrorKind;

pub async fn a_new_row_is_as_it_was_written(store: &Store) {
    let written = row("one");
    store.create(&KEY, written.clone()).await.unwrap();
    let row = loaded(store, &KEY).await;
    assert_eq!((row.version, text(&row).as_str()), (1, "one"));
    assert_eq!((row.subject, row.tenant), (PERSON, TENANT));
    assert_eq!(row.session, Some(SESSION));
    assert_eq!((row.idle_ends, row.ends), (written.idle_ends, written.ends));
    assert_eq!(row.lease, None);
    assert!(store.load(&OTHER_KEY).await.unwrap().is_none());
}

pub async fn a_key_is_taken_once(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let error = store.create(&KEY, row("two")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Exists);
    assert_eq!(text(&loaded(store, &KEY).await), "one");
    store.create(&OTHER_KEY, row("two")).await.unwrap();
}

pub async fn a_key_is_free_again_when_its_row_has_expired(store: &Store) {
    for expired in [idle_row(), ended_row()] {
        store.create(&KEY, expired).await.unwrap();
        store.create(&KEY, row("new")).await.unwrap();
        let row = loaded(store, &KEY).await;
        assert_eq!((row.version, text(&row).as_str()), (1, "new"));
        assert!(store.remove(&KEY).await.unwrap().is_some());
    }
}

pub async fn a_key_is_free_again_when_its_row_was_removed(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    replaced(store, 1, row("two")).await;
    assert!(matches!(claim(store, 2, 1, LEASE).await, Claim::Claimed(_)));
    store.remove(&KEY).await.unwrap().unwrap();
    store.create(&KEY, row("new")).await.unwrap();
    let row = loaded(store, &KEY).await;
    assert_eq!((row.version, row.lease), (1, None));
}

pub async fn a_row_that_was_idle_for_too_long_is_not_there(store: &Store) {
    store.create(&KEY, idle_row()).await.unwrap();
    assert_is_gone(store).await;
}

pub async fn a_row_past_its_end_is_not_there_however_active(store: &Store) {
    store.create(&KEY, ended_row()).await.unwrap();
    assert_is_gone(store).await;
}

pub async fn an_expired_row_does_not_come_back_by_activity(store: &Store) {
    store.create(&KEY, idle_row()).await.unwrap();
    store.touch(&KEY, hours(1)).await.unwrap();
    assert_is_gone(store).await;
}

pub async fn a_replaced_row_is_the_new_one_with_the_next_version(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let new = NewRow {
        idle_ends: hours(2),
        ends: hours(20),
        ..row("two")
    };
    replaced(store, 1, new.clone()).await;
    let row = loaded(store, &KEY).await;
    assert_eq!((row.version, text(&row).as_str()), (2, "two"));
    assert_eq!((row.idle_ends, row.ends), (new.idle_ends, new.ends));
    replaced(store, 2, super::row("three")).await;
    assert_eq!(loaded(store, &KEY).await.version, 3);
}

pub async fn a_row_of_another_version_is_not_replaced(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    replaced(store, 1, row("two")).await;
    for version in [0, 1, 3] {
        let swap = replace(store, version, row("three")).await;
        let Swap::Changed(current) = swap else {
            panic!("version {version}: {swap:?}");
        };
        assert_eq!((current.version, text(&current).as_str()), (2, "two"));
    }
    assert_eq!(text(&loaded(store, &KEY).await), "two");
}

pub async fn a_row_that_is_not_there_is_not_replaced(store: &Store) {
    assert!(matches!(replace(store, 1, row("x")).await, Swap::Gone));
    assert_is_gone(store).await;
}

pub async fn a_replacement_moves_activity_forward_only(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let later = hours(3);
    let new = |idle_ends| NewRow {
        idle_ends,
        ..row("two")
    };
    replaced(store, 1, new(later)).await;
    replaced(store, 2, new(hours(2))).await;
    assert_eq!(loaded(store, &KEY).await.idle_ends, later);
}

pub async fn a_replacement_may_end_the_session_sooner(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let sooner = NewRow {
        ends: hours(2),
        ..row("two")
    };
    replaced(store, 1, sooner.clone()).await;
    assert_eq!(loaded(store, &KEY).await.ends, sooner.ends);
    replaced(store, 2, ended_row()).await;
    assert_is_gone(store).await;
}

pub async fn activity_only_moves_forward_and_changes_nothing_else(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let later = hours(3);
    for idle_ends in [later, hours(2), past()] {
        store.touch(&KEY, idle_ends).await.unwrap();
        let row = loaded(store, &KEY).await;
        assert_eq!((row.idle_ends, row.version), (later, 1));
        assert_eq!(text(&row), "one");
    }
    // A version that was read before it is still the row's.
    replaced(store, 1, row("two")).await;
}

pub async fn activity_makes_no_row(store: &Store) {
    store.touch(&KEY, hours(1)).await.unwrap();
    assert_is_gone(store).await;
    store.create(&KEY, row("one")).await.unwrap();
}

pub async fn a_row_is_removed_once(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    replaced(store, 1, row("two")).await;
    let removed = store.remove(&KEY).await.unwrap().unwrap();
    assert_eq!((removed.version, text(&removed).as_str()), (2, "two"));
    assert_eq!(removed.session, Some(SESSION));
    assert!(store.remove(&KEY).await.unwrap().is_none());
}

pub async fn a_removed_row_is_gone_for_every_method(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    replaced(store, 1, row("two")).await;
    store.remove(&KEY).await.unwrap().unwrap();
    assert_is_gone(store).await;
}

/// The last time that a store can tell may be an earlier one than asked for.
pub async fn times_without_end_are_kept(store: &Store) {
    let last = Time::from_unix_millis(u64::MAX);
    let endless = NewRow {
        idle_ends: last,
        ends: last,
        ..row("one")
    };
    store.create(&KEY, endless).await.unwrap();
    let row = loaded(store, &KEY).await;
    // A hundred years.
    let far = hours(24 * 365 * 100);
    assert!(row.idle_ends > far && row.ends > far);
    store.touch(&KEY, last).await.unwrap();
    replaced(store, 1, row.to_new()).await;
    assert!(matches!(
        claim(store, 2, 1, Duration::MAX).await,
        Claim::Claimed(_)
    ));
    assert!(matches!(claim(store, 3, 2, LEASE).await, Claim::Changed(_)));
}

pub async fn bodies_come_back_byte_for_byte(store: &Store) {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let large = all.repeat(256);
    for body in [Vec::new(), vec![0], all, large] {
        let new = NewRow {
            body: Body::from_sealed(body.clone()),
            ..row("")
        };
        store.create(&KEY, new).await.unwrap();
        assert_eq!(bytes(&loaded(store, &KEY).await), body);
        let removed = store.remove(&KEY).await.unwrap().unwrap();
        assert_eq!(bytes(&removed), body);
    }
}
