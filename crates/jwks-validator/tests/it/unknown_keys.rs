//! Tokens whose key is not there: what they may make the validator fetch, and what they are told.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jwks_validator::{Answer, JwtLayer, JwtValidator, Reason};
use serde_json::json;
use tokio::time::{Instant, advance};
use tower::{Layer as _, Service as _, service_fn};

use crate::fake_source::{
    FakeSource, SECOND, Script, at_once, builder, keys, pass, reason, settle, started,
};
use crate::signer::{NOW, Signer, good_claims, jwks};

/// D19
#[tokio::test(start_paused = true)]
async fn a_flood_of_invented_key_ids_costs_three_fetches_a_minute() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Tagged(
        jwks(&[signer.jwk()]),
        Some(Duration::from_secs(3_600)),
    ));
    let validator = started(&source).await;
    let good = signer.good();
    let mut forger = Signer::es256("");
    for second in 0..60 {
        for n in 0..20 {
            forger.kid = format!("{second}-{n}");
            let refused = reason(&validator, &forger.good()).await;
            assert_eq!(refused, Some(Reason::UnknownKey));
        }
        let before = Instant::now();
        assert_eq!(reason(&validator, &good).await, None);
        assert_eq!(before.elapsed(), Duration::ZERO);
        advance(SECOND).await;
    }
    // The first at the start, two at once, one after half a minute.
    assert_eq!(source.calls(), 1 + 3);
}

/// D20
#[tokio::test(start_paused = true)]
async fn keys_that_came_between_two_looks_count() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    // Empties the bucket.
    let mut forger = Signer::es256("");
    for n in 0..3 {
        forger.kid = n.to_string();
        let _ = reason(&validator, &forger.good()).await;
    }
    source.set(keys(&[&old, &new]));
    assert_eq!(
        answer_after_a_refresh(&validator, &new).await,
        StatusCode::OK
    );
}

