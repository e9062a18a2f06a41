//! Fetching, on paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clock::ManualClock;
use jwks_validator::{
    Answer, EntityTag, FetchErrorKind, Fetched, JwtValidator, KeySource, Reason, SourceError,
    SourceErrorKind,
};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::fake_source::{
    FakeSource, SECOND, Script, builder, keys, pass, ready, reason, settle, started,
};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, good_claims, jwks};

/// D1
#[tokio::test(start_paused = true)]
async fn without_keys_every_token_gets_503_and_the_first_keys_end_that() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Fail(Answer::None));
    let validator = builder(&source).build().unwrap();
    let error = validator.validate(&signer.good()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::KeysUnavailable, "the first fetch");
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
    let validator = ready(builder(&source).clock(Arc::new(clock.clone()))).await;
    clock.set(std::time::UNIX_EPOCH);
    let error = validator.validate(&signer.good()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ClockUnset);
    assert!(error.retry_after().is_some());
}

/// A source whose failures are those of TLS, under settings that change.
#[derive(Clone, Debug)]
struct OverTls {
    source: FakeSource,
    version: Arc<AtomicU64>,
}

#[async_trait]
impl KeySource for OverTls {
    async fn fetch(&self, tag: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        let fetched = self.source.fetch(tag).await;
        fetched.map_err(|error| {
            SourceError::new(SourceErrorKind::Fetch(FetchErrorKind::Tls), error.answer())
        })
    }

    async fn settings_version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }
}

/// N25
#[tokio::test(start_paused = true)]
async fn renewed_settings_end_the_wait_after_a_failure_of_tls() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Fail(Answer::Unusable));
    let version = Arc::new(AtomicU64::new(0));
    let over_tls = OverTls {
        source: source.clone(),
        version: Arc::clone(&version),
    };
    let validator = JwtValidator::builder()
        .issuer(ISSUER, over_tls)
        .audience(AUDIENCE)
        .clock(Arc::new(ManualClock::at_unix(NOW.unsigned_abs())))
        .build()
        .unwrap();
    validator.start();
    source.ended(7).await;
    // The next attempt is 15 s away at least.
    source.set(keys(&[&signer]));
    advance(2 * SECOND).await;
    settle().await;
    assert_eq!(source.calls(), 7);
    version.store(1, Ordering::Relaxed);
    advance(SECOND).await;
    settle().await;
    assert_eq!(source.calls(), 8);
    assert!(validator.ready());
}
