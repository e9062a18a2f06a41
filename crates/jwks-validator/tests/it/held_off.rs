//! `Retry-After` of an issuer, which holds for whoever wants a fetch.

use std::time::Duration;

use jwks_validator::{Answer, Reason, RefreshOutcome};
use tokio::time::Instant;

use crate::fake_source::{
    FakeSource, SECOND, Script, at_once, builder, keys, pass, reason, started,
};
use crate::signer::Signer;

const MINUTE: Duration = Duration::from_secs(60);

/// N43
#[tokio::test(start_paused = true)]
async fn retry_after_binds_fetches_that_are_due_and_those_that_are_asked_for() {
    let (signer, new) = (Signer::es256("k"), Signer::es256("new"));
    let stranger = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    pass(Duration::from_secs(31)).await;
    source.set(Script::Busy(2 * MINUTE));
    let undetermined = Some(Reason::KeyUndetermined);
    assert_eq!(reason(&validator, &new.good()).await, undetermined);
    assert_eq!(source.calls(), 2);
    let asked = Instant::now();
    source.set(keys(&[&signer, &new]));
    while asked.elapsed() < 2 * MINUTE - SECOND {
        for (token, expected) in [
            (new.good(), undetermined),
            (stranger.good(), Some(Reason::Signature)),
            (signer.good(), None),
        ] {
            let answer = at_once(validator.validate(&token)).await.expect("no wait");
            if let Err(error) = &answer
                && error.status() == 503
            {
                let left = 2 * MINUTE - asked.elapsed();
                let wait = error.retry_after().unwrap();
                assert!(wait >= left.min(Duration::from_secs(30)), "{wait:?}");
            }
            assert_eq!(answer.err().map(|error| error.reason()), expected);
        }
        let refreshed = validator.refresh().await;
        let RefreshOutcome::TooSoon { retry_after } = refreshed[0].outcome else {
            panic!("{refreshed:?}");
        };
        assert_eq!(retry_after, 2 * MINUTE - asked.elapsed());
        assert_eq!(source.calls(), 2);
        pass(7 * SECOND).await;
    }
    source.ended(3).await;
    assert!(asked.elapsed() >= 2 * MINUTE);
    assert!(asked.elapsed() <= 2 * MINUTE + SECOND);
    assert_eq!(reason(&validator, &new.good()).await, None);
}

/// N43
#[tokio::test(start_paused = true)]
async fn an_operator_who_asks_during_the_fetch_that_brings_retry_after_is_told_to_wait() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::After(SECOND, Box::new(Script::Busy(MINUTE))));
    source.called(2).await;
    let refreshed = validator.refresh().await;
    let outcome = RefreshOutcome::TooSoon {
        retry_after: MINUTE,
    };
    assert_eq!(refreshed[0].outcome, outcome);
    assert_eq!(source.calls(), 2);
    source.set(keys(&[&signer]));
    let before = Instant::now();
    source.ended(3).await;
    assert!(before.elapsed() >= MINUTE, "{:?}", before.elapsed());
}

/// N43
#[tokio::test(start_paused = true)]
async fn an_issuer_that_wants_to_be_left_alone_for_ever_is_asked_after_five_minutes() {
    let signer = Signer::es256("k");
    let source = FakeSource::new(Script::Busy(Duration::MAX));
    let validator = builder(&source).build().unwrap();
    validator.start();
    source.ended(1).await;
    source.set(keys(&[&signer]));
    let before = Instant::now();
    assert!(validator.wait_ready().await);
    assert_eq!(before.elapsed().as_secs(), 300);
}

/// D20
#[tokio::test(start_paused = true)]
async fn a_new_key_is_503_for_as_long_as_the_last_fetch_failed() {
    let (signer, new) = (Signer::es256("k"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&signer]);
    let validator = started(&source).await;
    source.set(Script::Fail(Answer::Unusable));
    let token = new.good();
    for _ in 0..200 {
        assert_eq!(
            reason(&validator, &token).await,
            Some(Reason::KeyUndetermined)
        );
        pass(SECOND).await;
    }
    source.set(keys(&[&signer]));
    let ended = source.calls() + 1;
    source.ended(ended).await;
    assert_eq!(reason(&validator, &token).await, Some(Reason::UnknownKey));
}

/// D23
#[tokio::test(start_paused = true)]
async fn a_replaced_key_is_found_by_the_fetch_that_began_while_its_token_waited_for_another() {
    let (old, new) = (Signer::es256("k"), Signer::es256("k"));
    let source = FakeSource::with_keys(&[&old]);
    let validator = started(&source).await;
    // The fetch that is due reads the old keys, slowly; the operator asks for another one behind it.
    let slow = |script| Script::After(Duration::from_millis(300), Box::new(script));
    source.set(slow(keys(&[&old])));
    source.called(2).await;
    source.set(slow(keys(&[&new])));
    let refreshing = tokio::spawn({
        let validator = validator.clone();
        async move { validator.refresh().await.len() }
    });
    pass(Duration::from_millis(1)).await;
    assert_eq!(reason(&validator, &new.good()).await, None);
    assert_eq!(refreshing.await.unwrap(), 1);
    assert_eq!(source.calls(), 3);
}
