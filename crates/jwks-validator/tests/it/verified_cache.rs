//! The cache of verified tokens.

use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{Claims, JwtValidator, Reason};
use serde_json::json;

use crate::fake_source::{FakeSource, Script, builder, keys, ready, reason};
use crate::signer::{ISSUER, NOW, Signer, at, encode, good_claims, jwks};
use crate::single_keys::jwk;

struct Setup {
    source: FakeSource,
    clock: ManualClock,
    validator: JwtValidator,
}

impl Setup {
    async fn with(source: FakeSource, entries: usize) -> Self {
        let clock = ManualClock::at_unix(NOW.unsigned_abs());
        let settings = builder(&source).clock(Arc::new(clock.clone()));
        let validator = ready(settings.verified_cache(entries)).await;
        Self {
            source,
            clock,
            validator,
        }
    }

    async fn reason(&self, token: &str) -> Option<Reason> {
        reason(&self.validator, token).await
    }

    async fn accepted(&self, token: &str) -> Arc<Claims> {
        self.validator.validate(token).await.unwrap()
    }

    /// Publishes these keys and waits until the fetch with that number has brought them.
    async fn publish(&self, signers: &[&Signer], fetch: usize) {
        self.source.set(keys(signers));
        self.source.ended(fetch).await;
    }
}

/// One ES256 key, and room for eight tokens.
async fn setup() -> (Signer, Setup) {
    let signer = Signer::es256("k");
    let setup = Setup::with(FakeSource::with_keys(&[&signer]), 8).await;
    (signer, setup)
}

#[tokio::test(start_paused = true)]
async fn a_repeated_token_gets_the_claims_of_the_first_time() {
    let (signer, setup) = setup().await;
    let token = signer.good();
    let first = setup.accepted(&token).await;
    let second = setup.accepted(&token).await;
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test(start_paused = true)]
async fn the_cache_tells_how_many_it_holds_and_how_many_it_found() {
    let (signer, setup) = setup().await;
    let token = signer.good();
    for _ in 0..5 {
        setup.accepted(&token).await;
    }
    assert!(setup.validator.validate("a.b.c").await.is_err());
    let cache = setup.validator.verified_cache().unwrap();
    assert_eq!((cache.entries, cache.capacity), (1, 8));
    assert_eq!((cache.looked_up, cache.found), (6, 4));
    let without = builder(&FakeSource::with_keys(&[&signer])).build().unwrap();
    assert_eq!(without.verified_cache(), None);
}

/// F25
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_not_set_decides_on_no_cached_token() {
    let (signer, setup) = setup().await;
    let mut claims = good_claims();
    for date in ["iat", "nbf"] {
        claims.as_object_mut().unwrap().remove(date);
    }
    claims["exp"] = 1_577_840_000.into();
    let token = signer.token(&claims);
    // The first second of 2020, from which on dates are judged.
    setup.clock.set(at(1_577_836_800));
    for _ in 0..2 {
        assert_eq!(setup.reason(&token).await, None);
    }
    setup.clock.set(at(1_577_836_799));
    for _ in 0..2 {
        let refused = setup.reason(&token).await;
        assert_eq!(refused, Some(Reason::ClockUnset));
    }
    setup.clock.set(at(1_577_836_800));
    let found = setup.validator.verified_cache().unwrap().found;
    assert_eq!(setup.reason(&token).await, None);
    assert_eq!(setup.validator.verified_cache().unwrap().found, found + 1);
}

/// J9
#[tokio::test(start_paused = true)]
async fn every_byte_of_a_token_counts() {
    let signer = Signer::es256("k");
    let setup = Setup::with(FakeSource::with_keys(&[&signer]), 64).await;
    let token = signer.good();
    setup.accepted(&token).await;
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(setup.validator.validate(&other).await.is_err(), "{at}");
    }
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut claims = good_claims();
    claims["scope"] = "admin".into();
    let header = message.split('.').next().unwrap();
    let forged = format!("{header}.{}.{signature}", encode(claims.to_string()));
    assert_eq!(setup.reason(&forged).await, Some(Reason::Signature));
}

/// D6
#[tokio::test(start_paused = true)]
async fn a_cached_token_dies_with_its_key() {
    for replacement in [
        vec![Signer::es256("other")],
        vec![Signer::es256("k")],
        vec![Signer::new("EdDSA", "k")],
    ] {
        let (signer, setup) = setup().await;
        let token = signer.good();
        assert_eq!(setup.reason(&token).await, None);
        let replacement: Vec<&Signer> = replacement.iter().collect();
        setup.publish(&replacement, 2).await;
        assert!(setup.validator.validate(&token).await.is_err());
    }
}

/// D10
#[tokio::test(start_paused = true)]
async fn a_cached_token_dies_when_its_key_becomes_ambiguous() {
    let (signer, twin, other) = (Signer::es256("k"), Signer::es256("k"), Signer::es256("o"));
    let token = signer.good();
    let setup = Setup::with(FakeSource::with_keys(&[&signer]), 8).await;
    assert_eq!(setup.reason(&token).await, None);
    setup.publish(&[&signer, &twin, &other], 2).await;
    assert!(setup.validator.validate(&token).await.is_err());
}

