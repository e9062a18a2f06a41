//! Signatures that are none.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use jwks_validator::Reason;
use serde_json::json;

use crate::checked::check;
use crate::signer::{Signer, decode, encode, good_claims, key_set};

/// The order of P-256.
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same token with the other one of its two ES256 signatures, (r, n − s).
pub(crate) fn twin(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = decode(signature);
    let mut borrow = 0;
    for (byte, order) in signature[32..].iter_mut().zip(N).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{message}.{}", encode(signature))
}

/// Both are equally good, so nothing may be keyed by the token's bytes alone.
///
/// E19
#[test]
fn the_twin_of_an_ecdsa_signature_verifies() {
    let signer = Signer::es256("k");
    let (good, keys) = (signer.good(), signer.keys());
    let twin = twin(&good);
    assert_ne!(twin, good);
    assert!(check(&good, &keys).is_ok() && check(&twin, &keys).is_ok());
}

/// E13
#[test]
fn ecdsa_signatures_of_zeros_and_orders_are_refused() {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    let good = signer.good();
    let (message, _) = good.rsplit_once('.').unwrap();
    let signature = signer.sign(message.as_bytes());
    let (r, s) = signature.split_at(32);
    let mut one = [0; 32];
    one[31] = 1;
    let mut below = N;
    below[31] -= 1;
    let odd: [(&str, &[u8]); 4] = [("0", &[0; 32]), ("1", &one), ("n - 1", &below), ("n", &N)];
    let mut cases = Vec::new();
    for (name, number) in odd {
        cases.push((format!("r = {name}"), [number, s].concat()));
        cases.push((format!("s = {name}"), [r, number].concat()));
        for (other_name, other) in odd {
            let name = format!("r = {name}, s = {other_name}");
            cases.push((name, [number, other].concat()));
        }
    }
    for (name, signature) in cases {
        let token = format!("{message}.{}", encode(signature));
        let refused = check(&token, &keys).err();
        assert_eq!(refused, Some(Reason::Signature), "{name}");
    }
}

/// E14, E15, E33
#[test]
fn signatures_of_the_wrong_form_are_refused() {
    for alg in ["ES256", "RS256", "EdDSA"] {
        let signer = Signer::new(alg, "k");
        let keys = signer.keys();
        let good = signer.good();
        let (message, _) = good.rsplit_once('.').unwrap();
        let signature = signer.sign(message.as_bytes());
        let len = signature.len();
        let cases = [
            ("empty", vec![]),
            ("all zero", vec![0; len]),
            ("all ones", vec![0xff; len]),
            ("one byte less", signature[1..].to_vec()),
            ("one byte cut off", signature[..len - 1].to_vec()),
            ("leading zero", [&[0], &signature[..]].concat()),
            ("trailing zero", [&signature[..], &[0]].concat()),
            ("66 bytes", vec![1; 66]),
            ("1024 bytes", vec![1; 1024]),
            ("1025 bytes", vec![1; 1025]),
            ("r = 0", [&vec![0; len / 2], &signature[len / 2..]].concat()),
            ("s = 0", [&signature[..len / 2], &vec![0; len / 2]].concat()),
        ];
        for (name, signature) in cases {
            let token = format!("{message}.{}", encode(signature));
            assert_eq!(
                check(&token, &keys).err(),
                Some(Reason::Signature),
                "{alg} {name}"
            );
        }
    }
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let keys = key_set(&[json!({
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": encode(&point[..32]), "y": encode(&point[32..]),
    })]);
    let message = format!(
        "{}.{}",
        encode(r#"{"alg":"ES256","kid":"k"}"#),
        encode(good_claims().to_string())
    );
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let token = format!("{message}.{}", encode(signature));
    assert_eq!(check(&token, &keys).err(), Some(Reason::Signature), "DER");
}
