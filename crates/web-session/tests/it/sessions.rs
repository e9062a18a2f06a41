//! Sessions and their cookies.

use std::time::Duration;

use dev_idp::{Endpoint, Fault};
use http::StatusCode;
use serde_json::json;

use crate::app::{App, OWNER, VIEWER};

/// K52
#[tokio::test]
async fn a_handle_that_was_there_before_the_login_never_becomes_signed_in() {
    let app = App::start().await;
    let theirs = app.signed_in(VIEWER).await.handle().unwrap().clone();
    for planted in ["A".repeat(43), theirs] {
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        browser
            .cookies
            .insert("__Host-session".to_owned(), planted.clone());
        let reply = browser.get(&callback).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
        assert_ne!(browser.handle(), Some(&planted));
        let mut attacker = app.browser();
        attacker
            .cookies
            .insert("__Host-session".to_owned(), planted);
        assert_ne!(
            attacker.get("/open").await.text(),
            "owner@acme.example of acme"
        );
    }
}

/// K53, K54
#[tokio::test]
async fn a_handle_that_is_nobodys_is_anonymous_and_left_alone() {
    let app = App::start().await;
    for handle in [
        "A".repeat(43),
        "A".repeat(42),
        "\"\"".to_owned(),
        "=".repeat(43),
        "a".repeat(8_000),
    ] {
        let mut browser = app.browser();
        browser.cookies.insert("__Host-session".to_owned(), handle);
        for path in [
            "/page",
            "/open",
            "/api/me",
            "/api/auth/session",
            "/api/auth/logout",
        ] {
            browser.get(path).await.assert_sets_nothing();
        }
        assert_eq!(
            browser.get("/api/me").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}

/// K55
#[tokio::test]
async fn of_two_session_cookies_the_live_one_counts_and_two_live_ones_are_too_many() {
    let app = App::start().await;
    let (one, two) = (app.signed_in(OWNER).await, app.signed_in(VIEWER).await);
    let (live, other, dead) = (one.handle().unwrap(), two.handle().unwrap(), "A".repeat(43));
    let ask = async |values: &[&str]| {
        let cookies: Vec<String> = values
            .iter()
            .map(|value| format!("__Host-session={value}"))
            .collect();
        app.browser()
            .get_with("/page", &[("cookie", &cookies.join("; "))])
            .await
            .status
    };
    assert_eq!(ask(&[&dead, live]).await, StatusCode::OK);
    assert_eq!(ask(&[live, &dead]).await, StatusCode::OK);
    assert_eq!(ask(&[live, live]).await, StatusCode::OK);
    assert_eq!(ask(&[live, other]).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        ask(&[&dead, &dead, &dead, &dead, live]).await,
        StatusCode::FOUND,
        "four are looked at"
    );
}

/// K56
#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_end_whatever_happens() {
    let set = |builder: web_session::WebSessionsBuilder| {
        builder
            .idle_timeout(Duration::from_secs(600))
            .lifetime(Duration::from_secs(3_600))
    };
    let app = App::with(set).await;
    let mut idle = app.signed_in(OWNER).await;
    app.advance(595);
    assert_eq!(idle.get("/page").await.status, StatusCode::OK);
    settle().await;
    app.advance(595);
    assert_eq!(idle.get("/page").await.status, StatusCode::OK);
    settle().await;
    app.advance(601);
    assert_eq!(idle.get("/page").await.status, StatusCode::FOUND);
    let mut busy = app.signed_in(OWNER).await;
    for _ in 0..11 {
        app.advance(325);
        assert_eq!(busy.get("/page").await.status, StatusCode::OK);
        settle().await;
    }
    app.advance(30);
    assert_eq!(busy.get("/page").await.status, StatusCode::FOUND);
}

/// Lets what happens behind an answer happen.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// K57
#[tokio::test]
async fn what_asks_by_itself_is_no_activity() {
    let app = App::with(|builder| builder.idle_timeout(Duration::from_secs(600))).await;
    let mut browser = app.signed_in(OWNER).await;
    for _ in 0..60 {
        app.advance(10);
        browser.get("/api/auth/session").await;
        browser
            .get_with("/api/me", &[("x-session-activity", "none")])
            .await;
        settle().await;
    }
    app.advance(1);
    assert_eq!(
        browser.get("/api/me").await.status,
        StatusCode::UNAUTHORIZED
    );
}

/// K58
#[tokio::test]
async fn no_answer_sets_a_cookie_while_a_session_lives() {
    let app = App::start().await;
    app.idp.set_token_lifetime(Duration::from_secs(60));
    let mut browser = app.signed_in(OWNER).await;
    for _ in 0..40 {
        app.advance(20);
        for path in ["/page", "/api/me", "/token", "/open", "/api/auth/session"] {
            let reply = browser.get(path).await;
            assert_eq!(reply.status, StatusCode::OK, "{path}");
            reply.assert_sets_nothing();
        }
    }
    assert!(app.token_requests() > 5);
}

/// K61
#[tokio::test]
async fn a_session_of_one_host_is_nobodys_on_another() {
    let app = App::with(|builder| builder.public_url("http://{tenant_name}.localhost:6004")).await;
    app.idp.set_client(dev_idp::DevClient::web());
    let mut browser = app.browser();
    browser.host = "acme.localhost:6004".to_owned();
    let there = browser.get("/api/auth/login").await.location();
    let callback = app.idp.sign_in(&there, OWNER);
    assert!(
        callback.starts_with("http://acme.localhost:6004/"),
        "{callback}"
    );
    let reply = browser.get(&crate::app::path_of(&callback)).await;
    assert_eq!(reply.location(), "http://acme.localhost:6004/");
    assert!(!browser.cookies.contains_key("__Host-tenant"));
    assert_eq!(
        browser.get("/open").await.text(),
        "owner@acme.example of acme"
    );
    browser.host = "globex.localhost:6004".to_owned();
    assert_eq!(browser.get("/open").await.text(), "anonymous");
    browser.host = "localhost:6004".to_owned();
    assert_eq!(browser.get("/open").await.text(), "anonymous");
    let reply = browser
        .get("/api/auth/login?tenant_name=acme&return_url=/page")
        .await;
    assert_eq!(
        reply.location(),
        "http://acme.localhost:6004/api/auth/login?tenant_name=acme&return_url=/page"
    );
}

/// K65, K71
#[tokio::test]
async fn application_data_are_merged_member_by_member_and_have_a_limit() {
    let app = App::start().await;
    let browser = app.signed_in(OWNER).await;
    let write = async |members: serde_json::Value| {
        let mut browser = browser.clone();
        let token = browser.csrf();
        let request = browser
            .request("POST", "/api/data")
            .header("x-csrf-token", token);
        browser
            .send(request.body(members.to_string().into()).unwrap())
            .await
            .status
    };
    let (one, two) = tokio::join!(write(json!({"a": 1})), write(json!({"b": 2})));
    assert_eq!((one, two), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
    assert_eq!(
        browser.clone().get("/api/data").await.json(),
        json!({"a": 1, "b": 2})
    );
    assert_eq!(
        write(json!({"a": "x".repeat(4_096)})).await,
        StatusCode::CONFLICT
    );
    assert_eq!(write(json!({"a": null})).await, StatusCode::NO_CONTENT);
    assert_eq!(
        browser.clone().get("/api/data").await.json(),
        json!({"b": 2})
    );
}

/// K68
#[tokio::test]
async fn one_session_too_many_ends_the_oldest_and_takes_its_token_back() {
    let app = App::with(|builder| builder.sessions_per_person(2)).await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        app.advance(61);
        browsers.push(app.signed_in(OWNER).await);
    }
    let mut alive = Vec::new();
    for browser in &mut browsers {
        alive.push(browser.get("/page").await.status == StatusCode::OK);
    }
    assert_eq!(alive, [false, true, true]);
    app.idp.wait_for_requests(Endpoint::Revocation, 1).await;
}

/// K69
#[tokio::test]
async fn the_same_person_again_leaves_the_former_session_a_moment() {
    let app = App::start().await;
    let former = app.signed_in(OWNER).await;
    let mut browser = former.clone();
    app.advance(1);
    browser.cookies.retain(|name, _| name == "__Host-session");
    // The provider's own session is no matter here: this login is of another tab, under way before.
    let mut tab = app.browser();
    let callback = tab.until_callback("/page", OWNER).await;
    tab.cookies.insert(
        "__Host-session".to_owned(),
        former.handle().unwrap().clone(),
    );
    assert_eq!(
        tab.get(&callback).await.location(),
        "http://localhost:6004/page"
    );
    assert_eq!(former.clone().get("/page").await.status, StatusCode::OK);
    app.advance(31);
    assert_eq!(former.clone().get("/page").await.status, StatusCode::FOUND);
    assert_eq!(tab.get("/page").await.status, StatusCode::OK);
}

/// K70
#[tokio::test]
async fn another_person_in_the_same_browser_ends_the_former_session_at_once() {
    let app = App::start().await;
    let former = app.signed_in(OWNER).await;
    let mut tab = app.browser();
    let callback = tab.until_callback("/page", VIEWER).await;
    tab.cookies.insert(
        "__Host-session".to_owned(),
        former.handle().unwrap().clone(),
    );
    assert_eq!(tab.get(&callback).await.status, StatusCode::SEE_OTHER);
    assert_eq!(former.clone().get("/page").await.status, StatusCode::FOUND);
    assert_eq!(tab.get("/page").await.text(), "viewer@acme.example of acme");
    app.idp.wait_for_requests(Endpoint::Revocation, 1).await;
}

/// K73
#[tokio::test]
async fn with_a_clock_that_is_not_set_nobody_is_known_or_sent_away() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    app.clock
        .set(std::time::UNIX_EPOCH + Duration::from_secs(1_000));
    for path in [
        "/page",
        "/api/me",
        "/api/auth/session",
        "/api/auth/login?tenant_name=acme",
    ] {
        let reply = browser.get(path).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(reply.headers.contains_key("retry-after"));
    }
    assert_eq!(browser.get("/open").await.text(), "anonymous");
}

