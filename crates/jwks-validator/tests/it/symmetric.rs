//! Symmetric keys and algorithms: there are none here, however they are brought in.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jwks_validator::{Algorithm, KeySet, KeySetErrorKind, Reason, SkipReason};
use serde_json::{Value, json};

use crate::checked::check;
use crate::signer::{Signer, decode, encode, good_claims, jwks, key_set};

const ALGORITHMS: [(&str, hmac::Algorithm); 3] = [
    ("HS256", hmac::HMAC_SHA256),
    ("HS384", hmac::HMAC_SHA384),
    ("HS512", hmac::HMAC_SHA512),
];

/// A token with the HMAC of a secret.
fn hmaced(algorithm: hmac::Algorithm, header: &Value, secret: &[u8]) -> String {
    let message = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(good_claims().to_string())
    );
    let key = hmac::Key::new(algorithm, secret);
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encode(tag))
}

/// E35, D12
#[test]
fn a_published_symmetric_key_is_never_usable_whatever_its_length() {
    let good = Signer::es256("good");
    let secrets: [&[u8]; 5] = [b"", b"x", b"secret", &[7; 32], &[7; 128]];
    for secret in secrets {
        for (name, algorithm) in ALGORITHMS {
            let about = format!("{name}, {} bytes", secret.len());
            for oct in [
                json!({"kty": "oct", "kid": "k", "alg": name, "k": encode(secret)}),
                json!({"kty": "oct", "kid": "k", "k": encode(secret)}),
                json!({"kty": "oct", "kid": "k", "alg": "ES256", "k": encode(secret)}),
            ] {
                let alone = KeySet::from_jwks_json(&jwks(std::slice::from_ref(&oct))).unwrap_err();
                assert_eq!(alone.kind(), KeySetErrorKind::NoUsableKey, "{about}");
                let keys = key_set(&[oct, good.jwk()]);
                let skipped = keys.skipped().iter().map(|key| key.reason);
                let skipped: Vec<_> = skipped.collect();
                assert_eq!(skipped, [SkipReason::Symmetric], "{about}");
                for (header, expected) in [
                    (
                        json!({"alg": name, "kid": "k"}),
                        Reason::AlgorithmNotAllowed,
                    ),
                    (json!({"alg": name}), Reason::AlgorithmNotAllowed),
                    (json!({"alg": "ES256", "kid": "k"}), Reason::UnknownKey),
                    (json!({"alg": "ES256", "kid": "good"}), Reason::Signature),
                ] {
                    let token = hmaced(algorithm, &header, secret);
                    let refused = check(&token, &keys).err();
                    assert_eq!(refused, Some(expected), "{about}: {header}");
                }
            }
        }
    }
    for (name, oct) in [
        ("no k", json!({"kty": "oct", "kid": "k"})),
        ("k null", json!({"kty": "oct", "kid": "k", "k": null})),
    ] {
        let keys = key_set(&[oct, good.jwk()]);
        assert_eq!(keys.skipped()[0].reason, SkipReason::Symmetric, "{name}");
    }
}

/// E35
#[test]
fn no_configuration_can_allow_a_symmetric_algorithm() {
    for (name, _) in ALGORITHMS {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
    assert!(Algorithm::ALL.iter().all(|it| !it.as_str().contains("HS")));
}

/// E2
#[test]
fn a_token_that_is_hmaced_with_the_public_key_is_refused() {
    let signer = Signer::new("RS256", "k");
    let jwk = signer.jwk();
    let [n, e] = ["n", "e"].map(|name| decode(jwk[name].as_str().unwrap()));
    let pkcs1 = der(
        0x30,
        &[der(0x02, &unsigned(&n)), der(0x02, &unsigned(&e))].concat(),
    );
    let rsa_encryption = *b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let bits = der(0x03, &[&[0], &pkcs1[..]].concat());
    let spki = der(0x30, &[der(0x30, &rsa_encryption), bits].concat());
    let pem = |label: &str, der: &[u8]| {
        let base64 = STANDARD.encode(der).into_bytes();
        let lines: Vec<_> = base64.chunks(64).collect();
        let (lines, label) = (lines.join(&b'\n'), label.as_bytes());
        let line = |word: &[u8]| [b"-----", word, b" ", label, b"-----\n"].concat();
        [&line(b"BEGIN")[..], &lines, b"\n", &line(b"END")].concat()
    };
    let keys = signer.keys();
    for (name, secret) in [
        ("modulus", n.clone()),
        ("modulus in base64url", encode(&n).into_bytes()),
        ("JWK", jwk.to_string().into_bytes()),
        ("JWK Set", jwks(std::slice::from_ref(&jwk))),
        ("SPKI, DER", spki.clone()),
        ("SPKI, PEM", pem("PUBLIC KEY", &spki)),
        ("PKCS #1, DER", pkcs1.clone()),
        ("PKCS #1, PEM", pem("RSA PUBLIC KEY", &pkcs1)),
    ] {
        for (alg, algorithm) in ALGORITHMS {
            let token = hmaced(algorithm, &json!({"alg": alg, "kid": "k"}), &secret);
            let refused = check(&token, &keys).err();
            assert_eq!(refused, Some(Reason::AlgorithmNotAllowed), "{alg} {name}");
        }
    }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match length {
        [0, short @ ..0x80] => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [&head[..], content].concat()
}

/// The content of an INTEGER that is not negative.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    [&[0], bytes].concat()
}
