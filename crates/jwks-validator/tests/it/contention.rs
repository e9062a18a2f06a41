//! Many callers at once, and callers of one issuer while another one is in trouble.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jwks_validator::{Answer, JwtValidator, Reason};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use crate::fake_source::{
    FakeSource, SECOND, Script, at_once, builder, keys, pass, reason, settle, started,
};
use crate::signer::{NOW, Signer, good_claims};

/// How many callers wait for a fetch of one issuer.
const PLACES: usize = 64;

/// D33
#[tokio::test(start_paused = true)]
async fn ten_thousand_first_callers_cost_one_fetch_and_all_are_answered() {
    let signer = Signer::new("EdDSA", "k");
    let source = FakeSource::new(Script::After(
        Duration::from_millis(900),
        Box::new(keys(&[&signer])),
    ));
    let validator = builder(&source).build().unwrap();
    validator.start();
    let token: Arc<str> = signer.good().into();
    let mut callers = JoinSet::new();
    for _ in 0..10_000 {
        let (validator, token) = (validator.clone(), Arc::clone(&token));
        callers.spawn(async move {
            let begun = Instant::now();
            (reason(&validator, &token).await, begun.elapsed())
        });
    }
    let answers = callers.join_all().await;
    let count = |answer| answers.iter().filter(|it| **it == answer).count();
    let refused = (Some(Reason::KeysUnavailable), Duration::ZERO);
    assert_eq!(count((None, Duration::from_millis(900))), PLACES);
    assert_eq!(count(refused), 10_000 - PLACES);
    assert_eq!(source.calls(), 1);
    assert_eq!(reason(&validator, &token).await, None);
}

/// N42
#[tokio::test(start_paused = true)]
async fn key_ids_that_nobody_knows_hold_64_places_while_an_issuer_hangs_and_none_once_it_failed() {
    let signer = Signer::new("EdDSA", "k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::After(
        3 * SECOND,
        Box::new(Script::Fail(Answer::None)),
    ));
    let good = signer.good();
    let mut forger = Signer::new("EdDSA", "");
    let mut flood = |validator: &JwtValidator, wave: usize| {
        let mut callers = JoinSet::new();
        for n in 0..1_000 {
            forger.kid = format!("{wave}-{n}");
            let (validator, token) = (validator.clone(), forger.good());
            callers.spawn(async move {
                let begun = Instant::now();
                (reason(&validator, &token).await, begun.elapsed())
            });
        }
        callers
    };
    let undetermined = Some(Reason::KeyUndetermined);
    for (wave, waiting) in [(0, PLACES), (1, PLACES), (2, PLACES), (3, 0), (4, 0)] {
        let callers = flood(&validator, wave);
        settle().await;
        let answer = at_once(validator.validate(&good)).await;
        assert!(answer.is_some_and(|answer| answer.is_ok()), "{wave}");
        let answers = callers.join_all().await;
        let count = |waited| {
            let answer = (undetermined, waited);
            answers.iter().filter(|it| **it == answer).count()
        };
        assert_eq!(count(SECOND), waiting, "{wave}");
        assert_eq!(count(Duration::ZERO), 1_000 - waiting, "{wave}");
        if waiting == 0 {
            pass(SECOND).await;
        }
    }
}

/// N42
#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_when_its_caller_goes_away() {
    let signer = Signer::new("EdDSA", "k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::Hang);
    let unknown = Signer::new("EdDSA", "unknown").good();
    let mut waiting: Vec<_> = (0..PLACES)
        .map(|_| Box::pin(validator.validate(&unknown)))
        .collect();
    for caller in &mut waiting {
        assert!(at_once(caller.as_mut()).await.is_none(), "it waits");
    }
    assert!(at_once(validator.validate(&unknown)).await.is_some());
    waiting.pop();
    assert!(at_once(validator.validate(&unknown)).await.is_none());
}

