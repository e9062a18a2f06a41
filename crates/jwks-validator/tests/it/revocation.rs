//! Revoked tokens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use clock::ManualClock;
use jwks_validator::{
    Claims, DenyList, DenyListFull, JwtLayer, JwtValidator, Reason, Revocation, RevocationError,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::asking::{self, ask, bearer};
use crate::fake_source::{FakeSource, builder, keys, ready, reason};
use crate::signatures::twin;
use crate::signer::{ISSUER, NOW, Signer, at, good_claims};

/// A hook that does what a test tells it and counts.
#[derive(Clone, Debug)]
struct Hook {
    answer: Arc<Mutex<Answer>>,
    calls: Arc<AtomicUsize>,
    needs_token_id: bool,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Good,
    Revoked,
    Fail,
    Hang,
}

impl Hook {
    fn new(answer: Answer) -> Self {
        Self {
            answer: Arc::new(Mutex::new(answer)),
            calls: Arc::default(),
            needs_token_id: true,
        }
    }

    fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Revocation for Hook {
    async fn is_revoked(&self, _: &Claims) -> Result<bool, RevocationError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = *self.answer.lock().unwrap();
        match answer {
            Answer::Good => Ok(false),
            Answer::Revoked => Ok(true),
            Answer::Fail => Err(RevocationError::new("told to")),
            Answer::Hang => std::future::pending().await,
        }
    }

    fn needs_token_id(&self) -> bool {
        self.needs_token_id
    }
}

async fn with_hook(source: &FakeSource, hook: impl Revocation) -> JwtValidator {
    ready(builder(source).verified_cache(8).revocation(hook)).await
}

fn without(claim: &str) -> Value {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_asked_about_every_token_that_passes_and_about_no_other() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let hook = Hook::new(Answer::Good);
    let validator = with_hook(&source, hook.clone()).await;
    let token = signer.good();
    assert_eq!(reason(&validator, &token).await, None);
    assert_eq!(reason(&validator, &token).await, None, "cached");
    assert_eq!(hook.calls(), 2);
    hook.set(Answer::Revoked);
    assert_eq!(reason(&validator, &token).await, Some(Reason::Revoked));
    assert_eq!(Reason::Revoked.status().as_u16(), 401);
    hook.set(Answer::Good);
    assert_eq!(reason(&validator, &token).await, None, "not latched");
    assert_eq!(hook.calls(), 4);

    let mut expired = good_claims();
    expired["exp"] = json!(NOW - 60);
    let forged = Signer::es256("k").good();
    for token in [signer.token(&expired), forged, "junk".to_owned()] {
        assert!(validator.validate(&token).await.is_err());
    }
    assert_eq!(hook.calls(), 4);

    let new = Signer::es256("new");
    source.set(keys(&[&signer, &new]));
    hook.set(Answer::Revoked);
    assert_eq!(
        reason(&validator, &new.good()).await,
        Some(Reason::Revoked),
        "after a wait for its key"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_cannot_tell_gets_503_unless_told_otherwise() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    for (answer, wait) in [(Answer::Fail, 0), (Answer::Hang, 1)] {
        let validator = with_hook(&source, Hook::new(answer)).await;
        let before = Instant::now();
        let error = validator.validate(&signer.good()).await.unwrap_err();
        assert_eq!(before.elapsed(), Duration::from_secs(wait), "{answer:?}");
        assert_eq!(error.reason(), Reason::RevocationUnknown, "{answer:?}");
        assert_eq!(error.status(), 503);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));

        let open = ready(
            builder(&source)
                .revocation(Hook::new(answer))
                .dangerous_accept_when_revocation_fails(true),
        )
        .await;
        assert_eq!(reason(&open, &signer.good()).await, None, "{answer:?}");
    }
    let open = ready(
        builder(&source)
            .revocation(Hook::new(Answer::Revoked))
            .dangerous_accept_when_revocation_fails(true),
    )
    .await;
    assert_eq!(
        reason(&open, &signer.good()).await,
        Some(Reason::Revoked),
        "open to failures, not to revoked tokens"
    );
}

/// F17
#[tokio::test(start_paused = true)]
async fn a_token_that_has_no_name_to_revoke_it_by_is_refused() {
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let nameless = signer.token(&without("jti"));
    let mut empty = good_claims();
    empty["jti"] = "".into();
    let empty = signer.token(&empty);
    let mut hook = Hook::new(Answer::Good);
    let strict = with_hook(&source, hook.clone()).await;
    for token in [&nameless, &empty] {
        assert_eq!(reason(&strict, token).await, Some(Reason::TokenIdMissing));
    }
    assert_eq!(hook.calls(), 0);
    hook.needs_token_id = false;
    let by_other_claims = with_hook(&source, hook.clone()).await;
    for token in [&nameless, &empty] {
        assert_eq!(reason(&by_other_claims, token).await, None);
    }
    assert_eq!(hook.calls(), 2);
    let list = with_hook(&source, DenyList::new(1)).await;
    assert_eq!(reason(&list, &nameless).await, Some(Reason::TokenIdMissing));
}

