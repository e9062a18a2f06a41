//! Tokens are renewed.

use std::time::{Duration, UNIX_EPOCH};

use clock::Clock as _;

use dev_idp::{DevPerson, Endpoint, Fault, RefreshTokens};
use http::StatusCode;
use serde_json::json;

use crate::app::{App, Browser, OWNER};

/// An application whose tokens live for five minutes, and a person in it.
async fn app() -> App {
    let app = App::start().await;
    app.idp.set_token_lifetime(Duration::from_secs(300));
    app
}

async fn generation(browser: &mut Browser<'_>) -> String {
    browser.get("/token").await.text()
}

/// K77
#[tokio::test]
async fn a_thousand_requests_with_an_expired_token_are_one_exchange() {
    let app = app().await;
    let browser = app.signed_in(OWNER).await;
    app.advance(301);
    let before = app.token_requests();
    let request = || {
        let mut browser = browser.clone();
        async move { browser.get("/token").await.text() }
    };
    let answers = futures_util::future::join_all((0..1_000).map(|_| request())).await;
    assert!(
        answers.iter().all(|answer| answer == "generation 2"),
        "{:?}",
        answers.first()
    );
    assert_eq!(app.token_requests(), before + 1);
}

/// K79
#[tokio::test]
async fn while_a_token_is_merely_old_nobody_waits() {
    let app = app().await;
    let mut browser = app.signed_in(OWNER).await;
    app.advance(240);
    let before = app.token_requests();
    app.idp.fault(Fault::on(Endpoint::Token).times(1).hold());
    assert_eq!(generation(&mut browser).await, "generation 1");
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    app.idp.wait_for_requests(Endpoint::Token, before + 1).await;
    assert_eq!(generation(&mut browser).await, "generation 1");
    app.idp.clear_faults();
    while generation(&mut browser).await == "generation 1" {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.token_requests(), before + 1);
}

/// K81
#[tokio::test]
async fn a_reply_without_a_refresh_token_keeps_the_old_one() {
    let app = app().await;
    for tokens in [
        RefreshTokens::Omit,
        RefreshTokens::Keep,
        RefreshTokens::Rotate,
    ] {
        app.idp.set_refresh_tokens(tokens);
        app.advance(61);
        let mut browser = app.signed_in(OWNER).await;
        for refreshed in 2..5 {
            app.advance(301);
            assert_eq!(
                generation(&mut browser).await,
                format!("generation {refreshed}"),
                "{tokens:?}"
            );
        }
    }
}

/// K83, K86, K94, K96
#[tokio::test]
async fn a_failure_that_passes_keeps_the_session_and_nobody_waits_for_the_next_attempt() {
    let app = app().await;
    let json = |fault: Fault| fault.header("content-type", "application/json");
    for (fault, answer) in [
        (
            Fault::on(Endpoint::Token)
                .status(503)
                .header("retry-after", "7"),
            "503",
        ),
        (Fault::on(Endpoint::Token).status(429), "429"),
        (
            Fault::on(Endpoint::Token)
                .status(200)
                .header("content-type", "text/html")
                .body("<html>"),
            "HTML",
        ),
        (
            json(Fault::on(Endpoint::Token).status(401)).body(r#"{"error":"invalid_client"}"#),
            "invalid_client",
        ),
        (Fault::on(Endpoint::Token).status(403), "403"),
        (Fault::on(Endpoint::Token).status(302), "302"),
    ] {
        app.advance(61);
        let mut browser = app.signed_in(OWNER).await;
        app.advance(301);
        app.idp.fault(fault);
        assert_eq!(
            browser.get("/page").await.status,
            StatusCode::OK,
            "{answer}"
        );
        let before = app.token_requests();
        for _ in 0..5 {
            assert_eq!(
                browser.get("/page").await.status,
                StatusCode::OK,
                "{answer}"
            );
            let reply = browser.get("/token").await;
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=7).contains(&wait), "{answer}: {wait}");
            if answer == "503" {
                assert!(wait >= 6);
            }
        }
        assert_eq!(app.token_requests(), before, "{answer}: the window is open");
        app.idp.clear_faults();
        app.advance(8);
        assert_eq!(generation(&mut browser).await, "generation 2", "{answer}");
    }
}

