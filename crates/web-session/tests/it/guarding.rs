//! Guards and their answers.

use std::time::Duration;

use axum::body::Body;
use http::StatusCode;
use web_session::SessionSameSite;

use crate::app::{App, OWNER, VIEWER};

#[tokio::test]
async fn without_a_session_pages_lead_to_the_login_and_apis_say_so() {
    let app = App::start().await;
    let mut browser = app.browser();
    let script = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    assert_eq!(browser.get("/page").await.status, StatusCode::FOUND);
    let reply = browser.get_with("/page", &script).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let reply = browser.post_with("/form", "", &[]).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for path in ["/api/me", "/api/token", "/api/auth/session"] {
        let reply = browser.get(path).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            reply.header("www-authenticate"),
            Some("Session realm=\"localhost:6004\"")
        );
        assert_eq!(reply.json()["status"], 401);
        reply.assert_sets_nothing();
    }
    assert_eq!(browser.get("/open").await.text(), "anonymous");
    assert_eq!(
        app.signed_in(OWNER).await.get("/open").await.text(),
        "owner@acme.example of acme"
    );
}

/// K122
#[tokio::test]
async fn a_role_that_does_not_permit_it_is_forbidden() {
    let app = App::start().await;
    let (mut owner, mut viewer) = (app.signed_in(OWNER).await, app.signed_in(VIEWER).await);
    for path in ["/write", "/owners"] {
        assert_eq!(owner.get(path).await.status, StatusCode::OK, "{path}");
        let reply = viewer.get(path).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(app.browser().get(path).await.status, StatusCode::FOUND);
    }
}

#[tokio::test]
async fn pages_about_a_refusal_have_the_look_of_the_application() {
    let app = App::with(|builder| {
        builder.notice_page(|notice| {
            let (status, title) = (notice.status().as_u16(), notice.title());
            format!("ours: {status}, {title}, {:?}", notice.link())
        })
    })
    .await;
    let mut viewer = app.signed_in(VIEWER).await;
    let refused = viewer.get("/write").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let expected = r#"ours: 403, Not allowed, Some(("/", "Go to the start page"))"#;
    assert_eq!(refused.text(), expected);
    assert_eq!(
        refused.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(refused.headers.contains_key("content-security-policy"));
    for (path, status) in [
        ("/api/auth/login?tenant_name=a.b", "ours: 400"),
        ("/api/auth/callback", "ours: 400"),
    ] {
        let page = viewer.get(path).await.text();
        assert!(page.starts_with(status), "{path}: {page}");
    }
    let script = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    let problem = viewer.get_with("/write", &script).await;
    assert_eq!(
        problem.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        viewer.get("/page").await.text(),
        "viewer@acme.example of acme"
    );
}

/// K60, K107
#[tokio::test]
async fn every_answer_that_depends_on_a_session_is_protected() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    for path in [
        "/page",
        "/open",
        "/api/me",
        "/write",
        "/api/auth/session",
        "/api/auth/logout",
        "/api/auth/login",
    ] {
        let reply = browser.get(path).await;
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("vary"), Some("Cookie"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(
            reply.header("cross-origin-opener-policy"),
            Some("same-origin")
        );
        assert_eq!(
            reply.header("cross-origin-resource-policy"),
            Some("same-origin")
        );
        let referrer = if path == "/api/auth/login" {
            "no-referrer"
        } else {
            "same-origin"
        };
        assert_eq!(reply.header("referrer-policy"), Some(referrer), "{path}");
    }
    let reply = browser.get("/api/auth/logout").await;
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self' \
         {}; frame-ancestors 'none'; base-uri 'none'",
        app.idp.issuer()
    );
    assert_eq!(
        reply.header("content-security-policy"),
        Some(policy.as_str())
    );
    let asset = browser.get("/asset").await;
    assert!(!asset.headers.contains_key("vary"));
    asset.assert_sets_nothing();
    let request = browser
        .request("OPTIONS", "/api/auth/session")
        .header("origin", "https://evil.example");
    let reply = browser.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(
        !reply
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("access-control"))
    );
}

/// K41
#[tokio::test]
async fn with_strict_cookies_a_page_moves_on_from_our_own_site() {
    let app = App::with(|builder| builder.same_site(SessionSameSite::Strict)).await;
    let mut browser = app.browser();
    let reply = browser.sign_in("/page?a=1%26b=2", OWNER).await;
    assert_eq!(reply.status, StatusCode::OK);
    let moves =
        "<meta http-equiv=\"refresh\" content=\"0;url=http://localhost:6004/page?a=1&amp;b=2\">";
    assert!(reply.text().contains(moves), "{}", reply.text());
    assert!(reply.set_cookies()[0].contains("; SameSite=Strict;"));
    // A link in a mail: the cookie does not come along, and one of our own pages makes it.
    let cross = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let reply = app.browser().get_with("/page?a=1", &cross).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(
        reply
            .text()
            .contains("0;url=http://localhost:6004/page?a=1")
    );
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

/// K97
#[tokio::test]
async fn scripts_get_the_token_only_where_that_was_asked_for() {
    let app = App::start().await;
    assert_eq!(
        app.signed_in(OWNER)
            .await
            .get("/api/auth/token")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let app = App::with(|builder| builder.dangerous_token_endpoint(true)).await;
    assert_eq!(
        app.browser().get("/api/auth/token").await.status,
        StatusCode::UNAUTHORIZED
    );
    let token = app
        .signed_in(OWNER)
        .await
        .get("/api/auth/token")
        .await
        .json();
    assert_eq!(token["accessToken"].as_str().unwrap().split('.').count(), 3);
    assert!(token["expiresAt"].as_u64().unwrap() > 1_800_000_000_000);
}

/// K113
#[tokio::test]
async fn what_lasts_as_long_as_a_session_ends_with_it() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    let ended = {
        let (sessions, subject) = (app.sessions.clone(), app.idp.subject(OWNER));
        let issuer = app.idp.issuer().to_owned();
        async move { sessions.end_person(&issuer, &subject).await.unwrap() }
    };
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let router: axum::Router = axum::Router::new()
        .route(
            "/stream",
            axum::routing::get(|session: web_session::Session| async move {
                tokio::spawn(async move {
                    session.ended().await;
                    sender.send(()).await.unwrap();
                });
            }),
        )
        .layer(web_session::SessionLayer::pages(app.sessions.clone()));
    let request = browser
        .request("GET", "/stream")
        .body(Body::empty())
        .unwrap();
    let reply = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(ended.await, 1);
    tokio::time::timeout(Duration::from_secs(1), receiver.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(browser.get("/page").await.status, StatusCode::FOUND);
}
