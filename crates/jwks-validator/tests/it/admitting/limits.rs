//! How many issuers are admitted, how fast, and by which tokens.

use std::time::Duration;

use jwks_validator::{Answer, BuildErrorKind, IssuerKeys, Reason};
use serde_json::json;
use tokio::time::advance;

use super::{BLUE, RED, Tenants, of, only};
use crate::fake_source::{FakeSource, Script, builder, elapse, keys, ready, reason, settle};
use crate::signer::{NOW, Signer};

/// D19
#[tokio::test(start_paused = true)]
async fn admissions_are_bounded_in_number_and_rate() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Fail(Answer::Refused));
    let everything = {
        let source = source.clone();
        move |_: &str| Some(IssuerKeys::new(source.clone()))
    };
    let validator =
        ready(builder(&FakeSource::with_keys(&[&signer])).admit_issuers(20, everything)).await;
    let invented = |n: u32| signer.token(&of(&format!("https://{n}.example")));
    for n in 0..16 {
        let refused = reason(&validator, &invented(n)).await;
        assert_eq!(refused, Some(Reason::KeysUnavailable), "{n}");
    }
    for n in 16..1_000 {
        let error = validator.validate(&invented(n)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::IssuerLimit, "{n}");
        assert_eq!(error.status(), 503);
        assert!(error.retry_after().is_some());
    }
    assert_eq!(source.calls(), 16);
    // One per second from now on, and never more than 20 of them.
    for n in 1_000..1_030 {
        advance(Duration::from_secs(1)).await;
        let refused = reason(&validator, &invented(n)).await;
        assert_eq!(refused, Some(Reason::KeysUnavailable), "{n}");
        assert!(validator.health().len() <= 1 + 20);
    }
    assert_eq!(reason(&validator, &signer.good()).await, None);
}

/// D29
#[tokio::test(start_paused = true)]
async fn a_token_that_would_be_refused_anyway_is_refused_at_the_limit_too() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Fail(Answer::Refused));
    let ours = move |name: &str| {
        name.starts_with(RED)
            .then(|| IssuerKeys::new(source.clone()))
    };
    let validator =
        ready(builder(&FakeSource::with_keys(&[&signer])).admit_issuers(100, ours)).await;
    let claims = |n: u32| of(&format!("{RED}/{n}"));
    for n in 0..16 {
        let refused = reason(&validator, &signer.token(&claims(n))).await;
        assert_eq!(refused, Some(Reason::KeysUnavailable), "{n}");
    }
    let limit = reason(&validator, &signer.token(&claims(16))).await;
    assert_eq!(limit, Some(Reason::IssuerLimit));
    let strangers = reason(&validator, &signer.token(&of(BLUE))).await;
    assert_eq!(strangers, Some(Reason::UnknownIssuer));
    let mut expired = claims(16);
    expired["exp"] = json!(NOW - 60);
    let expired = reason(&validator, &signer.token(&expired)).await;
    assert_eq!(expired, Some(Reason::Expired));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_has_had_keys_gives_its_place_to_nobody() {
    let signer = Signer::es256("k");
    let real = FakeSource::with_keys(&[&signer]);
    let fake = FakeSource::new(Script::Fail(Answer::Refused));
    let tenants = Tenants::with(RED, &real);
    tenants.add(BLUE, &fake);
    tenants.add("https://third.example", &real);
    tenants.add("https://fourth.example", &real);
    let validator = only(&tenants, 2).verified_cache(8).build().unwrap();
    validator.start();
    let token = signer.token(&of(RED));
    assert_eq!(reason(&validator, &token).await, None);
    let of_blue = signer.token(&of(BLUE));
    assert_eq!(
        reason(&validator, &of_blue).await,
        Some(Reason::KeysUnavailable)
    );
    // Blue has no keys and makes room; its task ends.
    let third = signer.token(&of("https://third.example"));
    assert_eq!(reason(&validator, &third).await, None);
    let calls = fake.calls();
    let fourth = signer.token(&of("https://fourth.example"));
    assert_eq!(reason(&validator, &fourth).await, Some(Reason::IssuerLimit));
    assert_eq!(reason(&validator, &token).await, None);
    advance(Duration::from_secs(1_000)).await;
    settle().await;
    assert_eq!(fake.calls(), calls);
    assert_eq!(
        reason(&validator, &of_blue).await,
        Some(Reason::IssuerLimit)
    );
}

