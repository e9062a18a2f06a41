//! What single tokens may cause: a few fetches, and a memory of what was not found.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

use tokio::time::Instant;

/// For so long after a fetch the set counts as the issuer's current one.
pub(crate) const FRESH: Duration = Duration::from_secs(30);

/// What strangers can cause: some at once, then one per interval.
#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: u32,
    interval: Duration,
    left: u32,
    /// The time up to which refills are counted.
    since: Instant,
}

impl Bucket {
    pub(crate) fn new(capacity: u32, interval: Duration, now: Instant) -> Self {
        Self {
            capacity,
            interval,
            left: capacity,
            since: now,
        }
    }

    /// Fetches for the sake of single tokens: two at once, then one per half minute.
    pub(crate) fn for_fetches(now: Instant) -> Self {
        Self::new(2, Duration::from_secs(30), now)
    }

    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == self.capacity
    }

    pub(crate) fn is_empty(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == 0
    }

    /// How many can be taken now.
    pub(crate) fn left(&mut self, now: Instant) -> u32 {
        self.refill(now);
        self.left
    }

    /// Takes one if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let Some(rest) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = rest;
        true
    }

    fn refill(&mut self, now: Instant) {
        while self.left < self.capacity && now - self.since >= self.interval {
            self.left += 1;
            self.since += self.interval;
        }
        if self.left == self.capacity {
            self.since = now;
        }
    }
}

/// Names that were looked for in vain, each for a while: key ids that a fresh set lacked, for as long
/// as that set is fresh.
#[derive(Debug)]
pub(crate) struct AbsentNames {
    window: Duration,
    // Hashes under a random key: names that strangers invent are not worth keeping in full.
    found: HashMap<u64, Instant>,
    hasher: RandomState,
}

/// Enough for every service that holds an old token; more are an attack, and an attack gains nothing
/// from not being remembered.
const MAX_ABSENT: usize = 1024;

impl AbsentNames {
    pub(crate) fn for_at_most(window: Duration) -> Self {
        Self {
            window,
            found: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn contains(&self, name: Option<&str>, now: Instant) -> bool {
        self.found
            .get(&self.hasher.hash_one(name))
            .is_some_and(|found| now - *found < self.window)
    }

    pub(crate) fn insert(&mut self, name: Option<&str>, now: Instant) {
        if self.found.len() >= MAX_ABSENT {
            let window = self.window;
            self.found.retain(|_, found| now - *found < window);
        }
        if self.found.len() < MAX_ABSENT {
            self.found.insert(self.hasher.hash_one(name), now);
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
        let mut bucket = Bucket::for_fetches(start);
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
        let mut absent = AbsentNames::for_at_most(FRESH);
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