/// D22, D33
#[tokio::test(start_paused = true)]
async fn all_who_bring_a_new_key_id_wait_for_the_same_fetch() {
    let (old, new) = (Signer::new("EdDSA", "old"), Signer::new("EdDSA", "new"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    let delay = Duration::from_millis(400);
    source.set(Script::After(delay, Box::new(keys(&[&old, &new]))));
    let (old, new): (Arc<str>, Arc<str>) = (old.good().into(), new.good().into());
    let mut callers = JoinSet::new();
    for n in 0..2 * PLACES {
        let validator = validator.clone();
        let is_new = n % 2 == 0;
        let token = Arc::clone(if is_new { &new } else { &old });
        callers.spawn(async move {
            let begun = Instant::now();
            validator.validate(&token).await.unwrap();
            (is_new, begun.elapsed())
        });
    }
    let waits: BTreeSet<_> = callers.join_all().await.into_iter().collect();
    assert_eq!(waits, [(false, Duration::ZERO), (true, delay)].into());
    assert_eq!(source.calls(), 2);
}

/// D23, D33
#[tokio::test(start_paused = true)]
async fn all_who_bring_a_replaced_key_wait_for_the_same_fetch() {
    let (old, new) = (Signer::new("EdDSA", "k"), Signer::new("EdDSA", "k"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    pass(Duration::from_secs(31)).await;
    let delay = Duration::from_millis(400);
    source.set(Script::After(delay, Box::new(keys(&[&new]))));
    let token: Arc<str> = new.good().into();
    let mut callers = JoinSet::new();
    for _ in 0..PLACES {
        let (validator, token) = (validator.clone(), Arc::clone(&token));
        callers.spawn(async move { validator.validate(&token).await.is_ok() });
    }
    assert!(
        callers
            .join_all()
            .await
            .into_iter()
            .all(|accepted| accepted)
    );
    assert_eq!(source.calls(), 2);
}

/// D36
#[tokio::test(start_paused = true)]
async fn bad_signatures_do_not_wait_while_fetches_fail() {
    let (signer, stranger) = (Signer::new("EdDSA", "k"), Signer::new("EdDSA", "k"));
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::Fail(Answer::None));
    pass(Duration::from_secs(31)).await;
    let forged = stranger.good();
    assert_eq!(reason(&validator, &forged).await, Some(Reason::Signature));
    source.set(Script::Hang);
    source.called(source.calls() + 1).await;
    let refused = at_once(validator.validate(&forged)).await;
    assert!(refused.is_some_and(|result| result.is_err()));
}

/// D36
#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_signatures_costs_two_fetches_a_minute() {
    let (signer, stranger) = (Signer::new("EdDSA", "k"), Signer::new("EdDSA", "k"));
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    let (good, forged) = (signer.good(), stranger.good());
    for _ in 0..600 {
        for _ in 0..4 {
            assert_eq!(reason(&validator, &forged).await, Some(Reason::Signature));
        }
        assert!(at_once(validator.validate(&good)).await.unwrap().is_ok());
        advance(SECOND).await;
    }
    // The first one, and one per half minute; each puts off the one that is due by itself.
    assert!(source.calls() <= 1 + 600 / 30, "{}", source.calls());
}

/// D30
#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_keeps_nobody_else_waiting() {
    let of_b = |mut claims: Value, id: usize| {
        claims["iss"] = "https://b.example".into();
        claims["jti"] = id.to_string().into();
        claims
    };
    let (a, b, new) = (
        Signer::new("EdDSA", "k"),
        Signer::new("EdDSA", "k"),
        Signer::new("EdDSA", "new"),
    );
    for has_keys in [false, true] {
        let hanging = match has_keys {
            false => FakeSource::new(Script::Hang),
            true => FakeSource::with_keys(&[&a]),
        };
        let sound = FakeSource::with_keys(&[&b]);
        let validator = builder(&hanging)
            .issuer("https://b.example", sound.clone())
            .verified_cache(64)
            .build()
            .unwrap();
        validator.start();
        sound.ended(1).await;
        hanging.set(Script::Hang);
        if has_keys {
            hanging.called(2).await;
        }

        // Callers of the first issuer wait all the time, with tokens that its keys decide on or not.
        let mut waiting = JoinSet::new();
        for n in 0..PLACES {
            let mut unknown = Signer::new("EdDSA", "");
            unknown.kid = format!("unknown {n}");
            let (validator, token) = (validator.clone(), unknown.good());
            waiting.spawn(async move { validator.validate(&token).await.is_ok() });
        }
        settle().await;
        assert!(waiting.try_join_next().is_none(), "all of them wait");
        for id in 0..200 {
            let token = b.token(&of_b(good_claims(), id % 50));
            let answer = at_once(validator.validate(&token)).await;
            assert!(answer.expect("an answer at once").is_ok());
            let mut claims = of_b(good_claims(), id);
            claims["exp"] = (NOW - 300).into();
            let answer = at_once(validator.validate(&b.token(&claims))).await;
            let refused = answer.expect("an answer at once").unwrap_err();
            assert_eq!(refused.reason(), Reason::Expired);
            advance(Duration::from_millis(4)).await;
        }
        assert!(waiting.try_join_next().is_none(), "they still wait");
        // What the other issuer is asked is its own affair too.
        let fetches = sound.calls();
        sound.set(keys(&[&b, &new]));
        let before = Instant::now();
        let rotated = new.token(&of_b(good_claims(), 0));
        assert_eq!(reason(&validator, &rotated).await, None);
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(sound.calls(), fetches + 1);

        let expected = match has_keys {
            false => Some(Reason::KeysUnavailable),
            true => None,
        };
        assert_eq!(reason(&validator, &a.good()).await, expected);
        let usable: Vec<bool> = validator.health().iter().map(|one| one.usable).collect();
        assert_eq!(usable, [has_keys, true]);
        assert!(!waiting.join_all().await.contains(&true));
        validator.shutdown().await;
    }
}
