//! What an operator can do to a running validator.

use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{
    Answer, JwtValidator, Reason, RefreshOutcome, SourceErrorKind, UnknownIssuer,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use crate::fake_source::{
    FakeSource, SECOND, Script, builder, keys, pass, ready, reason, settle, started,
};
use crate::signer::{ISSUER, NOW, Signer, good_claims};

async fn refresh(validator: &JwtValidator) -> RefreshOutcome {
    let refreshed = validator.refresh().await;
    let [only] = &refreshed[..] else {
        panic!("one issuer: {refreshed:?}");
    };
    assert_eq!(only.issuer, ISSUER);
    only.outcome.clone()
}

/// D40
#[tokio::test(start_paused = true)]
async fn a_refresh_brings_the_keys_of_now_and_is_limited_in_rate() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    source.set(keys(&[&new]));
    assert_eq!(refresh(&validator).await, RefreshOutcome::Refreshed);
    assert_eq!(source.calls(), 2);
    assert_eq!(reason(&validator, &new.good()).await, None);
    advance(Duration::from_secs(4)).await;
    for _ in 0..10 {
        let retry_after = Duration::from_secs(6);
        assert_eq!(
            refresh(&validator).await,
            RefreshOutcome::TooSoon { retry_after }
        );
    }
    assert_eq!(source.calls(), 2);
    advance(Duration::from_secs(6)).await;
    assert_eq!(refresh(&validator).await, RefreshOutcome::Refreshed);
    assert_eq!(source.calls(), 3);
}

/// D40, D5
#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_leaves_the_keys_in_use() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::Fail(Answer::Refused));
    let failed = RefreshOutcome::Failed(SourceErrorKind::Other("told to"));
    assert_eq!(refresh(&validator).await, failed);
    assert_eq!(reason(&validator, &signer.good()).await, None);
    source.set(Script::Hang);
    advance(Duration::from_secs(10)).await;
    let before = Instant::now();
    let slow = RefreshOutcome::Failed(SourceErrorKind::TooSlow);
    assert_eq!(refresh(&validator).await, slow);
    assert!(before.elapsed() <= Duration::from_secs(30));
    assert_eq!(reason(&validator, &signer.good()).await, None);
}

/// D40
#[tokio::test(start_paused = true)]
async fn callers_of_one_moment_share_one_refresh() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::After(
        Duration::from_secs(1),
        Box::new(keys(&[&signer])),
    ));
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let validator = validator.clone();
        callers.spawn(async move { refresh(&validator).await });
    }
    for outcome in callers.join_all().await {
        assert_eq!(outcome, RefreshOutcome::Refreshed);
    }
    assert_eq!(source.calls(), 2);
}

/// D40
#[tokio::test(start_paused = true)]
async fn a_refresh_does_not_settle_for_a_fetch_that_began_before() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let late = |then| Script::After(Duration::from_millis(500), Box::new(then));
    let source = FakeSource::new(late(keys(&[&old])));
    let validator = builder(&source).build().unwrap();
    validator.start();
    source.called(1).await;
    source.set(late(keys(&[&new])));
    // The script is read when the call begins.
    assert_eq!(refresh(&validator).await, RefreshOutcome::Refreshed);
    assert_eq!(source.calls(), 2);
    assert_eq!(reason(&validator, &new.good()).await, None);
}

/// D30, D40
#[tokio::test(start_paused = true)]
async fn a_refresh_asks_all_issuers_side_by_side() {
    let signer = Signer::es256("k");
    let late = || {
        FakeSource::new(Script::After(
            Duration::from_secs(1),
            Box::new(keys(&[&signer])),
        ))
    };
    let (a, b, hanging) = (late(), late(), FakeSource::new(Script::Hang));
    let validator = builder(&a)
        .issuer("https://b.example", b.clone())
        .issuer("https://c.example", hanging)
        .build()
        .unwrap();
    validator.start();
    a.ended(1).await;
    b.ended(1).await;
    let before = Instant::now();
    let refreshed = validator.refresh().await;
    assert!(before.elapsed() <= Duration::from_secs(30));
    let outcomes: Vec<_> = refreshed.iter().map(|one| &one.outcome).collect();
    assert_eq!(
        outcomes,
        [
            &RefreshOutcome::Refreshed,
            &RefreshOutcome::Refreshed,
            &RefreshOutcome::Failed(SourceErrorKind::TooSlow)
        ]
    );
}

