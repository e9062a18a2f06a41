//! Metadata in the shapes that providers publish it in: which host, which path, which slash at the
//! end. Tenant names are made up; of the members, those are kept that are odd or matter here.

use serde_json::{Value, json};
use url::Url;

use super::{Discovery, DiscoveryError, Metadata};
use crate::client::IdpClient;

struct Shape {
    provider: &'static str,
    issuer: &'static str,
    /// Where the provider serves the document.
    well_known: &'static str,
    token_endpoint: &'static str,
    jwks_uri: &'static str,
    /// The host of the keys, where it is not the issuer's.
    keys_elsewhere: Option<&'static str>,
    more: Value,
}

fn shapes() -> Vec<Shape> {
    vec![
        Shape {
            provider: "Google",
            issuer: "https://accounts.google.com",
            well_known: "https://accounts.google.com/.well-known/openid-configuration",
            token_endpoint: "https://oauth2.googleapis.com/token",
            jwks_uri: "https://www.googleapis.com/oauth2/v3/certs",
            keys_elsewhere: Some("https://www.googleapis.com/"),
            more: json!({"code_challenge_methods_supported": ["plain", "S256"]}),
        },
        Shape {
            provider: "Entra, tokens of version 2",
            issuer: "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0",
            well_known: "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0/.well-known/openid-configuration",
            token_endpoint: "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/oauth2/v2.0/token",
            jwks_uri: "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/discovery/v2.0/keys",
            keys_elsewhere: None,
            more: json!({"tenant_region_scope": "EU", "cloud_instance_name": "microsoftonline.com", "http_logout_supported": true}),
        },
        Shape {
            provider: "Entra, tokens of version 1",
            issuer: "https://sts.windows.net/6babcaad-604b-40ac-a9d7-9fd97c0b779f/",
            well_known: "https://sts.windows.net/6babcaad-604b-40ac-a9d7-9fd97c0b779f/.well-known/openid-configuration",
            token_endpoint: "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/oauth2/token",
            jwks_uri: "https://login.microsoftonline.com/common/discovery/keys",
            keys_elsewhere: Some("https://login.microsoftonline.com/"),
            more: json!({"check_session_iframe": "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/oauth2/checksession"}),
        },
        Shape {
            provider: "Auth0",
            issuer: "https://tenant.eu.auth0.com/",
            well_known: "https://tenant.eu.auth0.com/.well-known/openid-configuration",
            token_endpoint: "https://tenant.eu.auth0.com/oauth/token",
            jwks_uri: "https://tenant.eu.auth0.com/.well-known/jwks.json",
            keys_elsewhere: None,
            more: json!({"mfa_challenge_endpoint": "https://tenant.eu.auth0.com/mfa/challenge"}),
        },
        Shape {
            provider: "Keycloak",
            issuer: "https://keycloak.example/realms/main",
            well_known: "https://keycloak.example/realms/main/.well-known/openid-configuration",
            token_endpoint: "https://keycloak.example/realms/main/protocol/openid-connect/token",
            jwks_uri: "https://keycloak.example/realms/main/protocol/openid-connect/certs",
            keys_elsewhere: None,
            more: json!({"mtls_endpoint_aliases": {
                "token_endpoint": "https://keycloak.example/realms/main/protocol/openid-connect/token",
            }}),
        },
        Shape {
            provider: "Okta, custom server",
            issuer: "https://dev-123456.okta.com/oauth2/default",
            well_known: "https://dev-123456.okta.com/oauth2/default/.well-known/openid-configuration",
            token_endpoint: "https://dev-123456.okta.com/oauth2/default/v1/token",
            jwks_uri: "https://dev-123456.okta.com/oauth2/default/v1/keys",
            keys_elsewhere: None,
            more: json!({"request_parameter_supported": true}),
        },
        Shape {
            provider: "Okta, server of the organization",
            issuer: "https://dev-123456.okta.com",
            well_known: "https://dev-123456.okta.com/.well-known/openid-configuration",
            token_endpoint: "https://dev-123456.okta.com/oauth2/v1/token",
            jwks_uri: "https://dev-123456.okta.com/oauth2/v1/keys",
            keys_elsewhere: None,
            more: json!({}),
        },
        Shape {
            provider: "Wristband",
            issuer: "https://tenant.us.wristband.dev",
            well_known: "https://tenant.us.wristband.dev/.well-known/openid-configuration",
            token_endpoint: "https://tenant.us.wristband.dev/api/v1/oauth2/token",
            jwks_uri: "https://tenant.us.wristband.dev/api/v1/oauth2/jwks",
            keys_elsewhere: None,
            more: json!({}),
        },
        Shape {
            provider: "Cognito",
            issuer: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI",
            well_known: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI/.well-known/openid-configuration",
            token_endpoint: "https://pool.auth.eu-central-1.amazoncognito.com/oauth2/token",
            jwks_uri: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI/.well-known/jwks.json",
            keys_elsewhere: None,
            more: json!({"end_session_endpoint": "https://pool.auth.eu-central-1.amazoncognito.com/logout"}),
        },
    ]
}