/// E30
#[tokio::test(start_paused = true)]
async fn tokens_that_no_key_could_save_admit_nobody() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let tenants = Tenants::with(RED, &source);
    let validator = only(&tenants, 8).build().unwrap();
    validator.start();
    for (claim, value, expected) in [
        ("exp", json!(NOW - 60), Reason::Expired),
        ("aud", json!("https://x"), Reason::AudienceMismatch),
        ("cnf", json!({}), Reason::SenderConstrained),
    ] {
        let mut claims = of(RED);
        claims[claim] = value;
        let refused = reason(&validator, &signer.token(&claims)).await;
        assert_eq!(refused, Some(expected));
    }
    let junk = format!("{}x", signer.token(&of(RED)));
    assert!(validator.validate(&junk).await.is_err());
    settle().await;
    assert_eq!(source.calls(), 0);
    assert_eq!(reason(&validator, &signer.token(&of(RED))).await, None);
}

#[test]
fn the_number_of_admitted_issuers_has_bounds() {
    for max in [0, 10_001] {
        let error = only(&Tenants::default(), max).build().unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::AdmittedIssuers);
    }
    assert!(only(&Tenants::default(), 10_000).build().is_ok());
}

/// N46
#[tokio::test(start_paused = true)]
async fn an_issuer_that_no_token_names_for_an_hour_is_not_fetched_and_gives_up_its_place() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let (red, blue) = (Signer::es256("k"), Signer::es256("k"));
    let sources = [&red, &blue].map(|signer| FakeSource::with_keys(&[signer]));
    let tenants = Tenants::with(RED, &sources[0]);
    tenants.add(BLUE, &sources[1]);
    let validator = only(&tenants, 1).verified_cache(8).build().unwrap();
    validator.start();
    let (of_red, of_blue) = (red.token(&long(RED)), blue.token(&long(BLUE)));
    // As long as tokens come it is kept, also those that are cached.
    for _ in 0..6 {
        assert_eq!(reason(&validator, &of_red).await, None);
        elapse(HOUR / 2).await;
        assert_eq!(
            reason(&validator, &of_blue).await,
            Some(Reason::IssuerLimit)
        );
    }
    assert_eq!(
        tenants.asked().iter().filter(|name| **name == RED).count(),
        1
    );
    assert_eq!(reason(&validator, &of_red).await, None);

    elapse(HOUR + HOUR / 4).await;
    assert_eq!(validator.health().len(), 0);
    let fetches = sources[0].calls();
    elapse(12 * HOUR).await;
    assert_eq!(sources[0].calls(), fetches, "it is left alone");
    assert_eq!(
        reason(&validator, &of_blue).await,
        None,
        "its place is free"
    );
    elapse(2 * HOUR).await;

    // It comes back with the next token, and with the keys of that time.
    sources[0].set(keys(&[&blue]));
    assert_eq!(reason(&validator, &of_red).await, Some(Reason::Signature));
    assert_eq!(sources[0].calls(), fetches + 1);
    assert_eq!(
        tenants.asked().iter().filter(|name| **name == RED).count(),
        2
    );
}

/// N46
#[tokio::test(start_paused = true)]
async fn an_issuer_with_a_revoked_key_is_never_idle() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = only(&Tenants::with(RED, &source), 1).build().unwrap();
    validator.start();
    let token = signer.token(&long(RED));
    assert_eq!(reason(&validator, &token).await, None);
    validator.revoke_kid(RED, "k").unwrap();
    elapse(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(reason(&validator, &token).await, Some(Reason::KeyRevoked));
}

/// Claims of a token that lives for a day; the wall clock of these tests stands still.
fn long(issuer: &str) -> serde_json::Value {
    let mut claims = of(issuer);
    claims["exp"] = (NOW + 86_000).into();
    claims
}