/// D40, B18
#[tokio::test(start_paused = true)]
async fn a_refresh_starts_a_validator_and_ends_with_it() {
    let source = FakeSource::with_keys(&[&Signer::es256("k")]);
    let validator = builder(&source).build().unwrap();
    // Nobody has started it: the refresh does.
    assert_eq!(refresh(&validator).await, RefreshOutcome::Refreshed);
    pass(10 * SECOND).await;
    source.set(Script::Hang);
    let waiting = tokio::spawn({
        let validator = validator.clone();
        async move { refresh(&validator).await }
    });
    source.called(2).await;
    validator.shutdown().await;
    assert_eq!(waiting.await.unwrap(), RefreshOutcome::NotRunning);
    assert_eq!(refresh(&validator).await, RefreshOutcome::NotRunning);
}

/// E30
#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_dead_at_once_and_stays_dead_while_it_is_published() {
    let (bad, good) = (Signer::es256("bad"), Signer::es256("good"));
    let source = FakeSource::with_keys(&[&bad, &good]);
    let validator = ready(builder(&source).verified_cache(8)).await;
    let token = bad.good();
    assert_eq!(reason(&validator, &token).await, None, "cached now");
    validator.revoke_kid(ISSUER, "bad").unwrap();
    validator.revoke_kid(ISSUER, "bad").unwrap();
    let revoked = Some(Reason::KeyRevoked);
    assert_eq!(reason(&validator, &token).await, revoked);
    assert_eq!(Reason::KeyRevoked.status().as_u16(), 401);
    assert_eq!(reason(&validator, &good.good()).await, None);
    let health = &validator.health()[0];
    assert_eq!((health.keys, health.revoked_keys), (1, 1));
    assert_eq!(source.calls(), 1, "a revoked key is not asked about");

    for (fetches, script) in [
        (2, keys(&[&bad, &good])),
        (3, keys(&[&good])),
        (4, keys(&[&good, &bad])),
        (5, Script::Fail(Answer::None)),
    ] {
        source.set(script);
        source.ended(fetches).await;
        assert_eq!(reason(&validator, &token).await, revoked, "{fetches}");
        assert_eq!(reason(&validator, &good.good()).await, None, "{fetches}");
    }
    assert_eq!(validator.unrevoke_kid(ISSUER, "bad"), Ok(true));
    assert_eq!(validator.unrevoke_kid(ISSUER, "bad"), Ok(false));
    assert_eq!(reason(&validator, &token).await, None);
}

/// D11
#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_no_choice_for_tokens_that_name_none() {
    let (bad, good) = (Signer::es256("bad"), Signer::es256("good"));
    let validator = ready(builder(&FakeSource::with_keys(&[&bad, &good])).verified_cache(8)).await;
    let nameless = |signer: &Signer| signer.raw(r#"{"alg":"ES256"}"#, good_claims().to_string());
    let (of_bad, of_good) = (nameless(&bad), nameless(&good));
    assert_eq!(reason(&validator, &of_bad).await, None);
    assert_eq!(reason(&validator, &of_good).await, None);
    validator.revoke_kid(ISSUER, "bad").unwrap();
    assert_eq!(reason(&validator, &of_good).await, None);
    assert_eq!(reason(&validator, &of_bad).await, Some(Reason::Signature));
    validator.revoke_kid(ISSUER, "good").unwrap();
    assert_eq!(reason(&validator, &of_good).await, Some(Reason::UnknownKey));
    assert_eq!(reason(&validator, &of_bad).await, Some(Reason::UnknownKey));
}