/// K94
#[tokio::test]
async fn a_person_is_known_for_an_hour_without_the_provider_and_again_when_it_is_back() {
    let app = App::with(|builder| builder.idle_timeout(Duration::from_secs(7_200))).await;
    app.idp.set_token_lifetime(Duration::from_secs(300));
    let mut browser = app.signed_in(OWNER).await;
    app.idp.fault(Fault::on(Endpoint::Token).status(503));
    app.advance(300 + 3_500);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    app.advance(200);
    let reply = browser.get("/page").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers.contains_key("retry-after"));
    app.idp.clear_faults();
    app.advance(31);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

/// K85
#[tokio::test]
async fn a_refresh_token_that_is_not_taken_ends_this_session_alone() {
    let app = app().await;
    let mut one = app.signed_in(OWNER).await;
    let mut two = app.signed_in(OWNER).await;
    app.advance(301);
    let fault = Fault::on(Endpoint::Token).times(1).status(400);
    app.idp.fault(
        fault
            .header("content-type", "application/json")
            .body(r#"{"error":"invalid_grant"}"#),
    );
    let reply = one.get("/page").await;
    assert_eq!(reply.status, StatusCode::FOUND);
    reply.assert_sets_nothing();
    assert_eq!(one.get("/api/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(two.get("/page").await.status, StatusCode::OK);
    app.advance(61);
    assert_eq!(
        one.sign_in("/page", OWNER).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(one.get("/page").await.status, StatusCode::OK);
}

/// K87
#[tokio::test]
async fn a_refresh_whose_answer_is_lost_is_tried_once_more_and_then_ends_as_lost_in_flight() {
    let app = app().await;
    app.idp.set_refresh_tokens(RefreshTokens::Rotate);
    let mut browser = app.signed_in(OWNER).await;
    app.advance(301);
    app.idp
        .fault(Fault::on(Endpoint::Token).times(1).torn_body());
    assert_eq!(
        browser.get("/token").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    let before = app.token_requests();
    app.advance(1);
    assert_eq!(
        browser.get("/token").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(app.token_requests(), before, "not within 2 s");
    app.advance(3);
    // The provider rotated with the answer that was lost, and takes the old one for reuse.
    assert_eq!(browser.get("/page").await.status, StatusCode::FOUND);
    let ended = app.sessions.health().ended;
    let lost = ended
        .iter()
        .find(|(reason, _)| reason.as_str() == "lost_in_flight");
    assert_eq!(lost.map(|(_, count)| *count), Some(1));
}

/// K90, K91
#[tokio::test]
async fn a_logout_during_a_refresh_wins_and_the_new_token_is_taken_back() {
    let app = app().await;
    let mut browser = app.signed_in(OWNER).await;
    app.advance(240);
    let before = app.token_requests();
    app.idp.fault(Fault::on(Endpoint::Token).times(1).hold());
    browser.get("/page").await;
    app.idp.wait_for_requests(Endpoint::Token, before + 1).await;
    let stale = browser.clone();
    // The old token is not taken back yet, so that the refresh gives a new one.
    app.idp
        .fault(Fault::on(Endpoint::Revocation).times(1).status(503));
    assert_eq!(
        browser.post("/api/auth/logout", "").await.status,
        StatusCode::SEE_OTHER
    );
    app.idp.clear_faults();
    app.idp.wait_for_requests(Endpoint::Revocation, 2).await;
    assert_eq!(stale.clone().get("/page").await.status, StatusCode::FOUND);
}

/// K95
#[tokio::test]
async fn roles_follow_with_the_next_refresh() {
    let app = app().await;
    let mut browser = app.signed_in(OWNER).await;
    assert_eq!(browser.get("/write").await.status, StatusCode::OK);
    let demoted = DevPerson::new(OWNER, "dev-password").member("acme", ["viewer"]);
    app.idp.set_person(demoted);
    assert_eq!(browser.get("/write").await.status, StatusCode::OK);
    app.advance(301);
    assert_eq!(browser.get("/write").await.status, StatusCode::FORBIDDEN);
}

/// K92
#[tokio::test]
async fn tokens_that_live_for_no_time_are_refreshed_once_a_second_at_most() {
    let app = app().await;
    app.idp.set_token_lifetime(Duration::from_secs(1));
    let mut browser = app.signed_in(OWNER).await;
    app.advance(2);
    let before = app.token_requests();
    for _ in 0..20 {
        assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    }
    assert!(app.token_requests() - before <= 2);
}

/// K82
#[tokio::test]
async fn a_refresh_reply_about_somebody_else_ends_the_session() {
    let app = app().await;
    let ours = |app: &App| json!({"iss": app.idp.issuer(), "sub": app.idp.subject(OWNER), "aud": "dev-web"});
    for (name, iat, claim, value, survives) in [
        ("as it should be", 0, "x", json!(1), true),
        ("another audience", 0, "aud", json!("other"), false),
        ("another nonce", 0, "nonce", json!("other"), false),
        ("old", -3_600, "x", json!(1), true),
        (
            "old and about another",
            -3_600,
            "sub",
            json!("other"),
            false,
        ),
    ] {
        app.advance(61);
        let mut browser = app.signed_in(OWNER).await;
        app.advance(301);
        let now = app
            .clock
            .now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let now = i64::try_from(now).unwrap();
        let mut claims = ours(&app);
        (claims["iat"], claims["exp"]) = (json!(now + iat), json!(now + 300));
        claims[claim] = value;
        let header = json!({"alg": "RS256", "kid": app.idp.current_kid(), "typ": "JWT"});
        let id_token = app.idp.mint_raw(&header.to_string(), &claims.to_string());
        let body = json!({"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": id_token});
        let fault = Fault::on(Endpoint::Token).times(1).status(200);
        app.idp.fault(
            fault
                .header("content-type", "application/json")
                .body(body.to_string()),
        );
        let status = browser.get("/page").await.status;
        assert_eq!(status == StatusCode::OK, survives, "{name}: {status}");
        app.idp.clear_faults();
    }
}

/// K80
#[tokio::test]
async fn no_fault_that_passes_has_a_used_refresh_token_sent_again() {
    let app = app().await;
    // Whoever presents a used one loses the session.
    app.idp.set_refresh_tokens(RefreshTokens::Rotate);
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(app.signed_in(OWNER).await);
    }
    let on = |endpoint| Fault::on(endpoint).times(2);
    let html = on(Endpoint::Token).status(200);
    let faults = [
        on(Endpoint::Token).status(503),
        on(Endpoint::Token).status(429).header("retry-after", "3"),
        on(Endpoint::Token).status(500),
        on(Endpoint::Token).status(403),
        html.header("content-type", "text/html").body("<html>"),
        on(Endpoint::Token).close(),
        on(Endpoint::Userinfo).status(503),
        on(Endpoint::Userinfo).close(),
        on(Endpoint::Jwks).status(503),
        on(Endpoint::Metadata).status(503),
    ];
    for fault in faults.iter().cycle().take(2 * faults.len()) {
        app.advance(301);
        app.idp.fault(fault.clone());
        let tabs = browsers.iter().cycle().take(12).cloned();
        let requests = tabs.map(|mut tab| async move { tab.get("/page").await.status });
        for status in futures_util::future::join_all(requests).await {
            assert_eq!(status, StatusCode::OK, "{fault:?}");
        }
        app.idp.clear_faults();
        // The longest wait after a refusal.
        app.advance(125);
        for browser in &mut browsers {
            let renewed = browser.get("/token").await;
            assert_eq!(renewed.status, StatusCode::OK, "{fault:?}");
        }
    }
    assert_eq!(
        app.sessions
            .health()
            .ended
            .iter()
            .map(|it| it.1)
            .sum::<u64>(),
        0
    );
}
