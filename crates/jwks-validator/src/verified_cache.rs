//! Tokens that have passed, kept so that their signature is not checked again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

use crate::claims::Claims;
use crate::key::KeyIdentity;
use crate::key_set::Named;

/// A bounded, set-associative cache of accepted tokens.
///
/// A token is found by the SHA-256 of a random prefix and the whole token. The prefix is made per
/// validator, so that an attacker can neither compute where a token falls nor reuse an entry of another
/// validator. The reader of an entry decides again about everything that can have changed.
pub(crate) struct VerifiedCache {
    prefix: [u8; 32],
    sets: Box<[Mutex<Set>]>,
}

/// The tokens that fall into one place. The counts stand under its lock, which a look-up has anyway:
/// counts that all cores share would cost more than the look-up.
#[derive(Default)]
struct Set {
    entries: Vec<Entry>,
    looked_up: u64,
    found: u64,
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
    pub(crate) named: Named,
}

/// How full and how useful a validator's [cache of verified
/// tokens](crate::JwtValidatorBuilder::verified_cache) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedCacheHealth {
    /// How many tokens are in it, expired ones included until another takes their place.
    pub entries: usize,
    /// How many can be in it.
    pub capacity: usize,
    /// How many tokens have been looked up since the validator was built; the number wraps around.
    pub looked_up: u64,
    /// How many of them were there. A token that was found may still be refused, for its dates or its
    /// key.
    pub found: u64,
}

/// SHA-256 of a token under the cache's prefix.
#[derive(Clone, Copy)]
pub(crate) struct TokenDigest([u8; 32]);

/// A look-up compares at most this many digests, under a lock that only tokens of the same set take.
const WAYS: usize = 8;

/// Prefix and token up to this length are put together on the stack. Access tokens have 500 to 900 bytes.
const USUAL: usize = 1024;

impl VerifiedCache {
    /// Returns a cache for `entries` tokens, rounded up to a multiple of eight.
    pub(crate) fn new(entries: usize) -> Result<Self, Unspecified> {
        let mut prefix = [0; 32];
        rand::fill(&mut prefix)?;
        let sets = entries.div_ceil(WAYS).max(1);
        Ok(Self {
            prefix,
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        })
    }

    pub(crate) fn digest(&self, token: &[u8]) -> TokenDigest {
        // One call over a copy costs less than setting up a streaming context.
        let length = self.prefix.len() + token.len();
        let mut usual = [0; USUAL];
        let hashed = match usual.get_mut(..length) {
            Some(copy) => {
                let (prefix, rest) = copy.split_at_mut(self.prefix.len());
                prefix.copy_from_slice(&self.prefix);
                rest.copy_from_slice(token);
                digest::digest(&SHA256, copy)
            }
            None => digest::digest(&SHA256, &[&self.prefix, token].concat()),
        };
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hashed.as_ref());
        TokenDigest(bytes)
    }

    pub(crate) fn get(&self, digest: TokenDigest) -> Option<Verified> {
        let mut set = self.set(digest);
        set.looked_up += 1;
        let entries = &mut set.entries;
        let at = entries.iter().position(|entry| entry.digest == digest.0)?;
        // The order is that of last use, so that the first entry is the one to evict.
        entries[at..].rotate_left(1);
        let found = entries.last().map(|entry| entry.token.clone());
        set.found += 1;
        found
    }

    pub(crate) fn insert(&self, digest: TokenDigest, token: Verified) {
        let entries = &mut self.set(digest).entries;
        entries.retain(|entry| entry.digest != digest.0);
        if entries.len() >= WAYS {
            entries.remove(0);
        }
        entries.push(Entry {
            digest: digest.0,
            token,
        });
    }

    pub(crate) fn remove(&self, digest: TokenDigest) {
        let entries = &mut self.set(digest).entries;
        entries.retain(|entry| entry.digest != digest.0);
    }

    /// Adds up the sets, one lock after the other.
    pub(crate) fn health(&self) -> VerifiedCacheHealth {
        let mut health = VerifiedCacheHealth {
            entries: 0,
            capacity: self.sets.len() * WAYS,
            looked_up: 0,
            found: 0,
        };
        for set in &self.sets {
            let set = set.lock().unwrap_or_else(PoisonError::into_inner);
            health.entries += set.entries.len();
            health.looked_up = health.looked_up.wrapping_add(set.looked_up);
            health.found = health.found.wrapping_add(set.found);
        }
        health
    }

    fn set(&self, digest: TokenDigest) -> MutexGuard<'_, Set> {
        let mut index = [0; 8];
        index.copy_from_slice(&digest.0[..8]);
        let index = u64::from_le_bytes(index) % self.sets.len() as u64;
        let index = usize::try_from(index).expect("the remainder is below a usize");
        // An entry is whole or absent, whatever panicked.
        self.sets[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for VerifiedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCache")
            .field("entries", &(self.sets.len() * WAYS))
            .finish_non_exhaustive()
    }
}
