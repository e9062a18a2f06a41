//! Tokens that have passed, remembered so that their signature is not checked again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

use crate::claims::Claims;
use crate::key::KeyIdentity;

/// A bounded, set-associative memory of accepted tokens.
///
/// A token is found by the SHA-256 of a random prefix and the whole token. The prefix is made per
/// validator: nobody outside can compute where a token falls, or reuse an entry of another validator.
/// Whoever reads an entry decides again about everything that can have changed.
pub(crate) struct VerifiedTokens {
    prefix: [u8; 32],
    sets: Box<[Mutex<Vec<Entry>>]>,
}

struct Entry {
    digest: [u8; 32],
    token: Verified,
}

/// A token that passed.
#[derive(Clone)]
pub(crate) struct Verified {
    pub(crate) claims: Arc<Claims>,
    /// Index of the issuer in its validator.
    pub(crate) issuer: usize,
    pub(crate) key: Arc<KeyIdentity>,
    pub(crate) names_key: bool,
}

/// Where a token is kept.
#[derive(Clone, Copy)]
pub(crate) struct Slot([u8; 32]);

/// A look-up compares at most this many digests, under a lock that only tokens of the same set take.
const WAYS: usize = 8;

impl VerifiedTokens {
    /// Returns a memory for `entries` tokens, rounded up to a multiple of eight.
    pub(crate) fn new(entries: usize) -> Result<Self, Unspecified> {
        let mut prefix = [0; 32];
        rand::fill(&mut prefix)?;
        let sets = entries.div_ceil(WAYS).max(1);
        Ok(Self {
            prefix,
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        })
    }

    pub(crate) fn slot(&self, token: &str) -> Slot {
        // One call over a copy costs less than setting up a streaming context.
        let prefixed = [&self.prefix, token.as_bytes()].concat();
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&SHA256, &prefixed).as_ref());
        Slot(digest)
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<Verified> {
        let mut set = self.set(slot);
        let at = set.iter().position(|entry| entry.digest == slot.0)?;
        // The order is that of last use, so that the first entry is the one to evict.
        set[at..].rotate_left(1);
        set.last().map(|entry| entry.token.clone())
    }

    pub(crate) fn insert(&self, slot: Slot, token: Verified) {
        let mut set = self.set(slot);
        set.retain(|entry| entry.digest != slot.0);
        if set.len() >= WAYS {
            set.remove(0);
        }
        set.push(Entry {
            digest: slot.0,
            token,
        });
    }

    pub(crate) fn remove(&self, slot: Slot) {
        self.set(slot).retain(|entry| entry.digest != slot.0);
    }

    fn set(&self, slot: Slot) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        let mut index = [0; 8];
        index.copy_from_slice(&slot.0[..8]);
        let index = u64::from_le_bytes(index) % self.sets.len() as u64;
        let index = usize::try_from(index).expect("the remainder is below a usize");
        // An entry is whole or absent, whatever panicked.
        self.sets[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens")
            .field("entries", &(self.sets.len() * WAYS))
            .finish_non_exhaustive()
    }
}
