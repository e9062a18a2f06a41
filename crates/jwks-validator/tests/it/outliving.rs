//! Requests that outlive what they were let in with.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use clock::ManualClock;
use jwks_validator::{Jwt, JwtLayer, Reason, RequireScopes};
use tokio::time::advance;

use crate::asking::{ask, bearer, reason, text};
use crate::fake_source::{FakeSource, builder, keys, ready};
use crate::signer::{ISSUER, NOW, Signer};

/// F26
#[tokio::test(start_paused = true)]
async fn a_request_completes_although_its_token_expires_meanwhile() {
    let signer = Signer::es256("k");
    let clock = ManualClock::at_unix(NOW.unsigned_abs());
    let validator = ready(
        builder(&FakeSource::with_keys(&[&signer]))
            .clock(Arc::new(clock.clone()))
            .verified_cache(8),
    )
    .await;
    let slow = move |claims: Jwt| {
        let clock = clock.clone();
        async move {
            clock.advance(Duration::from_secs(3_600));
            advance(Duration::from_secs(5)).await;
            claims.client_id().unwrap().to_owned()
        }
    };
    let scopes = RequireScopes::all(["data:read"]).unwrap();
    let app = Router::new()
        .route("/", get(slow).layer(scopes))
        .layer(JwtLayer::new(validator));
    let token = signer.good();
    let response = ask(&app, bearer("/", &token)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await, "client-1");
    let next = ask(&app, bearer("/", &token)).await;
    assert_eq!(reason(&next), Some(Reason::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_request_completes_although_its_key_is_revoked_or_withdrawn_meanwhile() {
    let (signer, other) = (Signer::es256("k"), Signer::es256("other"));
    for is_revoked in [true, false] {
        let source = FakeSource::with_keys(&[&signer]);
        let validator = ready(builder(&source).verified_cache(8)).await;
        let slow = {
            let (validator, source) = (validator.clone(), source.clone());
            let others = keys(&[&other]);
            move |claims: Jwt| {
                let (validator, source) = (validator.clone(), source.clone());
                let others = others.clone();
                async move {
                    if is_revoked {
                        validator.revoke_kid(ISSUER, "k").unwrap();
                    } else {
                        source.set(others);
                        source.ended(2).await;
                    }
                    claims.client_id().unwrap().to_owned()
                }
            }
        };
        let app = Router::new()
            .route("/", get(slow))
            .layer(JwtLayer::new(validator));
        let token = signer.good();
        let response = ask(&app, bearer("/", &token)).await;
        assert_eq!(response.status(), 200, "revoked: {is_revoked}");
        let next = ask(&app, bearer("/", &token)).await;
        let expected = match is_revoked {
            true => Reason::KeyRevoked,
            false => Reason::UnknownKey,
        };
        assert_eq!(reason(&next), Some(expected));
    }
}
