//! Whose requests are answered.

use http::StatusCode;

use crate::app::{App, OWNER};

/// K1
#[tokio::test]
async fn a_foreign_host_is_misdirected_and_touches_nothing() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    for path in [
        "/page",
        "/open",
        "/api/me",
        "/api/auth/login?tenant_name=acme",
        "/api/auth/session",
    ] {
        browser.host = "evil.example".to_owned();
        let reply = browser.get(path).await;
        assert_eq!(reply.status, StatusCode::MISDIRECTED_REQUEST, "{path}");
        assert_eq!(reply.header("location"), None);
        reply.assert_sets_nothing();
        browser.host = "127.0.0.1:6004".to_owned();
        let reply = browser.get(path).await;
        assert_eq!(reply.status, StatusCode::TEMPORARY_REDIRECT, "{path}");
        assert_eq!(reply.location(), format!("http://localhost:6004{path}"));
        reply.assert_sets_nothing();
    }
    let request = browser
        .request("GET", "/page")
        .header("host", "localhost:6004");
    let reply = app
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

/// K2
#[tokio::test]
async fn forwarded_headers_change_nothing() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    let forwarded = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-uri", "/api/auth/logout"),
        ("x-forwarded-port", "1"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "/api/auth/logout"),
        ("x-http-method-override", "POST"),
    ];
    for path in ["/page", "/api/me", "/api/auth/session", "/api/auth/logout"] {
        let (plain, with) = (
            browser.get(path).await,
            browser.get_with(path, &forwarded).await,
        );
        assert_eq!(plain.status, with.status, "{path}");
        assert_eq!(plain.headers, with.headers, "{path}");
    }
    let mut browser = app.browser();
    let path = "/api/auth/login?tenant_name=acme";
    let there = browser.get_with(path, &forwarded).await.location();
    let redirect_uri = &crate::app::query_of(&there)["redirect_uri"];
    assert_eq!(redirect_uri, "http://localhost:6004/api/auth/callback");
}
