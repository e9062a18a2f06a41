//! ID tokens and logout tokens: by other rules than access tokens.

use jwks_validator::{Algorithm, Policy, Reason};
use serde_json::{Value, json};

use crate::checked::check_with;
use crate::signer::{ISSUER, NOW, Signer, key_set};

const CLIENT: &str = "web-app";

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "s", "aud": CLIENT, "exp": NOW + 300, "iat": NOW, "jti": "j"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn reason(policy: &Policy, header: &Value, claims: &Value) -> Option<Reason> {
    let signer = Signer::es256("k");
    let token = signer.raw(header.to_string(), claims.to_string());
    check_with(&token, &signer.keys(), policy, NOW).err()
}

fn header(typ: Option<&str>) -> Value {
    let mut header = json!({"alg": "ES256", "kid": "k"});
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    header
}

/// K48
#[test]
fn a_token_of_another_kind_is_refused_by_its_type() {
    let policies = [
        Policy::for_audiences([CLIENT]),
        Policy::for_id_tokens(CLIENT),
        Policy::for_logout_tokens(CLIENT),
    ];
    for (typ, accepted) in [
        (None, [true, true, true]),
        (Some("JWT"), [true, true, true]),
        (Some("application/jwt"), [true, true, true]),
        (Some("at+jwt"), [true, false, false]),
        (Some("logout+jwt"), [false, false, true]),
        (Some("JOSE"), [true, false, false]),
        (Some("id+jwt"), [false, false, false]),
    ] {
        for (policy, accepted) in policies.iter().zip(accepted) {
            let expected = (!accepted).then_some(Reason::TokenType);
            assert_eq!(reason(policy, &header(typ), &claims()), expected, "{typ:?}");
        }
    }
}

/// K46
#[test]
fn an_id_token_is_young_and_says_whose_it_is() {
    let id = Policy::for_id_tokens(CLIENT);
    for (name, value, expected) in [
        ("sub", json!(null), Some(Reason::SubjectMissing)),
        ("sub", json!(""), Some(Reason::SubjectType)),
        ("sub", json!("s".repeat(255)), None),
        ("sub", json!("s".repeat(256)), Some(Reason::SubjectType)),
        ("iat", json!(null), Some(Reason::IssuedAtMissing)),
        ("iat", json!(NOW - 599), None),
        ("iat", json!(NOW - 600), Some(Reason::TooOld)),
        ("iat", json!(NOW + 30), None),
        ("iat", json!(NOW + 61), Some(Reason::IssuedInFuture)),
        ("exp", json!(NOW - 60), Some(Reason::Expired)),
        ("exp", json!(NOW + 40 * 24 * 3_600), None),
        ("jti", json!(null), None),
        ("aud", json!("other"), Some(Reason::AudienceMismatch)),
        ("aud", json!(null), Some(Reason::AudienceMissing)),
        ("aud", json!(["other", CLIENT]), None),
    ] {
        let claims = with(name, value.clone());
        assert_eq!(
            reason(&id, &header(None), &claims),
            expected,
            "{name}: {value:.40}"
        );
    }
}

#[test]
fn a_logout_token_is_young_and_has_an_id_and_may_have_no_subject() {
    let logout = Policy::for_logout_tokens(CLIENT);
    for (name, value, expected) in [
        ("sub", json!(null), None),
        ("jti", json!(null), Some(Reason::TokenIdMissing)),
        ("iat", json!(null), Some(Reason::IssuedAtMissing)),
        ("iat", json!(NOW - 600), Some(Reason::TooOld)),
        ("exp", json!(null), Some(Reason::ExpiryMissing)),
    ] {
        let claims = with(name, value);
        assert_eq!(reason(&logout, &header(None), &claims), expected, "{name}");
    }
}

/// K43
#[test]
fn without_a_key_id_there_must_be_one_key() {
    let (one, two) = (Signer::es256("k"), Signer::es256("l"));
    let header = json!({"alg": "ES256"});
    let token = one.raw(header.to_string(), claims().to_string());
    let id = Policy::for_id_tokens(CLIENT);
    let check = |keys: &[Value], policy: &Policy| {
        check_with(&token, &key_set(keys), policy, NOW).map(|claims| claims.algorithm())
    };
    assert_eq!(check(&[one.jwk()], &id), Ok(Algorithm::Es256));
    let both = [one.jwk(), two.jwk()];
    assert_eq!(check(&both, &id), Err(Reason::AmbiguousKey));
    assert!(check(&both, &Policy::for_audiences([CLIENT])).is_ok());
}

/// K49
#[test]
fn an_id_token_may_be_as_long_as_32_kib_and_a_logout_token_half_of_it() {
    let signer = Signer::es256("k");
    let sized = |size: usize| {
        let token = |padding: usize| {
            let claims = with("groups", json!("g".repeat(padding)));
            signer.raw(header(None).to_string(), claims.to_string())
        };
        let mut padding = (size - token(1).len()) * 3 / 4;
        while token(padding).len() < size {
            padding += 1;
        }
        token(padding)
    };
    let keys = signer.keys();
    let reason = |token: &str, policy| check_with(token, &keys, &policy, NOW).err();
    let too_large = Some(Reason::TooLarge);
    assert_eq!(
        reason(&sized(32 * 1024 - 1), Policy::for_id_tokens(CLIENT)),
        None
    );
    assert_eq!(
        reason(&sized(32 * 1024 + 1), Policy::for_id_tokens(CLIENT)),
        too_large
    );
    assert_eq!(
        reason(&sized(16 * 1024 - 1), Policy::for_logout_tokens(CLIENT)),
        None
    );
    assert_eq!(
        reason(&sized(16 * 1024 + 1), Policy::for_logout_tokens(CLIENT)),
        too_large
    );
}
