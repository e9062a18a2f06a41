//! The provider as its users see it: over HTTP, through its handle, and as a program.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod authorize;
mod client_auth;
mod code;
mod control;
mod faults;
mod keys;
mod lifecycle;
mod logout;
mod metadata;
mod mint;
mod people;
mod person;
mod program;
mod pushed;
mod refresh;
mod revoke;
mod sign_in;
mod tamper;
mod tenants;
mod token;
mod userinfo;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dev_idp::{DevClient, DevIdp};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;

const FORM: &str = "application/x-www-form-urlencoded";

/// An answer, read to its end.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    #[track_caller]
    fn header(&self, name: impl Into<HeaderName>) -> &str {
        self.headers.get(name.into()).unwrap().to_str().unwrap()
    }

    #[track_caller]
    fn access_token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["access_token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, &self.json()["error"]),
            (status, &code.into()),
            "{}",
            self.text
        );
    }
}

/// Returns a client that keeps no connection open, so that tests, each with a runtime of its own,
/// can share it: making one reads all root certificates.
fn http() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        let builder = reqwest::Client::builder().no_proxy();
        let builder = builder.redirect(reqwest::redirect::Policy::none());
        builder.pool_max_idle_per_host(0).build().unwrap()
    });
    CLIENT.clone()
}

/// A provider whose client `id`:`secret` has two scopes and may ask for any audience.
async fn provider() -> DevIdp {
    let client = DevClient::new("id", "secret").scopes(["read", "write"]);
    DevIdp::builder().client(client).start().await.unwrap()
}

/// Posts a form to the token endpoint without an `Authorization` header.
async fn post(idp: &DevIdp, form: &str) -> Reply {
    let request = http().post(idp.token_endpoint());
    Reply::of(request.header("content-type", FORM).body(form.to_owned())).await
}

/// Posts a form to the token endpoint as `id`:`secret`.
async fn ask(idp: &DevIdp, form: &str) -> Reply {
    let request = http()
        .post(idp.token_endpoint())
        .header("content-type", FORM);
    let request = request.header("authorization", basic("id", "secret"));
    Reply::of(request.body(form.to_owned())).await
}

/// Gets a token as `id`:`secret`.
async fn token(idp: &DevIdp) -> String {
    ask(idp, "grant_type=client_credentials")
        .await
        .access_token()
}

async fn jwks(idp: &DevIdp) -> Value {
    Reply::of(http().get(idp.jwks_uri())).await.json()
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

#[track_caller]
fn header_of(token: &str) -> Value {
    part(token, 0)
}

#[track_caller]
fn claims_of(token: &str) -> Value {
    part(token, 1)
}

#[track_caller]
fn part(token: &str, at: usize) -> Value {
    let text = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Tells whether one of the keys has the token's `kid` and made its signature, in the eyes of
/// another implementation.
#[track_caller]
fn is_signed_by(token: &str, jwks: &Value) -> bool {
    let header = header_of(token);
    let keys = jwks["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == header["kid"]) else {
        return false;
    };
    assert_eq!(key["alg"], header["alg"]);
    let member = |name: &str| key[name].as_str().unwrap();
    use jsonwebtoken::{Algorithm, DecodingKey};
    let (key, algorithm) = match member("kty") {
        "RSA" => (
            DecodingKey::from_rsa_components(member("n"), member("e")),
            Algorithm::RS256,
        ),
        "EC" => (
            DecodingKey::from_ec_components(member("x"), member("y")),
            Algorithm::ES256,
        ),
        _ => (
            DecodingKey::from_ed_components(member("x")),
            Algorithm::EdDSA,
        ),
    };
    let (message, signature) = token.rsplit_once('.').unwrap();
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.unwrap(), algorithm).unwrap()
}
