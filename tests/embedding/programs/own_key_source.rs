//! A source of keys that asks a mirror with the hardened client, and keeps what it was told about freshness.

use std::time::Duration;

use dev_idp::{DEFAULT_AUDIENCE, DevIdp, TokenSpec};
use jwks_validator::{
    EntityTag, FetchError, Fetched, IdpClient, JwtValidator, KeySet, KeySource, RefreshOutcome,
    Reply, SourceError, SourceErrorKind, Url, async_trait,
};

#[derive(Debug)]
struct Mirror {
    http: IdpClient,
    url: Url,
}

fn unreachable(error: FetchError) -> SourceError {
    SourceError::new(SourceErrorKind::Fetch(error.kind()), error.answer())
}

fn read(reply: &Reply) -> Result<Fetched, SourceError> {
    if reply.status != 200 {
        let kind = SourceErrorKind::Status(reply.status.as_u16());
        return Err(SourceError::new(kind, reply.answer()));
    }
    let tag = reply.headers.get("etag").cloned().map(EntityTag::new);
    Ok(Fetched::keys(KeySet::from_jwks_json(&reply.body)?)
        .with_max_age(Some(Duration::from_secs(60)))
        .with_entity_tag(tag))
}

#[async_trait]
impl KeySource for Mirror {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        let reply = self.http.get(&self.url, Default::default(), 64 * 1024);
        read(&reply.await.map_err(unreachable)?)
    }
}

#[tokio::test]
async fn keys_of_an_own_source_decide_and_its_failures_are_told() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mirror = |path: &str| Mirror {
        http: IdpClient::builder().build().unwrap(),
        url: format!("{}{path}", idp.issuer()).parse().unwrap(),
    };
    let jwks = mirror("/api/v1/oauth2/jwks");
    assert_eq!(idp.jwks_uri(), jwks.url.as_str());
    let validator = |keys: Mirror| {
        JwtValidator::builder()
            .issuer(idp.issuer(), keys)
            .audience(DEFAULT_AUDIENCE)
            .build()
            .unwrap()
    };
    let good = validator(jwks);
    let token = idp.mint(TokenSpec::new());
    assert!(good.validate(&token).await.is_ok());
    good.shutdown().await;

    let broken = validator(mirror("/nothing-here"));
    let refreshed = broken.refresh().await;
    let failed = RefreshOutcome::Failed(SourceErrorKind::Status(404));
    assert_eq!(refreshed[0].outcome, failed);
    // Nobody can tell.
    let undecided = broken.validate(&token).await.unwrap_err();
    assert_eq!(undecided.status(), 503);
    broken.shutdown().await;
}
