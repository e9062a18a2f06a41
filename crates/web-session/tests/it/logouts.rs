//! People log out.

use dev_idp::{Endpoint, Fault};
use http::StatusCode;

use crate::app::{App, OWNER, VIEWER, path_of, query_of};

/// K109
#[tokio::test]
async fn going_to_the_logout_ends_nothing() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    for headers in [
        &[][..],
        &[("sec-purpose", "prefetch")],
        &[("sec-fetch-dest", "image")],
    ] {
        let reply = browser.get_with("/api/auth/logout", headers).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(
            reply
                .text()
                .contains("<form method=\"post\" action=\"/api/auth/logout\">")
        );
        reply.assert_sets_nothing();
    }
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    assert_eq!(
        app.browser().get("/api/auth/logout").await.location(),
        "http://localhost:6004/"
    );
}

/// K110, K112, K115
#[tokio::test]
async fn a_logout_ends_the_session_here_and_leads_to_the_provider() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    for (form, headers) in [
        (String::new(), &[][..]),
        (
            format!("csrf_token={}", browser.csrf()),
            &[("sec-fetch-site", "cross-site")],
        ),
    ] {
        let reply = browser.post_with("/api/auth/logout", &form, headers).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    let replayed = browser.clone();
    let path = "/api/auth/logout?return=/evil&redirect_url=https://evil.example&post_logout_redirect_uri=x";
    let reply = browser
        .post(path, "post_logout_redirect_uri=https://evil.example")
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let there = reply.location();
    assert!(there.starts_with(app.idp.issuer()), "{there}");
    let query = query_of(&there);
    assert_eq!(query["client_id"], "dev-web");
    assert_eq!(
        query["post_logout_redirect_uri"],
        "http://localhost:6004/api/auth/logged-out"
    );
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
    let cookies = reply.set_cookies();
    assert!(
        cookies[0].starts_with("__Host-session=;") && cookies[1].starts_with("__Host-CSRF-TOKEN=;")
    );
    assert!(cookies[2].starts_with("__Host-logout=") && cookies[2].ends_with("; Max-Age=600"));
    assert!(browser.handle().is_none());
    for path in ["/page", "/form"] {
        assert_eq!(
            replayed.clone().get(path).await.status,
            StatusCode::FOUND,
            "{path}"
        );
    }
    app.idp.wait_for_requests(Endpoint::Revocation, 1).await;
    let again = replayed.clone().post("/api/auth/logout", "").await;
    assert_eq!(
        (again.status, again.location().as_str()),
        (StatusCode::SEE_OTHER, "http://localhost:6004/")
    );
    // And back.
    let back = format!("/api/auth/logged-out?state={}", query["state"]);
    let reply = browser.get(&back).await;
    assert_eq!(
        (reply.status, reply.location().as_str()),
        (StatusCode::SEE_OTHER, "http://localhost:6004/")
    );
    assert!(!browser.cookies.contains_key("__Host-logout"));
    // K114
    assert_eq!(browser.get(&back).await.status, StatusCode::BAD_REQUEST);
}

/// K114
#[tokio::test]
async fn coming_back_from_no_logout_touches_no_session() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    for path in [
        "/api/auth/logged-out",
        "/api/auth/logged-out?state=x",
        "/api/auth/logged-out?state=x&state=x",
    ] {
        assert_eq!(browser.get(path).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_script_is_told_where_to_go_without_a_token() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    let csrf = browser.csrf();
    let json = [
        ("accept", "application/json"),
        ("x-csrf-token", csrf.as_str()),
    ];
    let reply = browser.post_with("/api/auth/logout", "", &json).await;
    let there = reply.json()["redirectUrl"].as_str().unwrap().to_owned();
    assert!(
        there.starts_with(app.idp.issuer()) && !there.contains("id_token_hint"),
        "{there}"
    );
    let reply = browser.post_with("/api/auth/logout", "", &json).await;
    assert_eq!(reply.json(), serde_json::json!({"redirectUrl": "/"}));
}

/// K111
#[tokio::test]
async fn a_provider_that_is_away_delays_a_logout_by_a_second_at_most() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    app.idp.fault(Fault::on(Endpoint::Revocation).hang());
    let began = tokio::time::Instant::now();
    let reply = browser.post("/api/auth/logout", "").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(began.elapsed() < std::time::Duration::from_millis(1_500));
    assert_eq!(app.sessions.health().revocations_waiting, 1);
}

/// K117
#[tokio::test]
async fn everywhere_ends_all_sessions_of_the_person_and_nobody_elses() {
    let app = App::start().await;
    let (mut one, mut two) = (app.signed_in(OWNER).await, app.signed_in(OWNER).await);
    let mut other = app.signed_in(VIEWER).await;
    assert_eq!(
        one.post("/api/auth/logout", "everywhere=true").await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(two.get("/page").await.status, StatusCode::FOUND);
    assert_eq!(other.get("/page").await.status, StatusCode::OK);
    app.advance(1);
    assert_eq!(
        one.sign_in("/page", OWNER).await.location(),
        "http://localhost:6004/page"
    );
    assert_eq!(one.get("/page").await.status, StatusCode::OK);
}

/// K118
#[tokio::test]
async fn a_login_that_was_under_way_does_not_outlive_a_logout_everywhere() {
    let app = App::start().await;
    let mut tab = app.browser();
    let callback = tab.until_callback("/page", OWNER).await;
    app.advance(1);
    app.sessions
        .end_person(app.idp.issuer(), &app.idp.subject(OWNER))
        .await
        .unwrap();
    let reply = tab.get(&callback).await;
    assert!(
        reply.location().ends_with("retry=1"),
        "{}",
        reply.location()
    );
    let there = tab.get(&path_of(&reply.location())).await.location();
    let callback = path_of(&app.idp.sign_in(&there, OWNER));
    assert_eq!(
        tab.get(&callback).await.location(),
        "http://localhost:6004/page"
    );
}
