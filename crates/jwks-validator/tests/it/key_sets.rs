//! Intake of key sets: keys beside each other, and whole documents.

use jwks_validator::{Algorithm, KeySet, KeySetErrorKind, Reason, SkipReason};
use serde_json::{Value, json};

use crate::checked::check;
use crate::signer::{Signer, good_claims, jwks, key_set};
use crate::single_keys::jwk;

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
