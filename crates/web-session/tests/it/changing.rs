//! Requests that change something.

use axum::body::Body;
use http::StatusCode;

use crate::app::{App, OWNER, VIEWER};

/// K99, K100, K101
#[tokio::test]
async fn a_form_from_elsewhere_is_refused_whatever_it_has() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    let token = browser.get("/form").await.text();
    let form = format!("csrf_token={token}");
    for (headers, status) in [
        (&[][..], StatusCode::OK),
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://localhost:6004"),
            ],
            StatusCode::OK,
        ),
        (
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            StatusCode::OK,
        ),
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://evil.example"),
            ],
            StatusCode::FORBIDDEN,
        ),
        (
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "http://localhost:6005"),
            ],
            StatusCode::FORBIDDEN,
        ),
        (
            &[("origin", "http://localhost:6005")],
            StatusCode::FORBIDDEN,
        ),
        (&[("origin", "null")], StatusCode::FORBIDDEN),
    ] {
        let reply = browser.post_with("/form", &form, headers).await;
        assert_eq!(reply.status, status, "{headers:?}");
    }
    let reply = browser.post_with("/form", "", &[]).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(
        reply
            .text()
            .contains("This form is out of date, reload the page it came from.")
    );
    let refused = app.sessions.health().csrf_refused;
    let refused: Vec<(&str, u64)> = refused.iter().map(|(why, n)| (why.as_str(), *n)).collect();
    assert_eq!(refused, [("site", 2), ("origin", 2), ("token", 1)]);
}

/// K102
#[tokio::test]
async fn a_token_of_another_session_or_in_another_place_is_none() {
    let app = App::start().await;
    let (mut browser, viewer) = (app.signed_in(OWNER).await, app.signed_in(VIEWER).await);
    let old = browser.csrf();
    assert_eq!(
        browser
            .post_with("/form", &format!("csrf_token={old}"), &[])
            .await
            .status,
        StatusCode::OK
    );
    for form in [
        format!("csrf_token={}", viewer.csrf()),
        format!("csrf_token={}", &old[..80]),
        format!("csrf_token={old}&csrf_token={}", viewer.csrf()),
        format!("CSRF_TOKEN={old}"),
    ] {
        assert_eq!(
            browser.post_with("/form", &form, &[]).await.status,
            StatusCode::FORBIDDEN,
            "{form:.30}"
        );
    }
    let query = format!("/form?csrf_token={old}");
    assert_eq!(
        browser.post_with(&query, "", &[]).await.status,
        StatusCode::FORBIDDEN
    );
    // A token from before the last login is of another session.
    browser.cookies.remove("__Host-session");
    browser.sign_in("/", OWNER).await;
    assert_eq!(
        browser
            .post_with("/form", &format!("csrf_token={old}"), &[])
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}

/// K103
#[tokio::test]
async fn other_bodies_need_the_header_and_long_forms_are_too_large() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    let token = browser.csrf();
    let send = |kind: &str, body: String, header: bool| {
        let mut request = browser
            .request("POST", "/api/me")
            .header("content-type", kind);
        if header {
            request = request.header("x-csrf-token", &token);
        }
        app.send(request.body(Body::from(body)).unwrap())
    };
    let field = format!("csrf_token={token}");
    for kind in [
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
    ] {
        assert_eq!(
            send(kind, field.clone(), false).await.status,
            StatusCode::FORBIDDEN,
            "{kind}"
        );
        assert_eq!(
            send(kind, field.clone(), true).await.status,
            StatusCode::OK,
            "{kind}"
        );
    }
    let form = "application/x-www-form-urlencoded";
    let many: String = (0..1_000).map(|n| format!("f{n}=v&")).collect();
    assert_eq!(
        send(form, format!("{many}{field}"), false).await.status,
        StatusCode::OK
    );
    let long = format!("{field}&x={}", "x".repeat(64 * 1024));
    assert_eq!(
        send(form, long, false).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let deleted = browser
        .request("DELETE", "/api/me")
        .body(Body::empty())
        .unwrap();
    assert_eq!(browser.send(deleted).await.status, StatusCode::FORBIDDEN);
}

/// K104
#[tokio::test]
async fn nothing_makes_a_request_another_method() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    let reply = browser
        .get_with(
            "/api/auth/logout?_method=POST",
            &[("x-http-method-override", "POST")],
        )
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}
