//! How public-data proves who it is to the certified provider.

use super::provider::{ODD_ID, ODD_SECRET, Provider, SECRET, variable};
use super::unavailable;
use crate::world::{PUBLIC_BODY, Pair};

/// A32, A33
#[tokio::test]
async fn each_client_authentication_method_is_understood() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    for (name, id, secret, method) in [
        ("basic", "svc-basic", SECRET, "client_secret_basic"),
        ("odd", ODD_ID, ODD_SECRET, "client_secret_basic"),
        ("post", "svc-post", SECRET, "client_secret_post"),
        // The raw form differs only where something would be escaped.
        ("raw", "svc-basic", SECRET, "client_secret_basic_raw"),
    ] {
        let pair = Pair::ready(&provider.variables_of_client(id, secret, method)).await;
        let body = pair.public_data().await.text().await.unwrap();
        assert_eq!(body, PUBLIC_BODY, "{name}");
        pair.stop().await;
    }
}

/// A34
#[tokio::test]
async fn each_kind_of_key_signs_an_assertion_that_is_taken_and_that_of_another_client_is_not() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let Some(keys) = variable("M2M_INTEROP_KEYS") else {
        return;
    };
    for (name, key_id) in [
        ("RS256", "c-rs256"),
        ("PS256", "c-ps256"),
        ("ES256", "c-es256"),
        ("EdDSA", "c-eddsa"),
    ] {
        let mut variables = provider.variables("es256");
        variables.remove("CLIENT_SECRET");
        let key_file = format!("{keys}/{name}.pem");
        for (variable, value) in [
            ("CLIENT_ID", "svc-pkjwt"),
            ("CLIENT_AUTH_METHOD", "private_key_jwt"),
            ("CLIENT_KEY_FILE", &key_file),
            ("CLIENT_KEY_ALGORITHM", name),
            ("CLIENT_KEY_ID", key_id),
        ] {
            variables.insert(variable.to_owned(), value.to_owned());
        }
        let pair = Pair::ready(&variables).await;
        let body = pair.public_data().await.text().await.unwrap();
        assert_eq!(body, PUBLIC_BODY, "{name}");
        pair.stop().await;

        variables.insert("CLIENT_ID".to_owned(), "svc-basic".to_owned());
        let pair = Pair::start(&variables).await;
        unavailable(&pair, "no token: invalid_client").await;
        pair.stop().await;
    }
}

/// A34
#[tokio::test]
async fn a_certificate_proves_who_the_client_is_and_that_of_a_stranger_does_not() {
    let Some(provider) = Provider::named_over_tls().await else {
        return;
    };
    let Some(keys) = variable("M2M_INTEROP_KEYS") else {
        return;
    };
    let mut variables = provider.variables("es256");
    variables.remove("CLIENT_SECRET");
    for (variable, value) in [
        ("CLIENT_ID", "svc-mtls"),
        ("CLIENT_AUTH_METHOD", "tls_client_auth"),
        ("CLIENT_CERTIFICATE_FILE", &format!("{keys}/client.pem")),
    ] {
        variables.insert(variable.to_owned(), value.to_owned());
    }
    let pair = Pair::ready(&variables).await;
    // The token is bound to the certificate (RFC 8705 section 3), which protected-data cannot check: it refuses it.
    assert_eq!(pair.public_data().await.status(), 502);
    pair.stop().await;

    let stranger = format!("{keys}/stranger.pem");
    variables.insert("CLIENT_CERTIFICATE_FILE".to_owned(), stranger);
    let pair = Pair::start(&variables).await;
    unavailable(&pair, "no token: invalid_client").await;
    pair.stop().await;
}

/// A12, A32
#[tokio::test]
async fn rejected_credentials_are_503_and_the_reason_is_in_the_readiness() {
    let Some(provider) = Provider::named().await else {
        return;
    };
    let basic = "client_secret_basic";
    let rejected = "no token: invalid_client";
    for (name, id, secret, method, reason) in [
        ("a wrong secret", "svc-basic", "wrong", basic, rejected),
        ("an unknown client", "svc-nobody", SECRET, basic, rejected),
        ("another method", "svc-secret-jwt", SECRET, basic, rejected),
        // The server cannot decode the client id and says `invalid_request`.
        (
            "odd characters, not escaped",
            ODD_ID,
            ODD_SECRET,
            "client_secret_basic_raw",
            "no token: oauth_error",
        ),
    ] {
        let before = provider.requests().await;
        let pair = Pair::start(&provider.variables_of_client(id, secret, method)).await;
        unavailable(&pair, reason).await;
        // A repetition with the same secret could lock the client out.
        let made = provider.requests().await.since(&before);
        assert_eq!(made.token, 1, "{name}");
        pair.stop().await;
    }
}
