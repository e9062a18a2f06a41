//! Names of tenants, and hosts of theirs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A tenant's name: 1 to 63 of `a`–`z`, `0`–`9` and hyphen, with no hyphen at either end nor at both the third and
/// the fourth place. It is a label of a host, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

/// A host of the provider's that belongs to one tenant: a DNS name with a dot, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomDomain(String);

/// A text is no tenant's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenant's name has 1 to 63 letters, digits and inner hyphens")]
pub struct TenantNameError;

impl TenantName {
    /// Reads a name; upper case is folded.
    ///
    /// # Errors
    ///
    /// Fails where it is none.
    pub fn parse(text: &str) -> Result<Self, TenantNameError> {
        let bytes = text.as_bytes();
        let is_label = (1..=63).contains(&bytes.len())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
            && bytes.get(2..4) != Some(b"--");
        match is_label {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(TenantNameError),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TenantName {
    type Error = TenantNameError;

    fn try_from(text: String) -> Result<Self, TenantNameError> {
        Self::parse(&text)
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CustomDomain {
    /// Returns the domain.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let labels: Vec<&str> = text.split('.').collect();
        let is_label = |label: &&str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // Where the last label is a number, some readers take the whole for an address.
        let is_name = labels.len() >= 2
            && text.len() <= 253
            && labels.iter().all(is_label)
            && labels
                .last()?
                .bytes()
                .any(|byte| byte.is_ascii_alphabetic());
        is_name.then(|| Self(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K3
    #[test]
    fn a_tenants_name_is_one_label_and_nothing_else() {
        assert_eq!(TenantName::parse("ACME").unwrap().as_str(), "acme");
        for good in ["a", "a-b", "a--b", "0", &"a".repeat(63)] {
            assert!(TenantName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "evil.com/",
            "a.b",
            "acme@evil",
            "-a",
            "a-",
            "xn--a",
            "ab--c",
            "é",
            "a\0",
            "acme%2f",
            "a b",
            "a/",
            "a\\",
            "a:1",
            &"a".repeat(64),
        ] {
            assert!(TenantName::parse(bad).is_err(), "{bad}");
        }
    }
}