impl Shape {
    fn document(&self) -> String {
        let mut document = json!({
            "issuer": self.issuer,
            "token_endpoint": self.token_endpoint,
            "jwks_uri": self.jwks_uri,
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        for (name, value) in self.more.as_object().unwrap() {
            document[name] = value.clone();
        }
        document.to_string()
    }
}

fn discovery(issuer: &str) -> Discovery {
    Discovery::new(IdpClient::builder().build().unwrap(), issuer).unwrap()
}

fn read(discovery: &Discovery, shape: &Shape) -> Result<Metadata, DiscoveryError> {
    discovery.read(shape.document().as_bytes())
}

fn text(url: Option<&Url>) -> Option<&str> {
    url.map(Url::as_str)
}

/// D26
#[test]
fn each_providers_metadata_is_looked_for_where_it_is_and_read() {
    for shape in shapes() {
        let discovery = discovery(shape.issuer);
        assert_eq!(discovery.candidates[0].as_str(), shape.well_known);
        let metadata = read(&discovery, &shape).unwrap();
        assert_eq!(metadata.issuer, shape.issuer);
        assert_eq!(text(metadata.jwks_uri.as_ref()), Some(shape.jwks_uri));
        let token_endpoint = text(metadata.token_endpoint.as_ref());
        assert_eq!(token_endpoint, Some(shape.token_endpoint));
    }
}

/// D26
#[test]
fn the_slash_at_the_end_of_an_issuer_is_part_of_its_name() {
    for shape in shapes() {
        let other = match shape.issuer.strip_suffix('/') {
            Some(without) => without.to_owned(),
            None => format!("{}/", shape.issuer),
        };
        let discovery = discovery(&other);
        assert_eq!(
            discovery.candidates[0].as_str(),
            shape.well_known,
            "{}: the document is found either way",
            shape.provider
        );
        let error = read(&discovery, &shape).unwrap_err();
        assert!(error.is_issuer_mismatch(), "{}", shape.provider);
    }
}

/// D25
#[test]
fn restricted_to_their_origin_most_providers_work_and_the_others_by_an_allowed_host() {
    for shape in shapes() {
        let own = discovery(shape.issuer).restrict_to_origins([]);
        let result = read(&own, &shape);
        let keys = result
            .as_ref()
            .ok()
            .and_then(|found| found.jwks_uri.as_ref());
        match shape.keys_elsewhere {
            None => assert_eq!(text(keys), Some(shape.jwks_uri)),
            Some(host) => {
                assert!(result.is_err(), "{}", shape.provider);
                let host = host.parse().unwrap();
                let allowed = discovery(shape.issuer).restrict_to_origins([&host]);
                let metadata = read(&allowed, &shape).unwrap();
                assert_eq!(text(metadata.jwks_uri.as_ref()), Some(shape.jwks_uri));
            }
        }
    }
}

/// Entra's document for every tenant names a pattern, and no issuer.
#[test]
fn the_document_for_all_tenants_is_that_of_no_issuer() {
    let common = "https://login.microsoftonline.com/common/v2.0";
    let document = json!({
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        "jwks_uri": "https://login.microsoftonline.com/common/discovery/v2.0/keys",
    });
    let error = discovery(common)
        .read(document.to_string().as_bytes())
        .unwrap_err();
    assert!(error.is_issuer_mismatch());
}
