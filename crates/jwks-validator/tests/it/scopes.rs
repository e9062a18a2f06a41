//! Scopes in an array, and in another claim.

use jwks_validator::{Claims, Policy, Reason};
use serde_json::json;

use crate::checked::{check, check_with};
use crate::claims::{Case, assert_cases, with};
use crate::signer::{NOW, Signer, policy};

/// F19
#[test]
fn scopes_in_an_array_are_for_policies_that_allow_it() {
    let wrong = Some(Reason::ScopeType);
    let arrays = policy().allow_scope_array(true);
    assert_cases(
        "scope",
        &arrays,
        &[
            Case("missing", json!(null), None),
            Case("string", json!("a b"), None),
            Case("number", json!(1), wrong),
            Case("object", json!({}), wrong),
            Case("number in it", json!(["a", 1]), wrong),
            Case("array in it", json!([["a"]]), wrong),
            Case("empty scope", json!(["a", ""]), wrong),
            Case("two in one", json!(["a b"]), wrong),
            Case("quote", json!(["a\"b"]), wrong),
            Case("backslash", json!(["a\\b"]), wrong),
            Case("tab", json!(["a\tb"]), wrong),
            Case("beyond ASCII", json!(["\u{e9}"]), wrong),
        ],
    );
    let signer = Signer::es256("k");
    for (array, expected) in [
        (json!([]), ""),
        (json!(["data:read"]), "data:read"),
        (json!(["a", "data:read", "a"]), "a data:read a"),
    ] {
        let token = signer.token(&with("scope", &array));
        let claims = check_with(&token, &signer.keys(), &arrays, NOW).unwrap();
        assert_eq!(claims.scope(), Some(expected));
        assert_eq!(claims.has_scope("data:read"), !expected.is_empty());
        assert!(!claims.has_scope(""), "{expected:?}");
    }
}

/// F19
#[test]
fn scopes_are_read_from_the_claim_that_is_named() {
    let signer = Signer::es256("k");
    let scp = policy().scope_claim("scp");
    let mut claims = with("scp", &json!("data:write"));
    claims["scope"] = json!(["of", 1]);
    let token = signer.token(&claims);
    let said = check_with(&token, &signer.keys(), &scp, NOW).unwrap();
    assert_eq!(said.scope(), Some("data:write"));
    assert_eq!(
        check(&token, &signer.keys()).err(),
        Some(Reason::ScopeType),
        "by default it is `scope` that counts"
    );
    let said = check_with(&signer.good(), &signer.keys(), &scp, NOW).unwrap();
    assert_eq!(said.scope(), None, "without scp");
    let array = [Case("array", json!(["a"]), Some(Reason::ScopeType))];
    assert_cases("scp", &scp, &array);
    assert_cases(
        "scp",
        &scp.allow_scope_array(true),
        &[Case("array", json!(["a"]), None)],
    );
}

/// F19, F21
#[test]
fn a_claim_that_is_checked_stays_checked_where_it_is_named_for_scopes() {
    for name in Policy::OTHER_CLAIMS {
        let policy = policy().scope_claim(name);
        let claims = check_with_scope_claim(&policy);
        assert_eq!(claims.scope(), None, "{name}");
    }
    let bound = [Case("string", json!("a"), Some(Reason::SenderConstrained))];
    assert_cases("cnf", &policy().scope_claim("cnf"), &bound);
    let early = [Case("future", json!(NOW + 61), Some(Reason::NotYetValid))];
    assert_cases("nbf", &policy().scope_claim("nbf"), &early);
}

#[track_caller]
fn check_with_scope_claim(policy: &Policy) -> Claims {
    let signer = Signer::es256("k");
    check_with(&signer.good(), &signer.keys(), policy, NOW).unwrap()
}
