//! Which key, or which keys, a token means.

use std::borrow::Cow;
use std::sync::Arc;

use super::KeySet;
use crate::algorithm::Algorithm;
use crate::header::UnverifiedHeader;
use crate::key::{KeyIdentity, VerificationKey};

/// At most so many signatures are checked for a token that names no key: every stranger can send one.
const MAX_TRIED: usize = 4;

/// What a key set holds for a token.
#[derive(Debug)]
pub(crate) enum Selected<'k> {
    Key(&'k VerificationKey),
    /// The token names no key, and each of these fits its algorithm. There are at most four.
    AnyOf(Vec<&'k VerificationKey>),
    Absent,
    /// The token names no key, and more than four fit its algorithm.
    Ambiguous,
    /// The key is published for another algorithm than the token's.
    OtherAlgorithm,
    /// The operator has revoked the key.
    Revoked,
}

/// What a token's header says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// It has a key id.
    Key,
    Nothing,
}

impl KeySet {
    /// Finds the key, or the keys, that a token with this header can mean.
    pub(crate) fn select(&self, header: &UnverifiedHeader<'_>) -> Selected<'_> {
        match header.kid.as_deref() {
            Some(kid) => self.select_named(kid, header.algorithm),
            None => self.select_nameless(header),
        }
    }

    fn select_named(&self, kid: &str, algorithm: Algorithm) -> Selected<'_> {
        if self.is_revoked(kid) {
            return Selected::Revoked;
        }
        let is_named = |key: &&VerificationKey| key.identity.kid.as_deref() == Some(kid);
        let mut fitting = self.keys.iter();
        if let Some(key) = fitting.find(|key| key.identity.algorithm == algorithm && is_named(key))
        {
            return Selected::Key(key);
        }
        if self.keys.iter().any(|key| is_named(&key)) {
            return Selected::OtherAlgorithm;
        }
        match &self.keys[..] {
            // The issuer has given it a name all the same, and left it out here.
            [only] if only.identity.kid.is_none() => {
                if only.identity.algorithm == algorithm {
                    Selected::Key(only)
                } else {
                    Selected::OtherAlgorithm
                }
            }
            _ => Selected::Absent,
        }
    }

    fn select_nameless(&self, header: &UnverifiedHeader<'_>) -> Selected<'_> {
        let is_eligible = |key: &&VerificationKey| {
            key.identity.algorithm == header.algorithm && !self.has_revoked(key)
        };
        let mut eligible: Vec<_> = self.keys.iter().filter(is_eligible).collect();
        let names = |named: &Option<Cow<'_, str>>, of_key: &Option<Box<str>>| {
            named.is_some() && named.as_deref() == of_key.as_deref()
        };
        let is_named = |key: &VerificationKey| {
            names(&header.x5t, &key.x5t) || names(&header.x5t_s256, &key.x5t_s256)
        };
        if eligible.iter().any(|key| is_named(key)) {
            eligible.retain(|key| is_named(key));
        }
        match eligible[..] {
            [] => Selected::Absent,
            [key] => Selected::Key(key),
            [..] if eligible.len() <= MAX_TRIED => Selected::AnyOf(eligible),
            [..] => Selected::Ambiguous,
        }
    }

    /// Tells whether a token that was checked with `key` would still be.
    pub(crate) fn would_use(&self, named: Named, key: &Arc<KeyIdentity>) -> bool {
        // The pointers differ once the keys have been fetched again, even if nothing has changed.
        let is_same =
            |found: &VerificationKey| Arc::ptr_eq(&found.identity, key) || *found.identity == **key;
        match (named, key.kid.as_deref()) {
            (Named::Key, Some(kid)) => match self.select_named(kid, key.algorithm) {
                Selected::Key(found) => is_same(found),
                _ => false,
            },
            // The name that the token had is not kept, and it may be a revoked one.
            (Named::Key, None) => {
                self.revoked.is_empty() && matches!(&self.keys[..], [only] if is_same(only))
            }
            (Named::Nothing, _) => {
                let mut usable = self.keys.iter().filter(|key| !self.has_revoked(key));
                usable.any(is_same)
            }
        }
    }
}
