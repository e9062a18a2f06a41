//! Sources of `jwks_client_rs`.

use std::sync::Arc;

use async_trait::async_trait;
use jwks_client_rs::source::JwksSource;
use jwks_client_rs::{JsonWebKeySet, JwksClientError};
use jwks_validator::{Fetched, JwksSourceAdapter, JwtValidator, KeySource as _, SourceErrorKind};
use serde_json::{Value, json};

use crate::fake_source::ready;
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer};

struct Published(Value);

#[async_trait]
impl JwksSource for Published {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        Ok(serde_json::from_value(self.0.clone()).unwrap())
    }
}

#[tokio::test]
async fn keys_of_another_crates_source_validate_tokens() {
    let signers = [
        Signer::new("RS256", "rsa"),
        Signer::es256("ec"),
        Signer::new("EdDSA", "ed"),
    ];
    let keys: Vec<Value> = signers.iter().map(Signer::jwk).collect();
    let validator = ready(
        JwtValidator::builder()
            .issuer(
                ISSUER,
                JwksSourceAdapter::new(Published(json!({ "keys": keys }))),
            )
            .audience(AUDIENCE)
            .clock(Arc::new(clock::ManualClock::at_unix(NOW.unsigned_abs()))),
    )
    .await;
    for signer in &signers {
        assert!(
            validator.validate(&signer.good()).await.is_ok(),
            "{}",
            signer.alg
        );
    }
}

/// D14, D16
#[tokio::test]
async fn keys_of_another_crates_source_are_checked_like_ours() {
    let good = Signer::es256("good").jwk();
    let mut for_encryption = Signer::new("RS256", "enc").jwk();
    for_encryption["use"] = "enc".into();
    let mut forgeable = Signer::new("RS256", "e1").jwk();
    forgeable["e"] = "AQ".into();
    let keys = json!({"keys": [for_encryption, good, forgeable]});
    let source = JwksSourceAdapter::new(Published(keys));
    match source.fetch(None).await.unwrap() {
        Fetched::Modified { keys, .. } => {
            assert_eq!((keys.len(), keys.skipped().len()), (1, 2));
        }
        other => panic!("{other:?}"),
    }
    let empty = JwksSourceAdapter::new(Published(json!({"keys": []})));
    let error = empty.fetch(None).await.unwrap_err();
    assert!(matches!(error.kind(), SourceErrorKind::Keys(_)));
}

#[tokio::test]
async fn the_other_crates_web_source_works_over_loopback() {
    let signer = Signer::new("RS256", "k");
    let body = json!({"keys": [signer.jwk()]}).to_string();
    let server = crate::remote::Server::start().await;
    server.answer(200, &[("content-type", "application/json")], body);
    let source = jwks_client_rs::source::WebSource::builder()
        .build(server.url("/jwks"))
        .unwrap();
    let adapter = JwksSourceAdapter::new(source);
    assert!(adapter.fetch(None).await.is_ok());
    server.answer(500, &[], String::new());
    assert!(adapter.fetch(None).await.is_err());
}
