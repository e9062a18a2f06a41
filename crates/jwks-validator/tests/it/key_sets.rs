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

    // Another key under the same id spoils those of its algorithm, and no others.
    let c = Signer::es256("c");
    let third = jwk(&rs256, json!({"e": "Aw"}));
    let keys = key_set(&[rs256.jwk(), third, ps256.jwk(), c.jwk()]);
    let reasons: Vec<_> = keys.skipped().iter().map(|key| key.reason).collect();
    assert_eq!(reasons, [SkipReason::DuplicateKeyId; 2]);
    assert_eq!(check(&rs256.good(), &keys).err(), other);
    assert!(check(&ps256.good(), &keys).is_ok());
}

/// D10
#[test]
fn keys_of_one_id_and_different_types_are_told_apart_by_the_algorithm() {
    let signers = ["RS256", "ES256", "ES384", "EdDSA"].map(|alg| Signer::new(alg, "k"));
    let twin = Signer::es256("k");
    let published = || signers.iter().map(Signer::jwk);
    let keys = key_set(&published().collect::<Vec<_>>());
    assert_eq!((keys.len(), keys.skipped()), (4, &[][..]));
    for signer in &signers {
        assert!(check(&signer.good(), &keys).is_ok(), "{}", signer.alg);
    }
    assert_eq!(check(&twin.good(), &keys).err(), Some(Reason::Signature));

    let keys = key_set(&published().chain([twin.jwk()]).collect::<Vec<_>>());
    assert_eq!((keys.len(), keys.skipped().len()), (3, 2));
    for signer in &signers {
        let expected = (signer.alg == "ES256").then_some(Reason::KeyAlgorithm);
        assert_eq!(
            check(&signer.good(), &keys).err(),
            expected,
            "{}",
            signer.alg
        );
    }
}

/// D10, D17
#[test]
fn an_rsa_key_without_alg_is_good_for_the_one_default_and_nothing_else() {
    let signers = ["RS256", "PS256", "RS512"].map(|alg| Signer::new(alg, "k"));
    let unlabelled = jwk(&signers[0], json!({"alg": null}));
    let other = jwk(&signers[0], json!({"alg": null, "e": "Aw", "kid": "other"}));
    for (default, good_for) in [
        (None, "RS256"),
        (Some(Algorithm::Rs256), "RS256"),
        (Some(Algorithm::Ps256), "PS256"),
        (Some(Algorithm::Rs512), "RS512"),
        (Some(Algorithm::Es256), "RS256"),
    ] {
        let mut keys = key_set(&[unlabelled.clone(), other.clone(), Signer::es256("e").jwk()]);
        if let Some(default) = default {
            keys = keys.with_rsa_default(default);
        }
        assert_eq!(keys.len(), 3, "{default:?}");
        let (_, algorithm) = keys.usable().next().unwrap();
        assert_eq!(algorithm.as_str(), good_for, "{default:?}");
        for signer in &signers {
            let expected = (signer.alg != good_for).then_some(Reason::KeyAlgorithm);
            let got = check(&signer.good(), &keys).err();
            assert_eq!(got, expected, "{default:?}, {}", signer.alg);
        }
    }

    // What was told apart by the algorithm may not be any more.
    let labelled = jwk(&signers[1], json!({"e": "Aw"}));
    let keys = key_set(&[unlabelled.clone(), labelled]);
    assert_eq!(keys.len(), 2);
    let keys = keys.with_rsa_default(Algorithm::Ps256);
    let reasons: Vec<_> = keys.skipped().iter().map(|key| key.reason).collect();
    assert_eq!(reasons, [SkipReason::DuplicateKeyId; 2]);
    assert_eq!(keys.with_rsa_default(Algorithm::Rs256).len(), 2);

    let keys = key_set(&[unlabelled, signers[0].jwk()]);
    assert_eq!(keys.len(), 1, "one key that is published twice");
    assert_eq!(keys.with_rsa_default(Algorithm::Ps256).len(), 2);
}