/// D6, D11
#[tokio::test(start_paused = true)]
async fn a_cached_token_that_names_no_key_lives_as_long_as_the_key_that_verified_it() {
    let (signer, other) = (Signer::es256("k"), Signer::es256("o"));
    let token = signer.raw(r#"{"alg":"ES256"}"#, good_claims().to_string());
    let setup = Setup::with(FakeSource::with_keys(&[&signer]), 8).await;
    let first = setup.accepted(&token).await;
    setup.publish(&[&other, &signer], 2).await;
    let second = setup.accepted(&token).await;
    assert!(Arc::ptr_eq(&first, &second));
    setup.publish(&[&other], 3).await;
    assert_eq!(setup.reason(&token).await, Some(Reason::Signature));
}

/// D11
#[tokio::test(start_paused = true)]
async fn a_cached_token_that_names_a_key_without_id_is_refused_once_its_name_is_revoked() {
    let signer = Signer::es256("k");
    let nameless = jwk(&signer, json!({"kid": null}));
    let setup = Setup::with(
        FakeSource::new(Script::Keys(jwks(std::slice::from_ref(&nameless)))),
        8,
    )
    .await;
    let token = signer.good();
    let first = setup.accepted(&token).await;
    let second = setup.accepted(&token).await;
    assert!(Arc::ptr_eq(&first, &second), "cached");
    setup.validator.revoke_kid(ISSUER, "k").unwrap();
    assert_eq!(setup.reason(&token).await, Some(Reason::KeyRevoked));
    setup.validator.unrevoke_kid(ISSUER, "k").unwrap();
    assert_eq!(setup.reason(&token).await, None);
    setup
        .source
        .set(Script::Keys(jwks(&[nameless, Signer::es256("o").jwk()])));
    setup.source.ended(2).await;
    assert_eq!(
        setup.reason(&token).await,
        Some(Reason::UnknownKey),
        "not the only key any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_republished_key_keeps_its_tokens() {
    let (signer, other) = (Signer::es256("k"), Signer::es256("other"));
    let setup = Setup::with(FakeSource::with_keys(&[&signer]), 8).await;
    let token = signer.good();
    let first = setup.accepted(&token).await;
    setup.publish(&[&other, &signer], 2).await;
    let second = setup.accepted(&token).await;
    assert!(Arc::ptr_eq(&first, &second));
}

/// F2, F6
#[tokio::test(start_paused = true)]
async fn a_cached_token_is_judged_by_the_clock_each_time() {
    let (signer, setup) = setup().await;
    let token = signer.good();
    assert_eq!(setup.reason(&token).await, None);
    setup.clock.advance(Duration::from_secs(359));
    assert_eq!(setup.reason(&token).await, None);
    setup.clock.advance(Duration::from_secs(1));
    assert_eq!(setup.reason(&token).await, Some(Reason::Expired));
    setup.clock.step_back(Duration::from_secs(360 + 60));
    assert_eq!(setup.reason(&token).await, None);
    setup.clock.step_back(Duration::from_secs(1));
    assert_eq!(setup.reason(&token).await, Some(Reason::NotYetValid));
    setup.clock.set(std::time::UNIX_EPOCH);
    assert_eq!(setup.reason(&token).await, Some(Reason::ClockUnset));
}

/// D3
#[tokio::test(start_paused = true)]
async fn a_cached_token_gets_503_when_the_keys_are_too_old() {
    let (signer, setup) = setup().await;
    let token = signer.good();
    assert_eq!(setup.reason(&token).await, None);
    setup.source.set(Script::Hang);
    tokio::time::advance(Duration::from_secs(3_601)).await;
    assert_eq!(setup.reason(&token).await, Some(Reason::KeysStale));
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_cached() {
    let (signer, setup) = setup().await;
    let mut claims = good_claims();
    claims["nbf"] = json!(NOW + 100);
    let token = signer.token(&claims);
    assert_eq!(setup.reason(&token).await, Some(Reason::NotYetValid));
    setup.clock.advance(Duration::from_secs(100));
    assert_eq!(setup.reason(&token).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_cache_is_bounded_and_forgets_what_was_used_longest_ago() {
    let signer = Signer::new("EdDSA", "k");
    let setup = Setup::with(FakeSource::with_keys(&[&signer]), 8).await;
    let token = |n: u32| {
        let mut claims = good_claims();
        claims["jti"] = n.to_string().into();
        signer.token(&claims)
    };
    let (kept, dropped) = (token(0), token(1));
    let first = setup.accepted(&kept).await;
    let forgotten = setup.accepted(&dropped).await;
    for n in 2..9 {
        setup.accepted(&kept).await;
        setup.validator.validate(&token(n)).await.unwrap();
    }
    let again = setup.accepted(&kept).await;
    assert!(Arc::ptr_eq(&first, &again));
    let again = setup.accepted(&dropped).await;
    assert!(!Arc::ptr_eq(&forgotten, &again));
}
