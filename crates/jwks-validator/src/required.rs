//! Claims that a token must carry.

use crate::json::{self, Item};

/// What a [required claim](crate::Policy::require_claim) may be: a string, or `true` or `false`.
///
/// It equals a claim of the same type alone, a string byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClaimValue {
    /// This string.
    Text(Box<str>),
    /// This boolean.
    Bool(bool),
}

impl From<&str> for ClaimValue {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for ClaimValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for ClaimValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// A claim with the values of which it must have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequiredClaim {
    pub(crate) name: Box<str>,
    pub(crate) accepted: Box<[ClaimValue]>,
}

impl RequiredClaim {
    pub(crate) fn new<V: Into<ClaimValue>>(
        name: &str,
        accepted: impl IntoIterator<Item = V>,
    ) -> Self {
        Self {
            name: name.into(),
            accepted: accepted.into_iter().map(Into::into).collect(),
        }
    }

    /// Tells whether any token can pass it.
    pub(crate) fn makes_sense(&self) -> bool {
        !self.name.is_empty() && !self.accepted.is_empty()
    }

    pub(crate) fn accepts(&self, item: &Item<'_>) -> bool {
        self.accepted.iter().any(|value| match (value, item) {
            (ClaimValue::Text(text), Item::Text(claim)) => **text == **claim,
            (ClaimValue::Bool(value), Item::Bool(claim)) => value == claim,
            _ => false,
        })
    }
}

/// Tells whether a payload has every one of these claims.
pub(crate) fn has_all(payload: &str, required: &[RequiredClaim]) -> bool {
    if required.is_empty() {
        return true;
    }
    let mut met = vec![false; required.len()];
    let result = json::members_of_text(payload, |name, item| {
        for (claim, met) in required.iter().zip(&mut met) {
            *met |= *claim.name == *name && claim.accepts(&item);
        }
    });
    result.is_ok() && met.iter().all(|met| *met)
}
