//! Intake of key sets.

use jwks_validator::{Algorithm, KeySet, KeySetErrorKind, Reason, SkipReason};
use serde_json::{Value, json};

use crate::checked::check;
use crate::signer::{Signer, encode, good_claims, jwks, key_set};

/// The signer's JWK with some members replaced; null removes one.
fn jwk(signer: &Signer, changes: Value) -> Value {
    let mut jwk = signer.jwk();
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        }
    }
    jwk
}

/// D9, D12, D13, D14, D15, D16, E33
#[test]
fn unfit_keys_are_skipped_each_with_its_reason() {
    let good = Signer::es256("good");
    let ec = Signer::es256("x");
    let rsa = Signer::new("RS256", "x");
    let ed = Signer::new("EdDSA", "x");
    let bits = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= (8 - bits % 8) % 8;
        encode(n)
    };
    let mut even = vec![0xff; 256];
    even[255] = 0xfe;
    let off_curve = {
        let x = ec.jwk()["x"].as_str().unwrap().to_owned();
        encode({
            let mut y = vec![7; 32];
            y[0] = u8::try_from(x.len() % 7).unwrap();
            y
        })
    };
    let cases = [
        ("not an object", json!(7), SkipReason::Malformed),
        ("array", json!([]), SkipReason::Malformed),
        ("empty", json!({}), SkipReason::Malformed),
        (
            "kty number",
            jwk(&ec, json!({"kty": 1})),
            SkipReason::Malformed,
        ),
        (
            "post-quantum",
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"}),
            SkipReason::Unsupported,
        ),
        (
            "unknown kty",
            json!({"kty": "XYZ"}),
            SkipReason::Unsupported,
        ),
        (
            "unknown crv",
            jwk(&ec, json!({"crv": "secp256k1"})),
            SkipReason::Unsupported,
        ),
        (
            "X25519",
            json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
            SkipReason::Unsupported,
        ),
        (
            "unknown alg",
            jwk(&rsa, json!({"alg": "RSA-OAEP"})),
            SkipReason::Unsupported,
        ),
        (
            "HS256 on RSA",
            jwk(&rsa, json!({"alg": "HS256"})),
            SkipReason::Unsupported,
        ),
        (
            "numeric kid",
            jwk(&ec, json!({"kid": 7})),
            SkipReason::KeyId,
        ),
        (
            "long kid",
            jwk(&ec, json!({"kid": "k".repeat(257)})),
            SkipReason::KeyId,
        ),
        (
            "symmetric",
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}),
            SkipReason::Symmetric,
        ),
        (
            "private RSA",
            jwk(&rsa, json!({"d": "AA"})),
            SkipReason::Private,
        ),
        (
            "private EC",
            jwk(&ec, json!({"d": "AA"})),
            SkipReason::Private,
        ),
        ("k in EC", jwk(&ec, json!({"k": "AA"})), SkipReason::Private),
        ("use enc", jwk(&rsa, json!({"use": "enc"})), SkipReason::Use),
        ("use number", jwk(&rsa, json!({"use": 1})), SkipReason::Use),
        (
            "key_ops sign",
            jwk(&ec, json!({"key_ops": ["sign"]})),
            SkipReason::Use,
        ),
        (
            "key_ops empty",
            jwk(&ec, json!({"key_ops": []})),
            SkipReason::Use,
        ),
        (
            "key_ops string",
            jwk(&ec, json!({"key_ops": "verify"})),
            SkipReason::Use,
        ),
        ("no n", jwk(&rsa, json!({"n": null})), SkipReason::Material),
        (
            "n padded",
            jwk(&rsa, json!({"e": "AQAB="})),
            SkipReason::Material,
        ),
        (
            "1024 bits",
            jwk(&rsa, json!({"n": bits(1024)})),
            SkipReason::RsaModulus,
        ),
        (
            "2047 bits",
            jwk(&rsa, json!({"n": bits(2047)})),
            SkipReason::RsaModulus,
        ),
        (
            "8200 bits",
            jwk(&rsa, json!({"n": bits(8200)})),
            SkipReason::RsaModulus,
        ),
        (
            "even n",
            jwk(&rsa, json!({"n": encode(even)})),
            SkipReason::RsaModulus,
        ),
        (
            "empty n",
            jwk(&rsa, json!({"n": ""})),
            SkipReason::RsaModulus,
        ),
        (
            "e = 1",
            jwk(&rsa, json!({"e": "AQ"})),
            SkipReason::RsaExponent,
        ),
        (
            "e = 2",
            jwk(&rsa, json!({"e": "Ag"})),
            SkipReason::RsaExponent,
        ),
        (
            "e = 0",
            jwk(&rsa, json!({"e": "AA"})),
            SkipReason::RsaExponent,
        ),
        (
            "huge e",
            jwk(&rsa, json!({"e": encode([0xff; 256])})),
            SkipReason::RsaExponent,
        ),
        (
            "off the curve",
            jwk(&ec, json!({"y": off_curve})),
            SkipReason::Point,
        ),
        (
            "short x",
            jwk(&ec, json!({"x": encode([1; 31])})),
            SkipReason::Point,
        ),
        (
            "long x",
            jwk(&ec, json!({"x": encode([1; 33])})),
            SkipReason::Point,
        ),
        (
            "P-256 as P-384",
            jwk(&ec, json!({"crv": "P-384", "alg": null})),
            SkipReason::Point,
        ),
        (
            "alg of another curve",
            jwk(&ec, json!({"alg": "ES384"})),
            SkipReason::AlgorithmMismatch,
        ),
        (
            "an EC key called RSA",
            jwk(&ec, json!({"kty": "RSA"})),
            SkipReason::AlgorithmMismatch,
        ),
        (
            "RS256 on EC",
            jwk(&ec, json!({"alg": "RS256"})),
            SkipReason::AlgorithmMismatch,
        ),
        (
            "ES256 on RSA",
            jwk(&rsa, json!({"alg": "ES256"})),
            SkipReason::AlgorithmMismatch,
        ),
        (
            "EdDSA on RSA",
            jwk(&rsa, json!({"alg": "EdDSA"})),
            SkipReason::AlgorithmMismatch,
        ),
        (
            "RS256 on OKP",
            jwk(&ed, json!({"alg": "RS256"})),
            SkipReason::AlgorithmMismatch,
        ),
        (
            "31 bytes",
            jwk(&ed, json!({"x": encode([1; 31])})),
            SkipReason::Point,
        ),
        (
            "small order",
            jwk(&ed, json!({"x": encode([0; 32])})),
            SkipReason::Point,
        ),
    ];
    for (name, jwk, reason) in cases {
        let keys = key_set(&[jwk, good.jwk()]);
        let reasons: Vec<_> = keys.skipped().iter().map(|key| key.reason).collect();
        assert_eq!(reasons, [reason], "{name}");
        assert_eq!((keys.len(), keys.skipped()[0].index), (1, 0), "{name}");
        assert!(check(&good.good(), &keys).is_ok(), "{name}");
    }
}

