//! The pair against an authorization server that is not ours: panva's certified oidc-provider.
//!
//! `.ci/interop` starts one and sets the variables that name it. Without them each test says on
//! standard error that it did not run.

mod client_auth;
mod failing;
mod people;
mod provider;

use self::provider::{Provider, Requests, SECRET};
use crate::world::{PROTECTED_BODY, PUBLIC_BODY, Pair, challenge, header};

/// One JWK type and one signature scheme each; EdDSA in the spelling of RFC 8037 and of RFC 9864.
#[tokio::test]
async fn every_algorithm_passes_with_the_agreed_bodies() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    for (resource, header_alg) in [
        ("rs256", "RS256"),
        ("ps256", "PS256"),
        ("es256", "ES256"),
        ("es384", "ES384"),
        ("eddsa", "EdDSA"),
        ("ed25519", "Ed25519"),
    ] {
        let mut variables = provider.variables(resource);
        variables.insert("ALLOWED_ALGORITHMS".to_owned(), header_alg.to_owned());
        let pair = Pair::ready(&variables).await;
        let response = pair.public_data().await;
        assert_eq!(response.status(), 200, "{resource}");
        assert_eq!(response.text().await.unwrap(), PUBLIC_BODY, "{resource}");
        let token = provider.token(resource).await;
        let response = pair.protected_data(&token).await;
        assert_eq!(response.status(), 200, "{resource}");
        assert_eq!(response.text().await.unwrap(), PROTECTED_BODY, "{resource}");
        pair.stop().await;
    }
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_is_refused() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let mut variables = provider.variables("rs256");
    variables.insert("ALLOWED_ALGORITHMS".to_owned(), "ES256".to_owned());
    let pair = Pair::ready(&variables).await;
    refused(&pair, &provider.token("rs256").await).await;
}

#[tokio::test]
async fn discovery_is_one_request_per_service_and_none_where_endpoints_are_named() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let mut variables = provider.variables("es256");
    for metadata in [2, 0] {
        let before = provider.requests().await;
        let pair = Pair::ready(&variables).await;
        for _ in 0..10 {
            assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
        }
        let made = provider.requests().await.since(&before);
        assert_eq!((made.metadata, made.token, made.jwks), (metadata, 1, 1));
        pair.stop().await;
        for (name, path) in [("TOKEN_ENDPOINT", "token"), ("JWKS_URI", "jwks")] {
            variables.insert(name.to_owned(), format!("{}/{path}", provider.issuer));
        }
    }
}

/// D26
#[tokio::test]
async fn metadata_that_names_another_issuer_is_not_used() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let before = provider.requests().await;
    let mut variables = provider.variables("es256");
    let alias = provider.issuer.replace("127.0.0.1", "localhost");
    variables.insert("ISSUER".to_owned(), alias);
    let pair = Pair::start(&variables).await;
    unavailable(&pair, "no token: discovery").await;
    let made = provider.requests().await.since(&before);
    assert_eq!((made.token, made.jwks), (0, 0));
}

/// C2
#[tokio::test]
async fn an_opaque_token_is_502_after_one_other_token() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let before = provider.requests().await;
    let pair = Pair::ready(&provider.variables("opaque")).await;
    let response = pair.public_data().await;
    assert_eq!(response.status(), 502);
    assert_eq!(challenge(&response), "");
    assert_eq!(provider.requests().await.since(&before).token, 2);
    refused(&pair, &provider.token("opaque").await).await;
}

/// C2, F12, F14
#[tokio::test]
async fn a_token_for_another_api_is_refused() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    for audience in [
        "https://api.example.test/es256",
        "https://api.example.test/rs",
        "https://api.example.test/rs256/",
    ] {
        let mut variables = provider.variables("rs256");
        variables.insert("API_AUDIENCE".to_owned(), audience.to_owned());
        let pair = Pair::ready(&variables).await;
        refused(&pair, &provider.token("rs256").await).await;
        assert_eq!(pair.public_data().await.status(), 502, "{audience}");
        pair.stop().await;
    }
}

/// F18, C4
#[tokio::test]
async fn granted_scopes_are_those_that_protected_data_sees() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let mut variables = provider.variables("rs256");
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    set("TOKEN_SCOPE", "read:data write:data");
    set("REQUIRED_SCOPES", "write:data read:data");
    let pair = Pair::ready(&variables).await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
    pair.stop().await;

    variables.insert("REQUIRED_SCOPES".to_owned(), "admin".to_owned());
    let before = provider.requests().await;
    let pair = Pair::ready(&variables).await;
    assert_eq!(pair.public_data().await.status(), 502);
    // No other token of the same scopes can help.
    assert_eq!(provider.requests().await.since(&before).token, 1);
    let response = pair.protected_data(&provider.token("rs256").await).await;
    assert_eq!(response.status(), 403);
    let challenge = challenge(&response);
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"admin\""),
        "{challenge}"
    );
}

