//! A rule by which tokens of a dismissed client are refused, from a list that may be out of reach.

use std::sync::{Arc, RwLock};

use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DevIdp, TokenSpec};
use jwks_validator::{
    Claims, IdpClient, JwtValidator, Reason, RemoteJwks, Revocation, RevocationError, async_trait,
};

/// The clients that are dismissed, or nothing while the list is out of reach.
#[derive(Clone, Debug)]
struct Dismissed(Arc<RwLock<Option<Vec<String>>>>);

#[async_trait]
impl Revocation for Dismissed {
    async fn is_revoked(&self, claims: &Claims) -> Result<bool, RevocationError> {
        let list = self.0.read().unwrap();
        let list = list.as_ref();
        let list = list.ok_or_else(|| RevocationError::new("the list is out of reach"))?;
        Ok(list.iter().any(|id| claims.client_id() == Some(id)))
    }

    fn needs_token_id(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_dismissed_client_is_refused_and_without_the_list_nobody_can_tell() {
    let idp = DevIdp::builder().start().await.unwrap();
    let http = IdpClient::builder().build().unwrap();
    let keys = RemoteJwks::new(http, idp.jwks_uri().parse().unwrap());
    let dismissed = Dismissed(Arc::new(RwLock::new(Some(Vec::new()))));
    let validator = JwtValidator::builder()
        .issuer(idp.issuer(), keys)
        .audience(DEFAULT_AUDIENCE)
        .revocation(dismissed.clone())
        .build()
        .unwrap();
    let token = idp.mint(TokenSpec::new().without_claim("jti"));
    assert!(validator.validate(&token).await.is_ok());

    *dismissed.0.write().unwrap() = Some(vec![DEFAULT_CLIENT_ID.to_owned()]);
    let refused = validator.validate(&token).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Revoked);

    *dismissed.0.write().unwrap() = None;
    let undecided = validator.validate(&token).await.unwrap_err();
    assert_eq!(undecided.status(), 503);
    validator.shutdown().await;
}
