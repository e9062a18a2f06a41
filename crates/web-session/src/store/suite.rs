//! What every [`SessionStore`] has to do, as tests over one.
//!
//! [`store_suite!`](crate::store_suite) makes a test of each case. It wants a function that returns a store that holds
//! nothing, with what must live as long as the test does (a temporary folder, say), or `None` where there is nothing to
//! test: the cases pass then.
//!
//! ```no_run
//! # use web_session::MemoryStore;
//! async fn fresh() -> Option<(MemoryStore, ())> {
//!     Some((MemoryStore::new(1_000), ()))
//! }
//!
//! web_session::store_suite!(fresh);
//! # fn main() {}
//! ```
//!
//! The tests need `tokio` with its macros and its multi-threaded runtime among the development dependencies. None of
//! them sleeps: times that lie an hour ahead or behind stand for those that have come or not, so the store's clock may be
//! up to half an hour off. A case panics where the store does something else.

#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a case fails by its panic"
)]
#![expect(missing_docs, reason = "the name of a case says what it is about")]

mod crowds;
mod finding;
mod leases;
mod marks;
mod rows;
mod sealed;

use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, SystemClock};

pub use self::crowds::*;
pub use self::finding::*;
pub use self::leases::*;
pub use self::marks::*;
pub use self::rows::*;
pub use self::sealed::*;
use super::{Body, Claim, Index, Key, NewRow, Owner, Row, SessionStore, Swap, Time};

/// What the cases are run over.
pub type Store = Arc<dyn SessionStore>;

/// Makes a test of each case of [`suite`](crate::store::suite), over what this function returns.
#[macro_export]
macro_rules! store_suite {
    ($fresh:path) => {
        $crate::store_suite! { @ $fresh:
            a_new_row_is_as_it_was_written
            a_key_is_taken_once
            a_key_is_free_again_when_its_row_has_expired
            a_key_is_free_again_when_its_row_was_removed
            a_row_that_was_idle_for_too_long_is_not_there
            a_row_past_its_end_is_not_there_however_active
            an_expired_row_does_not_come_back_by_activity
            a_replaced_row_is_the_new_one_with_the_next_version
            a_row_of_another_version_is_not_replaced
            a_row_that_is_not_there_is_not_replaced
            a_replacement_moves_activity_forward_only
            a_replacement_may_end_the_session_sooner
            activity_only_moves_forward_and_changes_nothing_else
            activity_makes_no_row
            a_row_is_removed_once
            a_removed_row_is_gone_for_every_method
            times_without_end_are_kept
            bodies_come_back_byte_for_byte
            a_claim_takes_the_lease_and_the_next_version
            a_lease_that_runs_is_nobody_elses
            a_lease_that_has_ended_is_free
            a_row_of_another_version_is_not_claimed
            a_row_that_is_not_there_is_not_claimed
            a_replacement_ends_the_lease
            a_replacement_that_keeps_the_lease_leaves_it_as_it_is
            a_row_is_found_by_each_of_its_indexes
            a_row_without_a_session_at_the_provider_is_found_by_the_others
            an_expired_row_is_not_found
            a_removed_row_is_not_found_and_its_like_are
            indexes_follow_a_replacement
            a_sweep_takes_at_most_so_many_and_nothing_that_lives
            of_a_used_mark_the_first_time_stays
            of_a_logout_the_last_time_stays
            marks_of_two_kinds_are_two
            an_expired_mark_is_unknown
            a_row_at_another_key_opens_as_nothing
            an_old_row_cannot_be_put_back
            of_fifty_creations_at_once_one_wins
            of_fifty_replacements_at_once_one_wins
            of_fifty_claims_at_once_one_wins
            of_fifty_removals_at_once_one_gets_the_row
            of_fifty_marks_at_once_one_is_the_first
        }
    };
    (@ $fresh:path: $($case:ident)+) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some((store, _guard)) = $fresh().await {
                    let store: $crate::store::suite::Store = ::std::sync::Arc::new(store);
                    $crate::store::suite::$case(&store).await;
                }
            }
        )+
    };
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const KEY: Key = Key::new([1; 32]);
const OTHER_KEY: Key = Key::new([2; 32]);
const PERSON: Index = Index::new([3; 32]);
const TENANT: Index = Index::new([4; 32]);
const SESSION: Index = Index::new([5; 32]);
const LEASE: Duration = HOUR;

fn now() -> Time {
    SystemClock.now().into()
}

/// A time that has come already.
fn past() -> Time {
    Time::from_unix_millis(now().unix_millis() - 3_600_000)
}

fn hours(hours: u32) -> Time {
    now().plus(HOUR * hours)
}

fn row(text: &str) -> NewRow {
    NewRow {
        body: Body::from_sealed(text.as_bytes().to_vec()),
        subject: PERSON,
        tenant: TENANT,
        session: Some(SESSION),
        idle_ends: hours(1),
        ends: hours(12),
        keeps_lease: false,
    }
}

fn idle_row() -> NewRow {
    NewRow {
        idle_ends: past(),
        ..row("idle")
    }
}

fn ended_row() -> NewRow {
    NewRow {
        ends: past(),
        ..row("ended")
    }
}

fn bytes(row: &Row) -> Vec<u8> {
    row.body.sealed().unwrap()
}

fn text(row: &Row) -> String {
    String::from_utf8(bytes(row)).unwrap()
}

async fn loaded(store: &Store, key: &Key) -> Row {
    store.load(key).await.unwrap().unwrap()
}

/// Claims the row of this version in a new owner's name.
async fn claim(store: &Store, version: u64, owner: u8, lease: Duration) -> Claim {
    let owner = Owner([owner; 16]);
    store.claim(&KEY, version, owner, lease).await.unwrap()
}

async fn replace(store: &Store, version: u64, row: NewRow) -> Swap {
    store.replace(&KEY, version, row).await.unwrap()
}

async fn replaced(store: &Store, version: u64, row: NewRow) {
    let swap = replace(store, version, row).await;
    assert!(matches!(swap, Swap::Swapped), "{swap:?}");
}

/// Asserts that no method finds a row at the key, nor makes one.
async fn assert_is_gone(store: &Store) {
    assert!(store.load(&KEY).await.unwrap().is_none());
    for version in [1, 2, 3] {
        let swap = replace(store, version, row("x")).await;
        assert!(matches!(swap, Swap::Gone), "{swap:?}");
        let claim = claim(store, version, 1, LEASE).await;
        assert!(matches!(claim, Claim::Gone), "{claim:?}");
    }
    store.touch(&KEY, hours(2)).await.unwrap();
    assert!(store.remove(&KEY).await.unwrap().is_none());
    for index in [PERSON, TENANT, SESSION] {
        assert_eq!(store.find(&index).await.unwrap(), []);
    }
    assert!(store.load(&KEY).await.unwrap().is_none());
}
