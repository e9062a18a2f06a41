//! Forged and malformed tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jwks_validator::{Algorithm, Reason};
use serde_json::{Value, json};

use crate::checked::{check, check_with};
use crate::signer::{Signer, encode, good_claims, key_set, policy};

#[track_caller]
pub(crate) fn assert_all_refused(
    signer: &Signer,
    cases: impl IntoIterator<Item = (String, String, Reason)>,
) {
    let keys = signer.keys();
    for (name, token, reason) in cases {
        assert_eq!(check(&token, &keys).err(), Some(reason), "{name}");
    }
}

/// A header of the signer's with some members replaced; null removes one.
fn header(signer: &Signer, changes: &Value) -> Value {
    let mut header = signer.header();
    for (name, value) in changes.as_object().unwrap() {
        header[name] = value.clone();
        if value.is_null() {
            header.as_object_mut().unwrap().remove(name);
        }
    }
    header
}

#[test]
fn a_good_token_of_every_algorithm_is_accepted() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm.as_str(), "k");
        let claims = check(&signer.good(), &signer.keys()).unwrap();
        assert_eq!(claims.subject(), Some("client-1"), "{algorithm}");
    }
}

#[test]
fn ed25519_goes_by_both_of_its_names() {
    let signer = Signer::new("EdDSA", "k");
    for (in_token, in_key) in [
        ("EdDSA", None),
        ("Ed25519", None),
        ("Ed25519", Some("EdDSA")),
        ("EdDSA", Some("Ed25519")),
    ] {
        let mut jwk = signer.jwk();
        match in_key {
            Some(name) => jwk["alg"] = name.into(),
            None => drop(jwk.as_object_mut().unwrap().remove("alg")),
        }
        let token = signer.with_header(&header(&signer, &json!({ "alg": in_token })));
        assert!(
            check(&token, &key_set(&[jwk])).is_ok(),
            "{in_token} {in_key:?}"
        );
    }
}

/// E1, E3, E34
#[test]
fn algorithms_that_are_not_spelled_exactly_are_refused() {
    let signer = Signer::es256("k");
    let cases = [
        ("none", json!("none"), Reason::AlgorithmNotAllowed),
        ("None", json!("None"), Reason::AlgorithmNotAllowed),
        ("nOnE", json!("nOnE"), Reason::AlgorithmNotAllowed),
        ("NONE", json!("NONE"), Reason::AlgorithmNotAllowed),
        ("empty", json!(""), Reason::AlgorithmNotAllowed),
        ("lower case", json!("es256"), Reason::AlgorithmNotAllowed),
        ("space", json!("ES256 "), Reason::AlgorithmNotAllowed),
        ("NUL", json!("ES256\0"), Reason::AlgorithmNotAllowed),
        ("number", json!(256), Reason::AlgorithmNotAllowed),
        ("array", json!(["ES256"]), Reason::AlgorithmNotAllowed),
        ("missing", json!(null), Reason::AlgorithmMissing),
    ];
    assert_all_refused(
        &signer,
        cases.map(|(name, alg, reason)| {
            let header = header(&signer, &json!({ "alg": alg }));
            (name.to_owned(), signer.with_header(&header), reason)
        }),
    );
    let unsigned = format!(
        "{}.{}.",
        encode(r#"{"alg":"none"}"#),
        encode(good_claims().to_string())
    );
    let capital = signer.with_header(&json!({"Alg": "ES256", "kid": "k"}));
    assert_all_refused(
        &signer,
        [
            ("unsigned".to_owned(), unsigned, Reason::AlgorithmNotAllowed),
            ("Alg".to_owned(), capital, Reason::AlgorithmMissing),
        ],
    );
}

/// E4, D17
#[test]
fn a_key_is_used_with_its_own_algorithm_only() {
    let published = Signer::new("RS256", "k");
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        // The same private key, so that the signature itself is good.
        let signer = Signer::new(alg, "k");
        assert_eq!(
            check(&signer.good(), &published.keys()).err(),
            Some(Reason::KeyAlgorithm),
            "{alg}"
        );
    }
}

#[test]
fn an_algorithm_off_the_allow_list_is_refused() {
    let signer = Signer::es256("k");
    let policy = policy().algorithms([Algorithm::Rs256]);
    assert_eq!(
        check_with(&signer.good(), &signer.keys(), &policy, crate::signer::NOW).err(),
        Some(Reason::AlgorithmNotAllowed)
    );
}

/// E6
#[test]
fn certificates_and_addresses_of_keys_in_the_header_are_not_looked_at() {
    let (signer, attacker) = (Signer::es256("k"), Signer::es256("k"));
    for changes in [
        json!({"jku": "https://evil.example/jwks"}),
        json!({"x5u": "https://evil.example/cert"}),
        json!({"x5c": ["MIIB"], "x5t": "AAAA"}),
        json!({"jku": null, "x5u": 7, "x5c": {"x5c": []}}),
    ] {
        let good = signer.with_header(&header(&signer, &changes));
        assert!(check(&good, &signer.keys()).is_ok(), "{changes}");
        let forged = attacker.with_header(&header(&attacker, &changes));
        let refused = check(&forged, &signer.keys()).err();
        assert_eq!(refused, Some(Reason::Signature), "{changes}");
    }
}

