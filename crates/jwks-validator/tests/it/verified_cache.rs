//! The cache of verified tokens.

use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{JwtValidator, Reason};
use serde_json::json;

use crate::fake_source::{FakeSource, Script, builder, keys, reason};
use crate::signer::{ISSUER, NOW, Signer, at, encode, good_claims, jwks};
use crate::single_keys::jwk;

struct Setup {
    source: FakeSource,
    clock: ManualClock,
    validator: JwtValidator,
}

async fn setup(source: FakeSource, entries: usize) -> Setup {
    let clock = ManualClock::at_unix(NOW.unsigned_abs());
    let validator = builder(&source)
        .clock(Arc::new(clock.clone()))
        .verified_cache(entries)
        .build()
        .unwrap();
    validator.start();
    assert!(validator.wait_ready().await);
    Setup {
        source,
        clock,
        validator,
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_token_gets_the_claims_of_the_first_time() {
    let signer = Signer::es256("k");
    let Setup { validator, .. } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let token = signer.good();
    let first = validator.validate(&token).await.unwrap();
    let second = validator.validate(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test(start_paused = true)]
async fn the_cache_tells_how_many_it_holds_and_how_many_it_found() {
    let signer = Signer::es256("k");
    let Setup { validator, .. } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let token = signer.good();
    for _ in 0..5 {
        validator.validate(&token).await.unwrap();
    }
    assert!(validator.validate("a.b.c").await.is_err());
    let cache = validator.verified_cache().unwrap();
    assert_eq!((cache.entries, cache.capacity), (1, 8));
    assert_eq!((cache.looked_up, cache.found), (6, 4));
    let without = builder(&FakeSource::with_keys(&[&signer])).build().unwrap();
    assert_eq!(without.verified_cache(), None);
}

/// F25
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_not_set_decides_on_no_cached_token() {
    let signer = Signer::es256("k");
    let setup = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let mut claims = good_claims();
    for date in ["iat", "nbf"] {
        claims.as_object_mut().unwrap().remove(date);
    }
    claims["exp"] = 1_577_840_000.into();
    let token = signer.token(&claims);
    // The first second of 2020, from which on dates are judged.
    setup.clock.set(at(1_577_836_800));
    for _ in 0..2 {
        assert_eq!(reason(&setup.validator, &token).await, None);
    }
    setup.clock.set(at(1_577_836_799));
    for _ in 0..2 {
        let refused = reason(&setup.validator, &token).await;
        assert_eq!(refused, Some(Reason::ClockUnset));
    }
    setup.clock.set(at(1_577_836_800));
    let found = setup.validator.verified_cache().unwrap().found;
    assert_eq!(reason(&setup.validator, &token).await, None);
    assert_eq!(setup.validator.verified_cache().unwrap().found, found + 1);
}

/// J9
#[tokio::test(start_paused = true)]
async fn every_byte_of_a_token_counts() {
    let signer = Signer::es256("k");
    let Setup { validator, .. } = setup(FakeSource::with_keys(&[&signer]), 64).await;
    let token = signer.good();
    validator.validate(&token).await.unwrap();
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(validator.validate(&other).await.is_err(), "{at}");
    }
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut claims = good_claims();
    claims["scope"] = "admin".into();
    let header = message.split('.').next().unwrap();
    let forged = format!("{header}.{}.{signature}", encode(claims.to_string()));
    assert_eq!(reason(&validator, &forged).await, Some(Reason::Signature));
}

/// D6
#[tokio::test(start_paused = true)]
async fn a_cached_token_dies_with_its_key() {
    for replacement in [
        vec![Signer::es256("other")],
        vec![Signer::es256("k")],
        vec![Signer::new("EdDSA", "k")],
    ] {
        let signer = Signer::es256("k");
        let Setup {
            source, validator, ..
        } = setup(FakeSource::with_keys(&[&signer]), 8).await;
        let token = signer.good();
        assert_eq!(reason(&validator, &token).await, None);
        let replacement: Vec<&Signer> = replacement.iter().collect();
        source.set(keys(&replacement));
        source.ended(2).await;
        assert!(validator.validate(&token).await.is_err());
    }
}

/// D10
#[tokio::test(start_paused = true)]
async fn a_cached_token_dies_when_its_key_becomes_ambiguous() {
    let (signer, twin, other) = (Signer::es256("k"), Signer::es256("k"), Signer::es256("o"));
    let token = signer.good();
    let Setup {
        source, validator, ..
    } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    assert_eq!(reason(&validator, &token).await, None);
    source.set(keys(&[&signer, &twin, &other]));
    source.ended(2).await;
    assert!(validator.validate(&token).await.is_err());
}

/// D6, D11
#[tokio::test(start_paused = true)]
async fn a_cached_token_that_names_no_key_lives_as_long_as_the_key_that_verified_it() {
    let (signer, other) = (Signer::es256("k"), Signer::es256("o"));
    let token = signer.raw(r#"{"alg":"ES256"}"#, good_claims().to_string());
    let Setup {
        source, validator, ..
    } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let first = validator.validate(&token).await.unwrap();
    source.set(keys(&[&other, &signer]));
    source.ended(2).await;
    let second = validator.validate(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    source.set(keys(&[&other]));
    source.ended(3).await;
    assert_eq!(reason(&validator, &token).await, Some(Reason::Signature));
}

/// D11
#[tokio::test(start_paused = true)]
async fn a_cached_token_that_names_a_key_without_id_is_refused_once_its_name_is_revoked() {
    let signer = Signer::es256("k");
    let nameless = jwk(&signer, json!({"kid": null}));
    let Setup {
        source, validator, ..
    } = setup(
        FakeSource::new(Script::Keys(jwks(std::slice::from_ref(&nameless)))),
        8,
    )
    .await;
    let token = signer.good();
    let first = validator.validate(&token).await.unwrap();
    let second = validator.validate(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second), "cached");
    validator.revoke_kid(ISSUER, "k").unwrap();
    assert_eq!(reason(&validator, &token).await, Some(Reason::KeyRevoked));
    validator.unrevoke_kid(ISSUER, "k").unwrap();
    assert_eq!(reason(&validator, &token).await, None);
    source.set(Script::Keys(jwks(&[nameless, Signer::es256("o").jwk()])));
    source.ended(2).await;
    assert_eq!(
        reason(&validator, &token).await,
        Some(Reason::UnknownKey),
        "not the only key any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_republished_key_keeps_its_tokens() {
    let (signer, other) = (Signer::es256("k"), Signer::es256("other"));
    let Setup {
        source, validator, ..
    } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let token = signer.good();
    let first = validator.validate(&token).await.unwrap();
    source.set(keys(&[&other, &signer]));
    source.ended(2).await;
    let second = validator.validate(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

/// F2, F6
#[tokio::test(start_paused = true)]
async fn a_cached_token_is_judged_by_the_clock_each_time() {
    let signer = Signer::es256("k");
    let Setup {
        clock, validator, ..
    } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let token = signer.good();
    assert_eq!(reason(&validator, &token).await, None);
    clock.advance(Duration::from_secs(359));
    assert_eq!(reason(&validator, &token).await, None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(reason(&validator, &token).await, Some(Reason::Expired));
    clock.step_back(Duration::from_secs(360 + 60));
    assert_eq!(reason(&validator, &token).await, None);
    clock.step_back(Duration::from_secs(1));
    assert_eq!(reason(&validator, &token).await, Some(Reason::NotYetValid));
    clock.set(std::time::UNIX_EPOCH);
    assert_eq!(reason(&validator, &token).await, Some(Reason::ClockUnset));
}

/// D3
#[tokio::test(start_paused = true)]
async fn a_cached_token_gets_503_when_the_keys_are_too_old() {
    let signer = Signer::es256("k");
    let Setup {
        source, validator, ..
    } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let token = signer.good();
    assert_eq!(reason(&validator, &token).await, None);
    source.set(Script::Hang);
    tokio::time::advance(Duration::from_secs(3_601)).await;
    assert_eq!(reason(&validator, &token).await, Some(Reason::KeysStale));
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_cached() {
    let signer = Signer::es256("k");
    let Setup {
        clock, validator, ..
    } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let mut claims = good_claims();
    claims["nbf"] = json!(NOW + 100);
    let token = signer.token(&claims);
    assert_eq!(reason(&validator, &token).await, Some(Reason::NotYetValid));
    clock.advance(Duration::from_secs(100));
    assert_eq!(reason(&validator, &token).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_cache_is_bounded_and_forgets_what_was_used_longest_ago() {
    let signer = Signer::new("EdDSA", "k");
    let Setup { validator, .. } = setup(FakeSource::with_keys(&[&signer]), 8).await;
    let token = |n: u32| {
        let mut claims = good_claims();
        claims["jti"] = n.to_string().into();
        signer.token(&claims)
    };
    let (kept, dropped) = (token(0), token(1));
    let first = validator.validate(&kept).await.unwrap();
    let forgotten = validator.validate(&dropped).await.unwrap();
    for n in 2..9 {
        validator.validate(&kept).await.unwrap();
        validator.validate(&token(n)).await.unwrap();
    }
    let again = validator.validate(&kept).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let again = validator.validate(&dropped).await.unwrap();
    assert!(!Arc::ptr_eq(&forgotten, &again));
}
