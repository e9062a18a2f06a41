//! Messages with a MAC.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::Secrets;
use crate::keyring::{Key, Keyring};

const TAG: usize = 32;
/// Half of the output (RFC 2104 section 5).
const MIN_TAG: usize = TAG / 2;

/// Signs and verifies messages of one purpose with HMAC-SHA-256 (RFC 2104).
///
/// Parts of a message need lengths or a separator that no part contains: otherwise two messages have the
/// same bytes.
pub struct Mac {
    keys: Keyring<hmac::Key>,
}

impl Mac {
    pub(crate) fn new(secrets: Secrets, purpose: &'static str) -> Self {
        let keys = Keyring::new(secrets, purpose);
        Self { keys }
    }

    /// Returns the tag of a message under the first secret. The same message has the same tag until
    /// another secret is the first.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.copy_from_slice(hmac::sign(&self.keys.keys().first().1, message).as_ref());
        tag
    }

    /// Returns whether this is the tag of the message under one of the secrets. Tags are compared in
    /// constant time. A tag may have been cut to its first 16 bytes or more (RFC 2104 section 5); a
    /// shorter or a longer one is refused.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        if !(MIN_TAG..=TAG).contains(&tag.len()) {
            return false;
        }
        let keys = self.keys.keys();
        keys.all().any(|key| {
            let expected = hmac::sign(key, message);
            verify_slices_are_equal(&expected.as_ref()[..tag.len()], tag).is_ok()
        })
    }
}

impl Key for hmac::Key {
    const USE: &'static str = "mac";

    fn new(bytes: &[u8; 32]) -> Self {
        Self::new(hmac::HMAC_SHA256, bytes)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mac")
            .field("purpose", &self.keys.purpose)
            .field("secrets", &self.keys.count())
            .finish()
    }
}