#[test]
fn a_duplicate_member_spoils_only_its_own_key() {
    let good = Signer::es256("good");
    let bad = Signer::es256("bad").jwk().to_string();
    let json = format!(
        r#"{{"x":1,"keys":[{},{}]}}"#,
        bad.replacen('{', r#"{"kty":"EC","#, 1),
        good.jwk()
    );
    let keys = KeySet::from_jwks_json(json.as_bytes()).unwrap();
    assert_eq!(keys.skipped()[0].reason, SkipReason::Malformed);
    assert!(check(&good.good(), &keys).is_ok());
}

/// E33
#[test]
fn ed25519_points_of_small_order_are_refused_in_every_spelling() {
    let signer = Signer::new("EdDSA", "x");
    let spelled = |first: u8, middle: u8, last: u8| {
        let mut point = [middle; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    let order_8: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    // p - y, for the point with the other y.
    let mut mirrored = order_8.map(|byte| 0xff - byte);
    mirrored[0] -= 0x12;
    mirrored[31] &= 0x7f;
    for point in [
        spelled(0, 0, 0),
        spelled(1, 0, 0),
        spelled(0xec, 0xff, 0x7f),
        spelled(0xed, 0xff, 0x7f),
        spelled(0xee, 0xff, 0x7f),
        order_8,
        mirrored,
    ] {
        for sign in [0, 0x80] {
            let mut point = point;
            point[31] |= sign;
            let jwk = jwk(&signer, json!({ "x": encode(point) }));
            let error = KeySet::from_jwks_json(&jwks(&[jwk])).unwrap_err();
            assert_eq!(error.skipped()[0].reason, SkipReason::Point, "{point:x?}");
        }
    }
}

/// A set as Entra publishes it: no `alg`, certificates in `x5c`.
#[test]
fn an_rsa_key_without_alg_is_bound_to_rs256() {
    let (rs256, ps256) = (Signer::new("RS256", "k"), Signer::new("PS256", "k"));
    let jwk = jwk(
        &rs256,
        json!({"alg": null, "x5c": "odd", "x5t": "k", "issuer": 1}),
    );
    let keys = key_set(&[jwk]);
    assert!(check(&rs256.good(), &keys).is_ok());
    assert_eq!(
        check(&ps256.good(), &keys).err(),
        Some(Reason::KeyAlgorithm)
    );
}

#[test]
fn a_leading_zero_in_an_rsa_modulus_is_harmless() {
    use base64::Engine as _;
    let signer = Signer::new("RS256", "k");
    let n = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(signer.jwk()["n"].as_str().unwrap())
        .unwrap();
    let jwk = jwk(&signer, json!({"n": encode([&[0], &n[..]].concat())}));
    assert!(check(&signer.good(), &key_set(&[jwk])).is_ok());
}

/// D10
#[test]
fn keys_of_one_id_are_unusable_unless_they_are_one_key() {
    let (a, b, c) = (Signer::es256("k"), Signer::es256("k"), Signer::es256("c"));
    let keys = key_set(&[a.jwk(), b.jwk(), c.jwk()]);
    let reasons: Vec<_> = keys.skipped().iter().map(|key| key.reason).collect();
    assert_eq!(reasons, [SkipReason::DuplicateKeyId; 2]);
    assert_eq!(check(&a.good(), &keys).err(), Some(Reason::UnknownKey));
    assert_eq!(check(&b.good(), &keys).err(), Some(Reason::UnknownKey));
    assert!(check(&c.good(), &keys).is_ok());

    // Every copy of an unusable key is named: without them the set would be the same.
    let keys = key_set(&[a.jwk(), b.jwk(), c.jwk(), a.jwk()]);
    let mut indices: Vec<_> = keys.skipped().iter().map(|key| key.index).collect();
    indices.sort_unstable();
    assert_eq!((keys.len(), indices), (1, vec![0, 1, 3]));

    let keys = key_set(&[a.jwk(), a.jwk()]);
    assert_eq!((keys.len(), keys.skipped().len()), (1, 0));
    assert!(check(&a.good(), &keys).is_ok());
}

/// D10
#[test]
fn one_key_for_two_algorithms_is_good_for_both() {
    // All signers of RSA share one key.
    let [rs256, ps256, rs512] = ["RS256", "PS256", "RS512"].map(|alg| Signer::new(alg, "k"));
    let keys = key_set(&[ps256.jwk(), rs256.jwk(), rs256.jwk()]);
    assert_eq!((keys.len(), keys.skipped()), (2, &[][..]));
    assert!(check(&rs256.good(), &keys).is_ok());
    assert!(check(&ps256.good(), &keys).is_ok());
    let other = Some(Reason::KeyAlgorithm);
    assert_eq!(check(&rs512.good(), &keys).err(), other);
    // Which key checks a signature is the header's algorithm to say.
    let header = json!({"alg": "PS256", "kid": "k"});
    let mislabelled = rs256.raw(header.to_string(), good_claims().to_string());
    assert_eq!(check(&mislabelled, &keys).err(), Some(Reason::Signature));
    let nameless = ps256.raw(r#"{"alg":"PS256"}"#, good_claims().to_string());
    assert!(check(&nameless, &keys).is_ok());
    assert_eq!(
        check(&rs256.good(), &key_set(&[ps256.jwk()])).err(),
        other,
        "published for one of them"
    );

    // Another key under the same id spoils all of them, whatever it is for.
    for third in [
        Signer::es256("k").jwk(),
        jwk(&rs512, json!({"e": "Aw"})),
        jwk(&rs256, json!({"e": "Aw"})),
    ] {
        let c = Signer::es256("c");
        let keys = key_set(&[rs256.jwk(), third, ps256.jwk(), c.jwk()]);
        let reasons: Vec<_> = keys.skipped().iter().map(|key| key.reason).collect();
        assert_eq!(reasons, [SkipReason::DuplicateKeyId; 3]);
        for token in [rs256.good(), ps256.good()] {
            assert_eq!(check(&token, &keys).err(), Some(Reason::UnknownKey));
        }
    }
}

/// D11
#[test]
fn a_token_without_key_id_needs_exactly_one_key_of_its_algorithm() {
    let (a, b) = (Signer::es256("a"), Signer::es256("b"));
    let other = Signer::new("EdDSA", "e");
    let nameless = jwk(&a, json!({"kid": null}));
    let token = a.raw(r#"{"alg":"ES256"}"#, good_claims().to_string());
    for (name, keys, expected) in [
        ("the only key", vec![a.jwk()], None),
        ("the only key has no id", vec![nameless.clone()], None),
        (
            "the only one of its algorithm",
            vec![a.jwk(), other.jwk()],
            None,
        ),
        ("two", vec![a.jwk(), b.jwk()], Some(Reason::AmbiguousKey)),
        (
            "one with and one without id",
            vec![b.jwk(), nameless.clone()],
            Some(Reason::AmbiguousKey),
        ),
        (
            "none of its algorithm",
            vec![other.jwk()],
            Some(Reason::UnknownKey),
        ),
    ] {
        assert_eq!(check(&token, &key_set(&keys)).err(), expected, "{name}");
    }
    assert_eq!(
        check(&a.good(), &key_set(&[nameless])).err(),
        Some(Reason::UnknownKey),
        "a key without id is not for a token with one"
    );
}

/// D7, D8, D18
#[test]
fn documents_that_give_no_key_set_are_refused_whole() {
    let signer = Signer::es256("k");
    let many = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|n| jwk(&signer, json!({"kid": n.to_string()})))
            .collect()
    };
    for (name, json, kind) in [
        ("no keys", jwks(&[]), KeySetErrorKind::NoUsableKey),
        (
            "none usable",
            jwks(&[json!({"kty": "oct", "k": "AA"})]),
            KeySetErrorKind::NoUsableKey,
        ),
        ("65 keys", jwks(&many(65)), KeySetErrorKind::TooManyKeys),
        ("keys missing", b"{}".to_vec(), KeySetErrorKind::NotJwks),
        (
            "keys null",
            br#"{"keys":null}"#.to_vec(),
            KeySetErrorKind::NotJwks,
        ),
        (
            "keys an object",
            br#"{"keys":{}}"#.to_vec(),
            KeySetErrorKind::NotJwks,
        ),
        (
            "array",
            format!("[{}]", signer.jwk()).into_bytes(),
            KeySetErrorKind::NotJwks,
        ),
        (
            "array in array",
            format!("[[{}]]", signer.jwk()).into_bytes(),
            KeySetErrorKind::NotJwks,
        ),
        (
            "keys twice",
            br#"{"keys":[],"keys":[]}"#.to_vec(),
            KeySetErrorKind::NotJwks,
        ),
        (
            "trailing bytes",
            br#"{"keys":[]}x"#.to_vec(),
            KeySetErrorKind::NotJwks,
        ),
        ("empty", Vec::new(), KeySetErrorKind::NotJwks),
        ("HTML", b"<html>".to_vec(), KeySetErrorKind::NotJwks),
        (
            "invalid UTF-8",
            b"{\"keys\":[\"\xff\"]}".to_vec(),
            KeySetErrorKind::NotJwks,
        ),
    ] {
        let error = KeySet::from_jwks_json(&json).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}");
        let text = match kind {
            KeySetErrorKind::NoUsableKey => "no usable key",
            KeySetErrorKind::TooManyKeys => "more than 64 keys",
            _ => "not a JWK Set",
        };
        assert_eq!(error.to_string(), text, "{name}");
    }
    assert_eq!(key_set(&many(64)).len(), 64);
    assert!(!key_set(&many(1)).is_empty());
}

#[test]
fn usable_keys_are_listed_with_id_and_algorithm() {
    let (named, unnamed) = (Signer::es256("k"), Signer::new("EdDSA", "x"));
    let symmetric = json!({"kty": "oct", "kid": "s", "k": "AA"});
    let keys = key_set(&[named.jwk(), jwk(&unnamed, json!({"kid": null})), symmetric]);
    let usable: Vec<_> = keys.usable().collect();
    assert_eq!(
        usable,
        [(Some("k"), Algorithm::Es256), (None, Algorithm::EdDsa)]
    );
}
