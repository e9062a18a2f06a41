//! What single tokens may cost an issuer: a few fetches, and a memory of what was not found.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

use tokio::time::Instant;

/// For so long after a fetch the set counts as the issuer's current one.
pub(crate) const FRESH: Duration = Duration::from_secs(30);

/// Fetches for the sake of single tokens: two at once, then one per half minute.
#[derive(Debug)]
pub(crate) struct Bucket {
    fetches: u32,
    /// The time up to which refills are counted.
    since: Instant,
}

const CAPACITY: u32 = 2;
const REFILL: Duration = Duration::from_secs(30);

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Self {
            fetches: CAPACITY,
            since: now,
        }
    }

    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.fetches == CAPACITY
    }

    /// Takes one fetch if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let Some(rest) = self.fetches.checked_sub(1) else {
            return false;
        };
        self.fetches = rest;
        true
    }

    fn refill(&mut self, now: Instant) {
        while self.fetches < CAPACITY && now - self.since >= REFILL {
            self.fetches += 1;
            self.since += REFILL;
        }
        if self.fetches == CAPACITY {
            self.since = now;
        }
    }
}

/// Key ids that a fresh set lacked, each for as long as that set is fresh.
#[derive(Debug, Default)]
pub(crate) struct AbsentKeyIds {
    // Hashes under a random key: what strangers invent is not worth keeping in full.
    found: HashMap<u64, Instant>,
    hasher: RandomState,
}

/// Enough for every service that holds an old token; more are an attack, and an attack gains nothing
/// from not being remembered.
const MAX_ABSENT: usize = 1024;

impl AbsentKeyIds {
    pub(crate) fn contains(&self, kid: Option<&str>, now: Instant) -> bool {
        self.found
            .get(&self.hasher.hash_one(kid))
            .is_some_and(|found| now - *found < FRESH)
    }

    pub(crate) fn insert(&mut self, kid: Option<&str>, now: Instant) {
        if self.found.len() >= MAX_ABSENT {
            self.found.retain(|_, found| now - *found < FRESH);
        }
        if self.found.len() < MAX_ABSENT {
            self.found.insert(self.hasher.hash_one(kid), now);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.found.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_holds_two_and_gains_one_per_half_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut bucket = Bucket::full(start);
        let taken: Vec<bool> = [0, 0, 0, 29, 30, 30, 59, 60, 1_000, 1_000, 1_000]
            .into_iter()
            .map(|seconds| bucket.take(at(seconds)))
            .collect();
        assert_eq!(
            taken,
            [
                true, true, false, false, true, false, false, true, true, true, false
            ]
        );
        assert!(!bucket.is_full(at(1_059)) && bucket.is_full(at(1_060)));
    }

    /// D19
    #[tokio::test(start_paused = true)]
    async fn the_memory_of_absent_key_ids_is_bounded_in_number_and_time() {
        let now = Instant::now();
        let later = now + FRESH;
        let mut absent = AbsentKeyIds::default();
        for n in 0..10_000 {
            absent.insert(Some(&n.to_string()), now);
        }
        assert_eq!(absent.found.len(), MAX_ABSENT);
        assert!(absent.contains(Some("0"), now) && !absent.contains(Some("0"), later));
        absent.insert(None, later);
        assert_eq!(absent.found.len(), 1);
        assert!(absent.contains(None, later) && !absent.contains(Some(""), later));
    }
}
