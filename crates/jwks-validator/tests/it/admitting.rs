//! Issuers that a function admits as tokens name them.

mod limits;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{
    Check, IssuerKeys, JwtValidator, JwtValidatorBuilder, Reason, RefreshOutcome,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use crate::fake_source::{FakeSource, Script, builder, keys, ready, reason, settle};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, good_claims};

/// Admits the names that it has a source for, and keeps what it was asked.
#[derive(Clone, Default)]
struct Tenants {
    sources: Arc<Mutex<HashMap<String, FakeSource>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tenants {
    fn add(&self, name: &str, source: &FakeSource) {
        let mut sources = self.sources.lock().unwrap();
        sources.insert(name.to_owned(), source.clone());
    }

    fn with(name: &str, source: &FakeSource) -> Self {
        let tenants = Self::default();
        tenants.add(name, source);
        tenants
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn policy(&self) -> impl Fn(&str) -> Option<IssuerKeys> + Send + Sync + use<> {
        let tenants = self.clone();
        move |name| {
            tenants.asked.lock().unwrap().push(name.to_owned());
            let sources = tenants.sources.lock().unwrap();
            sources.get(name).map(|source| source.clone().into())
        }
    }
}

fn only(tenants: &Tenants, max: usize) -> JwtValidatorBuilder {
    JwtValidator::builder()
        .admit_issuers(max, tenants.policy())
        .audience(AUDIENCE)
        .clock(Arc::new(ManualClock::at_unix(NOW.unsigned_abs())))
}

fn of(issuer: &str) -> Value {
    let mut claims = good_claims();
    claims["iss"] = issuer.into();
    claims
}

const RED: &str = "https://idp.example/tenants/red";
const BLUE: &str = "https://idp.example/tenants/blue";

/// D28, D29
#[tokio::test(start_paused = true)]
async fn an_issuer_is_admitted_when_a_token_first_names_it() {
    let (red, blue) = (Signer::es256("k"), Signer::es256("k"));
    let (red_source, blue_source) = (
        FakeSource::with_keys(&[&red]),
        FakeSource::with_keys(&[&blue]),
    );
    let tenants = Tenants::with(RED, &red_source);
    tenants.add(BLUE, &blue_source);
    let validator = only(&tenants, 8).verified_cache(8).build().unwrap();
    assert!(validator.ready(), "nothing is configured");
    assert_eq!(tenants.asked(), [""; 0]);

    for _ in 0..3 {
        assert_eq!(reason(&validator, &red.token(&of(RED))).await, None);
        assert_eq!(reason(&validator, &blue.token(&of(BLUE))).await, None);
    }
    assert_eq!(tenants.asked(), [RED, BLUE]);
    assert_eq!((red_source.calls(), blue_source.calls()), (1, 1));
    // The same key id at two issuers: each has its own.
    for token in [red.token(&of(BLUE)), blue.token(&of(RED))] {
        assert_eq!(reason(&validator, &token).await, Some(Reason::Signature));
    }
    let names: Vec<String> = validator
        .health()
        .into_iter()
        .map(|health| health.issuer)
        .collect();
    assert_eq!(names, [RED, BLUE]);
}

/// D29, F11
#[tokio::test(start_paused = true)]
async fn the_function_sees_the_whole_name_and_is_asked_once_about_each() {
    let source = FakeSource::with_keys(&[&Signer::es256("k")]);
    let tenants = Tenants::with(RED, &source);
    let validator = only(&tenants, 8).build().unwrap();
    validator.start();
    let signer = Signer::es256("k");
    let names = [
        format!("{RED}/"),
        RED.to_uppercase(),
        format!("{RED}\0"),
        format!("{RED}.evil.example"),
        "https://169.254.169.254/latest".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ];
    for _ in 0..3 {
        for name in &names {
            let refused = reason(&validator, &signer.token(&of(name))).await;
            assert_eq!(refused, Some(Reason::UnknownIssuer), "{name:?}");
        }
    }
    assert_eq!(tenants.asked(), names);
    assert_eq!(source.calls(), 0);
    // The refusal is forgotten after a while: the operator may have added the tenant.
    advance(Duration::from_secs(60)).await;
    let slash = &names[0];
    let late = FakeSource::with_keys(&[&signer]);
    tenants.add(slash, &late);
    assert_eq!(reason(&validator, &signer.token(&of(slash))).await, None);
    assert_eq!(tenants.asked().len(), names.len() + 1);
}

/// D30
#[tokio::test(start_paused = true)]
async fn configured_issuers_are_not_affected() {
    let signer = Signer::es256("k");
    let hanging = FakeSource::new(Script::Hang);
    let tenants = Tenants::with(RED, &hanging);
    let source = FakeSource::with_keys(&[&signer]);
    let validator = ready(builder(&source).admit_issuers(1, tenants.policy())).await;
    let waiting = tokio::spawn({
        let (validator, token) = (validator.clone(), signer.token(&of(RED)));
        async move { reason(&validator, &token).await }
    });
    settle().await;
    let before = Instant::now();
    assert_eq!(reason(&validator, &signer.good()).await, None);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(waiting.await.unwrap(), Some(Reason::KeysUnavailable));
    assert_eq!(tenants.asked(), [RED], "not about the configured one");
    assert!(validator.ready());
    let names: Vec<String> = validator
        .health()
        .into_iter()
        .map(|health| health.issuer)
        .collect();
    assert_eq!(names, [ISSUER, RED]);
}

/// D28
#[tokio::test(start_paused = true)]
async fn a_cached_token_never_comes_to_mean_another_issuer() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let tenants = Tenants::with(RED, &source);
    tenants.add(BLUE, &FakeSource::with_keys(&[&signer]));
    let validator = only(&tenants, 1).verified_cache(8).build().unwrap();
    validator.start();
    let of_red = signer.token(&of(RED));
    assert_eq!(reason(&validator, &of_red).await, None);
    assert_eq!(reason(&validator, &of_red).await, None, "cached");
    // Red stays: it has had keys. Its keys vanish, and Blue's are no replacement for them.
    source.set(keys(&[&Signer::es256("other")]));
    let refreshed = validator.refresh().await;
    assert_eq!(refreshed[0].outcome, RefreshOutcome::Refreshed);
    let of_blue = signer.token(&of(BLUE));
    assert_eq!(
        reason(&validator, &of_blue).await,
        Some(Reason::IssuerLimit)
    );
    assert_eq!(reason(&validator, &of_red).await, Some(Reason::UnknownKey));
}

/// D33
#[tokio::test(start_paused = true)]
async fn the_first_callers_of_an_admitted_issuer_share_one_question_and_one_fetch() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::After(
        Duration::from_millis(500),
        Box::new(keys(&[&signer])),
    ));
    let tenants = Tenants::with(RED, &source);
    let validator = only(&tenants, 8).build().unwrap();
    validator.start();
    let token = Arc::new(signer.token(&of(RED)));
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (validator, token) = (validator.clone(), Arc::clone(&token));
        callers.spawn(async move { reason(&validator, &token).await });
    }
    for refused in callers.join_all().await {
        assert_eq!(refused, None);
    }
    assert_eq!((tenants.asked().len(), source.calls()), (1, 1));
}

