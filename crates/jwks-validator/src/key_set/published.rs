//! What an issuer publishes, before it is a set of keys.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{KeySet, KeySetError, KeySetErrorKind, SkippedKey};
use crate::key::{SkipReason, VerificationKey};

/// The fit keys of a document, before it is known which ones cannot be told apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    /// With all places where the very same key stands.
    pub(super) keys: Vec<(Vec<usize>, VerificationKey)>,
    pub(super) skipped: Vec<SkippedKey>,
}

impl Published {
    pub(super) fn add(&mut self, indices: Vec<usize>, key: VerificationKey) {
        let is_same = |known: &VerificationKey| {
            known.identity == key.identity && known.is_guessed == key.is_guessed
        };
        let mut known = self.keys.iter_mut();
        match known.find(|(_, known)| is_same(known)) {
            Some((places, _)) => places.extend(indices),
            None => self.keys.push((indices, key)),
        }
    }

    pub(super) fn skip(&mut self, indices: &[usize], key: &VerificationKey, reason: SkipReason) {
        let kid = key.identity.kid.as_deref();
        self.skipped.extend(indices.iter().map(|index| SkippedKey {
            index: *index,
            kid: kid.map(str::to_owned),
            reason,
        }));
    }

    pub(super) fn into_set(self) -> Result<KeySet, KeySetError> {
        let is_guessed = self.keys.iter().any(|(_, key)| key.is_guessed);
        let published = is_guessed.then(|| Arc::new(self.clone()));
        let (keys, skipped) = self.told_apart();
        if keys.is_empty() {
            return Err(KeySetError {
                kind: KeySetErrorKind::NoUsableKey,
                skipped,
            });
        }
        Ok(KeySet {
            keys: keys.into(),
            skipped: skipped.into(),
            revoked: Box::default(),
            published,
        })
    }

    /// Returns the keys that a token can name, without those that another one cannot be told from. An id is
    /// enough for keys of different algorithms (RFC 7517 section 4.5).
    pub(super) fn told_apart(self) -> (Vec<VerificationKey>, Vec<SkippedKey>) {
        let Self { keys: all, skipped } = self;
        let clashes = |key: &VerificationKey| {
            key.identity.kid.is_some()
                && all.iter().any(|(_, other)| {
                    other.identity.kid == key.identity.kid
                        && other.identity.algorithm == key.identity.algorithm
                        && !other.identity.has_material_of(&key.identity)
                })
        };
        let mut told_apart = Self {
            keys: Vec::new(),
            skipped,
        };
        for (indices, key) in &all {
            if clashes(key) {
                told_apart.skip(indices, key, SkipReason::DuplicateKeyId);
            } else if !told_apart
                .keys
                .iter()
                .any(|(_, known)| known.identity == key.identity)
            {
                told_apart.keys.push((indices.clone(), key.clone()));
            }
        }
        let keys = told_apart.keys.into_iter().map(|(_, key)| key);
        (keys.collect(), told_apart.skipped)
    }
}

/// Returns the entries of `keys`, unparsed.
pub(super) fn document(json: &[u8]) -> serde_json::Result<Vec<&RawValue>> {
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