/// K72
#[tokio::test]
async fn nothing_secret_is_shown_by_debug() {
    let app = App::with(|builder| builder.dangerous_token_endpoint(true)).await;
    let mut browser = app.signed_in(OWNER).await;
    let access = browser.get("/api/auth/token").await.json()["accessToken"].clone();
    let shown = browser.get("/debug").await.text();
    let shown = format!("{shown} {:?} {:?}", app.sessions, app.sessions.health());
    assert!(
        shown.contains("UserToken") && shown.contains("OtherSession"),
        "{shown}"
    );
    for secret in [
        browser.handle().unwrap().as_str(),
        access.as_str().unwrap(),
        "dev-web-secret",
        &app.idp.subject(OWNER),
        OWNER,
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let (_, token) = shown.split_once("CsrfToken").unwrap();
    assert!(token.starts_with(' '), "{shown}");
}

/// K59
#[tokio::test]
async fn an_answer_that_comes_after_a_logout_or_a_new_login_changes_no_cookie() {
    let app = App::start().await;
    app.idp.set_token_lifetime(Duration::from_secs(300));
    for signs_in_again in [false, true] {
        let mut browser = app.signed_in(OWNER).await;
        app.advance(301);
        let before = app.token_requests();
        // The page waits for a refresh.
        app.idp.fault(Fault::on(Endpoint::Token).times(1).hold());
        let mut tab = browser.clone();
        let late = tab.get("/page");
        let meanwhile = async {
            app.idp.wait_for_requests(Endpoint::Token, before + 1).await;
            browser.post("/api/auth/logout", "").await;
            if signs_in_again {
                let entered = browser.sign_in("/", OWNER).await;
                assert_eq!(entered.status, StatusCode::SEE_OTHER);
            }
            app.idp.clear_faults();
        };
        let (late, ()) = tokio::join!(late, meanwhile);
        late.assert_sets_nothing();
        let expected = match signs_in_again {
            true => StatusCode::OK,
            false => StatusCode::FOUND,
        };
        assert_eq!(browser.get("/page").await.status, expected);
        app.advance(61);
    }
}