/// F22
#[tokio::test(start_paused = true)]
async fn a_tenant_claim_must_agree_with_the_issuer() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let admitting = {
        let source = source.clone();
        move |name: &str| {
            let tenant = name.strip_prefix("https://idp.example/tenants/")?;
            Some(IssuerKeys::new(source.clone()).require_claim("tenant", tenant))
        }
    };
    let required = IssuerKeys::new(source.clone()).require_claim("tenant", "home");
    let validator = ready(
        JwtValidator::builder()
            .issuer(ISSUER, required)
            .admit_issuers(8, admitting)
            .audience(AUDIENCE)
            .verified_cache(8)
            .clock(Arc::new(ManualClock::at_unix(NOW.unsigned_abs()))),
    )
    .await;
    let mismatch = Some(Reason::ClaimMismatch);
    for (issuer, tenant, expected) in [
        (ISSUER, json!("home"), None),
        (ISSUER, json!("red"), mismatch),
        (RED, json!("red"), None),
        (RED, json!("blue"), mismatch),
        (RED, json!("home"), mismatch),
        (RED, json!("Red"), mismatch),
        (RED, json!(["red"]), mismatch),
        (RED, json!(null), mismatch),
        (BLUE, json!("red"), mismatch),
    ] {
        let mut claims = of(issuer);
        claims["tenant"] = tenant.clone();
        let token = signer.token(&claims);
        for _ in 0..2 {
            let refused = reason(&validator, &token).await;
            assert_eq!(refused, expected, "{issuer} {tenant}");
        }
        let explanation = validator.explain(&token).await;
        assert_eq!(explanation.reason(), expected, "{issuer} {tenant}");
        crate::checked::assert_consistent(&explanation);
    }
    assert_eq!(
        reason(&validator, &signer.token(&of(RED))).await,
        mismatch,
        "absent"
    );
}

#[tokio::test(start_paused = true)]
async fn operators_see_and_revoke_admitted_issuers_too() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let tenants = Tenants::with(RED, &source);
    let validator = only(&tenants, 1).build().unwrap();
    validator.start();
    let token = signer.token(&of(RED));
    let explanation = validator.explain(&token).await;
    assert_eq!(explanation.reason(), Some(Reason::UnknownIssuer));
    assert_eq!(tenants.asked(), [""; 0], "an explanation admits nobody");
    assert!(validator.revoke_kid(RED, "k").is_err(), "not admitted yet");
    assert_eq!(reason(&validator, &token).await, None);
    assert_eq!(validator.explain(&token).await.reason(), None);
    validator.revoke_kid(RED, "k").unwrap();
    assert_eq!(reason(&validator, &token).await, Some(Reason::KeyRevoked));
    let explanation = validator.explain(&token).await;
    assert_eq!(explanation.reason(), Some(Reason::KeyRevoked));
    let failed = explanation
        .checks()
        .iter()
        .find(|report| report.check == Check::Key)
        .unwrap();
    assert!(failed.detail.as_deref().unwrap().contains("\"k\" (ES256)"));
    let refreshed = validator.refresh().await;
    assert_eq!(refreshed.len(), 1);
    assert_eq!(refreshed[0].issuer, RED);
    validator.shutdown().await;
    source.ended(2).await;
}

/// B18
#[tokio::test(start_paused = true)]
async fn a_validator_that_is_shut_down_admits_nobody() {
    let signer = Signer::es256("k");
    let tenants = Tenants::with(RED, &FakeSource::new(Script::Hang));
    let validator = only(&tenants, 8).build().unwrap();
    validator.start();
    let slow = reason(&validator, &signer.token(&of(RED))).await;
    assert_eq!(slow, Some(Reason::KeysUnavailable));
    let before = Instant::now();
    validator.shutdown().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    let late = reason(&validator, &signer.token(&of(BLUE))).await;
    assert_eq!(late, Some(Reason::KeysUnavailable));
    assert_eq!(tenants.asked(), [RED]);
}
