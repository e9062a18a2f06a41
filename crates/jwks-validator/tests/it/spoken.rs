//! What is logged about refusals.

use axum::Router;
use axum::routing::get;
use jwks_validator::{Jwt, JwtLayer, RequireScopes};
use tracing::Level;

use crate::asking::{ask, bearer, request};
use crate::fake_source::{FakeSource, started};
use crate::reporting::{REFUSALS, capture};
use crate::signer::Signer;

fn refusals() -> Vec<(Level, String)> {
    REFUSALS.with_borrow_mut(std::mem::take)
}

/// N56
#[tokio::test]
async fn a_refusal_is_one_debug_line_with_its_reason_and_nothing_of_the_token() {
    capture();
    let signer = Signer::es256("k");
    let layer = JwtLayer::new(started(&FakeSource::with_keys(&[&signer])).await);
    let scopes = RequireScopes::all(["data:write"]).unwrap();
    let app = Router::new()
        .route("/", get(async |_: Jwt| "in"))
        .route("/scoped", get(async || "in").layer(scopes))
        .layer(layer);
    let unguarded = Router::new().route("/", get(async |_: Jwt| "in"));
    let forged = Signer::es256("k").good();
    for (app, request, status, reason, text) in [
        (
            &app,
            request("/", &[]),
            401,
            "no_credentials",
            "no credentials were sent",
        ),
        (
            &app,
            bearer("/", &forged),
            401,
            "signature",
            "the signature does not verify",
        ),
        (
            &app,
            bearer("/scoped", &signer.good()),
            403,
            "insufficient_scope",
            "the token lacks a required scope",
        ),
        (
            &unguarded,
            request("/", &[]),
            500,
            "layer_missing",
            "the route is not behind a `JwtLayer`",
        ),
    ] {
        ask(app, request).await;
        let line = format!(
            " message=refused a request: {text} http.status={status} auth.reason={reason:?}"
        );
        assert_eq!(refusals(), [(Level::DEBUG, line)]);
    }
    ask(&app, bearer("/", &signer.good())).await;
    assert_eq!(refusals(), []);
}
