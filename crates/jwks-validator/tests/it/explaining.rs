//! Explanations for operators.

mod near_misses;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clock::ManualClock;
use jwks_validator::{
    Check, CheckOutcome, Claims, DenyList, Explanation, JwtValidator, Reason, Revocation,
    RevocationError, explain, explain_without_keys,
};
use serde_json::{Value, json};

use crate::checked::assert_consistent;
use crate::fake_source::{FakeSource, Script, builder, keys, ready, started};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, at, good_claims, jwks, policy};

fn detail(explanation: &Explanation, check: Check) -> &str {
    let report = explanation
        .checks()
        .iter()
        .find(|report| report.check == check);
    report.unwrap().detail.as_deref().unwrap_or_default()
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[name] = value;
    claims
}

async fn explained(validator: &JwtValidator, token: &str) -> Explanation {
    let explanation = validator.explain(token).await;
    assert_consistent(&explanation);
    explanation
}

#[tokio::test(start_paused = true)]
async fn the_report_has_a_line_for_every_check() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    tokio::time::advance(Duration::from_secs(30)).await;
    let token = signer.good();
    let explanation = explained(&validator, &token).await;
    assert_eq!(explanation.one_line(), "accepted");
    let report = format!(
        r#"accepted
  passed       clock             ours shows 2027-01-15T08:00:00Z
  passed       size              {} bytes of 12288
  passed       segments          3 parts
  passed       header encoding
  passed       header
  passed       extensions
  passed       algorithm         "ES256"
  passed       type              "at+jwt"
  passed       key id            "k"
  passed       payload encoding
  passed       payload
  passed       signature form
  passed       issuer            "https://idp.example"
  passed       keys              1 usable, confirmed 30 s ago
  passed       key               "k" (ES256), known for 30 s
  passed       signature
  passed       dates
  passed       expiry            in 5 min
  passed       not before        0 s ago
  passed       issued at         0 s ago
  passed       lifetime          5 min of 1 d
  passed       audience          "https://api.example"
  passed       claim types       scope is "data:read data:list"
  passed       binding
  passed       rfc 9068          not asked for
  passed       client            not asked for
  passed       issuer claims
  passed       revocation        not asked for"#,
        token.len()
    );
    assert_eq!(explanation.to_string(), report);

    let expired = Signer::es256("other").token(&with("exp", json!(NOW - 60)));
    let report = explained(&validator, &expired).await.to_string();
    assert!(
        report.starts_with("refused: the token has expired\n"),
        "{report}"
    );
    for line in [
        "  FAILED       key               published are",
        "  not reached  signature\n",
        "  FAILED       expiry            1 min ago by our clock, leeway 1 min\n",
        "  not reached  not before\n",
    ] {
        assert!(report.contains(line), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_came_and_went_are_told_with_their_age() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let odd = json!({"kty": "oct", "k": "AA", "kid": "odd"});
    let source = FakeSource::new(Script::Keys(jwks(&[old.jwk(), odd.clone()])));
    let validator = builder(&source).build().unwrap();
    let explanation = explained(&validator, &old.good()).await;
    assert_eq!(explanation.reason(), Some(Reason::KeysUnavailable));
    assert_eq!(detail(&explanation, Check::Keys), "never fetched");
    validator.start();
    assert!(validator.wait_ready().await);
    let symmetric = Signer::es256("odd").good();
    assert_eq!(
        detail(&explained(&validator, &symmetric).await, Check::Key),
        r#"published are "old" (ES256); this one is published and not used: symmetric key; as of 0 s ago"#
    );
    source.set(keys(&[&new]));
    source.ended(2).await;
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(
        detail(&explained(&validator, &old.good()).await, Check::Key),
        r#"published are "new" (ES256); this one was withdrawn 30 s ago; as of 30 s ago"#
    );
    assert_eq!(
        detail(&explained(&validator, &new.good()).await, Check::Key),
        r#""new" (ES256), known for 30 s"#
    );
    source.set(keys(&[&new, &old]));
    source.ended(3).await;
    assert_eq!(
        detail(&explained(&validator, &old.good()).await, Check::Key),
        r#""old" (ES256), known for 0 s"#
    );
    assert_eq!(source.calls(), 3, "an explanation fetches nothing");

    source.set(Script::Hang);
    tokio::time::advance(Duration::from_secs(3_601)).await;
    let stale = explained(&validator, &new.good()).await;
    assert_eq!(stale.reason(), Some(Reason::KeysStale));
    assert_eq!(detail(&stale, Check::Keys), "confirmed 1 h 1 s ago");
}

#[derive(Debug)]
struct Unreachable;

#[async_trait]
impl Revocation for Unreachable {
    async fn is_revoked(&self, _: &Claims) -> Result<bool, RevocationError> {
        Err(RevocationError::new("told to"))
    }
}

#[tokio::test(start_paused = true)]
async fn revocation_is_part_of_the_explanation() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let list = DenyList::new(8);
    let good = signer.good();
    let mut nameless = good_claims();
    nameless.as_object_mut().unwrap().remove("jti");
    let nameless = signer.token(&nameless);
    let with_list = builder(&source).revocation(list.clone()).build().unwrap();
    let failing = builder(&source).revocation(Unreachable).build().unwrap();
    for validator in [&with_list, &failing] {
        validator.start();
        assert!(validator.wait_ready().await);
    }
    assert_eq!(explained(&with_list, &good).await.reason(), None);
    list.revoke(ISSUER, "1", at(NOW + 300)).unwrap();
    for (validator, token, reason) in [
        (&with_list, &good, Reason::Revoked),
        (&with_list, &nameless, Reason::TokenIdMissing),
        (&failing, &good, Reason::RevocationUnknown),
    ] {
        let explanation = explained(validator, token).await;
        assert_eq!(explanation.reason(), Some(reason));
        let last = explanation.checks().last().unwrap();
        assert_eq!(last.outcome, CheckOutcome::Failed);
        let error = validator.validate(token).await.unwrap_err();
        assert_eq!(error.reason(), reason);
    }
}

