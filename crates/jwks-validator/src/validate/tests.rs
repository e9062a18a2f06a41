use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// Decides about the signature alone: the vectors' payloads are text and not claims.
fn verify_jws(token: &str, keys: &KeySet) -> Result<(), Reason> {
    let policy = Policy::dangerous_for_any_audience();
    let parts = Parts::split(token, policy.longest_token())?;
    let header = parts.header()?;
    let header = UnverifiedHeader::parse(&header, &policy)?;
    let mut room = SIGNATURE_ROOM;
    let signature = parts.signature(&mut room)?;
    let verifies = |key: &VerificationKey| key.verifies(parts.signed, signature);
    match keys.select(&header) {
        Selected::Key(key) if verifies(key) => Ok(()),
        Selected::AnyOf(keys) if keys.iter().any(|key| verifies(key)) => Ok(()),
        Selected::Key(_) | Selected::AnyOf(_) => Err(Reason::Signature),
        Selected::Absent => Err(Reason::UnknownKey),
        Selected::Ambiguous => Err(Reason::AmbiguousKey),
        Selected::OtherAlgorithm => Err(Reason::KeyAlgorithm),
        Selected::Revoked => Err(Reason::KeyRevoked),
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the environment tells a test where data lies that is not in the tree, and a person is told that it does not"
)]
fn vectors(path: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os("M2M_VECTORS") else {
        eprintln!("M2M_VECTORS is not set: {path} did not run");
        return None;
    };
    let json = std::fs::read(PathBuf::from(folder).join(path)).unwrap();
    Some(serde_json::from_slice(&json).unwrap())
}

/// The one rule of ours that the expectations leave open.
const OPTIONAL: &str = "optional";

/// E13, E15, E36
#[test]
fn wycheproof_signatures_get_the_strict_answer() {
    let Some(cases) = vectors("wycheproof/derived_expectations.json") else {
        return;
    };
    let cases = cases.as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let keys = KeySet::from_jwks_json(case["jwks"].to_string().as_bytes());
        let result = match &keys {
            Ok(keys) => verify_jws(case["jws"].as_str().unwrap(), keys),
            Err(_) => Err(Reason::UnknownKey),
        };
        let accepted = result.is_ok();
        let strict = case["strict"].as_str().unwrap();
        if strict != OPTIONAL && accepted != (strict == "valid") {
            wrong.push((case["id"].clone(), case["comment"].clone(), result));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        cases.len()
    );
    assert_eq!(cases.len(), 476);
}

/// E36
#[test]
fn every_wycheproof_case_is_refused_unless_its_file_calls_it_valid() {
    let Some(file) = vectors("wycheproof/json_web_signature_test.json") else {
        return;
    };
    let mut cases = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let document = match key.get("keys") {
            Some(_) => key.to_string(),
            None => serde_json::json!({ "keys": [key] }).to_string(),
        };
        let keys = KeySet::from_jwks_json(document.as_bytes());
        for case in group["tests"].as_array().unwrap() {
            cases += 1;
            let Some(jws) = case["jws"].as_str() else {
                continue;
            };
            let accepted = keys
                .as_ref()
                .is_ok_and(|keys| verify_jws(jws, keys).is_ok());
            let valid = case["result"] == "valid";
            // ROCA-weak moduli are marked invalid; finding them out is optional.
            let is_roca = group["comment"] == "jws_rsa_roca_key";
            assert!(!accepted || valid || is_roca, "{}", case["tcId"]);
        }
    }
    assert_eq!(cases, 401);
}

/// E36
#[test]
fn the_signatures_of_the_rfcs_get_the_strict_answer() {
    let Some(file) = vectors("rfc/rfc_vectors.json") else {
        return;
    };
    for case in file["jws"].as_array().unwrap() {
        let document = serde_json::json!({ "keys": [case["public_jwk"]] }).to_string();
        let accepted = KeySet::from_jwks_json(document.as_bytes())
            .is_ok_and(|keys| verify_jws(case["jws"].as_str().unwrap(), &keys).is_ok());
        let expected = case["expect_asymmetric_validator"] == "valid-signature";
        assert_eq!(accepted, expected, "{}", case["name"]);
    }
}
