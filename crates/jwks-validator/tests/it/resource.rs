//! Protected resource metadata (RFC 9728).

use axum::Router;
use axum::routing::get;
use jwks_validator::{BuildErrorKind, Jwt, JwtLayer, ProtectedResource, RequireScopes, TokenFrom};
use serde_json::{Value, json};

use crate::asking::{ask, bearer, challenge, request, text};
use crate::fake_source::{FakeSource, started};
use crate::signer::{AUDIENCE, ISSUER, Signer};

const METADATA: &str =
    r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#;

fn resource() -> ProtectedResource {
    ProtectedResource::new(AUDIENCE)
        .unwrap()
        .authorization_server(ISSUER)
        .scopes(["data:read", "data:list"])
}

/// G25
#[tokio::test]
async fn the_metadata_is_public_and_names_this_api() {
    let validator = started(&FakeSource::with_keys(&[&Signer::es256("k")])).await;
    let resource = resource();
    let app = Router::new()
        .route("/", get(async || "in"))
        .layer(JwtLayer::new(validator).resource(&resource))
        .merge(resource.routes());
    let response = ask(&app, request("/.well-known/oauth-protected-resource", &[])).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let document: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(
        document,
        json!({
            "resource": AUDIENCE,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["data:read", "data:list"],
            "bearer_methods_supported": ["header"],
        })
    );
    let bare = ProtectedResource::new(AUDIENCE).unwrap().to_json();
    let bare: Value = serde_json::from_str(&bare).unwrap();
    assert_eq!(
        bare,
        json!({"resource": AUDIENCE, "bearer_methods_supported": ["header"]})
    );
}

/// G25
#[test]
fn a_place_that_has_no_name_in_rfc_6750_is_not_called_a_header() {
    for (place, is_named) in [
        (TokenFrom::authorization(), true),
        (TokenFrom::header("cf-access-jwt-assertion").unwrap(), false),
        (TokenFrom::cookie("__Host-token").unwrap(), false),
    ] {
        let document = resource().token_from(&place).to_json();
        let document: Value = serde_json::from_str(&document).unwrap();
        let methods = document.get("bearer_methods_supported");
        assert_eq!(methods.is_some(), is_named, "{place:?}");
    }
}

/// G25
#[tokio::test]
async fn every_challenge_names_the_metadata_where_it_is_configured() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let scoped = |rule: RequireScopes| get(async || "in").layer(rule);
    let rule = || RequireScopes::all(["admin"]).unwrap();
    let named = rule().resource(&resource()).realm("a").unwrap();
    let app = Router::new()
        .route("/", scoped(named))
        .route("/plain", scoped(rule()))
        .layer(
            JwtLayer::new(validator)
                .resource(&resource())
                .realm("a")
                .unwrap(),
        );
    let token = signer.good();
    let double = format!("Bearer {token}");
    let double = [double.as_bytes(), double.as_bytes()];
    for (status, request) in [
        (401, request("/", &[])),
        (401, bearer("/", "junk")),
        (400, request("/", &double)),
        (403, bearer("/", &token)),
    ] {
        let response = ask(&app, request).await;
        assert_eq!(response.status(), status);
        let challenge = challenge(&response);
        assert!(challenge.starts_with(r#"Bearer realm="a""#), "{challenge}");
        assert!(challenge.ends_with(METADATA), "{challenge}");
    }
    let response = ask(&app, bearer("/plain", &token)).await;
    assert!(!challenge(&response).contains("resource_metadata"));
}

/// G1, G25
#[tokio::test]
async fn a_route_that_needs_a_token_answers_with_the_challenge_of_its_optional_layer() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let layer = JwtLayer::new(validator).resource(&resource());
    let app = Router::new()
        .route("/", get(async |_: Jwt| "in"))
        .layer(layer.realm("a").unwrap().optional(true));
    let response = ask(&app, request("/", &[])).await;
    assert_eq!(response.status(), 401);
    let expected = format!(r#"Bearer realm="a", {METADATA}"#);
    assert_eq!(challenge(&response), expected);
    let response = ask(&app, bearer("/", &signer.good())).await;
    assert_eq!(response.status(), 200);
}

/// G25
#[tokio::test]
async fn the_well_known_part_stands_before_the_path_of_the_resource() {
    for (resource, path) in [
        ("https://api.example", ""),
        ("https://api.example/", ""),
        ("https://api.example/v1", "/v1"),
        ("https://api.example/v1/", "/v1/"),
        ("https://api.example:8443/a/b", "/a/b"),
        ("https://api.example/{x}/:y/*z", "/%7Bx%7D/:y/*z"),
        ("http://127.0.0.1:6002/v1", "/v1"),
    ] {
        let metadata = ProtectedResource::new(resource).unwrap();
        assert_eq!(metadata.resource(), resource);
        let path = format!("/.well-known/oauth-protected-resource{path}");
        assert!(metadata.metadata_url().ends_with(&path), "{resource}");
        let app = metadata.routes();
        let response = ask(&app, request(&path, &[])).await;
        assert_eq!(response.status(), 200, "{resource}");
        let document: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(document["resource"], resource);
    }
}

/// G20
#[test]
fn resources_that_are_no_plain_url_are_refused() {
    for resource in [
        "",
        "api.example",
        "http://api.example",
        "urn:example:api",
        "https://user@api.example",
        "https://:pw@api.example",
        "https://api.example?x=1",
        "https://api.example#x",
    ] {
        let error = ProtectedResource::new(resource).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Resource, "{resource:?}");
    }
    let hostile = ProtectedResource::new("https://api.example/\"\r\n\\é").unwrap();
    let url = hostile.metadata_url();
    assert!(
        url.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'),
        "{url}"
    );
}
