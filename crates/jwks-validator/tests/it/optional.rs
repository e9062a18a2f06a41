//! Routes that answer with and without a token.

use axum::Router;
use axum::routing::get;
use jwks_validator::{Jwt, JwtLayer, Reason, RequireScopes};
use serde::Deserialize;

use crate::asking::{ask, bearer, challenge, reason, request, text};
use crate::fake_source::{FakeSource, keys, started};
use crate::signer::{Signer, good_claims};

#[derive(Deserialize)]
struct Mine {
    tenant: String,
}

fn routes() -> Router {
    let who = async |claims: Option<Jwt>| match claims {
        Some(claims) => claims.subject().unwrap().to_owned(),
        None => "nobody".to_owned(),
    };
    let tenant = async |claims: Option<Jwt<Mine>>| match claims {
        Some(mine) => mine.tenant.clone(),
        None => "none".to_owned(),
    };
    Router::new()
        .route("/", get(who))
        .route("/typed", get(tenant))
        .route("/required", get(async |_: Jwt| "in"))
        .route(
            "/scoped",
            get(async || "in").layer(RequireScopes::all(["data:read"]).unwrap()),
        )
}

/// G1
#[tokio::test]
async fn a_request_without_credentials_passes_an_optional_layer_without_claims() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let app = routes().layer(JwtLayer::new(validator.clone()).optional(true));

    let response = ask(&app, request("/", &[])).await;
    assert_eq!(response.headers()["vary"], "authorization");
    assert_eq!(text(response).await, "nobody");
    let token = signer.good();
    assert_eq!(text(ask(&app, bearer("/", &token)).await).await, "client-1");

    for uri in ["/required", "/scoped"] {
        let response = ask(&app, request(uri, &[])).await;
        assert_eq!(reason(&response), Some(Reason::NoCredentials), "{uri}");
        assert_eq!(challenge(&response), r#"Bearer realm="api""#, "{uri}");
        assert_eq!(ask(&app, bearer(uri, &token)).await.status(), 200, "{uri}");
    }

    let strict = routes().layer(JwtLayer::new(validator));
    let response = ask(&strict, request("/", &[])).await;
    assert_eq!(response.status(), 401, "the layer decides, not the route");
}

/// G2, G5, G6
#[tokio::test]
async fn an_optional_layer_refuses_whatever_is_no_good_token() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let app = routes().layer(JwtLayer::new(validator).optional(true));
    let good = format!("Bearer {}", signer.good());
    let forged = format!("Bearer {}", Signer::es256("k").good());
    for (name, values, expected) in [
        ("forged", vec![forged.as_str()], Reason::Signature),
        ("junk", vec!["Bearer junk"], Reason::Opaque),
        ("empty", vec![""], Reason::MalformedAuthorization),
        ("other scheme", vec!["Basic YTpi"], Reason::OtherScheme),
        (
            "two",
            vec![good.as_str(), good.as_str()],
            Reason::RepeatedAuthorization,
        ),
    ] {
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let response = ask(&app, request("/", &values)).await;
        assert_eq!(reason(&response), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn an_optional_extractor_still_needs_the_layer_and_claims_that_fit() {
    let signer = Signer::es256("k");
    let bare = routes();
    for uri in ["/", "/typed", "/required", "/scoped"] {
        let response = ask(&bare, request(uri, &[])).await;
        assert_eq!(reason(&response), Some(Reason::LayerMissing), "{uri}");
        assert_eq!(response.status(), 500, "{uri}");
    }
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let app = routes().layer(JwtLayer::new(validator).optional(true));
    let response = ask(&app, bearer("/typed", &signer.good())).await;
    assert_eq!(reason(&response), Some(Reason::ClaimsShape));
    assert_eq!(text(ask(&app, request("/typed", &[])).await).await, "none");
    let mut claims = good_claims();
    claims["tenant"] = "t1".into();
    let response = ask(&app, bearer("/typed", &signer.token(&claims))).await;
    assert_eq!(text(response).await, "t1");
}

#[tokio::test]
async fn claims_of_a_layer_further_out_do_not_speak_for_a_token_that_was_not_sent() {
    use std::sync::Arc;

    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let app = routes().layer(JwtLayer::new(validator).optional(true));
    let claims = crate::signer::check(&signer.good(), &signer.keys()).unwrap();
    let mut request = request("/", &[]);
    request.extensions_mut().insert(Arc::new(claims));
    assert_eq!(text(ask(&app, request).await).await, "nobody");
}

/// D22
#[tokio::test(start_paused = true)]
async fn a_token_that_waits_for_keys_passes_an_optional_layer_with_claims() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old]);
    let app = routes().layer(JwtLayer::new(started(&source).await).optional(true));
    source.set(keys(&[&new]));
    let response = ask(&app, bearer("/", &new.good())).await;
    assert_eq!(text(response).await, "client-1");
    let response = ask(&app, bearer("/", &old.good())).await;
    assert_eq!(response.status(), 401);
}
