use std::collections::HashSet;

use dev_idp::{Algorithm, Rotation, SigningKey, TokenSpec};

use super::{claims_of, header_of, is_signed_by, jwks, provider, token};

#[tokio::test]
async fn every_algorithm_signs_tokens_that_another_implementation_verifies() {
    let idp = provider().await;
    for (algorithm, name) in [
        (Algorithm::Es256, "ES256"),
        (Algorithm::EdDsa, "EdDSA"),
        (Algorithm::Rs256, "RS256"),
    ] {
        idp.set_signing_algorithm(algorithm);
        let token = token(&idp).await;
        assert_eq!(header_of(&token)["alg"], name);
        assert!(is_signed_by(&token, &jwks(&idp).await), "{name}");
    }
}

#[tokio::test]
async fn an_overlapping_rotation_keeps_the_old_keys_until_they_are_retired() {
    let idp = provider().await;
    let old = token(&idp).await;
    let old_kids = idp.published_kids();
    idp.rotate(Rotation::Overlapping).await.unwrap();

    let new = token(&idp).await;
    assert_ne!(header_of(&new)["kid"], header_of(&old)["kid"]);
    let published = jwks(&idp).await;
    assert_eq!(published["keys"].as_array().unwrap().len(), 6);
    assert!(is_signed_by(&old, &published));
    assert!(is_signed_by(&new, &published));

    idp.retire();
    let published = jwks(&idp).await;
    assert_eq!(published["keys"].as_array().unwrap().len(), 3);
    assert!(!is_signed_by(&old, &published));
    assert!(is_signed_by(&new, &published));
    assert!(
        idp.published_kids()
            .iter()
            .all(|kid| !old_kids.contains(kid))
    );
}

#[tokio::test]
async fn a_hard_rotation_withdraws_the_old_keys_at_once() {
    let idp = provider().await;
    let old = token(&idp).await;
    idp.rotate(Rotation::Hard).await.unwrap();
    let published = jwks(&idp).await;
    assert_eq!(published["keys"].as_array().unwrap().len(), 3);
    assert!(!is_signed_by(&old, &published));
    assert!(is_signed_by(&token(&idp).await, &published));
}

/// J12
#[test]
fn debug_output_of_a_key_shows_its_name_only() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let expected = format!(
        "SigningKey {{ kid: {:?}, algorithm: EdDsa, .. }}",
        key.kid()
    );
    assert_eq!(format!("{key:?}"), expected);
}

/// J14
#[tokio::test]
async fn no_key_id_and_no_token_id_comes_twice() {
    const TOKENS: usize = 5_000;
    const KEYS: usize = 200;
    let idp = provider().await;
    let token = || idp.mint(TokenSpec::new().algorithm(Algorithm::EdDsa));
    let ids: HashSet<String> = (0..TOKENS)
        .map(|_| claims_of(&token())["jti"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), TOKENS);
    let kids: HashSet<String> = (0..KEYS)
        .map(|_| SigningKey::generate(Algorithm::EdDsa).unwrap())
        .map(|key| key.kid().to_owned())
        .collect();
    assert_eq!(kids.len(), KEYS);
    // 16 bytes in base64url: too many to meet again by chance.
    assert!(ids.iter().chain(&kids).all(|id| id.len() >= 22));
}
