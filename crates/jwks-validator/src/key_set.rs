//! The keys of one issuer.

mod published;
mod select;

use std::fmt;
use std::sync::Arc;

use crate::algorithm::Algorithm;
use crate::key::{KeyIdentity, SkipReason, UnverifiedJwk, VerificationKey};

use published::{Published, document};
pub(crate) use select::{Named, Selected};

/// The usable keys of one issuer; there is at least one.
///
/// Each key verifies one algorithm: the JWK's `alg`, or the one that its type and curve imply. For RSA
/// without `alg` that is RS256, or what [`with_rsa_default`](Self::with_rsa_default) says. Immutable.
#[derive(Debug)]
pub struct KeySet {
    // Shared, so that the same keys cost nothing in a set with other revocations.
    keys: Arc<[VerificationKey]>,
    skipped: Arc<[SkippedKey]>,
    /// Key ids that the operator has revoked, published or not.
    revoked: Box<[Box<str>]>,
    /// What to make the set of anew; only where an algorithm is a guess.
    published: Option<Arc<Published>>,
}

/// A published key that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Position in the published array, from 0.
    pub index: usize,
    /// The key id, if it has one of at most 256 printable ASCII characters.
    pub kid: Option<String>,
    /// Why it is not used.
    pub reason: SkipReason,
}

/// A set with more signature keys is refused whole: the search by key id is linear. Of the keys that
/// are there for others, so many are listed.
const MAX_KEYS: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl KeySet {
    /// Reads a JWK Set (RFC 7517 section 5) key by key.
    ///
    /// A key that is unknown, broken or unfit is left out and listed in [`skipped`](Self::skipped).
    /// Keys of one id and one algorithm with different material are left out. One RSA key that is listed
    /// under one id for several algorithms is good for each of them.
    ///
    /// Read as vendors write it: one leading byte order mark is skipped; members of a key that are null
    /// and an empty `key_ops` count as absent; the numbers of a key may be base64 or base64url, padded or
    /// not.
    ///
    /// # Errors
    ///
    /// Fails when the document is not a JWK Set, has more than 64 signature keys (those for another use
    /// or of an unsupported kind do not count), or has no usable one.
    pub fn from_jwks_json(json: &[u8]) -> Result<Self, KeySetError> {
        let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
        let document = document(json).map_err(|_| KeySetError::new(KeySetErrorKind::NotJwks))?;
        Self::from_entries(
            document
                .iter()
                .map(|entry| UnverifiedJwk::parse(entry.get().as_bytes())),
        )
    }

    pub(crate) fn from_entries<'a>(
        entries: impl Iterator<Item = Result<UnverifiedJwk<'a>, SkipReason>>,
    ) -> Result<Self, KeySetError> {
        let mut published = Published::default();
        let (mut signature_keys, mut others) = (0, 0);
        for (index, entry) in entries.enumerate() {
            let kid = entry
                .as_ref()
                .ok()
                .and_then(|jwk| jwk.printable_kid().map(str::to_owned));
            let key = entry.and_then(UnverifiedJwk::into_key);
            let count = match &key {
                Err(reason) if reason.is_for_others() => &mut others,
                _ => &mut signature_keys,
            };
            *count += 1;
            if signature_keys > MAX_KEYS {
                return Err(KeySetError::new(KeySetErrorKind::TooManyKeys));
            }
            match key {
                Ok(key) => published.add(vec![index], key),
                Err(_) if others > MAX_KEYS => {}
                Err(reason) => published.skipped.push(SkippedKey { index, kid, reason }),
            }
        }
        published.into_set()
    }

    /// Returns the set in which RSA keys that are published without `alg` verify this algorithm and no
    /// other. The same set for an algorithm that is not one of RSA.
    ///
    /// A validator does so with the first RSA algorithm of those that it
    /// [accepts](crate::JwtValidatorBuilder::algorithms).
    #[must_use]
    pub fn with_rsa_default(self, algorithm: Algorithm) -> Self {
        let Some(published) = &self.published else {
            return self;
        };
        let mut anew = Published {
            keys: Vec::new(),
            skipped: published.skipped.clone(),
        };
        for (indices, key) in &published.keys {
            match key.guessed_as(algorithm) {
                Ok(key) => anew.add(indices.clone(), key),
                Err(reason) => anew.skip(indices, key, reason),
            }
        }
        let (keys, skipped) = anew.told_apart();
        Self {
            keys: keys.into(),
            skipped: skipped.into(),
            revoked: self.revoked,
            published: self.published,
        }
    }

    /// Returns how many keys are usable.
    #[must_use]
    pub fn len(&self) -> usize {
        let usable = self.keys.iter().filter(|key| !self.has_revoked(key));
        usable.count()
    }

    /// Tells whether there is no usable key. A set that was read has one until the operator revokes it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the id and the algorithm of every usable key.
    pub fn usable(&self) -> impl Iterator<Item = (Option<&str>, Algorithm)> {
        let usable = self.keys.iter().filter(|key| !self.has_revoked(key));
        usable.map(|key| (key.identity.kid.as_deref(), key.identity.algorithm))
    }

    /// Returns the published keys that are not used, with the reason for each; of those that are there
    /// for others (another use, an unsupported kind), the first 64.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// A set for an issuer whose keys have not been fetched.
    pub(crate) fn empty() -> Self {
        Self {
            keys: Arc::default(),
            skipped: Arc::default(),
            revoked: Box::default(),
            published: None,
        }
    }

    /// The same keys, with these ids revoked and no others.
    pub(crate) fn with_revoked(&self, revoked: &[Box<str>]) -> Self {
        Self {
            keys: Arc::clone(&self.keys),
            skipped: Arc::clone(&self.skipped),
            revoked: revoked.into(),
            published: self.published.clone(),
        }
    }

    fn is_revoked(&self, kid: &str) -> bool {
        self.revoked.iter().any(|revoked| **revoked == *kid)
    }

    fn has_revoked(&self, key: &VerificationKey) -> bool {
        let kid = key.identity.kid.as_deref();
        kid.is_some_and(|kid| self.is_revoked(kid))
    }

    pub(crate) fn identities(&self) -> impl Iterator<Item = &Arc<KeyIdentity>> {
        self.keys.iter().map(|key| &key.identity)
    }

    pub(crate) fn has_same_keys(&self, other: &Self) -> bool {
        let holds = |set: &Self, key: &VerificationKey| {
            set.keys.iter().any(|one| one.identity == key.identity)
        };
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| holds(other, key))
    }
}

