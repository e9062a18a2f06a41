//! Green, amber and red, as the status addresses tell.

use std::time::Duration;

use dev_idp::{DevIdp, Endpoint, Fault, Rotation, TokenSpec};

use crate::status::{Events, document, open};
use crate::world::Pair;

#[tokio::test]
async fn an_outage_turns_public_data_amber_then_red_and_its_end_green() {
    let idp = DevIdp::builder()
        .token_lifetime(Duration::from_secs(8))
        .start()
        .await
        .unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    let mut events = Events::open(&pair.client, pair.public_admin.unwrap()).await;
    events.until(|document| document["state"] == "green").await;
    idp.pause().await;
    let amber = events.until(|document| document["state"] == "amber").await;
    assert!(amber["token"]["expires_in_ms"].as_u64().unwrap() > 0);
    assert_eq!(amber["token"]["last_error"], "connect");
    let reason = amber["reason"].as_str().unwrap();
    assert!(reason.contains("still served"), "{reason}");
    let red = events.until(|document| document["state"] == "red").await;
    let advice = red["advice"].as_str().unwrap();
    assert!(advice.contains("ISSUER"), "{advice}");
    assert_eq!(pair.public_data().await.status(), 503);
    idp.resume().await.unwrap();
    let green = events.until(|document| document["state"] == "green").await;
    let history = green["token"]["history"].as_array().unwrap();
    assert!(history.iter().any(|fetch| fetch["outcome"] == "connect"));
    assert!(history.len() <= 64);
    pair.stop().await;
}

#[tokio::test]
async fn protected_data_is_red_without_keys_and_amber_when_they_only_outlast_their_source() {
    let idp = DevIdp::builder().start().await.unwrap();
    idp.pause().await;
    let pair = Pair::start(&open(&idp)).await;
    let mut events = Events::open(&pair.client, pair.protected_admin.unwrap()).await;
    let red = events.until(|document| document["state"] == "red").await;
    assert!(red["advice"].as_str().unwrap().contains("JWKS_URI"));
    idp.resume().await.unwrap();
    events.until(|document| document["state"] == "green").await;

    idp.fault(Fault::on(Endpoint::Jwks).status(500));
    pair.validator.refresh().await;
    let amber = events.until(|document| document["state"] == "amber").await;
    let reason = amber["reason"].as_str().unwrap();
    assert!(reason.contains("still used"), "{reason}");
    idp.clear_faults();
    events.until(|document| document["state"] == "green").await;
    pair.stop().await;
}

/// N76
#[tokio::test]
async fn a_rotation_and_refused_tokens_show() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    let old = idp.current_kid();
    idp.rotate(Rotation::Hard).await.unwrap();
    let token = idp.mint(TokenSpec::new());
    assert_eq!(pair.protected_data(&token).await.status(), 200);
    let admin = pair.protected_admin.unwrap();
    let status = document(&pair.client, admin).await;
    let fetches = status["issuers"][0]["history"].as_array().unwrap();
    let rotation = fetches.last().unwrap();
    let has = |member: &str, kid: &str| {
        let kids = rotation[member].as_array().unwrap();
        kids.iter().any(|known| known == kid)
    };
    assert_eq!(rotation["outcome"], "changed");
    assert!(has("removed", &old) && has("added", &idp.current_kid()));

    assert_eq!(pair.protected_data("opaque").await.status(), 401);
    let status = document(&pair.client, admin).await;
    assert_eq!(status["state"], "amber");
    let advice = status["advice"].as_str().unwrap();
    assert!(
        advice.contains("TOKEN_RESOURCE") && advice.contains("introspection"),
        "{advice}"
    );

    let foreign = idp.mint(TokenSpec::new().claim("aud", "https://other.example"));
    assert_eq!(pair.protected_data(&foreign).await.status(), 401);
    let status = document(&pair.client, admin).await;
    assert_eq!(status["state"], "amber", "{status:#}");
    assert!(status["advice"].as_str().unwrap().contains("API_AUDIENCE"));
    assert_eq!(pair.protected_data(&token).await.status(), 200);
    assert_eq!(document(&pair.client, admin).await["state"], "green");
    pair.stop().await;
}

/// N15
#[tokio::test]
async fn a_missing_scope_is_told_by_protected_data_s_own_words() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = open(&idp);
    variables.insert("REQUIRED_SCOPES".to_owned(), "not:granted".to_owned());
    let pair = Pair::ready(&variables).await;
    assert_eq!(pair.public_data().await.status(), 502);
    let status = document(&pair.client, pair.public_admin.unwrap()).await;
    let text = status["downstream"]["last_failure"]["text"].as_str();
    let text = text.unwrap();
    let named = "it refused our token with 403; the token lacks a scope (check TOKEN_SCOPE and REQUIRED_SCOPES";
    assert!(text.starts_with(named), "{text}");
    pair.stop().await;
}

/// N90, N15
#[tokio::test]
async fn one_call_that_protected_data_refuses_turns_public_data_amber_and_the_next_one_red() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = open(&idp);
    variables.insert(
        "API_AUDIENCE".to_owned(),
        "https://other.example".to_owned(),
    );
    let pair = Pair::ready(&variables).await;
    assert_eq!(pair.public_data().await.status(), 502);
    let status = document(&pair.client, pair.public_admin.unwrap()).await;
    assert_eq!(status["state"], "amber");
    assert_eq!(pair.public_data().await.status(), 502);
    let status = document(&pair.client, pair.public_admin.unwrap()).await;
    assert_eq!(status["state"], "red");
    let reason = status["reason"].as_str().unwrap();
    assert!(
        reason.contains("refused our token with 401") && reason.contains("API_AUDIENCE"),
        "{reason}"
    );
    // A 401 is never for want of a scope.
    assert!(!reason.contains("SCOPE"), "{reason}");
    pair.stop().await;
}
