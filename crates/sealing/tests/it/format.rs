//! The format, which values at rest depend on.

use aws_lc_rs::test::from_hex;
use sealing::{KeyId, OVERHEAD, Secrets};

use crate::{PLACE, opened, secrets};

/// Made by another implementation: HKDF from Python's `hmac`, AES-256-GCM-SIV from OpenSSL.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const SEALED: &str =
    "01d0844403000102030405060708090a0bfcee6cdf69e1b96f4ca93e303ac2eb074a2adc659fa8c4";
const TAG: &str = "148afd6f78447c8b9aaee9e0e579ef9392695bda7f37ba34357acf5b9458e1be";

#[test]
fn a_value_and_a_tag_of_the_first_version_are_known_for_ever() {
    let secrets = Secrets::from_text(SECRET).unwrap();
    let value = secrets
        .purpose("row")
        .open(&from_hex(SEALED).unwrap(), b"table:column:7");
    assert_eq!(value.unwrap().as_slice(), b"a value");
    let mac = secrets.mac("row");
    assert_eq!(mac.sign(b"a message").to_vec(), from_hex(TAG).unwrap());
    assert!(mac.verify(b"a message", &from_hex(TAG).unwrap()));
}

#[test]
fn a_sealed_value_begins_with_version_and_key_id() {
    let secrets = secrets(&[1, 2]);
    let sealer = secrets.purpose("row");
    let sealed = sealer.seal(b"value", PLACE).unwrap();
    let first = secrets.key_ids()[0];
    assert_eq!(sealed.len(), b"value".len() + OVERHEAD);
    assert_eq!(sealed[0], 1);
    assert_eq!(sealed[1..5], first.to_bytes());
    assert_eq!(KeyId::of(&sealed), Some(first));
    assert_eq!(KeyId::of(&sealed[..OVERHEAD - 1]), None);
    let bytes = first.to_bytes();
    let [a, b, c, d] = bytes.map(|byte| format!("{byte:02x}"));
    assert_eq!(first.to_string(), format!("{a}{b}{c}{d}"));
}

#[test]
fn the_same_value_is_never_sealed_to_the_same_bytes() {
    let sealer = secrets(&[1]).purpose("row");
    let mut all = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let sealed = sealer.seal(b"value", PLACE).unwrap();
        assert_eq!(opened(&sealer, &sealed).unwrap(), b"value");
        assert!(all.insert(sealed[5..17].to_vec()), "a nonce came twice");
    }
}