/// D11
#[test]
fn a_token_without_key_id_is_checked_with_up_to_four_keys_of_its_algorithm() {
    let (a, b) = (Signer::es256("a"), Signer::es256("b"));
    let more: Vec<Value> = ["c", "d", "e"].map(|kid| Signer::es256(kid).jwk()).into();
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
        ("two", vec![b.jwk(), a.jwk()], None),
        (
            "one with and one without id",
            vec![b.jwk(), nameless.clone()],
            None,
        ),
        ("another one", vec![b.jwk()], Some(Reason::Signature)),
        (
            "the last of four",
            [&[b.jwk()], &more[..2], &[a.jwk()]].concat(),
            None,
        ),
        (
            "four others",
            [&[b.jwk()], &more[..]].concat(),
            Some(Reason::Signature),
        ),
        (
            "five",
            [&[a.jwk(), b.jwk()], &more[..]].concat(),
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
}

/// D11
#[test]
fn the_only_key_is_meant_by_any_id_if_it_has_none() {
    let (signer, other) = (Signer::es256("k"), Signer::es256("o"));
    let nameless = jwk(&signer, json!({"kid": null}));
    let for_encryption = jwk(&other, json!({"use": "enc"}));
    for (name, token, keys, expected) in [
        ("alone", signer.good(), vec![nameless.clone()], None),
        (
            "beside one for another use",
            signer.good(),
            vec![nameless.clone(), for_encryption],
            None,
        ),
        (
            "another key's token",
            other.good(),
            vec![nameless.clone()],
            Some(Reason::Signature),
        ),
        (
            "another algorithm",
            Signer::new("EdDSA", "k").good(),
            vec![nameless.clone()],
            Some(Reason::KeyAlgorithm),
        ),
        (
            "one of two",
            signer.good(),
            vec![nameless, other.jwk()],
            Some(Reason::UnknownKey),
        ),
        (
            "it has an id",
            signer.good(),
            vec![other.jwk()],
            Some(Reason::UnknownKey),
        ),
    ] {
        assert_eq!(check(&token, &key_set(&keys)).err(), expected, "{name}");
    }
}

/// N40
#[test]
fn a_thumbprint_of_the_certificate_chooses_among_keys_where_there_is_no_key_id() {
    let signers: Vec<Signer> = (0..6).map(|n| Signer::es256(&n.to_string())).collect();
    let published: Vec<Value> = signers
        .iter()
        .map(|signer| {
            jwk(
                signer,
                json!({"x5t": format!("sha1-{}", signer.kid), "x5t#S256": format!("sha256-{}", signer.kid)}),
            )
        })
        .collect();
    let keys = key_set(&published);
    let token = |header: Value| signers[5].raw(header.to_string(), good_claims().to_string());
    for (name, header, expected) in [
        ("x5t", json!({"x5t": "sha1-5"}), None),
        ("x5t#S256", json!({"x5t#S256": "sha256-5"}), None),
        (
            "another key's",
            json!({"x5t": "sha1-1"}),
            Some(Reason::Signature),
        ),
        (
            "unknown, among six",
            json!({"x5t": "sha1-9"}),
            Some(Reason::AmbiguousKey),
        ),
        ("none", json!({}), Some(Reason::AmbiguousKey)),
        (
            "no text",
            json!({"x5t": 5, "x5t#S256": null}),
            Some(Reason::AmbiguousKey),
        ),
        (
            "the other member's",
            json!({"x5t": "sha256-5"}),
            Some(Reason::AmbiguousKey),
        ),
        (
            "a key id counts for more",
            json!({"x5t": "sha1-1", "kid": "5"}),
            None,
        ),
    ] {
        let mut header = header;
        header["alg"] = "ES256".into();
        assert_eq!(check(&token(header), &keys).err(), expected, "{name}");
    }
    let unknown = token(json!({"alg": "ES256", "x5t": "sha1-9"}));
    let few = key_set(&published[4..]);
    assert!(check(&unknown, &few).is_ok(), "as if it were absent");
}

/// D7, D8, D18
#[test]
fn documents_that_give_no_key_set_are_refused_whole() {
    let (signer, rsa) = (Signer::es256("k"), Signer::new("RS256", "k"));
    let many = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|n| jwk(&signer, json!({"kid": n.to_string()})))
            .collect()
    };
    let others = |count: usize| -> Vec<Value> {
        let other = |n| match n % 2 {
            0 => json!({"use": "enc"}),
            _ => json!({"alg": "RSA-OAEP"}),
        };
        let keys = (0..count).map(|n| jwk(&rsa, other(n)));
        keys.collect()
    };
    for (name, json, kind) in [
        ("no keys", jwks(&[]), KeySetErrorKind::NoUsableKey),
        (
            "none usable",
            jwks(&[json!({"kty": "oct", "k": "AA"})]),
            KeySetErrorKind::NoUsableKey,
        ),
        ("65 keys", jwks(&many(65)), KeySetErrorKind::TooManyKeys),
        (
            "65 keys with encryption keys between them",
            jwks(&[others(40), many(33), others(40), many(32)].concat()),
            KeySetErrorKind::TooManyKeys,
        ),
        (
            "byte order mark twice",
            [&b"\xef\xbb\xbf\xef\xbb\xbf"[..], &jwks(&many(1))].concat(),
            KeySetErrorKind::NotJwks,
        ),
        (
            "byte order mark alone",
            b"\xef\xbb\xbf".to_vec(),
            KeySetErrorKind::NotJwks,
        ),
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
            KeySetErrorKind::TooManyKeys => "more than 64 signature keys",
            _ => "not a JWK Set",
        };
        assert_eq!(error.to_string(), text, "{name}");
    }
    assert_eq!(key_set(&many(64)).len(), 64);
    // Those for others do not count, and not all of them are listed.
    let keys = key_set(&[others(100), many(64), others(100)].concat());
    assert_eq!((keys.len(), keys.skipped().len()), (64, 64));
    assert!(!key_set(&many(1)).is_empty());
}

/// D37
#[test]
fn one_byte_order_mark_before_a_key_set_is_skipped() {
    let signer = Signer::es256("k");
    let json = [&b"\xef\xbb\xbf"[..], &jwks(&[signer.jwk()])].concat();
    let keys = KeySet::from_jwks_json(&json).unwrap();
    assert!(check(&signer.good(), &keys).is_ok());
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
