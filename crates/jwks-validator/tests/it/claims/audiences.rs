//! For whom a token is meant.

use jwks_validator::{Policy, Reason};
use serde_json::json;

use super::{Case, assert_cases, with, with_text};
use crate::checked::{check, check_with};
use crate::signer::{AUDIENCE, NOW, Signer, policy};

/// N50
#[test]
fn any_one_of_several_audiences_is_enough() {
    let policy = Policy::for_audiences(["https://a.example", "https://b.example"]);
    let other = Some(Reason::AudienceMismatch);
    assert_cases(
        "aud",
        &policy,
        &[
            Case("first", json!("https://a.example"), None),
            Case("second", json!("https://b.example"), None),
            Case("among others", json!(["x", "https://b.example"]), None),
            Case(
                "both in one",
                json!("https://a.example https://b.example"),
                other,
            ),
            Case("neither", json!(AUDIENCE), other),
        ],
    );
}

/// N51
#[test]
fn the_audience_is_read_from_the_claim_that_the_policy_names_and_from_no_other() {
    let missing = Some(Reason::AudienceMissing);
    let wrong = Some(Reason::AudienceType);
    let other = Some(Reason::AudienceMismatch);
    for (claim, ours) in [
        ("client_id", "client-1"),
        ("sub", "client-1"),
        ("azp", "app"),
    ] {
        let policy = Policy::for_audiences([ours]).audience_claim(claim);
        assert_cases(
            claim,
            &policy,
            &[
                Case("ours", json!(ours), None),
                Case("another", json!("another"), other),
                Case("missing", json!(null), missing),
                Case("in an array", json!([ours]), wrong),
                Case("number", json!(1), wrong),
                Case("bool", json!(true), wrong),
                Case("empty", json!(""), other),
            ],
        );
        // What stands in `aud` is nothing then.
        let signer = Signer::es256("k");
        for aud in [json!(null), json!(7), json!(ours)] {
            let mut claims = with("aud", &aud);
            claims[claim] = ours.into();
            let token = signer.token(&claims);
            let claims = check_with(&token, &signer.keys(), &policy, NOW).unwrap();
            assert_eq!(
                claims.audiences().collect::<Vec<_>>(),
                [ours],
                "{claim} {aud}"
            );
            let mut claims = with("aud", &json!(ours));
            claims[claim] = "another".into();
            let result = check_with(&signer.token(&claims), &signer.keys(), &policy, NOW);
            assert_eq!(result.err(), other, "{claim}");
        }
    }
}

/// F12, F13, F14
#[test]
fn one_audience_must_be_ours_exactly() {
    let wrong = Some(Reason::AudienceType);
    let other = Some(Reason::AudienceMismatch);
    assert_cases(
        "aud",
        &policy(),
        &[
            Case("array", json!(["https://other.example", AUDIENCE]), None),
            Case("missing", json!(null), Some(Reason::AudienceMissing)),
            Case("number", json!(1), wrong),
            Case("object", json!({}), wrong),
            Case("empty array", json!([]), wrong),
            Case("number beside ours", json!([AUDIENCE, 1]), wrong),
            Case("null beside ours", json!([null, AUDIENCE]), wrong),
            Case("nested", json!([[AUDIENCE]]), wrong),
            Case("other", json!("https://other.example"), other),
            Case("empty", json!(""), other),
            Case("substring", json!(AUDIENCE[..AUDIENCE.len() - 1]), other),
            Case("longer", json!(format!("{AUDIENCE}/v2")), other),
            Case("joined", json!(format!("{AUDIENCE} x")), other),
            Case("letter case", json!(AUDIENCE.to_uppercase()), other),
        ],
    );
    assert_cases(
        "aud",
        &Policy::dangerous_for_any_audience(),
        &[
            Case("skipped: missing", json!(null), None),
            Case("skipped: other", json!("https://other.example"), None),
            Case("skipped: number", json!(1), wrong),
            Case("skipped: empty array", json!([]), None),
            Case("skipped: number in an array", json!([1]), wrong),
            Case("skipped: nested", json!([[]]), wrong),
        ],
    );
    let signer = Signer::es256("k");
    let token = signer.raw(signer.header().to_string(), with_text("aud", "null"));
    assert_eq!(check(&token, &signer.keys()).err(), wrong, "null");
}