/// D23
#[tokio::test(start_paused = true)]
async fn a_key_that_was_replaced_between_two_looks_counts() {
    let (old, new) = (Signer::es256("k"), Signer::es256("k"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    source.set(keys(&[&new]));
    assert_eq!(
        answer_after_a_refresh(&validator, &new).await,
        StatusCode::OK
    );
}

/// What a token of this signer gets if the keys are fetched between the layer's look at the keys, when it is
/// called, and that at the fetches, when its future is polled.
async fn answer_after_a_refresh(validator: &JwtValidator, signer: &Signer) -> StatusCode {
    let request = Request::get("/")
        .header(AUTHORIZATION, format!("Bearer {}", signer.good()))
        .body(Body::empty())
        .unwrap();
    let inner = service_fn(async |_| Ok::<_, Infallible>(Response::new(Body::empty())));
    let mut service = JwtLayer::new(validator.clone()).layer(inner);
    let answer = service.call(request);
    assert_eq!(validator.refresh().await.len(), 1);
    answer.await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn a_flood_does_not_put_off_the_fetch_that_is_due() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::Fail(Answer::Refused));
    let mut forger = Signer::es256("");
    // Empties the bucket, and each attempt fails.
    for n in 0..10 {
        forger.kid = n.to_string();
        let _ = reason(&validator, &forger.good()).await;
        settle().await;
    }
    assert_eq!(source.calls(), 3);
    source.set(keys(&[&signer]));
    let before = Instant::now();
    source.ended(4).await;
    assert!(before.elapsed() <= Duration::from_secs(10));
}

/// D20
#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_401_only_where_a_fresh_set_lacks_it() {
    let signer = Signer::es256("k");
    let mut unknown = Signer::es256("a");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    assert_eq!(
        reason(&validator, &unknown.good()).await,
        Some(Reason::UnknownKey),
        "the fetch that it caused lacks it"
    );
    assert_eq!(source.calls(), 2);
    assert_eq!(
        reason(&validator, &unknown.good()).await,
        Some(Reason::UnknownKey),
        "remembered as absent"
    );
    assert_eq!(source.calls(), 2);

    source.set(Script::Fail(Answer::Refused));
    unknown.kid = "b".to_owned();
    let error = validator.validate(&unknown.good()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::KeyUndetermined, "its fetch failed");
    assert_eq!(error.status(), 503);
    assert!(error.retry_after().is_some());
    assert_eq!(source.calls(), 3);

    for kid in ["a", "b", "c"] {
        unknown.kid = kid.to_owned();
        assert_eq!(
            at_once(validator.validate(&unknown.good()))
                .await
                .map(|answer| answer.unwrap_err().reason()),
            Some(Reason::KeyUndetermined),
            "{kid}: the last fetch failed, however young the set before it is"
        );
    }

    source.set(keys(&[&signer]));
    source.ended(4).await;
    for kid in ["a", "c", "d"] {
        unknown.kid = kid.to_owned();
        assert_eq!(
            reason(&validator, &unknown.good()).await,
            Some(Reason::UnknownKey),
            "{kid}: no fetch is left, and the last one brought a set"
        );
    }
    assert_eq!(source.calls(), 4);

    source.set(Script::Hang);
    pass(Duration::from_secs(31)).await;
    unknown.kid = "e".to_owned();
    let before = Instant::now();
    assert_eq!(
        reason(&validator, &unknown.good()).await,
        Some(Reason::KeyUndetermined),
        "the fetch takes too long"
    );
    assert_eq!(before.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn with_an_empty_bucket_and_no_fresh_set_the_answer_is_503() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::Fail(Answer::Refused));
    pass(Duration::from_secs(31)).await;
    let mut unknown = Signer::es256("");
    for n in 0..5 {
        unknown.kid = n.to_string();
        assert_eq!(
            reason(&validator, &unknown.good()).await,
            Some(Reason::KeyUndetermined),
            "{n}"
        );
        settle().await;
    }
    assert_eq!(source.calls(), 3);
    assert_eq!(reason(&validator, &signer.good()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_key_id_that_was_absent_is_found_once_it_is_published() {
    let (signer, new) = (Signer::es256("k"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    assert_eq!(
        reason(&validator, &new.good()).await,
        Some(Reason::UnknownKey)
    );
    source.set(keys(&[&signer, &new]));
    // Another unknown key id brings the set that has it.
    let _ = reason(&validator, &Signer::es256("other").good()).await;
    assert_eq!(reason(&validator, &new.good()).await, None);
    assert_eq!(source.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_changed_set_makes_absent_key_ids_worth_asking_about_again() {
    let (signer, other, new) = (
        Signer::es256("k"),
        Signer::es256("other"),
        Signer::es256("new"),
    );
    let source = FakeSource::with_keys(&[&signer]);
    // So short that a fetch is due before the finding is forgotten.
    let validator = builder(&source).max_stale(10 * SECOND).build().unwrap();
    validator.start();
    source.ended(1).await;
    assert_eq!(
        reason(&validator, &new.good()).await,
        Some(Reason::UnknownKey)
    );
    source.set(keys(&[&signer, &other]));
    source.ended(3).await;
    source.set(keys(&[&signer, &other, &new]));
    assert_eq!(reason(&validator, &new.good()).await, None);
    assert_eq!(source.calls(), 4);
}

/// E30
#[tokio::test(start_paused = true)]
async fn tokens_that_no_key_could_save_cause_no_fetch() {
    let signer = Signer::es256("k");
    let stranger = Signer::es256("unknown");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    for (name, claim, value, expected) in [
        ("expired", "exp", json!(NOW - 60), Reason::Expired),
        (
            "other issuer",
            "iss",
            json!("https://x"),
            Reason::UnknownIssuer,
        ),
        (
            "other audience",
            "aud",
            json!("https://x"),
            Reason::AudienceMismatch,
        ),
        ("not yet", "nbf", json!(NOW + 61), Reason::NotYetValid),
        ("bound", "cnf", json!({}), Reason::SenderConstrained),
    ] {
        let mut claims = good_claims();
        claims[claim] = value;
        let refused = reason(&validator, &stranger.token(&claims)).await;
        assert_eq!(refused, Some(expected), "{name}");
    }
    let forged = Signer::es256("k").good();
    assert_eq!(reason(&validator, &forged).await, Some(Reason::Signature));
    let junk = "x".repeat(100);
    assert_eq!(reason(&validator, &junk).await, Some(Reason::Opaque));
    assert_eq!(source.calls(), 1);
}

/// D23
#[tokio::test(start_paused = true)]
async fn a_key_that_was_replaced_under_its_id_is_fetched_within_the_budget() {
    let (old, new) = (Signer::es256("k"), Signer::es256("k"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    source.set(keys(&[&new]));
    assert_eq!(
        reason(&validator, &new.good()).await,
        Some(Reason::Signature),
        "a set of the last half minute is believed"
    );
    pass(Duration::from_secs(31)).await;
    assert_eq!(reason(&validator, &new.good()).await, None);
    assert_eq!(source.calls(), 2);
    assert_eq!(
        reason(&validator, &old.good()).await,
        Some(Reason::Signature)
    );
    assert_eq!(source.calls(), 2);
}

/// D36
#[tokio::test(start_paused = true)]
async fn bad_signatures_leave_a_fetch_for_unknown_keys() {
    let (signer, new) = (Signer::es256("k"), Signer::es256("new"));
    let forged = Signer::es256("k").good();
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::Fail(Answer::Refused));
    pass(Duration::from_secs(31)).await;
    for _ in 0..50 {
        assert_eq!(reason(&validator, &forged).await, Some(Reason::Signature));
    }
    assert_eq!(source.calls(), 2);
    source.set(keys(&[&signer, &new]));
    assert_eq!(
        reason(&validator, &new.good()).await,
        Some(Reason::KeyUndetermined),
        "it asks, and does not wait"
    );
    source.ended(3).await;
    assert_eq!(reason(&validator, &new.good()).await, None);
}
