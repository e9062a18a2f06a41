//! Logins end.

use dev_idp::{Endpoint, Fault};
use http::StatusCode;
use web_session::LoginOutcome;

use crate::app::{App, OWNER, VIEWER, path_of, with_parameter};

const RESTART: &str = "http://localhost:6004/api/auth/login?tenant_name=acme&retry=1";

/// K21, K22, K24, K25, K26
#[tokio::test]
async fn a_callback_without_its_login_begins_again_once() {
    let app = App::start().await;
    let mut browser = app.browser();
    let callback = browser.until_callback("/page", OWNER).await;
    let before = app.token_requests();
    // Another browser, as where somebody sends their callback to somebody else.
    let mut other = app.browser();
    let reply = other.get(&callback).await;
    assert_eq!(
        (reply.status, reply.location().as_str()),
        (StatusCode::FOUND, RESTART)
    );
    reply.assert_sets_nothing();
    // The login that follows says that it is the second, and the third does not come.
    let there = other.get(&path_of(RESTART)).await.location();
    assert!(crate::app::query_of(&there)["state"].ends_with(".1"));
    let again = path_of(&app.idp.sign_in(&there, OWNER));
    let reply = app.browser().get(&again).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.text().contains("Cookies seem to be blocked"));
    // A cookie that was changed, and a state that is not its own.
    let mut changed = browser.clone();
    let login = changed
        .cookies
        .iter_mut()
        .find(|(name, _)| name.starts_with("__Host-login."));
    login.unwrap().1.replace_range(20..21, "~");
    assert_eq!(changed.get(&callback).await.location(), RESTART);
    let mut two = app.browser();
    let (first, second) = (
        two.until_callback("/", OWNER).await,
        two.until_callback("/", OWNER).await,
    );
    let state = |path: &str| crate::app::query_of(&format!("http://x{path}"))["state"].clone();
    let crossed = with_parameter(&first, "state", Some(&state(&second)));
    two.cookies.retain(|name, _| {
        !name.starts_with("__Host-login.") || name.ends_with(&tag(&state(&first)))
    });
    assert_eq!(two.get(&crossed).await.location(), RESTART);
    for bad in ["", "x", "x.0", &"s".repeat(5_000)] {
        let reply = browser
            .get(&with_parameter(&callback, "state", Some(bad)))
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{bad:.10}");
    }
    let reply = browser.get(&with_parameter(&callback, "state", None)).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let reply = browser.get(&format!("{callback}&code=other")).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(app.token_requests(), before, "nothing was exchanged");
    assert_eq!(
        browser.get(&callback).await.location(),
        "http://localhost:6004/page"
    );
}

fn tag(state: &str) -> String {
    use base64::Engine as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, state.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)[..12].to_owned()
}

/// K23
#[tokio::test]
async fn a_used_callback_with_a_session_leads_home_and_exchanges_nothing() {
    let app = App::start().await;
    let mut browser = app.browser();
    let callback = browser.until_callback("/page", OWNER).await;
    browser.get(&callback).await;
    let before = app.token_requests();
    app.advance(61);
    for _ in 0..2 {
        let reply = browser.get(&callback).await;
        assert_eq!(
            (reply.status, reply.location().as_str()),
            (StatusCode::SEE_OTHER, "http://localhost:6004/")
        );
    }
    assert_eq!(app.token_requests(), before);
}