/// A13, A24
#[tokio::test]
async fn a_scope_or_resource_that_the_provider_does_not_grant_is_503() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    for (resource, scope, reason) in [
        ("rs256", "read:data nobody:has", "scope_not_granted"),
        ("nowhere", "read:data", "oauth_error"),
    ] {
        let mut variables = provider.variables(resource);
        variables.insert("TOKEN_SCOPE".to_owned(), scope.to_owned());
        let pair = Pair::start(&variables).await;
        unavailable(&pair, &format!("no token: {reason}")).await;
        pair.stop().await;
    }
}

/// A20
#[tokio::test]
async fn a_token_for_another_scheme_is_not_used() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    // The client may have DPoP-bound tokens only, and the request has no proof.
    let variables = provider.variables_of_client("svc-dpop", SECRET, "client_secret_basic");
    let pair = Pair::start(&variables).await;
    unavailable(&pair, "no token: oauth_error").await;
    pair.stop().await;

    let body = r#"{"access_token":"x","token_type":"DPoP","expires_in":300}"#;
    provider
        .fault(&format!("path=/token&status=200&body={body}"))
        .await;
    let pair = Pair::start(&provider.variables("rs256")).await;
    unavailable(&pair, "no token: token_type").await;
}

/// D6, D20, D21, C1
#[tokio::test]
async fn keys_rotate_without_a_refusal_and_retired_ones_are_refused() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    for resource in ["rs256", "ed25519"] {
        let pair = Pair::ready(&provider.variables(resource)).await;
        assert_eq!(pair.public_data().await.status(), 200);
        let old = provider.token(resource).await;
        accepted(&pair, &old).await;

        let before = provider.requests().await;
        provider.control("/rotate").await;
        let new = provider.token(resource).await;
        accepted(&pair, &new).await;
        assert_eq!(provider.requests().await.since(&before).jwks, 1);
        accepted(&pair, &old).await;

        provider.control("/retire").await;
        // Nobody has told protected-data yet.
        accepted(&pair, &old).await;
        provider.control("/rotate").await;
        let newest = provider.token(resource).await;
        accepted(&pair, &newest).await;
        accepted(&pair, &new).await;
        // The token was accepted and cached before its key went away.
        refused(&pair, &old).await;

        // public-data still holds a token of the retired key.
        let before = provider.requests().await;
        let response = pair.public_data().await;
        assert_eq!(response.text().await.unwrap(), PUBLIC_BODY);
        assert_eq!(provider.requests().await.since(&before).token, 1);
        pair.stop().await;
    }
}

/// D22
#[tokio::test]
async fn a_rotation_without_overlap_costs_no_request() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let pair = Pair::ready(&provider.variables("es256")).await;
    let old = provider.token("es256").await;
    accepted(&pair, &old).await;
    provider.control("/rotate").await;
    provider.control("/retire").await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
    accepted(&pair, &provider.token("es256").await).await;
    refused(&pair, &old).await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let Some(provider) = Provider::named_over_tls().await else {
        return;
    };
    let pair = Pair::ready(&provider.variables("ps256")).await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
    accepted(&pair, &provider.token("ps256").await).await;
}

/// A4
#[tokio::test]
async fn an_unknown_authority_is_503_and_never_asked_for_anything() {
    let Some(provider) = Provider::named_over_tls().await else {
        return;
    };
    let token = provider.token("ps256").await;
    let before = provider.requests().await;
    let mut variables = provider.variables("ps256");
    variables.remove("IDP_CA_FILE");
    let pair = Pair::start(&variables).await;
    unavailable(&pair, "no token: tls").await;
    let response = pair.protected_data(&token).await;
    assert_eq!(response.status(), 503);
    assert_ne!(header(&response, "retry-after"), "");
    let body = pair.get_protected("/readyz").await.text().await.unwrap();
    assert!(body.contains("certificate_unknown_authority"), "{body}");
    assert_eq!(
        provider.requests().await.since(&before),
        Requests::default()
    );
}

async fn accepted(pair: &Pair, token: &str) {
    let response = pair.protected_data(token).await;
    assert_eq!(response.status(), 200, "{}", challenge(&response));
}

async fn refused(pair: &Pair, token: &str) {
    let response = pair.protected_data(token).await;
    assert_eq!(response.status(), 401);
    let challenge = challenge(&response);
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

/// public-data has no token, says when to come back, and why not to the readiness probe alone.
async fn unavailable(pair: &Pair, reason: &str) {
    let response = pair.public_data().await;
    assert_eq!(response.status(), 503, "{reason}");
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json",
        "{reason}"
    );
    let after: u64 = header(&response, "retry-after").parse().unwrap();
    assert!((1..=300).contains(&after), "{reason}: {after}");
    assert!(!response.text().await.unwrap().contains(reason), "{reason}");
    let response = pair.get_public("/readyz").await;
    assert_eq!(response.status(), 503, "{reason}");
    let body = response.text().await.unwrap();
    assert!(body.contains(reason), "{reason}: {body}");
}
