//! Programs as a user of the libraries writes them: each has `token-cache` or `jwks-validator` and no other
//! crate of ours. The provider that they ask is part of the tests.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod axum_service;
mod hyper_client;
mod own_key_source;
mod own_revocation;
mod own_token_source;
mod reqwest_service;
mod roles;
mod tonic_pair;
mod two_issuers;

use dev_idp::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp};
use token_cache::{ClientCredentials, SecretString};

/// The client that the provider knows.
fn client_credentials(idp: &DevIdp) -> ClientCredentials {
    let secret = SecretString::from(DEFAULT_CLIENT_SECRET);
    ClientCredentials::builder(DEFAULT_CLIENT_ID, secret)
        .issuer(idp.issuer())
        .build()
        .unwrap()
}

/// Serves a router on a free loopback port until the test's runtime ends, and returns its origin.
async fn serve(app: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    origin
}

/// The status of a GET with this token.
async fn status(url: &str, token: Option<&str>) -> u16 {
    let mut request = reqwest::Client::new().get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().status().as_u16()
}