/// D28
#[tokio::test(start_paused = true)]
async fn a_key_is_revoked_at_one_issuer_and_before_its_first_fetch_too() {
    let (a, b) = (Signer::es256("k"), Signer::es256("k"));
    let source_b = FakeSource::with_keys(&[&b]);
    let validator = builder(&FakeSource::with_keys(&[&a]))
        .issuer("https://b.example", source_b.clone())
        .build()
        .unwrap();
    validator.revoke_kid(ISSUER, "k").unwrap();
    assert_eq!(
        validator.revoke_kid("https://c.example", "k"),
        Err(UnknownIssuer)
    );
    assert_eq!(
        validator.unrevoke_kid("https://idp.example/", "k"),
        Err(UnknownIssuer)
    );
    validator.start();
    assert!(validator.wait_ready().await);
    source_b.ended(1).await;
    let mut of_b = good_claims();
    of_b["iss"] = "https://b.example".into();
    assert_eq!(
        reason(&validator, &a.good()).await,
        Some(Reason::KeyRevoked)
    );
    assert_eq!(reason(&validator, &b.token(&of_b)).await, None);
}

/// D38
#[tokio::test(start_paused = true)]
async fn a_step_of_the_wall_clock_moves_no_fetch() {
    let signer = Signer::es256("k");
    for step in [Duration::from_secs(30 * 86_400), Duration::ZERO] {
        let source = FakeSource::with_keys(&[&signer]);
        let clock = ManualClock::at_unix(NOW.unsigned_abs());
        let validator = ready(builder(&source).clock(Arc::new(clock.clone()))).await;
        let before = Instant::now();
        clock.advance(step);
        clock.step_back(step * 2);
        settle().await;
        assert_eq!(source.calls(), 1, "no fetch at once");
        source.ended(2).await;
        let waited = before.elapsed().as_secs();
        assert!((215..=265).contains(&waited), "{waited}");
        assert!(validator.ready(), "nor do the keys age by it");
        validator.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bounded_wait_for_readiness_ends_in_time() {
    let source = FakeSource::new(Script::Hang);
    let validator = builder(&source).build().unwrap();
    validator.start();
    let before = Instant::now();
    let limit = Duration::from_secs(5);
    assert!(!validator.ready_within(limit).await);
    assert_eq!(before.elapsed(), limit);
    source.set(keys(&[&Signer::es256("k")]));
    assert!(validator.ready_within(Duration::from_secs(60)).await);
    assert!(validator.ready_within(Duration::ZERO).await);
}

#[tokio::test(start_paused = true)]
async fn the_keys_in_use_are_listed_with_their_age() {
    let (old, new) = (Signer::es256("old"), Signer::new("EdDSA", "new"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    advance(Duration::from_secs(20)).await;
    source.set(keys(&[&old, &new]));
    assert_eq!(refresh(&validator).await, RefreshOutcome::Refreshed);
    advance(Duration::from_secs(5)).await;
    validator.revoke_kid(ISSUER, "old").unwrap();
    let listed: Vec<_> = validator
        .keys()
        .into_iter()
        .map(|key| {
            assert_eq!(key.issuer, ISSUER);
            let algorithm = key.algorithm.as_str();
            (key.kid.unwrap(), algorithm, key.age.as_secs(), key.revoked)
        })
        .collect();
    let expected = [("old", "ES256", 25, true), ("new", "EdDSA", 5, false)];
    let expected = expected.map(|(kid, alg, age, revoked)| (kid.to_owned(), alg, age, revoked));
    assert_eq!(listed, expected);
}

#[tokio::test(start_paused = true)]
async fn health_tells_what_fetches_are_left_and_when_the_next_one_is_due() {
    let (known, unknown) = (Signer::es256("known"), Signer::es256("unknown"));
    let source = FakeSource::with_keys(&[&known]);
    let validator = started(&source).await;
    let health = |validator: &JwtValidator| validator.health().remove(0);
    assert_eq!(health(&validator).fetches_left, 2);
    let due = health(&validator).next_fetch_in.as_secs();
    assert!((215..=265).contains(&due), "{due}");
    assert_eq!(
        reason(&validator, &unknown.good()).await,
        Some(Reason::UnknownKey)
    );
    assert_eq!(health(&validator).fetches_left, 1);
    advance(Duration::from_secs(30)).await;
    assert_eq!(health(&validator).fetches_left, 2);
}