/// K34
#[tokio::test]
async fn a_reload_after_a_failure_begins_the_same_login_again() {
    let app = App::start().await;
    let mut browser = app.browser();
    let callback = browser.until_callback("/page", OWNER).await;
    // As a provider does that says nothing about the tenant.
    let callback = with_parameter(&callback, "tenant_name", None);
    app.idp
        .fault(Fault::on(Endpoint::Token).times(1).status(503));
    let mut reloaded = browser.clone();
    assert_eq!(
        browser.get(&callback).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    app.advance(61);
    let again = "http://localhost:6004/api/auth/login?tenant_name=acme&return_url=%2Fpage&retry=1";
    assert_eq!(reloaded.get(&callback).await.location(), again);
}

/// K24
#[tokio::test]
async fn a_login_is_good_for_an_hour() {
    let app = App::start().await;
    let mut browser = app.browser();
    let callback = browser.until_callback("/page", OWNER).await;
    app.advance(3_601);
    assert_eq!(browser.get(&callback).await.location(), RESTART);
}

/// K27, K32
#[tokio::test]
async fn a_code_of_another_login_begins_again() {
    let app = App::start().await;
    let (mut thief, mut victim) = (app.browser(), app.browser());
    let stolen = victim.until_callback("/", OWNER).await;
    let own = thief.until_callback("/page", VIEWER).await;
    let code = crate::app::query_of(&format!("http://x{stolen}"))["code"].clone();
    let reply = thief.get(&with_parameter(&own, "code", Some(&code))).await;
    assert_eq!(reply.status, StatusCode::FOUND);
    let expected =
        "http://localhost:6004/api/auth/login?tenant_name=acme&return_url=%2Fpage&retry=1";
    assert_eq!(reply.location(), expected);
    assert!(thief.handle().is_none());
    let names: Vec<&String> = thief.cookies.keys().collect();
    assert!(
        !names.iter().any(|name| name.starts_with("__Host-login.")),
        "{names:?}"
    );
}

/// K28
#[tokio::test]
async fn an_answer_of_another_issuer_is_not_looked_at() {
    let app = App::start().await;
    let before = app.token_requests();
    let slash = format!("{}/", app.idp.issuer());
    for iss in [Some("https://evil.example"), Some(slash.as_str()), None] {
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        let reply = browser.get(&with_parameter(&callback, "iss", iss)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{iss:?}");
        assert!(browser.handle().is_none());
    }
    assert_eq!(app.token_requests(), before);
}

/// K29, K30
#[tokio::test]
async fn an_error_of_the_provider_is_told_in_our_own_words() {
    let app = App::start().await;
    let before = app.token_requests();
    for (error, status, location) in [
        ("login_required", StatusCode::FOUND, Some("retry=1")),
        ("interaction_required", StatusCode::FOUND, Some("retry=1")),
        ("access_denied", StatusCode::FORBIDDEN, None),
        ("invalid_scope", StatusCode::BAD_REQUEST, None),
        ("server_error", StatusCode::BAD_REQUEST, None),
        ("<script>", StatusCode::BAD_REQUEST, None),
    ] {
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        let refused = with_parameter(&callback, "error", Some(error));
        let both = browser.clone().get(&refused).await;
        assert_eq!(both.status, StatusCode::BAD_REQUEST, "code and error");
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        let refused = with_parameter(
            &with_parameter(&callback, "code", None),
            "error",
            Some(error),
        );
        let refused = with_parameter(&refused, "error_description", Some("<b>markup</b>"));
        let reply = browser.get(&refused).await;
        assert_eq!(reply.status, status, "{error}");
        assert!(location.is_none_or(|it| reply.location().ends_with(it)));
        assert!(!reply.text().contains("markup") && !reply.text().contains("script>"));
    }
    let mut browser = app.browser();
    let callback = browser.until_callback("/", OWNER).await;
    let reply = browser.get(&with_parameter(&callback, "code", None)).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "neither");
    assert_eq!(app.token_requests(), before);
}

/// K31
#[tokio::test]
async fn another_tenant_than_begun_is_refused() {
    let app = App::start().await;
    let before = app.token_requests();
    for name in ["tenant_name", "tenant_domain"] {
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        let reply = browser
            .get(&with_parameter(&callback, name, Some("globex")))
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(app.token_requests(), before);
    let mut browser = app.browser();
    let callback = browser.until_callback("/", OWNER).await;
    let reply = browser
        .get(&with_parameter(&callback, "tenant_name", Some("acme")))
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

/// K33, K34, K35
#[tokio::test]
async fn what_the_token_endpoint_does_decides_between_502_and_503() {
    let app = App::start().await;
    let json = |status: u16, body: &str| {
        let fault = Fault::on(Endpoint::Token).status(status);
        fault
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    let whole = |member: &str| {
        format!(r#"{{"access_token":"a","token_type":"Bearer","id_token":"x.y.z"{member}}}"#)
    };
    let on = || Fault::on(Endpoint::Token);
    for (fault, status) in [
        (json(401, r#"{"error":"invalid_client"}"#), 502),
        (json(400, r#"{"error":"unauthorized_client"}"#), 502),
        (on().status(403), 502),
        (on().status(302), 502),
        (on().status(503).header("retry-after", "7"), 503),
        (on().status(429), 503),
        (on().torn_body(), 503),
        (on().close(), 503),
        (
            json(200, r#"{"access_token":"a","token_type":"Bearer"}"#),
            502,
        ),
        (
            json(200, r#"{"id_token":"x.y.z","token_type":"Bearer"}"#),
            502,
        ),
        (
            json(
                200,
                r#"{"access_token":"a","id_token":"x","token_type":"mac"}"#,
            ),
            502,
        ),
        (json(200, &whole(r#","access_token":"b""#)), 502),
        (json(200, &whole(r#","refresh_token":"a\u0007""#)), 502),
        (json(200, &"[".repeat(65 * 1024)), 502),
        (
            on().status(200)
                .header("content-type", "text/html")
                .body("<html>"),
            502,
        ),
    ] {
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        app.idp.fault(fault.clone());
        let reply = browser.get(&callback).await;
        assert_eq!(reply.status.as_u16(), status, "{fault:?}");
        assert_eq!(reply.headers.contains_key("retry-after"), status == 503);
        assert!(browser.handle().is_none());
        app.idp.clear_faults();
    }
    let logins = app.sessions.health().logins;
    let count = |outcome: LoginOutcome| {
        logins
            .iter()
            .find(|(it, _)| *it == outcome)
            .map(|(_, count)| *count)
    };
    assert_eq!(count(LoginOutcome::ProviderRefuses), Some(11));
    assert_eq!(count(LoginOutcome::ProviderAway), Some(4));
    assert_eq!(app.sessions.health().refused_logins, 11);
    app.signed_in(OWNER).await;
    assert_eq!(app.sessions.health().refused_logins, 0);
}

/// K36, K37
#[tokio::test]
async fn userinfo_that_cannot_be_used_makes_no_session_and_the_tokens_are_taken_back() {
    let app = App::start().await;
    let subject = app.idp.subject(OWNER);
    let with = |body: String| {
        let fault = Fault::on(Endpoint::Userinfo).status(200);
        fault.header("content-type", "application/json").body(body)
    };
    let on = || Fault::on(Endpoint::Userinfo);
    for (count, (fault, status)) in [
        (on().status(401), 502),
        (on().status(500), 503),
        (on().close(), 503),
        (
            on().status(200)
                .header("content-type", "text/html")
                .body("<html>"),
            502,
        ),
        (with("a.b.c".to_owned()), 502),
        (with(r#"{"sub":"other"}"#.to_owned()), 502),
        (with("{}".to_owned()), 502),
        (
            with(format!(r#"{{"sub":"{subject}","sub":"{subject}"}}"#)),
            502,
        ),
        (
            with(format!(
                r#"{{"sub":"{subject}","x":"{}"}}"#,
                "x".repeat(65 * 1024)
            )),
            502,
        ),
        (
            with(format!(r#"{{"sub":"{subject}","roles":"owner"}}"#)),
            502,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut browser = app.browser();
        let callback = browser.until_callback("/", OWNER).await;
        app.idp.fault(fault.clone());
        let reply = browser.get(&callback).await;
        assert_eq!(reply.status.as_u16(), status, "{fault:?}");
        assert!(browser.handle().is_none());
        app.idp.clear_faults();
        app.idp
            .wait_for_requests(Endpoint::Revocation, count as u64 + 1)
            .await;
    }
}

/// K38, K39
#[tokio::test]
async fn the_same_callback_twice_is_one_exchange_and_one_session() {
    let app = App::start().await;
    let mut browser = app.browser();
    let callback = browser.until_callback("/page", OWNER).await;
    let before = app.token_requests();
    let (mut one, mut two) = (browser.clone(), browser.clone());
    let (first, second) = tokio::join!(one.get(&callback), two.get(&callback));
    for reply in [&first, &second] {
        assert_eq!(reply.location(), "http://localhost:6004/page");
    }
    assert_eq!(one.handle(), two.handle());
    assert_eq!(app.token_requests(), before + 1);
    // A browser that came back within a minute.
    assert_eq!(
        browser.get(&callback).await.location(),
        "http://localhost:6004/page"
    );
    assert_eq!(browser.handle(), one.handle());
    assert_eq!(app.token_requests(), before + 1);
}

/// K39
#[tokio::test]
async fn a_browser_that_goes_away_finds_its_session_when_it_comes_back() {
    let app = App::start().await;
    let mut browser = app.browser();
    let callback = browser.until_callback("/page", OWNER).await;
    app.idp.fault(Fault::on(Endpoint::Token).times(1).hold());
    let mut gone = browser.clone();
    let before = app.token_requests();
    {
        let request = gone.get(&callback);
        tokio::select! {
            _ = request => panic!("it is held"),
            () = app.idp.wait_for_requests(Endpoint::Token, before + 1) => {}
        }
    }
    app.idp.clear_faults();
    let reply = browser.get(&callback).await;
    assert_eq!(reply.location(), "http://localhost:6004/page");
    assert_eq!(app.token_requests(), before + 1);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

/// K40
#[tokio::test]
async fn a_browser_that_keeps_no_session_cookie_sees_a_page_after_the_third_login() {
    let app = App::start().await;
    let mut browser = app.browser();
    for login in 1..=3 {
        let reply = browser.sign_in("/page", OWNER).await;
        browser.cookies.remove("__Host-session");
        match login {
            3 => {
                let check = "http://localhost:6004/api/auth/login?check=1&return_url=%2Fpage";
                assert_eq!(reply.location(), check);
                let reply = browser.get(&path_of(check)).await;
                assert_eq!(reply.status, StatusCode::BAD_REQUEST);
                assert!(reply.text().contains("Cookies seem to be blocked"));
            }
            _ => assert_eq!(reply.location(), "http://localhost:6004/page"),
        }
    }
}
