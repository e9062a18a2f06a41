//! Keys that grow old while nobody looks: a suspended machine, a frozen container, a clock that is set.

use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{Answer, JwtValidator, Reason};
use tokio::time::Instant;

use crate::fake_source::{
    FakeSource, SECOND, Script, at_once, builder, keys, pass, ready, reason, settle,
};
use crate::signer::{NOW, Signer};

const HOUR: Duration = Duration::from_secs(3_600);

struct Setup {
    source: FakeSource,
    clock: ManualClock,
    validator: JwtValidator,
    signer: Signer,
    /// Good for longer than any freeze.
    token: String,
}

async fn setup(cached: usize) -> Setup {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let clock = ManualClock::at_unix(NOW.unsigned_abs());
    let validator = ready(
        builder(&source)
            .clock(Arc::new(clock.clone()))
            .verified_cache(cached),
    )
    .await;
    let mut claims = crate::signer::good_claims();
    claims["exp"] = (NOW + 12 * 3_600).into();
    Setup {
        token: signer.token(&claims),
        source,
        clock,
        validator,
        signer,
    }
}

/// N44
#[tokio::test(start_paused = true)]
async fn keys_grow_old_by_the_wall_clock_too_while_the_monotonic_one_stands_still() {
    for cached in [0, 8] {
        let Setup {
            source,
            clock,
            validator,
            token,
            ..
        } = setup(cached).await;
        assert_eq!(reason(&validator, &token).await, None);
        source.set(Script::Fail(Answer::None));
        clock.advance(HOUR);
        assert_eq!(reason(&validator, &token).await, None);
        assert!(validator.ready());
        clock.advance(SECOND);
        let health = &validator.health()[0];
        assert_eq!((health.usable, health.age), (false, Some(HOUR + SECOND)));
        assert_eq!(reason(&validator, &token).await, Some(Reason::KeysStale));
        assert!(!validator.ready());
        // A clock that is set back makes nothing younger than it is by the other one.
        clock.step_back(2 * HOUR);
        assert_eq!(reason(&validator, &token).await, Some(Reason::NotYetValid));
        clock.advance(HOUR);
        pass(HOUR + SECOND).await;
        assert_eq!(reason(&validator, &token).await, Some(Reason::KeysStale));
    }
}

/// N45
#[tokio::test(start_paused = true)]
async fn after_a_freeze_the_first_callers_wait_for_the_fetch_and_are_accepted() {
    let Setup {
        source,
        clock,
        validator,
        signer,
        token,
    } = setup(8).await;
    assert_eq!(reason(&validator, &token).await, None);
    let delay = Duration::from_millis(400);
    source.set(Script::After(delay, Box::new(keys(&[&signer]))));
    clock.advance(2 * HOUR);
    let before = Instant::now();
    let (first, second) = tokio::join!(validator.validate(&token), validator.validate(&token));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!((before.elapsed(), source.calls()), (delay, 2));

    source.set(Script::Hang);
    clock.advance(2 * HOUR);
    let before = Instant::now();
    assert_eq!(reason(&validator, &token).await, Some(Reason::KeysStale));
    assert_eq!(before.elapsed(), SECOND, "nobody waits longer");
}

/// N45
#[tokio::test(start_paused = true)]
async fn after_a_freeze_nobody_waits_once_a_fetch_has_failed() {
    let Setup {
        source,
        clock,
        validator,
        token,
        ..
    } = setup(0).await;
    source.set(Script::Fail(Answer::None));
    clock.advance(2 * HOUR);
    assert_eq!(reason(&validator, &token).await, Some(Reason::KeysStale));
    assert_eq!(source.calls(), 2);
    source.set(Script::Hang);
    source.called(3).await;
    let answer = at_once(validator.validate(&token)).await;
    assert_eq!(answer.unwrap().unwrap_err().reason(), Reason::KeysStale);
}

/// N45
#[tokio::test(start_paused = true)]
async fn a_look_at_the_readiness_is_enough_to_have_old_keys_fetched() {
    let Setup {
        source,
        clock,
        validator,
        ..
    } = setup(0).await;
    clock.advance(2 * HOUR);
    assert!(!validator.ready());
    settle().await;
    assert!(validator.ready());
    assert_eq!(source.calls(), 2);
}
