//! A validator for the tokens of two providers, each with its own keys.

use std::sync::Arc;

use dev_idp::{DEFAULT_AUDIENCE, DevIdp, TokenSpec};
use jwks_validator::{
    AuthError, Claims, IdpClient, JwtValidator, Metadata, Reason, RemoteJwks, Url,
};

/// Where keys are, read from metadata that were fetched before.
fn key_address(metadata: &Metadata) -> Option<&Url> {
    metadata.jwks_uri.as_ref()
}

#[tokio::test]
async fn tokens_of_two_issuers_are_told_apart_and_a_third_is_refused() {
    let [staff, partners, strangers] = [
        DevIdp::builder().start().await.unwrap(),
        DevIdp::builder().start().await.unwrap(),
        DevIdp::builder().start().await.unwrap(),
    ];
    let http = IdpClient::builder().build().unwrap();
    let mut validator = JwtValidator::builder().audience(DEFAULT_AUDIENCE);
    for idp in [&staff, &partners] {
        let metadata = jwks_validator::Discovery::new(http.clone(), idp.issuer()).unwrap();
        let metadata = metadata.metadata().await.unwrap();
        let keys = key_address(&metadata).unwrap().clone();
        validator = validator.issuer(idp.issuer(), RemoteJwks::new(http.clone(), keys));
    }
    let validator = validator.build().unwrap();
    validator.start();

    for idp in [&staff, &partners] {
        let claims: Result<Arc<Claims>, AuthError> =
            validator.validate(&idp.mint(TokenSpec::new())).await;
        assert_eq!(claims.unwrap().issuer(), idp.issuer());
    }
    let strange = validator.validate(&strangers.mint(TokenSpec::new())).await;
    assert_eq!(strange.unwrap_err().reason(), Reason::UnknownIssuer);
    // The name of the one with the keys of the other.
    let forged = TokenSpec::new().claim("iss", staff.issuer());
    let forged = validator.validate(&partners.mint(forged)).await;
    assert!(forged.is_err());
    validator.shutdown().await;
}
