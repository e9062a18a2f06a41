//! Dates, and the clock that they are compared with.

use jwks_validator::Reason;
use serde_json::json;

use super::{Case, assert_cases, with, with_text};
use crate::checked::{check, check_with};
use crate::signer::{NOW, Signer, policy};

/// F1, F3, F4, F5, F8
#[test]
fn expiry_is_a_date_and_required() {
    let wrong = Some(Reason::ExpiryType);
    assert_cases(
        "exp",
        &policy(),
        &[
            Case("missing", json!(null), Some(Reason::ExpiryMissing)),
            Case("string", json!((NOW + 300).to_string()), wrong),
            Case("bool", json!(true), wrong),
            Case("array", json!([NOW + 300]), wrong),
            Case("object", json!({}), wrong),
            Case("-1", json!(-1), wrong),
            Case("0", json!(0), Some(Reason::Expired)),
            Case("-0.0", json!(-0.0), Some(Reason::Expired)),
            Case("1.5", json!(1.5), Some(Reason::Expired)),
            Case("1e300", json!(1e300), wrong),
            Case("-1e300", json!(-1e300), wrong),
            Case("2^63 - 1", json!(i64::MAX), wrong),
            Case("2^63", json!(i64::MAX.unsigned_abs() + 1), wrong),
            Case("2^64 - 1", json!(u64::MAX), wrong),
            Case("1e19", json!(1e19), wrong),
            Case("year 10000", json!(253_402_300_800_i64), wrong),
            Case(
                "year 9999",
                json!(253_402_300_799_i64),
                Some(Reason::LifetimeTooLong),
            ),
            Case("float", json!(1.8e9 + 300.5), None),
            Case("a day", json!(NOW + 86_400), None),
            Case(
                "a day and a second",
                json!(NOW + 86_401),
                Some(Reason::LifetimeTooLong),
            ),
        ],
    );
    let signer = Signer::es256("k");
    for json in ["null", "1e400", "NaN", "0x10"] {
        let token = signer.raw(signer.header().to_string(), with_text("exp", json));
        assert!(check(&token, &signer.keys()).is_err(), "{json}");
    }
}

/// F2, F5
#[test]
fn a_token_is_valid_strictly_before_expiry_and_leeway() {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    for exp in [json!(NOW + 300), json!(1.8e9 + 300.9)] {
        let token = signer.token(&with("exp", &exp));
        for (leeway, now, valid) in [
            (0, NOW + 299, true),
            (0, NOW + 300, false),
            (60, NOW + 300, true),
            (60, NOW + 359, true),
            (60, NOW + 360, false),
        ] {
            let policy = policy().leeway(std::time::Duration::from_secs(leeway));
            let result = check_with(&token, &keys, &policy, now);
            let expected = (!valid).then_some(Reason::Expired);
            assert_eq!(
                result.err(),
                expected,
                "{exp} leeway {leeway} at {}",
                now - NOW
            );
        }
    }
}

/// F6
#[test]
fn not_before_is_always_checked() {
    let wrong = Some(Reason::NotBeforeType);
    assert_cases(
        "nbf",
        &policy(),
        &[
            Case("missing", json!(null), None),
            Case("leeway", json!(NOW + 60), None),
            Case("future", json!(NOW + 61), Some(Reason::NotYetValid)),
            Case("string", json!("0"), wrong),
            Case("1e300", json!(1e300), wrong),
            Case("bool", json!(false), wrong),
        ],
    );
}

/// F7, F8
#[test]
fn the_date_of_issue_is_checked() {
    let wrong = Some(Reason::IssuedAtType);
    assert_cases(
        "iat",
        &policy(),
        &[
            Case("missing", json!(null), None),
            Case("leeway", json!(NOW + 60), None),
            Case("future", json!(NOW + 61), Some(Reason::IssuedInFuture)),
            Case(
                "long ago",
                json!(NOW - 86_101),
                Some(Reason::LifetimeTooLong),
            ),
            Case("string", json!("0"), wrong),
            Case("negative", json!(-1), wrong),
        ],
    );
    let signer = Signer::es256("k");
    let mut claims = with("iat", &json!(null));
    claims["exp"] = (NOW + 86_461).into();
    assert_eq!(
        check(&signer.token(&claims), &signer.keys()).err(),
        Some(Reason::LifetimeTooLong),
        "without a date of issue"
    );
}

/// F25
#[test]
fn a_clock_that_is_not_set_decides_nothing() {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    for now in [0, 1_577_836_799] {
        let result = check_with(&signer.good(), &keys, &policy(), now);
        assert_eq!(result.err(), Some(Reason::ClockUnset), "{now}");
    }
    let earliest = check_with(&signer.good(), &keys, &policy(), 1_577_836_800);
    assert_eq!(earliest.err(), Some(Reason::NotYetValid));
    let before_1970 = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1);
    let result = jwks_validator::validate(&signer.good(), before_1970, |_| Ok(&keys), &policy());
    assert_eq!(result.err(), Some(Reason::ClockUnset));
    assert_eq!(Reason::ClockUnset.status().as_u16(), 503);
}
