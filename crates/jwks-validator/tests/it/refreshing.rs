//! Fetching, on paused time.

use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{Answer, Reason, SourceErrorKind};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::fake_source::{FakeSource, Script, builder, keys, reason, settle, started};
use crate::signer::{NOW, Signer, good_claims, jwks};

/// Moves paused time and lets the tasks that it wakes run.
async fn pass(duration: Duration) {
    advance(duration).await;
    settle().await;
}

const SECOND: Duration = Duration::from_secs(1);

/// D1
#[tokio::test(start_paused = true)]
async fn without_keys_every_token_gets_503_and_the_first_keys_end_that() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Fail(Answer::None));
    let validator = builder(&source).build().unwrap();
    let error = validator.validate(&signer.good()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::KeysUnavailable, "before `start`");
    assert_eq!(error.status(), 503);

    validator.start();
    validator.start();
    source.ended(3).await;
    assert!(!validator.ready());
    let before = Instant::now();
    let error = validator.validate(&signer.good()).await.unwrap_err();
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody waits");
    assert_eq!(error.reason(), Reason::KeysUnavailable);
    assert!(error.retry_after().unwrap() <= Duration::from_secs(2));
    let health = &validator.health()[0];
    assert_eq!((health.keys, health.usable, health.age), (0, false, None));
    assert_eq!(health.last_error, Some(SourceErrorKind::Other("told to")));

    source.set(keys(&[&signer]));
    let back = Instant::now();
    assert!(validator.wait_ready().await);
    assert!(back.elapsed() <= Duration::from_secs(2));
    assert_eq!(reason(&validator, &signer.good()).await, None);
    assert_eq!(validator.health()[0].consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_second_for_the_first_keys() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Hang);
    let validator = builder(&source).build().unwrap();
    validator.start();
    let before = Instant::now();
    assert_eq!(
        reason(&validator, &signer.good()).await,
        Some(Reason::KeysUnavailable)
    );
    assert_eq!(before.elapsed(), SECOND);
}

/// D2, D3, D5, D7
#[tokio::test(start_paused = true)]
async fn failed_fetches_leave_the_keys_in_use_until_they_are_too_old() {
    let signer = Signer::es256("k");
    for failure in [
        Script::Fail(Answer::None),
        Script::Fail(Answer::Unusable),
        Script::Fail(Answer::Refused),
        Script::Keys(jwks(&[])),
        Script::Keys(jwks(&[json!({"kty": "oct", "k": "AA"})])),
        Script::Keys(b"<html>".to_vec()),
        Script::NotModified,
        Script::Panic,
        Script::Hang,
    ] {
        let source = FakeSource::with_keys(&[&signer]);
        let validator = started(&source).await;
        source.set(failure.clone());
        source.ended(2).await;
        assert_eq!(
            reason(&validator, &signer.good()).await,
            None,
            "{failure:?}"
        );
        assert_eq!(validator.health()[0].consecutive_failures, 1, "{failure:?}");

        let age = validator.health()[0].age.unwrap();
        pass(Duration::from_secs(3_600) - age).await;
        assert_eq!(
            reason(&validator, &signer.good()).await,
            None,
            "{failure:?}"
        );
        assert!(validator.ready());

        pass(Duration::from_millis(1)).await;
        let error = validator.validate(&signer.good()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::KeysStale, "{failure:?}");
        assert_eq!(error.status(), 503);
        assert!(!validator.ready());

        source.set(keys(&[&signer]));
        assert!(validator.wait_ready().await);
        assert_eq!(
            reason(&validator, &signer.good()).await,
            None,
            "{failure:?}"
        );
    }
}

/// H10
#[tokio::test(start_paused = true)]
async fn a_panicking_source_is_asked_again() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Panic);
    let validator = builder(&source).build().unwrap();
    validator.start();
    source.ended(2).await;
    assert_eq!(
        validator.health()[0].last_error,
        Some(SourceErrorKind::Panicked)
    );
    source.set(keys(&[&signer]));
    assert!(validator.wait_ready().await);
}

/// D6
#[tokio::test(start_paused = true)]
async fn a_key_that_is_no_longer_published_is_refused_from_the_next_fetch_on() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old, &new]);
    let validator = started(&source).await;
    assert_eq!(reason(&validator, &old.good()).await, None);
    source.set(keys(&[&new]));
    source.ended(2).await;
    assert_eq!(
        reason(&validator, &old.good()).await,
        Some(Reason::UnknownKey)
    );
    assert_eq!(reason(&validator, &new.good()).await, None);
}

/// D22
#[tokio::test(start_paused = true)]
async fn after_a_hard_rotation_the_first_token_waits_for_one_fetch() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    source.set(Script::After(
        Duration::from_millis(500),
        Box::new(keys(&[&new])),
    ));
    let before = Instant::now();
    assert_eq!(reason(&validator, &new.good()).await, None);
    assert_eq!(before.elapsed(), Duration::from_millis(500));
    assert_eq!(source.calls(), 2);
    assert_eq!(
        reason(&validator, &old.good()).await,
        Some(Reason::UnknownKey)
    );
}

