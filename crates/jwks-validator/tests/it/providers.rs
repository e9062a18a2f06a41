//! Discovery and keys in the shapes that providers publish them in, over loopback HTTP.

use jwks_validator::{Discovery, Fetched, KeySet, KeySource as _, RemoteJwks, SkipReason};
use serde_json::{Value, json};

use crate::remote::{Server, client};
use crate::signer::{Signer, check_with, good_claims, jwks, policy};

/// Issuer and keys as paths on one host, and the keys' members apart from the key itself.
struct Shape {
    provider: &'static str,
    issuer: &'static str,
    well_known: &'static str,
    jwks: &'static str,
    /// Members that are set; null removes one.
    members: Value,
    /// Further keys, and why they are not used.
    others: Vec<(Value, SkipReason)>,
}

const TENANT: &str = "/6babcaad-604b-40ac-a9d7-9fd97c0b779f";

fn shapes() -> Vec<Shape> {
    let certificate = json!(["MIIC+DCCAeCgAwIBAgIJBIGjYW6hFpn2MA0GCSqGSIb3DQEBBQUAMCMxITAf"]);
    let mut for_encryption = Signer::new("RS256", "enc").jwk();
    for_encryption["use"] = "enc".into();
    for_encryption["alg"] = "RSA-OAEP".into();
    vec![
        Shape {
            provider: "Google",
            issuer: "",
            well_known: "/.well-known/openid-configuration",
            jwks: "/oauth2/v3/certs",
            members: json!({"kid": "6e38ade51b21dcd6b5671e2ac1bb10b7a6b8a5f2"}),
            others: vec![],
        },
        Shape {
            provider: "Entra",
            issuer: "/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0",
            well_known: "/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0/.well-known/openid-configuration",
            jwks: "/6babcaad-604b-40ac-a9d7-9fd97c0b779f/discovery/v2.0/keys",
            members: json!({
                "alg": null,
                "kid": "JYhAcTPMZ_LX6DBlOWQ7Hn0NeXE",
                "x5t": "JYhAcTPMZ_LX6DBlOWQ7Hn0NeXE",
                "x5c": certificate,
                "cloud_instance_name": "microsoftonline.com",
                "issuer": format!("https://login.microsoftonline.com{TENANT}/v2.0"),
            }),
            others: vec![],
        },
        Shape {
            provider: "Auth0",
            issuer: "/",
            well_known: "/.well-known/openid-configuration",
            jwks: "/.well-known/jwks.json",
            members: json!({
                "kid": "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg",
                "x5t": "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg",
                "x5c": certificate,
            }),
            others: vec![],
        },
        Shape {
            provider: "Keycloak",
            issuer: "/realms/main",
            well_known: "/realms/main/.well-known/openid-configuration",
            jwks: "/realms/main/protocol/openid-connect/certs",
            members: json!({"x5c": certificate, "x5t#S256": "x"}),
            others: vec![(for_encryption, SkipReason::Use)],
        },
        Shape {
            provider: "Okta",
            issuer: "/oauth2/default",
            well_known: "/oauth2/default/.well-known/openid-configuration",
            jwks: "/oauth2/default/v1/keys",
            members: json!({"kid": "ZQpZSSBUkQ5yzM2PvXDUrSBhkGxDLTxLnjxjkCvAhXc"}),
            others: vec![],
        },
        Shape {
            provider: "Wristband",
            issuer: "",
            well_known: "/.well-known/openid-configuration",
            jwks: "/api/v1/oauth2/jwks",
            members: json!({}),
            others: vec![],
        },
        Shape {
            provider: "Cognito",
            issuer: "/eu-central-1_AbCdEfGhI",
            well_known: "/eu-central-1_AbCdEfGhI/.well-known/openid-configuration",
            jwks: "/eu-central-1_AbCdEfGhI/.well-known/jwks.json",
            members: json!({"kid": "R6CA8Bb9i0o3xQF2t8Aj3Vw2d7bD4cUoXnJ1pQ0yK3E="}),
            others: vec![],
        },
    ]
}

/// D9, D26
#[tokio::test]
async fn keys_are_found_and_used_with_every_provider() {
    for shape in shapes() {
        let server = Server::start().await;
        let base = server.url("");
        let base = base.as_str().trim_end_matches('/');
        let issuer = format!("{base}{}", shape.issuer);
        let metadata = json!({"issuer": issuer, "jwks_uri": server.url(shape.jwks).as_str()});
        let mut signer = Signer::new("RS256", "k");
        if let Some(kid) = shape.members["kid"].as_str() {
            kid.clone_into(&mut signer.kid);
        }
        let mut jwk = signer.jwk();
        for (name, value) in shape.members.as_object().unwrap() {
            jwk[name] = value.clone();
            if value.is_null() {
                jwk.as_object_mut().unwrap().remove(name);
            }
        }
        let mut keys = vec![jwk];
        keys.extend(shape.others.iter().map(|(key, _)| key.clone()));
        server.answer(404, &[], "");
        server.answer_at(shape.well_known, 200, &[], metadata.to_string());
        server.answer_at(shape.jwks, 200, &[], jwks(&keys));

        let discovery = Discovery::new(client(), &issuer)
            .unwrap()
            .restrict_to_origins([]);
        let source = RemoteJwks::discover(client(), discovery);
        let Ok(Fetched::Modified { keys, .. }) = source.fetch(None).await else {
            panic!("no keys from {}", shape.provider);
        };
        let skipped: Vec<SkipReason> = keys.skipped().iter().map(|key| key.reason).collect();
        let expected: Vec<SkipReason> = shape.others.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(skipped, expected, "{}", shape.provider);
        assert!(accepts(&keys, &signer), "{}", shape.provider);
        let asked: Vec<String> = server
            .requests()
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(asked, [shape.well_known, shape.jwks], "{}", shape.provider);
    }
}

fn accepts(keys: &KeySet, signer: &Signer) -> bool {
    let header = json!({"alg": "RS256", "kid": signer.kid}).to_string();
    let token = signer.raw(header, good_claims().to_string());
    check_with(&token, keys, &policy(), crate::signer::NOW).is_ok()
}

/// D24, D25
#[tokio::test]
async fn a_redirect_of_the_metadata_leads_nowhere() {
    for status in [301, 302, 303, 307, 308] {
        let (server, elsewhere) = (Server::start().await, Server::start().await);
        let base = server.url("");
        let issuer = base.as_str().trim_end_matches('/').to_owned();
        let metadata = json!({"issuer": issuer, "jwks_uri": elsewhere.url("/jwks").as_str()});
        elsewhere.answer(200, &[], metadata.to_string());
        let target = elsewhere.url("/moved");
        server.answer(status, &[("location", target.as_str())], "");
        let discovery = Discovery::new(client(), &issuer).unwrap();
        let source = RemoteJwks::discover(client(), discovery);
        assert!(source.fetch(None).await.is_err(), "{status}");
        assert_eq!(elsewhere.requests().len(), 0, "{status}");
    }
}
