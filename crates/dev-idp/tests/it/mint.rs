use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::ManualClock;
use dev_idp::{Algorithm, DevIdp, SigningKey, TokenSpec};
use serde_json::{Value, json};

use super::{claims_of, header_of, is_signed_by, jwks, provider};

#[tokio::test]
async fn a_minted_token_is_what_the_default_client_would_get() {
    let clock = Arc::new(ManualClock::at_unix(1_000));
    let idp = DevIdp::builder().clock(clock).start().await.unwrap();
    let token = idp.mint(TokenSpec::new());
    let mut claims = claims_of(&token);
    assert!(claims["jti"].take().is_string());
    let expected = json!({
        "iss": idp.issuer(), "sub": "dev-client", "client_id": "dev-client", "jti": null,
        "aud": "https://protected-data.example", "scope": "data:read", "iat": 1_000, "exp": 1_300,
    });
    assert_eq!(claims, expected);
    assert!(is_signed_by(&token, &jwks(&idp).await));
}

#[tokio::test]
async fn claims_and_header_members_are_set_replaced_and_left_out() {
    let idp = provider().await;
    let spec = TokenSpec::new()
        .claim("aud", json!(["a", 1, null]))
        .claim("exp", Value::Null)
        .claim("nested", json!({ "a": [true] }))
        .without_claim("iss")
        .claim("sub", 7)
        .header("crit", json!(["b64"]))
        .header("alg", "none")
        .typ("JWT")
        .without_header("kid");
    let token = idp.mint(spec);
    assert_eq!(
        header_of(&token),
        json!({ "alg": "none", "crit": ["b64"], "typ": "JWT" })
    );
    let claims = claims_of(&token);
    assert_eq!(claims["aud"], json!(["a", 1, null]));
    assert_eq!(claims.get("exp"), Some(&Value::Null));
    assert_eq!(claims["nested"], json!({ "a": [true] }));
    assert_eq!(claims.get("iss"), None);
    assert_eq!(claims["sub"], 7);
}

#[tokio::test]
async fn lifetime_and_algorithm_can_be_chosen_for_one_token() {
    let idp = provider().await;
    let spec = TokenSpec::new().algorithm(Algorithm::EdDsa);
    let token = idp.mint(spec.lifetime(Duration::from_secs(7)));
    let claims = claims_of(&token);
    assert_eq!(
        claims["exp"].as_i64(),
        claims["iat"].as_i64().map(|iat| iat + 7)
    );
    assert_eq!(header_of(&token)["alg"], "EdDSA");
    assert!(is_signed_by(&token, &jwks(&idp).await));
    assert_eq!(header_of(&super::token(&idp).await)["alg"], "RS256");
}

#[tokio::test]
async fn a_foreign_key_signs_under_its_own_name_or_a_stolen_one() {
    let idp = provider().await;
    let published = jwks(&idp).await;
    let foreign = SigningKey::generate(Algorithm::Rs256).unwrap();
    let token = idp.mint(TokenSpec::new().signed_by(&foreign));
    assert_eq!(header_of(&token)["kid"], foreign.kid());
    assert!(!is_signed_by(&token, &published));
    assert!(is_signed_by(
        &token,
        &json!({ "keys": [foreign.public_jwk()] })
    ));

    let stolen = TokenSpec::new().signed_by(&foreign).kid(idp.current_kid());
    let token = idp.mint(stolen);
    assert_eq!(header_of(&token)["kid"], idp.current_kid());
    assert!(!is_signed_by(&token, &published));
}

#[tokio::test]
async fn raw_text_is_signed_as_it_stands() {
    let idp = provider().await;
    let header = format!(r#"{{"alg":"RS256", "kid":"{}"}}"#, idp.current_kid());
    let payload = r#"{"exp":1e400,"exp":1,,"#;
    let token = idp.mint_raw(&header, payload);
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[0]).unwrap(), header.as_bytes());
    assert_eq!(
        URL_SAFE_NO_PAD.decode(parts[1]).unwrap(),
        payload.as_bytes()
    );
    assert!(is_signed_by(&token, &jwks(&idp).await));
}
