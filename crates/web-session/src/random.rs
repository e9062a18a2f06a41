//! Values that nobody can guess.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use zeroize::Zeroizing;

use crate::store::Key;

/// The system has no random numbers. Nothing weaker stands in for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandom;

/// 32 random bytes: a handle, a `state`, a `nonce` or a code verifier. On the wire they are 43 characters of
/// base64url. `Debug` shows nothing of them.
#[derive(Clone)]
pub(crate) struct Random(Zeroizing<[u8; 32]>);

impl Random {
    pub(crate) fn new() -> Result<Self, NoRandom> {
        Ok(Self(Zeroizing::new(bytes()?)))
    }

    /// Reads the canonical spelling and no other.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != 43 {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        let length = BASE64.decode_slice(text, bytes.as_mut_slice()).ok()?;
        (length == bytes.len()).then_some(Self(bytes))
    }

    pub(crate) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.0.as_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key of the row of the session that has this handle.
    pub(crate) fn key(&self) -> Key {
        Key::new(crate::digest(&[self.bytes()]))
    }
}

/// Returns random bytes of the system.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// K18
    #[test]
    fn random_values_are_unique_and_have_32_bytes() {
        let seen: HashSet<String> = (0..10_000)
            .map(|_| Random::new().unwrap().text().to_string())
            .collect();
        assert_eq!(seen.len(), 10_000);
        assert!(seen.iter().all(|text| text.len() == 43));
    }

    /// K53
    #[test]
    fn only_the_canonical_spelling_is_read() {
        let text = Random::new().unwrap().text().to_string();
        assert_eq!(*Random::parse(&text).unwrap().text(), *text);
        let last_bits = format!(
            "{}{}",
            &text[..42],
            if text.ends_with('B') { 'C' } else { 'B' }
        );
        for bad in [
            "",
            &text[..42],
            &format!("{text}A"),
            &format!("{text}="),
            &format!("{}=", &text[..42]),
            &format!("\"{}", &text[..42]),
            &"+".repeat(43),
            &"a".repeat(8_192),
            &last_bits,
        ] {
            assert!(Random::parse(bad).is_none(), "{bad:.60}");
        }
    }
}