/// J1
#[tokio::test(start_paused = true)]
async fn an_explanation_holds_no_signature_and_nothing_that_could_be_a_token() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let good = signer.good();
    let (_, signature) = good.rsplit_once('.').unwrap();
    for token in [
        good.clone(),
        signer.token(&with("aud", json!(good))),
        signer.token(&with("aud", json!([good, "\u{1b}[31m\r\n\0é"]))),
        signer.token(&with("iss", json!(good))),
        signer.with_header(&json!({"alg": "ES256", "kid": "k", "typ": good})),
        signer.with_header(&json!({"alg": good})),
        signer.with_header(&json!({"alg": "ES256", "kid": good})),
        signer.with_header(&json!({"alg": "ES256", "jku": good})),
        signer.token(&with("aud", json!("x".repeat(5_000)))),
        format!("{good}A"),
        format!("{good}.{good}"),
    ] {
        let explanation = explained(&validator, &token).await;
        let shown = format!("{explanation:?} {explanation} {}", explanation.one_line());
        assert!(
            !shown.contains("eyJ") && !shown.contains(signature),
            "{shown}"
        );
        assert!(!shown.contains(&signature[..20]), "{shown}");
    }
}

/// F4
#[test]
fn numbers_at_the_edge_are_no_trouble() {
    let signer = Signer::es256("k");
    let keys = signer.keys();
    for now in [i64::MAX / 2, 0, NOW] {
        for number in [
            "-9223372036854775808",
            "9223372036854775807",
            "1e308",
            "-1e308",
            "253402300799",
        ] {
            let payload = format!(
                r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","exp":{number},"nbf":{number},"iat":{number}}}"#
            );
            let token = signer.raw(signer.header().to_string(), payload);
            let explanation = explain(
                &token,
                std::time::UNIX_EPOCH + Duration::from_secs(now.unsigned_abs()),
                |_| Ok(&keys),
                &policy(),
            );
            assert_consistent(&explanation);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_the_validator_counts() {
    let signer = Signer::es256("k");
    let clock = ManualClock::at_unix(NOW.unsigned_abs());
    let validator =
        ready(builder(&FakeSource::with_keys(&[&signer])).clock(Arc::new(clock.clone()))).await;
    clock.set(at(0));
    let explanation = explained(&validator, &signer.good()).await;
    assert_eq!(explanation.reason(), Some(Reason::ClockUnset));
    assert_eq!(
        detail(&explanation, Check::Clock),
        "ours shows 1970-01-01T00:00:00Z"
    );
    clock.set(at(0) - Duration::from_secs(1));
    let explanation = explained(&validator, &signer.good()).await;
    assert_eq!(
        detail(&explanation, Check::Clock),
        "ours shows no date from 1970 to 9999"
    );
}

#[test]
fn without_keys_the_other_checks_are_made() {
    let signer = Signer::es256("k");
    let keyless = [Check::Keys, Check::Key, Check::Signature];
    let cases = [
        (
            "good",
            signer.token(&good_claims()),
            Reason::KeysUnavailable,
            None,
        ),
        (
            "expired",
            signer.token(&with("exp", json!(NOW - 70))),
            Reason::Expired,
            Some(Check::Expiry),
        ),
        (
            "other audience",
            signer.token(&with("aud", json!("https://x"))),
            Reason::AudienceMismatch,
            Some(Check::Audience),
        ),
        (
            "other issuer",
            signer.token(&with("iss", json!("https://x"))),
            Reason::UnknownIssuer,
            Some(Check::Issuer),
        ),
        (
            "no token",
            "x".to_owned(),
            Reason::Opaque,
            Some(Check::Segments),
        ),
    ];
    for (name, token, reason, failed) in cases {
        let explanation = explain_without_keys(&token, at(NOW), Some(ISSUER), &policy());
        assert_eq!(explanation.reason(), Some(reason), "{name}");
        for report in explanation.checks() {
            let expected = match failed {
                _ if keyless.contains(&report.check) => CheckOutcome::NotReached,
                Some(failed) if report.check == failed => CheckOutcome::Failed,
                Some(failed) if report.check > failed => CheckOutcome::NotReached,
                _ => CheckOutcome::Passed,
            };
            assert_eq!(report.outcome, expected, "{name}: {explanation}");
        }
    }
    let good = explain_without_keys(&signer.token(&good_claims()), at(NOW), None, &policy());
    assert!(detail(&good, Check::Expiry).starts_with("in "), "{good}");
    assert_eq!(detail(&good, Check::Keys), "");
    let other = signer.token(&with("iss", json!("https://x")));
    let other = explain_without_keys(&other, at(NOW), None, &policy());
    assert_eq!(other.reason(), Some(Reason::KeysUnavailable));
}