/// E5, E8, E9, E10
#[test]
fn headers_that_bring_keys_or_extensions_are_refused() {
    let signer = Signer::es256("k");
    let attacker = Signer::es256("k");
    let cases = [
        (
            "jwk",
            json!({"jwk": attacker.jwk()}),
            Reason::HeaderParameter,
        ),
        ("b64", json!({"b64": false}), Reason::HeaderParameter),
        ("zip", json!({"zip": "DEF"}), Reason::HeaderParameter),
        ("enc", json!({"enc": "A256GCM"}), Reason::HeaderParameter),
        (
            "crit unknown",
            json!({"crit": ["exp"], "exp": 1}),
            Reason::Critical,
        ),
        ("crit empty", json!({"crit": []}), Reason::Critical),
        (
            "crit not an array",
            json!({"crit": "exp"}),
            Reason::Critical,
        ),
        (
            "crit of an absent name",
            json!({"crit": ["x"]}),
            Reason::Critical,
        ),
        ("crit names alg", json!({"crit": ["alg"]}), Reason::Critical),
        (
            "crit b64",
            json!({"crit": ["b64"], "b64": false}),
            Reason::Critical,
        ),
    ];
    assert_all_refused(
        &signer,
        cases.map(|(name, changes, reason)| {
            let token = signer.with_header(&header(&signer, &changes));
            (name.to_owned(), token, reason)
        }),
    );
    let embedded = attacker.with_header(&header(&attacker, &json!({"jwk": attacker.jwk()})));
    assert_eq!(
        check(&embedded, &signer.keys()).err(),
        Some(Reason::HeaderParameter)
    );
}

/// E7
#[test]
fn key_ids_that_are_no_short_printable_string_are_refused() {
    let signer = Signer::es256("k");
    let cases = [
        ("number", json!(7), Reason::KeyIdSyntax),
        ("array", json!(["k"]), Reason::KeyIdSyntax),
        ("object", json!({"k": 1}), Reason::KeyIdSyntax),
        ("empty", json!(""), Reason::KeyIdSyntax),
        ("NUL", json!("k\0"), Reason::KeyIdSyntax),
        ("newline", json!("k\n"), Reason::KeyIdSyntax),
        ("not ASCII", json!("ключ"), Reason::KeyIdSyntax),
        (
            "257 characters",
            json!("k".repeat(257)),
            Reason::KeyIdSyntax,
        ),
        ("path", json!("../../dev/null"), Reason::UnknownKey),
        ("SQL", json!("' OR 1=1 --"), Reason::UnknownKey),
        ("other letter case", json!("K"), Reason::UnknownKey),
        ("256 characters", json!("k".repeat(256)), Reason::UnknownKey),
    ];
    assert_all_refused(
        &signer,
        cases.map(|(name, kid, reason)| {
            let token = signer.with_header(&header(&signer, &json!({ "kid": kid })));
            (name.to_owned(), token, reason)
        }),
    );
    // `header` removes what is null, so null needs its own bytes.
    let null = signer.raw(r#"{"alg":"ES256","kid":null}"#, good_claims().to_string());
    assert_eq!(
        check(&null, &signer.keys()).err(),
        Some(Reason::KeyIdSyntax)
    );
}

/// E32, F20
#[test]
fn only_the_types_of_access_tokens_are_accepted() {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    let strict = policy().rfc9068(true);
    for (name, typ, by_default, by_rfc9068) in [
        ("missing", json!(null), true, false),
        ("JWT", json!("JWT"), true, false),
        ("jwt", json!("jwt"), true, false),
        ("at+jwt", json!("at+jwt"), true, true),
        ("AT+JWT", json!("AT+JWT"), true, true),
        (
            "application/at+jwt",
            json!("application/at+jwt"),
            true,
            true,
        ),
        ("trailing space", json!("at+jwt "), false, false),
        ("application/jwt", json!("application/jwt"), true, false),
        ("JOSE", json!("JOSE"), true, false),
        ("Application/Jose", json!("Application/Jose"), true, false),
        ("JOSE+JSON", json!("JOSE+JSON"), false, false),
        ("application/", json!("application/"), false, false),
        (
            "application/application/jwt",
            json!("application/application/jwt"),
            false,
            false,
        ),
        ("text/jwt", json!("text/jwt"), false, false),
        ("logout", json!("logout+jwt"), false, false),
        ("id_token", json!("id_token"), false, false),
        ("dpop", json!("dpop+jwt"), false, false),
        ("empty", json!(""), false, false),
        ("number", json!(1), false, false),
        ("array", json!(["at+jwt"]), false, false),
    ] {
        let token = signer.with_header(&header(&signer, &json!({ "typ": typ })));
        let expect = |accepted: bool| (!accepted).then_some(Reason::TokenType);
        assert_eq!(check(&token, &keys).err(), expect(by_default), "{name}");
        let result = check_with(&token, &keys, &strict, crate::signer::NOW);
        assert_eq!(result.err(), expect(by_rfc9068), "{name}, RFC 9068");
    }
}

/// E30, D28, D29
#[test]
fn a_key_of_somebody_else_is_refused() {
    let (ours, theirs) = (Signer::es256("k"), Signer::es256("k"));
    assert_eq!(
        check(&theirs.good(), &ours.keys()).err(),
        Some(Reason::Signature)
    );
    let mut claims = good_claims();
    claims["iss"] = "https://evil.example".into();
    assert_eq!(
        check(&ours.token(&claims), &ours.keys()).err(),
        Some(Reason::UnknownIssuer)
    );
}

#[test]
fn a_token_signed_by_another_library_is_accepted() {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let keys = key_set(&[json!({
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": encode(&point[1..33]), "y": encode(&point[33..]),
    })]);
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = Some("k".to_owned());
    let key = jsonwebtoken::EncodingKey::from_ec_der(document.as_ref());
    let token = jsonwebtoken::encode(&header, &good_claims(), &key).unwrap();
    assert!(check(&token, &keys).is_ok());
}