/// E19, J10
#[tokio::test(start_paused = true)]
async fn a_revoked_token_stays_revoked_under_its_other_signature() {
    let signer = Signer::es256("k");
    let list = DenyList::new(8);
    let validator = with_hook(&FakeSource::with_keys(&[&signer]), list.clone()).await;
    let token = signer.good();
    let twin = twin(&token);
    assert_ne!(token, twin);
    let claims = validator.validate(&token).await.unwrap();
    assert_eq!(reason(&validator, &twin).await, None, "both are good");
    list.revoke(ISSUER, claims.id().unwrap(), claims.expires_at())
        .unwrap();
    let again = signer.good();
    for token in [&token, &twin, &again] {
        assert_eq!(reason(&validator, token).await, Some(Reason::Revoked));
    }
    let mut other = good_claims();
    other["jti"] = "2".into();
    assert_eq!(reason(&validator, &signer.token(&other)).await, None);
}

/// J10
#[tokio::test(start_paused = true)]
async fn a_token_id_is_one_issuers_own() {
    let (a, b) = (Signer::es256("k"), Signer::es256("k"));
    let list = DenyList::new(8);
    let source_b = FakeSource::with_keys(&[&b]);
    let validator = ready(
        builder(&FakeSource::with_keys(&[&a]))
            .issuer("https://b.example", source_b.clone())
            .revocation(list.clone()),
    )
    .await;
    source_b.ended(1).await;
    list.revoke(ISSUER, "1", at(NOW + 300)).unwrap();
    let mut of_b = good_claims();
    of_b["iss"] = "https://b.example".into();
    assert_eq!(reason(&validator, &a.good()).await, Some(Reason::Revoked));
    assert_eq!(reason(&validator, &b.token(&of_b)).await, None);
}

#[test]
fn a_deny_list_is_bounded_and_gives_up_no_entry_that_is_needed() {
    let clock = ManualClock::at_unix(NOW.unsigned_abs());
    let list = DenyList::with_clock(2, Arc::new(clock.clone()));
    assert!(list.is_empty());
    list.revoke(ISSUER, "1", at(NOW + 100)).unwrap();
    list.revoke(ISSUER, "2", at(NOW + 200)).unwrap();
    assert_eq!(list.revoke(ISSUER, "3", at(NOW + 300)), Err(DenyListFull));
    list.revoke(ISSUER, "1", at(NOW + 50)).unwrap();
    // A validator with the longest leeway takes the token until 300 s after its expiry.
    clock.advance(Duration::from_secs(400));
    assert_eq!(list.revoke(ISSUER, "3", at(NOW + 300)), Err(DenyListFull));
    assert!(list.contains(ISSUER, "1"));
    clock.advance(Duration::from_secs(1));
    list.revoke(ISSUER, "3", at(NOW + 300)).unwrap();
    assert!(!list.contains(ISSUER, "1") && list.contains(ISSUER, "2"));
    assert_eq!(list.len(), 2);
    let none = DenyList::new(0);
    assert_eq!(none.revoke(ISSUER, "1", at(NOW)), Err(DenyListFull));
}

/// J1
#[test]
fn debug_output_of_a_deny_list_names_no_token() {
    let list = DenyList::new(8);
    list.revoke("https://canary.example", "canary", at(NOW))
        .unwrap();
    assert!(!format!("{list:?}").contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn the_layer_asks_the_hook_too() {
    let signer = Signer::es256("k");
    let hook = Hook::new(Answer::Good);
    let source = FakeSource::with_keys(&[&signer]);
    let validator = with_hook(&source, hook.clone()).await;
    let app = Router::new()
        .route("/", get(async || "in"))
        .layer(JwtLayer::new(validator));
    let new = Signer::es256("new");
    for (answer, expected) in [
        (Answer::Good, None),
        (Answer::Revoked, Some(Reason::Revoked)),
        (Answer::Fail, Some(Reason::RevocationUnknown)),
        (Answer::Hang, Some(Reason::RevocationUnknown)),
    ] {
        hook.set(answer);
        source.set(keys(&[&signer]));
        let response = ask(&app, bearer("/", &signer.good())).await;
        assert_eq!(asking::reason(&response), expected, "{answer:?}");
        let status = expected.map_or(200, |reason| reason.status().as_u16());
        assert_eq!(response.status(), status, "{answer:?}");
    }
    hook.set(Answer::Revoked);
    source.set(keys(&[&signer, &new]));
    let response = ask(&app, bearer("/", &new.good())).await;
    assert_eq!(asking::reason(&response), Some(Reason::Revoked));
}
