//! ID tokens of a login.

use dev_idp::{Endpoint, Fault};
use http::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, OWNER, path_of, query_of};

const NOW: i64 = 1_800_000_000;

/// Signs in with an ID token of the test's own making and returns the status of the callback.
async fn login_with(app: &App, header: &Value, change: impl FnOnce(&mut Value)) -> StatusCode {
    let mut browser = app.browser();
    let there = browser.begin("").await;
    let callback = path_of(&app.idp.sign_in(&there, OWNER));
    let mut claims = json!({
        "iss": app.idp.issuer(),
        "sub": app.idp.subject(OWNER),
        "aud": "dev-web",
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": query_of(&there)["nonce"],
    });
    change(&mut claims);
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let mut full = json!({"alg": "RS256", "kid": app.idp.current_kid(), "typ": "JWT"});
    for (name, value) in header.as_object().unwrap() {
        full[name] = value.clone();
    }
    full.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let id_token = app.idp.mint_raw(&full.to_string(), &claims.to_string());
    reply_with(app, &id_token);
    let status = browser.get(&callback).await.status;
    app.idp.clear_faults();
    assert_eq!(browser.handle().is_some(), status == StatusCode::SEE_OTHER);
    status
}

fn reply_with(app: &App, id_token: &str) {
    let body = json!({"access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": id_token});
    let fault = Fault::on(Endpoint::Token)
        .status(200)
        .header("content-type", "application/json");
    app.idp.fault(fault.body(body.to_string()));
    let info = json!({"sub": app.idp.subject(OWNER), "tnt_id": "t", "tnt_name": "acme"});
    let fault = Fault::on(Endpoint::Userinfo)
        .status(200)
        .header("content-type", "application/json");
    app.idp.fault(fault.body(info.to_string()));
}

const REFUSED: StatusCode = StatusCode::BAD_REQUEST;
const TAKEN: StatusCode = StatusCode::SEE_OTHER;

/// K42, K43, K48
#[tokio::test]
async fn an_algorithm_type_or_key_that_is_none_is_refused() {
    let app = App::start().await;
    for (name, header, expected) in [
        ("as it should be", json!({}), TAKEN),
        ("without a type", json!({"typ": null}), TAKEN),
        ("an unknown algorithm", json!({"alg": "XS256"}), REFUSED),
        ("an access token's type", json!({"typ": "at+jwt"}), REFUSED),
        (
            "a logout token's type",
            json!({"typ": "logout+jwt"}),
            REFUSED,
        ),
        (
            "a key that is not published",
            json!({"kid": "unknown"}),
            REFUSED,
        ),
    ] {
        assert_eq!(login_with(&app, &header, |_| {}).await, expected, "{name}");
    }
}

/// K44, K45, K46, K47
#[tokio::test]
async fn claims_are_judged_one_by_one() {
    let app = App::start().await;
    let right_hash = {
        use base64::Engine as _;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"access");
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16])
    };
    for (name, claim, value, expected) in [
        (
            "several audiences without azp",
            "aud",
            json!(["dev-web", "other"]),
            REFUSED,
        ),
        ("one audience in an array", "aud", json!(["dev-web"]), TAKEN),
        ("azp of another", "azp", json!("other"), REFUSED),
        ("azp ours", "azp", json!("dev-web"), TAKEN),
        ("azp a number", "azp", json!(7), REFUSED),
        ("nonce empty", "nonce", json!(""), REFUSED),
        ("nonce a number", "nonce", json!(7), REFUSED),
        ("iat 10 min old", "iat", json!(NOW - 600), REFUSED),
        ("iat 30 s ahead", "iat", json!(NOW + 30), TAKEN),
        ("iat 61 s ahead", "iat", json!(NOW + 61), REFUSED),
        ("expired", "exp", json!(NOW - 61), REFUSED),
        ("at_hash right", "at_hash", json!(right_hash), TAKEN),
    ] {
        let status = login_with(&app, &json!({}), |claims| claims[claim] = value).await;
        assert_eq!(status, expected, "{name}");
        app.clock
            .set(std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW.unsigned_abs()));
    }
    let both = |claims: &mut Value| {
        claims["aud"] = json!(["dev-web", "other"]);
        claims["azp"] = json!("dev-web");
    };
    assert_eq!(login_with(&app, &json!({}), both).await, TAKEN);
}

/// K42, K49, K51
#[tokio::test]
async fn what_is_no_token_is_refused() {
    let app = App::start().await;
    for id_token in ["", "a", "a.b", "a.b.c", "a.b.c.d.e", &"a".repeat(40_000)] {
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        reply_with(&app, id_token);
        let reply = browser.get(&callback).await;
        let expected = if id_token.is_empty() {
            StatusCode::BAD_GATEWAY
        } else {
            REFUSED
        };
        assert_eq!(reply.status, expected, "{id_token:.10}");
        app.idp.clear_faults();
    }
    let groups =
        |count: usize| move |claims: &mut Value| claims["groups"] = json!("g".repeat(count));
    assert_eq!(login_with(&app, &json!({}), groups(23_000)).await, TAKEN);
    assert_eq!(login_with(&app, &json!({}), groups(25_000)).await, REFUSED);
}

/// K50
#[tokio::test]
async fn without_keys_nobody_can_tell() {
    let app = App::start().await;
    app.idp.fault(Fault::on(Endpoint::Jwks).status(503));
    app.idp.rotate(dev_idp::Rotation::Hard).await.unwrap();
    let mut browser = app.browser();
    let callback = browser.until_callback("/", OWNER).await;
    let reply = browser.get(&callback).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers.contains_key("retry-after"));
}