/// A document that gives no key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetError {
    kind: KeySetErrorKind,
    skipped: Vec<SkippedKey>,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySetErrorKind {
    /// Not a JSON object with an array `keys`.
    NotJwks,
    /// More than 64 signature keys.
    TooManyKeys,
    /// No key, or none that is usable.
    NoUsableKey,
}

impl KeySetError {
    fn new(kind: KeySetErrorKind) -> Self {
        Self {
            kind,
            skipped: Vec::new(),
        }
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn kind(&self) -> KeySetErrorKind {
        self.kind
    }

    /// Returns the keys that are not usable, with the reason for each.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}

impl fmt::Display for KeySetErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJwks => "not a JWK Set",
            Self::TooManyKeys => "more than 64 signature keys",
            Self::NoUsableKey => "no usable key",
        })
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for KeySetError {}

#[cfg(test)]
mod tests {
    use super::KeySet;

    /// The generator of P-256 and its inverse: two points on the curve.
    const X: &str = "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY";
    const Y: [&str; 2] = [
        "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
        "sBy9HAHlgGVxGBS1g_Bh6dQxzKmUzqExNEm_l8hArgo",
    ];

    fn set(keys: &[(&str, usize)]) -> KeySet {
        let keys: Vec<_> = keys
            .iter()
            .map(|(kid, y)| {
                serde_json::json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": X, "y": Y[*y] })
            })
            .collect();
        let document = serde_json::json!({ "keys": keys }).to_string();
        KeySet::from_jwks_json(document.as_bytes()).unwrap()
    }

    #[test]
    fn sets_are_the_same_if_each_key_is_in_both() {
        let both = set(&[("a", 0), ("b", 1)]);
        for (name, other, same) in [
            ("itself", set(&[("a", 0), ("b", 1)]), true),
            ("in another order", set(&[("b", 1), ("a", 0)]), true),
            ("one less", set(&[("a", 0)]), false),
            ("one more", set(&[("a", 0), ("b", 1), ("c", 0)]), false),
            ("another material", set(&[("a", 1), ("b", 1)]), false),
            ("another name", set(&[("a", 0), ("c", 1)]), false),
        ] {
            assert_eq!(both.has_same_keys(&other), same, "{name}");
            assert_eq!(other.has_same_keys(&both), same, "{name}");
        }
    }

    #[test]
    fn a_set_without_keys_is_empty() {
        assert!(KeySet::empty().is_empty());
    }
}
