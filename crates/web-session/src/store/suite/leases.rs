//! Leases.

use super::*;

pub async fn a_claim_takes_the_lease_and_the_next_version(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    let claim = claim(store, 1, 7, LEASE).await;
    let Claim::Claimed(claimed) = claim else {
        panic!("{claim:?}");
    };
    let row = loaded(store, &KEY).await;
    for row in [*claimed, row] {
        assert_eq!((row.version, text(&row).as_str()), (2, "one"));
        let lease = row.lease.unwrap();
        assert_eq!(lease.owner, Owner([7; 16]));
        let (early, late) = (now().plus(LEASE / 2), now().plus(LEASE * 2));
        assert!((early..late).contains(&lease.ends), "{lease:?}");
    }
    assert!(matches!(
        replace(store, 1, super::row("x")).await,
        Swap::Changed(_)
    ));
}

pub async fn a_lease_that_runs_is_nobody_elses(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    assert!(matches!(claim(store, 1, 1, LEASE).await, Claim::Claimed(_)));
    // Not its owner's either: each attempt has a name of its own.
    for owner in [1, 2] {
        let claim = claim(store, 2, owner, LEASE).await;
        let Claim::Changed(current) = claim else {
            panic!("{claim:?}");
        };
        assert_eq!(current.version, 2);
        assert_eq!(current.lease.unwrap().owner, Owner([1; 16]));
    }
}

pub async fn a_lease_that_has_ended_is_free(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    for (version, owner) in [(1, 1), (2, 2)] {
        let claim = claim(store, version, owner, Duration::ZERO).await;
        let Claim::Claimed(row) = claim else {
            panic!("{claim:?}");
        };
        assert_eq!(row.version, version + 1);
    }
    assert!(matches!(claim(store, 3, 3, LEASE).await, Claim::Claimed(_)));
    assert!(matches!(claim(store, 4, 4, LEASE).await, Claim::Changed(_)));
}

pub async fn a_row_of_another_version_is_not_claimed(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    replaced(store, 1, row("two")).await;
    for version in [0, 1, 3] {
        let claim = claim(store, version, 1, LEASE).await;
        let Claim::Changed(current) = claim else {
            panic!("version {version}: {claim:?}");
        };
        assert_eq!((current.version, current.lease), (2, None));
    }
    assert!(matches!(claim(store, 2, 1, LEASE).await, Claim::Claimed(_)));
}

pub async fn a_row_that_is_not_there_is_not_claimed(store: &Store) {
    assert!(matches!(claim(store, 1, 1, LEASE).await, Claim::Gone));
    assert_is_gone(store).await;
}

pub async fn a_replacement_ends_the_lease(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    assert!(matches!(claim(store, 1, 1, LEASE).await, Claim::Claimed(_)));
    replaced(store, 2, row("two")).await;
    assert_eq!(loaded(store, &KEY).await.lease, None);
    assert!(matches!(claim(store, 3, 2, LEASE).await, Claim::Claimed(_)));
}

pub async fn a_replacement_that_keeps_the_lease_leaves_it_as_it_is(store: &Store) {
    store.create(&KEY, row("one")).await.unwrap();
    assert!(matches!(claim(store, 1, 1, LEASE).await, Claim::Claimed(_)));
    let lease = loaded(store, &KEY).await.lease;
    let kept = NewRow {
        keeps_lease: true,
        ..row("two")
    };
    replaced(store, 2, kept).await;
    let row = loaded(store, &KEY).await;
    assert_eq!((row.version, text(&row).as_str()), (3, "two"));
    assert_eq!(row.lease, lease);
    assert!(matches!(claim(store, 3, 2, LEASE).await, Claim::Changed(_)));
}