/// D21
#[tokio::test(start_paused = true)]
async fn an_overlapping_rotation_refuses_nobody() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    source.set(keys(&[&old, &new]));
    source.ended(2).await;
    for signer in [&old, &new] {
        let before = Instant::now();
        assert_eq!(reason(&validator, &signer.good()).await, None);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
    assert_eq!(source.calls(), 2);
}

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

    unknown.kid = "c".to_owned();
    assert_eq!(
        reason(&validator, &unknown.good()).await,
        Some(Reason::UnknownKey),
        "no fetch is left, and the last good one is fresh"
    );

    source.set(Script::Hang);
    pass(Duration::from_secs(31)).await;
    unknown.kid = "d".to_owned();
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
    assert_eq!(reason(&validator, &junk).await, Some(Reason::Segments));
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
    assert_eq!(reason(&validator, &new.good()).await, None);
}

/// D34
#[tokio::test(start_paused = true)]
async fn a_fetch_outlives_the_caller_that_caused_it() {
    let (signer, new) = (Signer::es256("k"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::After(
        Duration::from_millis(500),
        Box::new(keys(&[&new])),
    ));
    let caller = tokio::spawn({
        let (validator, token) = (validator.clone(), new.good());
        async move { validator.validate(&token).await.is_ok() }
    });
    source.called(2).await;
    caller.abort();
    source.ended(2).await;
    assert_eq!(reason(&validator, &new.good()).await, None);
    assert_eq!(source.calls(), 2);
}

/// D31
#[tokio::test(start_paused = true)]
async fn not_modified_keeps_the_keys_and_makes_them_young_again() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Tagged(jwks(&[signer.jwk()]), None));
    let validator = started(&source).await;
    source.set(Script::NotModified);
    source.ended(20).await;
    assert_eq!(reason(&validator, &signer.good()).await, None);
    let health = &validator.health()[0];
    assert_eq!((health.keys, health.last_error), (1, None));
    assert!(health.age.unwrap() < Duration::from_secs(300));
    let conditional = source.conditional();
    assert!(!conditional[0] && conditional[1..].iter().all(|it| *it));

    let empty = FakeSource::new(Script::NotModified);
    let validator = builder(&empty).build().unwrap();
    validator.start();
    empty.ended(1).await;
    assert_eq!(
        validator.health()[0].last_error,
        Some(SourceErrorKind::NothingToKeep)
    );
}

/// D32
#[tokio::test(start_paused = true)]
async fn the_refresh_comes_at_four_fifths_of_a_clamped_freshness() {
    let signer = Signer::es256("k");
    for (max_age, fresh) in [
        (None, 300),
        (Some(0), 60),
        (Some(59), 60),
        (Some(100), 100),
        (Some(86_400), 300),
        (Some(u64::MAX), 300),
    ] {
        let source = FakeSource::new(Script::Tagged(
            jwks(&[signer.jwk()]),
            max_age.map(Duration::from_secs),
        ));
        let validator = started(&source).await;
        let before = Instant::now();
        source.called(2).await;
        let waited = before.elapsed().as_secs_f64() / f64::from(fresh);
        assert!((0.71..=0.89).contains(&waited), "{max_age:?}: {waited}");
        validator.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_limit_is_kept_by_fetching_more_often() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = builder(&source).max_stale(10 * SECOND).build().unwrap();
    validator.start();
    for fetches in 1..20 {
        source.ended(fetches).await;
        assert!(validator.ready());
    }
}

/// D27, D28
#[tokio::test(start_paused = true)]
async fn one_key_id_at_two_issuers_means_two_keys() {
    let (a, b) = (Signer::es256("k"), Signer::es256("k"));
    let (source_a, source_b) = (FakeSource::with_keys(&[&a]), FakeSource::with_keys(&[&b]));
    let validator = builder(&source_a)
        .issuer("https://b.example", source_b.clone())
        .build()
        .unwrap();
    validator.start();
    source_a.ended(1).await;
    source_b.ended(1).await;
    let mut of_b = good_claims();
    of_b["iss"] = "https://b.example".into();
    assert_eq!(reason(&validator, &a.good()).await, None);
    assert_eq!(reason(&validator, &b.token(&of_b)).await, None);
    assert_eq!(reason(&validator, &b.good()).await, Some(Reason::Signature));
    assert_eq!(
        reason(&validator, &a.token(&of_b)).await,
        Some(Reason::Signature)
    );
}

/// B18, H7
#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_running_fetch_at_once() {
    let source = FakeSource::new(Script::Hang);
    let validator = builder(&source).build().unwrap();
    validator.start();
    source.called(1).await;
    let before = Instant::now();
    validator.shutdown().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    source.ended(1).await;
    assert!(!validator.wait_ready().await);
}

#[tokio::test(start_paused = true)]
async fn the_tasks_die_with_the_last_validator() {
    let source = FakeSource::new(Script::Hang);
    let validator = builder(&source).build().unwrap();
    validator.start();
    source.called(1).await;
    let clone = validator.clone();
    drop(validator);
    settle().await;
    assert!(!clone.ready());
    drop(clone);
    source.ended(1).await;
}

/// F25
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_not_set_gives_503() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let clock = ManualClock::at_unix(NOW.unsigned_abs());
    let validator = builder(&source)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    validator.start();
    assert!(validator.wait_ready().await);
    clock.set(std::time::UNIX_EPOCH);
    let error = validator.validate(&signer.good()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ClockUnset);
    assert!(error.retry_after().is_some());
}
