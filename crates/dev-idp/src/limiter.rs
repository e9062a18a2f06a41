use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// How many wrong passwords in a row an address has.
const TRIES: u32 = 10;

/// How long until an address has one more.
const REFILL: Duration = Duration::from_secs(6);

/// Addresses share this many counts, so that guessing at many of them takes no memory.
const COUNTS: usize = 1024;

/// Bounds how fast passwords can be guessed, for known and unknown addresses alike.
pub(crate) struct Limiter {
    // When each count is back at none, if nobody tries any more.
    recovered: Vec<Option<Instant>>,
    hasher: RandomState,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            recovered: vec![None; COUNTS],
            hasher: RandomState::new(),
        }
    }

    /// Counts a try before its password is looked at, or returns how long to wait until the next one.
    pub(crate) fn begin(&mut self, email: &str, now: Instant) -> Result<(), Duration> {
        let recovered = self.recovered(email);
        let from = recovered.filter(|at| *at > now).unwrap_or(now);
        let after = from + REFILL;
        let latest = now + REFILL * TRIES;
        if after > latest {
            return Err(after - latest);
        }
        *recovered = Some(after);
        Ok(())
    }

    /// Takes back a try whose password was right.
    pub(crate) fn succeeded(&mut self, email: &str) {
        let recovered = self.recovered(email);
        *recovered = recovered.and_then(|at| at.checked_sub(REFILL));
    }

    fn recovered(&mut self, email: &str) -> &mut Option<Instant> {
        let hash = self.hasher.hash_one(email.trim().to_ascii_lowercase());
        let count = self.recovered.len() as u64;
        &mut self.recovered[usize::try_from(hash % count).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_use_tries_up_and_time_gives_them_back() {
        let (mut limiter, begun) = (Limiter::new(), Instant::now());
        for _ in 0..100 {
            assert_eq!(limiter.begin("a@b.example", begun), Ok(()));
            limiter.succeeded("a@b.example");
        }
        for _ in 0..TRIES {
            assert_eq!(limiter.begin("a@b.example", begun), Ok(()));
        }
        assert_eq!(limiter.begin(" A@b.example", begun), Err(REFILL));
        let later = begun + Duration::from_secs(4);
        assert_eq!(
            limiter.begin("a@b.example", later),
            Err(Duration::from_secs(2))
        );
        let later = begun + REFILL;
        assert_eq!(limiter.begin("a@b.example", later), Ok(()));
        assert_eq!(limiter.begin("a@b.example", later), Err(REFILL));
    }
}
