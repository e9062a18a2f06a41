//! The provider ends sessions.

use axum::body::Body;
use dev_idp::{Endpoint, Fault};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, OWNER, VIEWER};

const NOW: i64 = 1_800_000_000;
const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) fn claims(app: &App) -> Value {
    json!({
        "iss": app.idp.issuer(),
        "sub": app.idp.subject(OWNER),
        "aud": "dev-web",
        "iat": NOW,
        "exp": NOW + 120,
        "jti": "j1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

pub(crate) fn header(app: &App) -> Value {
    json!({"alg": "RS256", "kid": app.idp.current_kid(), "typ": "logout+jwt"})
}

async fn post(app: &App, kind: &str, body: String) -> StatusCode {
    let request = Request::post("/api/auth/backchannel-logout").header("host", "localhost:6004");
    let request = request
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    app.send(request).await.status
}

pub(crate) async fn send(app: &App, header: &Value, claims: &Value) -> StatusCode {
    let token = app.idp.mint_raw(&header.to_string(), &claims.to_string());
    post(app, FORM, format!("logout_token={token}")).await
}

/// K118
#[tokio::test]
async fn a_logout_token_ends_the_sessions_of_its_person_once() {
    let app = App::start().await;
    let (mut one, mut two) = (app.signed_in(OWNER).await, app.signed_in(OWNER).await);
    let mut other = app.signed_in(VIEWER).await;
    app.advance(1);
    assert_eq!(
        send(&app, &header(&app), &claims(&app)).await,
        StatusCode::OK
    );
    assert_eq!(one.get("/page").await.status, StatusCode::FOUND);
    assert_eq!(two.get("/page").await.status, StatusCode::FOUND);
    assert_eq!(other.get("/page").await.status, StatusCode::OK);
    app.idp.wait_for_requests(Endpoint::Revocation, 2).await;
    // Again: it has no effect on what came after.
    app.advance(1);
    one.sign_in("/page", OWNER).await;
    assert_eq!(
        send(&app, &header(&app), &claims(&app)).await,
        StatusCode::OK
    );
    assert_eq!(one.get("/page").await.status, StatusCode::OK);
    let mut unknown = claims(&app);
    (unknown["sub"], unknown["jti"]) = (json!("nobody"), json!("j2"));
    assert_eq!(send(&app, &header(&app), &unknown).await, StatusCode::OK);
}

/// K119
#[tokio::test]
async fn what_is_no_logout_token_ends_nothing() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    for (name, claim, value) in [
        (
            "event that is no object",
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout": 1}),
        ),
        ("neither sid nor sub", "sub", json!(null)),
        ("empty sid", "sid", json!("")),
        ("sid a number", "sid", json!(7)),
        ("expired", "exp", json!(NOW - 61)),
        ("without exp", "exp", json!(null)),
        ("old", "iat", json!(NOW - 600)),
        ("without jti", "jti", json!(null)),
    ] {
        let mut claims = claims(&app);
        claims[claim] = value;
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        assert_eq!(
            send(&app, &header(&app), &claims).await,
            StatusCode::BAD_REQUEST,
            "{name}"
        );
    }
    for (name, member, value) in [
        ("an access token's type", "typ", json!("at+jwt")),
        ("unknown key", "kid", json!("unknown")),
    ] {
        let mut header = header(&app);
        header[member] = value;
        assert_eq!(
            send(&app, &header, &claims(&app)).await,
            StatusCode::BAD_REQUEST,
            "{name}"
        );
    }
    let token = app
        .idp
        .mint_raw(&header(&app).to_string(), &claims(&app).to_string());
    for (kind, body, expected) in [
        (
            "application/json",
            format!("{{\"logout_token\":\"{token}\"}}"),
            StatusCode::BAD_REQUEST,
        ),
        (
            FORM,
            format!("logout_token={token}&logout_token={token}"),
            StatusCode::BAD_REQUEST,
        ),
        (FORM, String::new(), StatusCode::BAD_REQUEST),
        (
            FORM,
            format!("logout_token={}", "x".repeat(17 * 1024)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        assert_eq!(post(&app, kind, body).await, expected, "{kind}");
    }
    let reply = browser.get("/api/auth/backchannel-logout").await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        browser.get("/page").await.status,
        StatusCode::OK,
        "nothing ended"
    );
}

/// K119
#[tokio::test]
async fn without_keys_a_logout_token_cannot_be_judged() {
    let app = App::start().await;
    app.idp.fault(Fault::on(Endpoint::Jwks).status(503));
    assert_eq!(
        send(&app, &header(&app), &claims(&app)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
