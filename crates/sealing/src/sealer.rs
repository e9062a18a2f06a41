//! Sealed values.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::Secrets;
use crate::keyring::{Key, Keyring};
use crate::secrets::KeyId;

const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Version and key id.
const HEAD: usize = 1 + 4;

/// How many bytes a sealed value is longer than the value.
pub const OVERHEAD: usize = HEAD + NONCE + TAG;

/// Seals and opens values of one purpose.
///
/// Associated data tie a value to its place: they are not part of what is sealed, and have to be the same
/// when it is opened, such as the name of the cookie or the key of the row. They may be empty. Parts of
/// them need lengths or a separator that no part contains: otherwise two places have the same bytes.
pub struct Sealer {
    keys: Keyring<RandomizedNonceKey>,
    opened: AtomicU64,
    malformed: AtomicU64,
    unknown_key: AtomicU64,
    bad_tag: AtomicU64,
}

/// How often a [`Sealer`] was asked to open a value, by what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenCounts {
    /// The value was there.
    pub opened: u64,
    /// It was cut short, or of another version.
    pub malformed: u64,
    /// No secret has its key id: it was sealed with one that was removed or is not here yet, or it is
    /// forged. A reason to read the file with the secrets again.
    pub unknown_key: u64,
    /// It was altered, or sealed for another purpose or with other associated data.
    pub bad_tag: u64,
}

/// A value could not be sealed: there are no random numbers, or it is longer than 64 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value could not be sealed")]
pub struct SealError;

impl Sealer {
    pub(crate) fn new(secrets: Secrets, purpose: &'static str) -> Self {
        Self {
            keys: Keyring::new(secrets, purpose),
            opened: AtomicU64::default(),
            malformed: AtomicU64::default(),
            unknown_key: AtomicU64::default(),
            bad_tag: AtomicU64::default(),
        }
    }

    /// Seals a value with the first secret. The result is [`OVERHEAD`] bytes longer than the value, and
    /// differs each time.
    ///
    /// # Errors
    ///
    /// Fails where the system gives no random numbers, and for a value of more than 64 GiB.
    pub fn seal(&self, value: &[u8], associated_data: &[u8]) -> Result<Vec<u8>, SealError> {
        let keys = self.keys.keys();
        let (id, key) = keys.first();
        // Wiped if it cannot be sealed.
        let mut sealed = Zeroizing::new(Vec::with_capacity(value.len() + OVERHEAD));
        sealed.push(VERSION);
        sealed.extend(id.0);
        sealed.extend([0; NONCE]);
        sealed.extend(value);
        let (nonce, tag) = key
            .seal_in_place_separate_tag(Aad::from(associated_data), &mut sealed[HEAD + NONCE..])
            .map_err(|_| SealError)?;
        sealed[HEAD..HEAD + NONCE].copy_from_slice(nonce.as_ref());
        sealed.extend(tag.as_ref());
        Ok(std::mem::take(&mut *sealed))
    }

    /// Opens a value with the secret that sealed it. A value that cannot be opened is not there, whatever
    /// the reason; [`Sealer::counts`] counts the reasons apart.
    ///
    /// Time and memory grow with the value: a caller that reads it from the network limits its size.
    #[must_use]
    pub fn open(&self, sealed: &[u8], associated_data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (value, counter) = self.outcome(sealed, associated_data);
        counter.fetch_add(1, Ordering::Relaxed);
        value
    }

    fn outcome(&self, sealed: &[u8], aad: &[u8]) -> (Option<Zeroizing<Vec<u8>>>, &AtomicU64) {
        let Some(parts) = parts(sealed) else {
            return (None, &self.malformed);
        };
        let keys = self.keys.keys();
        let Some(key) = keys.with_id(parts.id) else {
            return (None, &self.unknown_key);
        };
        match open(key, parts.nonce, parts.body, aad) {
            Some(value) => (Some(value), &self.opened),
            None => (None, &self.bad_tag),
        }
    }

    /// Returns what came of the calls of [`Sealer::open`] so far.
    #[must_use]
    pub fn counts(&self) -> OpenCounts {
        OpenCounts {
            opened: self.opened.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            unknown_key: self.unknown_key.load(Ordering::Relaxed),
            bad_tag: self.bad_tag.load(Ordering::Relaxed),
        }
    }
}

/// A sealed value of this version, with nothing authenticated.
pub(crate) struct Parts<'a> {
    pub(crate) id: KeyId,
    nonce: [u8; NONCE],
    /// Ciphertext and tag.
    body: &'a [u8],
}

pub(crate) fn parts(sealed: &[u8]) -> Option<Parts<'_>> {
    let (&[version], rest) = sealed.split_first_chunk()?;
    let (&id, rest) = rest.split_first_chunk()?;
    let (&nonce, body) = rest.split_first_chunk()?;
    let is_whole = version == VERSION && body.len() >= TAG;
    is_whole.then_some(Parts {
        id: KeyId(id),
        nonce,
        body,
    })
}

fn open(
    key: &RandomizedNonceKey,
    nonce: [u8; NONCE],
    body: &[u8],
    aad: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(body.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = key.open_in_place(nonce, Aad::from(aad), &mut value).ok()?;
    let length = opened.len();
    value.truncate(length);
    Some(value)
}

impl Key for RandomizedNonceKey {
    const USE: &'static str = "seal";

    fn new(bytes: &[u8; 32]) -> Self {
        Self::new(&AES_256_GCM_SIV, bytes).expect("32 bytes are a key of AES-256")
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("purpose", &self.keys.purpose)
            .field("secrets", &self.keys.count())
            .field("counts", &self.counts())
            .finish()
    }
}

#[cfg(test)]
mod tests;
