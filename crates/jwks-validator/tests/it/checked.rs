//! Tokens checked twice: by `validate` and by its explanation, which must agree.

use jwks_validator::{Check, CheckOutcome, Claims, Explanation, KeySet, Policy, Reason, explain};

use crate::signer::{self, NOW, at, policy};

/// As [`signer::check`], for the tables of refused tokens.
pub(crate) fn check(token: &str, keys: &KeySet) -> Result<Claims, Reason> {
    check_with(token, keys, &policy(), NOW)
}

/// As [`signer::check_with`]; makes sure besides that the explanation is of that very decision.
#[track_caller]
pub(crate) fn check_with(
    token: &str,
    keys: &KeySet,
    policy: &Policy,
    now: i64,
) -> Result<Claims, Reason> {
    let result = signer::check_with(token, keys, policy, now);
    let explanation = explain(token, at(now), signer::published(keys), policy);
    let reason = result.as_ref().err().copied();
    assert_eq!(explanation.reason(), reason, "{explanation}");
    assert_consistent(&explanation);
    result
}

/// Exactly what the reason says failed, nothing before it, and nothing after it was reached.
#[track_caller]
pub(crate) fn assert_consistent(explanation: &Explanation) {
    let checks = explanation.checks();
    let order: Vec<Check> = checks.iter().map(|report| report.check).collect();
    assert_eq!(order, Check::ALL);
    let failed: Vec<Check> = checks
        .iter()
        .filter(|report| report.outcome == CheckOutcome::Failed)
        .map(|report| report.check)
        .collect();
    match (explanation.reason(), &failed[..]) {
        (None, []) | (Some(_), [_]) => {}
        // The claims are looked at without a key, and only then.
        (Some(_), [Check::Key, claims]) if *claims > Check::Signature => {}
        _ => panic!("{failed:?} failed: {explanation}"),
    }
    let last = failed.last().copied();
    for report in checks {
        let reached = report.outcome != CheckOutcome::NotReached;
        let may_be_reached = last.is_none_or(|last| report.check <= last);
        let skipped = report.check == Check::Signature && failed.first() == Some(&Check::Key);
        assert_eq!(reached, may_be_reached && !skipped, "{explanation}");
        let detail = report.detail.as_deref().unwrap_or_default();
        let is_printable = |text: &str| text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        assert!(is_printable(detail) && detail.len() < 2_000, "{detail:?}");
        assert!(reached || detail.is_empty(), "{explanation}");
    }
    let line = explanation.one_line();
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(explanation.to_string().lines().count(), 1 + checks.len());
}
