//! The keys of one issuer.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::algorithm::Algorithm;
use crate::key::{KeyIdentity, SkipReason, UnverifiedJwk, VerificationKey};

/// The usable keys of one issuer; there is at least one.
///
/// Each key verifies one algorithm: the JWK's `alg`, or the one that its type and curve imply
/// (RS256 for RSA). Immutable.
#[derive(Debug)]
pub struct KeySet {
    // Shared, so that the same keys cost nothing in a set with other revocations.
    keys: Arc<[VerificationKey]>,
    skipped: Arc<[SkippedKey]>,
    /// Key ids that the operator has revoked, published or not.
    revoked: Box<[Box<str>]>,
}

/// A published key that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Position in the published array, from 0.
    pub index: usize,
    /// The key id, if it has one of at most 256 printable ASCII characters.
    pub kid: Option<String>,
    /// Why it is not used.
    pub reason: SkipReason,
}

/// A set with more keys is refused whole: the search by key id is linear.
const MAX_KEYS: usize = 64;

impl KeySet {
    /// Reads a JWK Set (RFC 7517 section 5) key by key.
    ///
    /// A key that is unknown, broken or unfit is left out and listed in [`skipped`](Self::skipped).
    /// Keys of one id and different material are both left out. One RSA key that is listed under one
    /// id for several algorithms is good for each of them.
    ///
    /// # Errors
    ///
    /// Fails when the document is not a JWK Set, has more than 64 keys, or has no usable one.
    pub fn from_jwks_json(json: &[u8]) -> Result<Self, KeySetError> {
        let document = document(json).map_err(|_| KeySetError::new(KeySetErrorKind::NotJwks))?;
        Self::from_entries(
            document
                .iter()
                .map(|entry| UnverifiedJwk::parse(entry.get().as_bytes())),
        )
    }

    pub(crate) fn from_entries<'a>(
        entries: impl ExactSizeIterator<Item = Result<UnverifiedJwk<'a>, SkipReason>>,
    ) -> Result<Self, KeySetError> {
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::new(KeySetErrorKind::TooManyKeys));
        }
        // With all places where the very same key stands.
        let mut usable: Vec<(Vec<usize>, VerificationKey)> = Vec::new();
        let mut skipped = Vec::new();
        for (index, entry) in entries.enumerate() {
            let kid = entry
                .as_ref()
                .ok()
                .and_then(|jwk| jwk.printable_kid().map(str::to_owned));
            match entry.and_then(UnverifiedJwk::into_key) {
                Ok(key) => {
                    let mut known = usable.iter_mut();
                    match known.find(|(_, known)| known.identity == key.identity) {
                        Some((indices, _)) => indices.push(index),
                        None => usable.push((vec![index], key)),
                    }
                }
                Err(reason) => skipped.push(SkippedKey { index, kid, reason }),
            }
        }
        let is_ambiguous = |key: &VerificationKey| {
            key.identity.kid.is_some()
                && usable.iter().any(|(_, other)| {
                    other.identity.kid == key.identity.kid
                        && !other.identity.has_material_of(&key.identity)
                })
        };
        let ambiguous: Vec<bool> = usable.iter().map(|(_, key)| is_ambiguous(key)).collect();
        let mut keys = Vec::new();
        for ((indices, key), is_ambiguous) in usable.into_iter().zip(ambiguous) {
            if is_ambiguous {
                let kid = key.identity.kid.as_deref();
                skipped.extend(indices.into_iter().map(|index| SkippedKey {
                    index,
                    kid: kid.map(str::to_owned),
                    reason: SkipReason::DuplicateKeyId,
                }));
            } else {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(KeySetError {
                kind: KeySetErrorKind::NoUsableKey,
                skipped,
            });
        }
        Ok(Self {
            keys: keys.into(),
            skipped: skipped.into(),
            revoked: Box::default(),
        })
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

    /// Returns the published keys that are not used, with the reason for each.
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
        }
    }

    /// The same keys, with these ids revoked and no others.
    pub(crate) fn with_revoked(&self, revoked: &[Box<str>]) -> Self {
        Self {
            keys: Arc::clone(&self.keys),
            skipped: Arc::clone(&self.skipped),
            revoked: revoked.into(),
        }
    }

    fn is_revoked(&self, kid: &str) -> bool {
        self.revoked.iter().any(|revoked| **revoked == *kid)
    }

    fn has_revoked(&self, key: &VerificationKey) -> bool {
        let kid = key.identity.kid.as_deref();
        kid.is_some_and(|kid| self.is_revoked(kid))
    }

    /// Finds the one key that a token with this key id and algorithm can mean.
    pub(crate) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Selected<'_> {
        if let Some(kid) = kid {
            if self.is_revoked(kid) {
                return Selected::Revoked;
            }
            let is_named = |key: &&VerificationKey| key.identity.kid.as_deref() == Some(kid);
            let mut fitting = self.keys.iter();
            return match fitting.find(|key| key.identity.algorithm == algorithm && is_named(key)) {
                Some(key) => Selected::Key(key),
                None if self.keys.iter().any(|key| is_named(&key)) => Selected::OtherAlgorithm,
                None => Selected::Absent,
            };
        }
        let mut eligible = self
            .keys
            .iter()
            .filter(|key| key.identity.algorithm == algorithm && !self.has_revoked(key));
        match (eligible.next(), eligible.next()) {
            (None, _) => Selected::Absent,
            (Some(key), None) => Selected::Key(key),
            (Some(_), Some(_)) => Selected::Ambiguous,
        }
    }

    /// Tells whether a token that names this key, or none, would still be checked with `key`.
    pub(crate) fn would_use(&self, kid: Option<&str>, key: &Arc<KeyIdentity>) -> bool {
        match self.select(kid, key.algorithm) {
            // The pointers differ once the keys have been fetched again, even if nothing has changed.
            Selected::Key(found) => Arc::ptr_eq(&found.identity, key) || *found.identity == **key,
            _ => false,
        }
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

/// What a key set holds for a token.
#[derive(Debug)]
pub(crate) enum Selected<'k> {
    Key(&'k VerificationKey),
    Absent,
    /// The token names no key, and several fit its algorithm.
    Ambiguous,
    /// The key is published for another algorithm than the token's.
    OtherAlgorithm,
    /// The operator has revoked the key.
    Revoked,
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
    /// More than 64 keys.
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

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            KeySetErrorKind::NotJwks => "not a JWK Set",
            KeySetErrorKind::TooManyKeys => "more than 64 keys",
            KeySetErrorKind::NoUsableKey => "no usable key",
        })
    }
}

impl std::error::Error for KeySetError {}

/// Returns the entries of `keys`, unparsed.
fn document(json: &[u8]) -> serde_json::Result<Vec<&RawValue>> {
    struct Document;
    impl<'de> Visitor<'de> for Document {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with an array `keys`")
        }

        // A derived struct would also take an array for its fields.
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut keys = None;
            while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                if name == "keys" {
                    if keys.replace(map.next_value()?).is_some() {
                        return Err(A::Error::custom("duplicate member"));
                    }
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            keys.ok_or_else(|| A::Error::missing_field("keys"))
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let document = deserializer.deserialize_map(Document)?;
    deserializer.end()?;
    Ok(document)
}

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
