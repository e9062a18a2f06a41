//! The certified provider fails, and comes back.

use tokio::time::timeout;

use super::provider::Provider;
use super::{accepted, unavailable};
use crate::world::{LIMIT, PUBLIC_BODY, Pair, challenge, header};

/// D20
#[tokio::test]
async fn a_new_key_that_cannot_be_fetched_is_503_and_not_401() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let pair = Pair::ready(&provider.variables("es256")).await;
    let old = provider.token("es256").await;
    accepted(&pair, &old).await;
    provider.control("/rotate").await;
    let new = provider.token("es256").await;
    provider.fault("path=/jwks&status=503").await;
    let response = pair.protected_data(&new).await;
    assert_eq!(response.status(), 503);
    assert_ne!(header(&response, "retry-after"), "");
    assert_eq!(challenge(&response), "");
    // The keys that are there stay in use.
    accepted(&pair, &old).await;
    provider.no_fault().await;
    // Nobody waits for a fetch while they fail; the next one is made after the back-off.
    let comes_back = async {
        while pair.protected_data(&new).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, comes_back).await.unwrap();
}

/// A1, A10
#[tokio::test]
async fn one_failure_of_the_token_endpoint_is_not_seen_by_the_caller() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    for (name, fault) in [("unavailable", "status=503"), ("reset", "status=-1")] {
        let before = provider.requests().await;
        provider.fault_once(&format!("path=/token&{fault}")).await;
        let pair = Pair::start(&provider.variables("es256")).await;
        let response = pair.public_data().await;
        assert_eq!(response.text().await.unwrap(), PUBLIC_BODY, "{name}");
        let made = provider.requests().await.since(&before);
        assert_eq!(made.token, 2, "{name}");
        pair.stop().await;
    }
}

/// A37, N32
#[tokio::test]
async fn what_a_repetition_would_not_change_is_asked_for_again_later() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    for (fault, reason) in [
        ("status=429&retry_after=3", "no token: throttled"),
        ("status=200&body={\"access_token\":", "no token: json"),
    ] {
        let before = provider.requests().await;
        provider.fault_once(&format!("path=/token&{fault}")).await;
        let pair = Pair::start(&provider.variables("es256")).await;
        unavailable(&pair, reason).await;
        let made = provider.requests().await.since(&before);
        assert_eq!(made.token, 1, "{reason}");
        pair.wait_ready().await;
        assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
        pair.stop().await;
    }
}

/// A10, D4
#[tokio::test]
async fn both_services_recover_from_an_outage_by_themselves() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let token = provider.token("es256").await;
    provider.fault("path=/token&status=503").await;
    let pair = Pair::start(&provider.variables("es256")).await;
    unavailable(&pair, "no token: status_5xx").await;
    provider.no_fault().await;
    pair.wait_ready().await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
    pair.stop().await;

    for (path, reason) in [
        ("/jwks", "no keys: unexpected status 503"),
        (
            "/.well-known/openid-configuration",
            "no keys: no issuer metadata",
        ),
    ] {
        provider.fault(&format!("path={path}&status=503")).await;
        let mut variables = provider.variables("es256");
        variables.insert(
            "TOKEN_ENDPOINT".to_owned(),
            format!("{}/token", provider.issuer),
        );
        let pair = Pair::start(&variables).await;
        let response = pair.protected_data(&token).await;
        assert_eq!(response.status(), 503, "{path}");
        assert_ne!(header(&response, "retry-after"), "", "{path}");
        assert_eq!(challenge(&response), "", "{path}");
        let response = pair.get_protected("/readyz").await;
        assert_eq!(response.status(), 503, "{path}");
        let body = response.text().await.unwrap();
        assert!(body.contains(reason), "{path}: {body}");
        let response = pair.public_data().await;
        assert_eq!(response.status(), 503, "{path}");
        assert_ne!(header(&response, "retry-after"), "", "{path}");

        provider.no_fault().await;
        pair.wait_ready().await;
        accepted(&pair, &token).await;
        assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
        pair.stop().await;
    }
}
