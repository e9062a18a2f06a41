//! Intake of single keys: each is judged by itself.

use jwks_validator::{KeySet, Reason, SkipReason};
use serde_json::{Value, json};

use crate::checked::check;
use crate::signer::{Signer, encode, jwks, key_set};

/// The signer's JWK with some members replaced; null removes one.
pub(crate) fn jwk(signer: &Signer, changes: Value) -> Value {
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
            "key_ops string",
            jwk(&ec, json!({"key_ops": "verify"})),
            SkipReason::Use,
        ),
        ("no n", jwk(&rsa, json!({"n": null})), SkipReason::Material),
        (
            "e padded too much",
            jwk(&rsa, json!({"e": "AQAB="})),
            SkipReason::Material,
        ),
        (
            "both alphabets",
            jwk(&rsa, json!({"n": "+_".repeat(171)})),
            SkipReason::Material,
        ),
        (
            "unused bits set",
            jwk(&rsa, json!({"e": "AR=="})),
            SkipReason::Material,
        ),
        (
            "a line feed",
            jwk(&rsa, json!({"e": "AQ\nAB"})),
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

/// N41
#[test]
fn keys_are_read_as_vendors_write_them() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    for alg in ["RS256", "ES256", "ES384", "ES512", "EdDSA"] {
        let signer = Signer::new(alg, "k");
        let respelled = |engine: &dyn Fn(Vec<u8>) -> String| {
            let mut jwk = signer.jwk();
            for name in ["n", "e", "x", "y"] {
                if let Some(text) = jwk[name].as_str() {
                    jwk[name] = engine(URL_SAFE_NO_PAD.decode(text).unwrap()).into();
                }
            }
            jwk.as_object_mut()
                .unwrap()
                .retain(|_, value| !value.is_null());
            jwk
        };
        let mut with_nulls = signer.jwk();
        for name in [
            "key_ops", "x5c", "x5t", "x5u", "d", "p", "k", "oth", "exp", "crv", "use", "alg",
        ] {
            if with_nulls.get(name).is_none() || name == "use" {
                with_nulls[name] = Value::Null;
            }
        }
        for (name, jwk) in [
            ("base64", respelled(&|bytes| STANDARD_NO_PAD.encode(bytes))),
            ("padded base64", respelled(&|bytes| STANDARD.encode(bytes))),
            (
                "padded base64url",
                respelled(&|bytes| URL_SAFE.encode(bytes)),
            ),
            ("null members", with_nulls),
            ("an empty key_ops", jwk(&signer, json!({"key_ops": []}))),
        ] {
            let keys = KeySet::from_jwks_json(&jwks(&[jwk]));
            let keys = keys.unwrap_or_else(|error| panic!("{alg}, {name}: {error:?}"));
            assert!(check(&signer.good(), &keys).is_ok(), "{alg}, {name}");
        }
    }
    // Tokens stay strict, and a key id is one or is not there.
    let signer = Signer::new("RS256", "k");
    let padded = format!("{}=", signer.good());
    assert_eq!(check(&padded, &signer.keys()).err(), Some(Reason::Encoding));
    let no_id = json!({"alg": "RS256", "kid": null});
    let refused = check(&signer.with_header(&no_id), &signer.keys()).err();
    assert_eq!(refused, Some(Reason::KeyIdSyntax));
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
