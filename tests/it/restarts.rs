//! Processes, keys, addresses and clocks that change under a running pair.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use clock::{Clock, ManualClock};
use dev_idp::{
    DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp, Rotation, TokenSpec,
};
use jwks_validator::{IdpClient, JwtLayer, JwtValidator, RemoteJwks};
use reqwest_middleware::ClientBuilder;
use token_cache::{BearerTokenMiddleware, ClientCredentials, SecretString, TokenCache};
use tokio::net::TcpListener;

use crate::program::Program;
use crate::world::{PUBLIC_BODY, Pair, client, variables};

/// H14
#[tokio::test]
async fn a_provider_that_restarts_with_other_keys_costs_no_request() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let (address, issuer) = (idp.addr(), idp.issuer().to_owned());
    let old = idp.mint(TokenSpec::new());
    assert_eq!(pair.protected_data(&old).await.status(), 200);
    idp.shutdown().await;
    assert_eq!(pair.public_data().await.status(), 200);

    let idp = DevIdp::builder()
        .addr(address)
        .issuer(&issuer)
        .start()
        .await
        .unwrap();
    let new = idp.mint(TokenSpec::new());
    assert_eq!(pair.protected_data(&new).await.status(), 200);
    assert_eq!(pair.protected_data(&old).await.status(), 401);
    // The token that public-data holds is one of the old provider.
    for _ in 0..3 {
        let response = pair.public_data().await;
        assert_eq!(response.text().await.unwrap(), PUBLIC_BODY);
    }
    assert_eq!(idp.requests().token, 1);
}

/// H15
#[tokio::test]
async fn after_a_step_of_the_wall_clock_what_has_expired_is_replaced_and_service_goes_on() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let clock = ManualClock::at_unix(1_700_000_000);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let idp = DevIdp::builder()
        .clock(Arc::clone(&shared))
        .start()
        .await
        .unwrap();
    let keys = IdpClient::builder().build().unwrap();
    let validator = JwtValidator::builder()
        .issuer(
            idp.issuer(),
            RemoteJwks::new(keys, idp.jwks_uri().parse().unwrap()),
        )
        .audience(DEFAULT_AUDIENCE)
        .verified_cache(100)
        .clock(Arc::clone(&shared))
        .build()
        .unwrap();
    validator.start();
    let api = axum::Router::new()
        .fallback(|| async { "here I am" })
        .layer(JwtLayer::new(validator.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, api).await.unwrap() });
    let source =
        ClientCredentials::builder(DEFAULT_CLIENT_ID, SecretString::from(DEFAULT_CLIENT_SECRET))
            .token_endpoint(&idp.token_endpoint())
            .build()
            .unwrap();
    let cache = TokenCache::builder(source).clock(shared).build().unwrap();
    let bearer = BearerTokenMiddleware::builder(cache.clone())
        .allow_origin(&url)
        .build()
        .unwrap();
    let http = ClientBuilder::new(client()).with(bearer).build();
    let call = async || http.get(&url).send().await.unwrap().status();

    assert_eq!(call().await, StatusCode::OK);
    let first = cache.token().await.unwrap();
    // Later than it is: the token has expired by the wall clock.
    clock.advance(HOUR);
    assert!(validator.validate(first.secret()).await.is_err());
    assert_eq!(call().await, StatusCode::OK);
    let second = cache.token().await.unwrap();
    assert!(!second.is_same(&first));
    // Right again: that token was issued in the future, and the one before it is good once more.
    clock.step_back(HOUR);
    assert!(validator.validate(second.secret()).await.is_err());
    assert!(validator.validate(first.secret()).await.is_ok());
    assert_eq!(call().await, StatusCode::OK);
    assert_eq!(idp.requests().token, 2);
}

/// H18
#[tokio::test]
async fn a_killed_pair_starts_again_from_nothing() {
    let idp = DevIdp::builder().start().await.unwrap();
    for _ in 0..2 {
        let mut variables = variables(&idp);
        variables.insert("LOG_FORMAT".to_owned(), "json".to_owned());
        let mut protected = Program::start("protected-data", &[], &variables);
        let url = format!("http://{}", protected.address().await);
        variables.insert("PROTECTED_DATA_URL".to_owned(), url);
        let mut public = Program::start("public-data", &[], &variables);
        let url = format!("http://{}/api/public/data", public.address().await);
        let body = client().get(&url).send().await.unwrap().text().await;
        assert_eq!(body.unwrap(), PUBLIC_BODY);
        for program in [protected, public] {
            program.signal("KILL");
            let ended = program.ended().await;
            assert_eq!(ended.status.code(), None);
            assert!(!ended.wrote_files, "something was left behind");
        }
    }
}

/// H19
#[tokio::test]
async fn instances_side_by_side_accept_the_same_tokens() {
    let idp = DevIdp::builder().start().await.unwrap();
    let old = Pair::ready(&variables(&idp)).await;
    let before = idp.mint(TokenSpec::new());
    assert_eq!(old.protected_data(&before).await.status(), 200);
    idp.rotate(Rotation::Overlapping).await.unwrap();
    // The new instance knows both keys from the start, the old one learns of the second.
    let new = Pair::ready(&variables(&idp)).await;
    let after = idp.mint(TokenSpec::new());
    for pair in [&old, &new] {
        for token in [&before, &after] {
            assert_eq!(pair.protected_data(token).await.status(), 200);
        }
        for tokens in [&old.tokens, &new.tokens] {
            let token = tokens.token().await.unwrap();
            assert_eq!(pair.protected_data(token.secret()).await.status(), 200);
        }
    }
    // One leaves, and its clients do not notice with the other.
    old.stop().await;
    assert_eq!(new.protected_data(&before).await.status(), 200);
    assert_eq!(new.public_data().await.status(), 200);
}
