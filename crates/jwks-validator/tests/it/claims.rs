//! Claims.

mod audiences;
mod dates;

use jwks_validator::{Policy, Reason};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checked::{check, check_with};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, encode, good_claims, policy};

pub(crate) struct Case(
    pub(crate) &'static str,
    pub(crate) Value,
    pub(crate) Option<Reason>,
);

/// Replaces one claim; null removes it.
pub(crate) fn with(name: &str, value: &Value) -> Value {
    let mut claims = good_claims();
    claims[name] = value.clone();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

#[track_caller]
pub(crate) fn assert_cases(claim: &str, policy: &Policy, cases: &[Case]) {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    for Case(name, value, expected) in cases {
        let token = signer.token(&with(claim, value));
        let result = check_with(&token, &keys, policy, NOW);
        assert_eq!(result.err(), *expected, "{claim}: {name}");
    }
}

/// Writes a claim in JSON that `serde_json` would not write.
fn with_text(name: &str, json: &str) -> String {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(name);
    let claims = claims.to_string();
    format!("{},\"{name}\":{json}}}", &claims[..claims.len() - 1])
}

/// N52
#[test]
fn a_required_claim_has_one_of_its_values_and_their_type() {
    let mismatch = Some(Reason::ClaimMismatch);
    let access = policy().require_claim("token_use", "access");
    assert_cases(
        "token_use",
        &access,
        &[
            Case("equal", json!("access"), None),
            Case("missing", json!(null), mismatch),
            Case("an ID token's", json!("id"), mismatch),
            Case("other case", json!("Access"), mismatch),
            Case("longer", json!("access "), mismatch),
            Case("array", json!(["access"]), mismatch),
            Case("object", json!({"access": true}), mismatch),
        ],
    );
    let limited = policy().require_claim("limited", false);
    assert_cases(
        "limited",
        &limited,
        &[
            Case("equal", json!(false), None),
            Case("true", json!(true), mismatch),
            Case("string", json!("false"), mismatch),
            Case("0", json!(0), mismatch),
            Case("missing", json!(null), mismatch),
        ],
    );
    let role = access.require_claim_in("role", ["ADMIN", "OWNER"]);
    let signer = Signer::es256("k");
    for (token_use, value, expected) in [
        ("access", "ADMIN", None),
        ("access", "OWNER", None),
        ("access", "ADMIN|OWNER", mismatch),
        ("access", "USER", mismatch),
        ("id", "ADMIN", mismatch),
    ] {
        let mut claims = with("role", &json!(value));
        claims["token_use"] = token_use.into();
        let result = check_with(&signer.token(&claims), &signer.keys(), &role, NOW);
        assert_eq!(result.err(), expected, "{token_use} {value}");
    }
}

/// E22
#[test]
fn a_token_may_be_as_long_as_the_policy_says_and_no_longer() {
    let signer = Signer::es256("k");
    let bare = signer.good().len();
    for (size, policy) in [
        (12 << 10, policy()),
        (32 << 10, policy().max_token_size(usize::MAX)),
        (1 << 10, policy().max_token_size(1 << 10)),
    ] {
        // Four characters hold three bytes, so that this is the longest that fits.
        let fits = (size - bare - 8) / 4 * 3;
        let token = signer.token(&with("x", &json!("x".repeat(fits))));
        assert!(token.len() <= size, "{} > {size}", token.len());
        assert!(
            check_with(&token, &signer.keys(), &policy, NOW).is_ok(),
            "{size}"
        );
        let token = signer.token(&with("x", &json!("x".repeat(fits + 30))));
        assert!(token.len() > size, "{} <= {size}", token.len());
        let result = check_with(&token, &signer.keys(), &policy, NOW);
        assert_eq!(result.err(), Some(Reason::TooLarge), "{size}");
    }
}

/// F9, F10, F11
#[test]
fn the_issuer_must_match_byte_for_byte() {
    let unknown = Some(Reason::UnknownIssuer);
    assert_cases(
        "iss",
        &policy(),
        &[
            Case("missing", json!(null), Some(Reason::IssuerMissing)),
            Case("number", json!(1), Some(Reason::IssuerType)),
            Case("array", json!([ISSUER]), Some(Reason::IssuerType)),
            Case("object", json!({}), Some(Reason::IssuerType)),
            Case("empty", json!(""), unknown),
            Case("trailing slash", json!(format!("{ISSUER}/")), unknown),
            Case("letter case", json!("https://IDP.example"), unknown),
            Case("percent", json!("https://idp%2eexample"), unknown),
            Case("prefix", json!(ISSUER[..ISSUER.len() - 1]), unknown),
            Case("longer", json!(format!("{ISSUER}.evil.example")), unknown),
            Case("NUL", json!(format!("{ISSUER}\0")), unknown),
        ],
    );
}

/// F15, F16, F17
#[test]
fn identities_are_strings_and_required_by_rfc_9068() {
    for (claim, wrong, missing) in [
        ("sub", Reason::SubjectType, Reason::SubjectMissing),
        ("client_id", Reason::ClientIdType, Reason::ClientIdMissing),
        ("jti", Reason::TokenIdType, Reason::TokenIdMissing),
        ("iat", Reason::IssuedAtType, Reason::IssuedAtMissing),
    ] {
        let cases = [
            Case("bool", json!(true), Some(wrong)),
            Case("array", json!(["x"]), Some(wrong)),
        ];
        assert_cases(claim, &policy(), &cases);
        assert_cases(claim, &policy(), &[Case("missing", json!(null), None)]);
        assert_cases(
            claim,
            &policy().rfc9068(true),
            &[
                Case("missing", json!(null), Some(missing)),
                Case("there", good_claims()[claim].clone(), None),
            ],
        );
    }
    for (claim, wrong) in [
        ("sub", Reason::SubjectType),
        ("client_id", Reason::ClientIdType),
    ] {
        assert_cases(
            claim,
            &policy(),
            &[
                Case("empty", json!(""), Some(wrong)),
                Case("number", json!(1), Some(wrong)),
            ],
        );
    }
}

/// J1
#[test]
fn the_payload_is_what_was_signed_and_debug_shows_issuer_and_dates_alone() {
    let signer = Signer::es256("k");
    let claims = check(&signer.good(), &signer.keys()).unwrap();
    assert_eq!(claims.payload(), good_claims().to_string().as_bytes());
    let shown = format!("{claims:?}");
    assert!(shown.contains(ISSUER) && shown.contains("exp"), "{shown}");
    assert!(!shown.contains("client-1"), "{shown}");
}

/// F16
#[test]
fn the_subject_is_the_client_where_that_is_asked_for() {
    let client = good_claims()["client_id"].clone();
    let wrong = Some(Reason::SubjectNotClient);
    assert_cases("sub", &policy(), &[Case("another", json!("alice"), None)]);
    assert_cases(
        "sub",
        &policy().clients_only(true),
        &[
            Case("another", json!("alice"), wrong),
            Case("missing", json!(null), wrong),
            Case("the client", client, None),
        ],
    );
    let without_client = [Case("missing", json!(null), wrong)];
    assert_cases("client_id", &policy().clients_only(true), &without_client);
}

/// F19
#[test]
fn scopes_are_compared_whole() {
    assert_cases(
        "scope",
        &policy(),
        &[
            Case("missing", json!(null), None),
            Case("empty", json!(""), None),
            Case("array", json!(["data:read"]), Some(Reason::ScopeType)),
            Case("number", json!(1), Some(Reason::ScopeType)),
        ],
    );
    let signer = Signer::es256("k");
    for (scope, expected) in [
        ("data:read", true),
        ("a  data:read", true),
        ("data:readwrite", false),
        ("Data:Read", false),
        ("data:read\tx", false),
        ("", false),
    ] {
        let token = signer.token(&with("scope", &json!(scope)));
        let claims = check(&token, &signer.keys()).unwrap();
        assert_eq!(claims.has_scope("data:read"), expected, "{scope:?}");
        assert!(!claims.has_scope(""), "{scope:?}");
    }
}

/// F21
#[test]
fn a_sender_constrained_token_is_no_bearer_token() {
    let bound = Some(Reason::SenderConstrained);
    assert_cases(
        "cnf",
        &policy(),
        &[
            Case("DPoP", json!({"jkt": "x"}), bound),
            Case("certificate", json!({"x5t#S256": "x"}), bound),
            Case("empty", json!({}), bound),
            Case("string", json!(""), bound),
        ],
    );
    let signer = Signer::es256("k");
    let token = signer.raw(signer.header().to_string(), with_text("cnf", "null"));
    assert_eq!(check(&token, &signer.keys()).err(), bound, "null");
}

/// F23, F24
#[test]
fn unknown_claims_and_control_characters_are_no_obstacle() {
    let mut claims = good_claims();
    claims["sub"] = "a\0b\u{1b}[31m".into();
    claims["roles"] = json!([{"a": [1, null]}, "x"]);
    // Dex puts these into access tokens, older Keycloaks the first.
    claims["nonce"] = "n".into();
    claims["at_hash"] = "h".into();
    let signer = Signer::es256("k");
    let claims = check(&signer.token(&claims), &signer.keys()).unwrap();
    assert_eq!(claims.subject(), Some("a\0b\u{1b}[31m"));
    assert!(!format!("{claims:?}").contains('\u{1b}'));
}

#[test]
fn accepted_claims_are_readable_in_both_forms() {
    #[derive(Deserialize)]
    struct Mine {
        exp: i64,
        tenant: String,
    }
    let signer = Signer::es256("k");
    let token = signer.token(&with("tenant", &json!("t1")));
    let claims = check(&token, &signer.keys()).unwrap();
    assert_eq!(claims.issuer(), ISSUER);
    assert_eq!(claims.audiences().collect::<Vec<_>>(), [AUDIENCE]);
    assert_eq!(claims.expires_at(), crate::signer::at(NOW + 300));
    assert_eq!(claims.issued_at(), Some(crate::signer::at(NOW)));
    assert_eq!(claims.not_before(), Some(crate::signer::at(NOW)));
    assert_eq!(claims.client_id(), Some("client-1"));
    assert_eq!(claims.id(), Some("1"));
    assert_eq!(claims.scope(), Some("data:read data:list"));
    let mine: Mine = claims.to_typed().unwrap();
    assert_eq!((mine.exp, mine.tenant.as_str()), (NOW + 300, "t1"));
    assert_eq!(claims.to_typed::<Vec<u8>>(), Err(Reason::ClaimsShape));
}

#[test]
fn debug_output_shows_nothing_of_the_token() {
    let signer = Signer::es256("k");
    let token = signer.token(&with("sub", &json!("canary")));
    let claims = check(&token, &signer.keys()).unwrap();
    let shown = format!("{claims:?}");
    assert!(!shown.contains("canary") && !shown.contains(&encode("canary")));
}

/// E24
#[test]
fn no_claim_becomes_another_one_when_it_is_read() {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    // A `Value` of such an object is what the text in it says.
    let inner = r#"{"$serde_json::private::RawValue":"{\"role\":1,\"role\":2}"}"#;
    for claim in [inner, &format!("[{inner}]"), &format!(r#"{{"y":{inner}}}"#)] {
        let payload = with_text("x", claim);
        let token = signer.raw(signer.header().to_string(), &payload);
        assert_eq!(
            check(&token, &keys).err(),
            Some(Reason::PayloadJson),
            "{claim}"
        );
    }
}
