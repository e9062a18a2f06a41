//! The list of secrets, and what is derived from each.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::Zeroizing;

use crate::{Mac, Sealer};

/// Secrets in one list: the newest, and the older ones that values are still opened with.
pub const MAX_SECRETS: usize = 5;

/// The shortest secret, in bytes of [`Secrets::new`] and in characters of [`Secrets::from_text`].
pub const MIN_SECRET: usize = 32;

/// Keeps our keys apart from those that something else derives from the same secret. RFC 5869
/// section 3.1 wants a salt, which need not be secret.
const SALT: &[u8] = b"m2m-auth sealing";

/// One to five secrets, the newest first. Clones share the list: [`Secrets::replace`] on one of
/// them takes effect for all, and for every [`Sealer`] and [`Mac`] made from them.
///
/// A secret has to be random: it is no password, and nothing makes guessing a weak one slow.
#[derive(Clone)]
pub struct Secrets {
    current: Arc<ArcSwap<List>>,
}

/// Never empty.
pub(crate) struct List(pub(crate) Vec<Secret>);

pub(crate) struct Secret {
    pub(crate) id: KeyId,
    prk: Prk,
}

/// Four bytes that tell secrets apart, derived from each. They are on every sealed value, and may
/// be logged. `Display` shows eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId(pub(crate) [u8; 4]);

/// Why a list of secrets cannot be used. Positions count from 1, the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// The list is empty.
    #[error("there is no secret")]
    Missing,
    /// The list is longer than [`MAX_SECRETS`].
    #[error("there are {0} secrets, of which at most {MAX_SECRETS} can be used")]
    TooMany(usize),
    /// The secret at this position is shorter than [`MIN_SECRET`].
    #[error("secret {0} is shorter than {MIN_SECRET} bytes, or characters in a text")]
    TooShort(usize),
    /// The secrets at these positions are the same. Two different ones with the same [`KeyId`] count
    /// as that, which happens to 1 in 2^32 pairs.
    #[error("secrets {0} and {1} are the same")]
    Repeated(usize, usize),
}

impl Secrets {
    /// Takes secrets of at least 32 bytes each, the newest first.
    ///
    /// # Errors
    ///
    /// Fails for none, for more than five, for a short one and for one that is there twice.
    pub fn new<S: AsRef<[u8]>>(secrets: &[S]) -> Result<Self, SecretsError> {
        let short = secrets.iter().position(|it| it.as_ref().len() < MIN_SECRET);
        let list = match (secrets.len(), short) {
            (0, _) => return Err(SecretsError::Missing),
            (count, _) if count > MAX_SECRETS => return Err(SecretsError::TooMany(count)),
            (_, Some(at)) => return Err(SecretsError::TooShort(at + 1)),
            _ => List(secrets.iter().map(|it| Secret::new(it.as_ref())).collect()),
        };
        for (at, secret) in list.0.iter().enumerate() {
            if let Some(before) = list.0[..at].iter().position(|it| it.id == secret.id) {
                return Err(SecretsError::Repeated(before + 1, at + 1));
            }
        }
        Ok(Self {
            current: Arc::new(ArcSwap::from_pointee(list)),
        })
    }

    /// Takes secrets of at least 32 characters each from a text, the newest first, separated by line
    /// ends or other white space, which is not part of them. The UTF-8 of the characters is used.
    ///
    /// # Errors
    ///
    /// As [`Secrets::new`].
    pub fn from_text(text: &str) -> Result<Self, SecretsError> {
        let secrets: Vec<&str> = text.split_whitespace().collect();
        let short = secrets
            .iter()
            .position(|secret| secret.chars().count() < MIN_SECRET);
        match short {
            Some(at) if secrets.len() <= MAX_SECRETS => Err(SecretsError::TooShort(at + 1)),
            _ => Self::new(&secrets),
        }
    }

    /// Replaces the list, for all clones and for every [`Sealer`] and [`Mac`] made from them, and returns
    /// whether the new one differs. Nobody waits: what is sealed or opened at this moment goes by the
    /// list before or by the list after.
    pub fn replace(&self, newer: Self) -> bool {
        let newer = newer.current.load_full();
        let before = self.current.swap(Arc::clone(&newer));
        before.ids().ne(newer.ids())
    }

    /// Derives the keys that seal and open values of this purpose. A [`Sealer`] is made once and kept: it
    /// holds the keys, and counts what it opens.
    #[must_use]
    pub fn purpose(&self, purpose: &'static str) -> Sealer {
        Sealer::new(self.clone(), purpose)
    }

    /// Derives the keys that sign and verify messages of this purpose, which are not those of
    /// [`Secrets::purpose`] with the same name. A [`Mac`] is made once and kept: it holds the keys.
    #[must_use]
    pub fn mac(&self, purpose: &'static str) -> Mac {
        Mac::new(self.clone(), purpose)
    }

    /// Returns the key ids in the order of the secrets. The first is on what is sealed now.
    #[must_use]
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.current.load().ids().collect()
    }

    pub(crate) fn list(&self) -> arc_swap::Guard<Arc<List>> {
        self.current.load()
    }
}

impl List {
    fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|secret| secret.id)
    }
}

impl Secret {
    fn new(bytes: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, SALT).extract(bytes);
        let [a, b, c, d, ..] = *expand(&prk, &[b"id"]);
        Self {
            id: KeyId([a, b, c, d]),
            prk,
        }
    }

    /// Returns the key for one use and purpose. No use contains the zero byte that ends it.
    pub(crate) fn key(&self, usage: &str, purpose: &str) -> Zeroizing<[u8; 32]> {
        expand(&self.prk, &[usage.as_bytes(), b"\0", purpose.as_bytes()])
    }
}

fn expand(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    prk.expand(info, HKDF_SHA256)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .expect("32 bytes are one block of HKDF-SHA-256");
    key
}

impl KeyId {
    /// Returns the key id on a sealed value, or nothing where it is too short or of another version. It
    /// is not authenticated: only [`Sealer::open`] tells whether that secret sealed the value.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Option<Self> {
        crate::sealer::parts(sealed).map(|parts| parts.id)
    }

    /// Returns the four bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("count", &self.list().0.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
