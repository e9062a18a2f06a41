//! Every small change to a good token.

use crate::signer::{Signer, check};

/// E16, E31
#[test]
fn no_flipped_bit_no_truncation_and_no_swapped_halves_is_accepted() {
    for alg in ["RS256", "ES256", "EdDSA"] {
        let signer = Signer::new(alg, "k");
        let keys = signer.keys();
        let good = signer.good();
        for at in 0..good.len() {
            assert!(check(&good[..at], &keys).is_err(), "{alg} cut at {at}");
            for bit in 0..7 {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let token = String::from_utf8(bytes).unwrap();
                assert!(check(&token, &keys).is_err(), "{alg} bit {bit} of {at}");
            }
        }
        let (front, back) = good.split_at(good.len() / 2);
        assert!(check(&format!("{back}{front}"), &keys).is_err(), "{alg}");
        assert!(check(&good, &keys).is_ok(), "{alg}");
    }
}

/// E19
#[test]
fn the_twin_of_an_ecdsa_signature_verifies() {
    // n of P-256; s and n - s are equally good, so nothing may be keyed by the token's bytes alone.
    let n: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let signer = Signer::es256("k");
    let good = signer.good();
    let (message, _) = good.rsplit_once('.').unwrap();
    let mut signature = signer.sign(message.as_bytes());
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(n[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let twin = format!("{message}.{}", crate::signer::encode(signature));
    assert!(check(&twin, &signer.keys()).is_ok());
}
