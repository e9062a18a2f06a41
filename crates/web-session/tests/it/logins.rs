//! Logins begin.

use dev_idp::{Endpoint, Fault};
use http::StatusCode;
use web_session::Tenancy;

use crate::app::{App, OWNER, query_of};

#[tokio::test]
async fn a_person_signs_in_and_lands_on_the_page_they_wanted() {
    let app = App::start().await;
    let mut browser = app.browser();
    let reply = browser.get("/page?x=1").await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(
        reply.location(),
        "http://localhost:6004/api/auth/login?return_url=%2Fpage%3Fx%3D1"
    );
    reply.assert_sets_nothing();

    let there = browser
        .begin("&return_url=/page%3Fx%3D1&login_hint=a%40b")
        .await;
    let query = query_of(&there);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "dev-web"),
        ("scope", "openid offline_access profile email roles"),
        ("redirect_uri", "http://localhost:6004/api/auth/callback"),
        ("code_challenge_method", "S256"),
        ("login_hint", "a@b"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    assert_eq!(query["nonce"].len(), 43);
    assert_eq!(query["code_challenge"].len(), 43);
    assert!(query["state"].len() == 45 && query["state"].ends_with(".0"));

    let callback = crate::app::path_of(&app.idp.sign_in(&there, OWNER));
    let reply = browser.get(&callback).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.location(), "http://localhost:6004/page?x=1");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    let cookies = reply.set_cookies();
    assert_eq!(cookies.len(), 4, "{cookies:?}");
    let handle = browser.handle().unwrap().clone();
    let session =
        format!("__Host-session={handle}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=43200");
    assert_eq!(cookies[0], session);
    assert!(
        cookies[1].starts_with("__Host-CSRF-TOKEN=")
            && cookies[1].contains("; SameSite=Strict; Secure;")
    );
    assert_eq!(
        cookies[2],
        "__Host-tenant=acme; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=31536000"
    );
    assert!(
        cookies[3].starts_with("__Host-login.") && cookies[3].ends_with("; Max-Age=0"),
        "{cookies:?}"
    );

    let reply = browser.get("/page").await;
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (StatusCode::OK, "owner@acme.example of acme")
    );
    reply.assert_sets_nothing();
    let session = browser.get("/api/auth/session").await.json();
    assert_eq!(session["userId"], app.idp.subject(OWNER));
    assert_eq!(session["metadata"]["roles"], serde_json::json!(["owner"]));
    let expires = session["metadata"]["expiresAt"].as_u64().unwrap();
    assert!((1_800_043_200_000..1_800_043_260_000).contains(&expires));
}

/// K3, K4, K5
#[tokio::test]
async fn a_tenant_that_cannot_be_one_is_a_bad_request() {
    let app = App::start().await;
    for query in [
        "tenant_name=evil.com/",
        "tenant_name=acme%00",
        "tenant_name=acme%252f",
        "tenant_name=",
        "tenant_name=acme&tenant_name=acme",
        "tenant_name=acme&tenant_domain=globex",
        "tenant_custom_domain=evil.example",
        "tenant_name=acme&return_url=/a&return_url=/b",
    ] {
        let reply = app.browser().get(&format!("/api/auth/login?{query}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(reply.header("location"), None);
        reply.assert_sets_nothing();
    }
    let reply = app.browser().get("/api/auth/login?tenant_name=ACME").await;
    assert!(
        reply.location().contains("/tenants/acme/"),
        "{}",
        reply.location()
    );
}

/// K6
#[tokio::test]
async fn without_a_tenant_the_provider_asks_and_knows_the_client_only() {
    let tenancy =
        Tenancy::required().application_login_url("https://idp.example/login".parse().unwrap());
    let app = App::with(|builder| builder.tenancy(tenancy)).await;
    let reply = app
        .browser()
        .get("/api/auth/login?return_url=/page&login_hint=x")
        .await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(
        reply.location(),
        "https://idp.example/login?client_id=dev-web"
    );
    reply.assert_sets_nothing();
}

/// K7, K8
#[tokio::test]
async fn a_return_address_elsewhere_leads_home() {
    let app = App::start().await;
    for address in [
        "//e",
        "/%5Ce",
        "https:e",
        "https://own.evil",
        "/api/auth/logout",
        "/.//e",
        "javascript:x",
    ] {
        app.advance(61);
        let reply = app.browser().sign_in(address, OWNER).await;
        assert_eq!(reply.location(), "http://localhost:6004/", "{address}");
    }
}

/// K9, K10
#[tokio::test]
async fn only_a_navigation_begins_a_login_or_ends_one() {
    let app = App::start().await;
    let mut browser = app.browser();
    let callback = browser.until_callback("/page", OWNER).await;
    let login = "/api/auth/login?tenant_name=acme";
    for path in [login, &callback] {
        for headers in [
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        ] {
            let reply = browser.get_with(path, headers).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
            reply.assert_sets_nothing();
        }
        for headers in [
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
        ] {
            let reply = browser.get_with(path, &[headers]).await;
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
            reply.assert_sets_nothing();
        }
        for method in ["HEAD", "POST", "OPTIONS", "PUT"] {
            let request = browser
                .request(method, path)
                .body(axum::body::Body::empty())
                .unwrap();
            let reply = browser.send(request).await;
            assert_eq!(
                reply.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
            assert_eq!(reply.header("allow"), Some("GET"));
            reply.assert_sets_nothing();
        }
    }
    assert_eq!(
        browser.get(&callback).await.location(),
        "http://localhost:6004/page"
    );
}

/// K11, K12, K13
#[tokio::test]
async fn four_tabs_sign_in_side_by_side_and_an_older_one_begins_again() {
    let app = App::start().await;
    let mut browser = app.browser();
    let mut callbacks = Vec::new();
    for tab in 0..5 {
        app.advance(1);
        callbacks.push(
            browser
                .until_callback(&format!("/page%3Ftab={tab}"), OWNER)
                .await,
        );
        let logins = browser
            .cookies
            .keys()
            .filter(|name| name.starts_with("__Host-login."));
        assert!(logins.count() <= 4);
    }
    let evicted = browser.get(&callbacks[0]).await;
    assert_eq!(
        evicted.location(),
        "http://localhost:6004/api/auth/login?tenant_name=acme&retry=1"
    );
    for tab in [3, 1, 4, 2] {
        let reply = browser.get(&callbacks[tab]).await;
        assert_eq!(
            reply.location(),
            format!("http://localhost:6004/page?tab={tab}")
        );
    }
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

/// K14
#[tokio::test]
async fn without_metadata_a_login_is_unavailable_and_works_again_at_once() {
    let app = App::start().await;
    // A provider of its own, whose metadata nobody has read.
    let idp = crate::app::provider(&app.clock).await;
    idp.fault(Fault::on(Endpoint::Metadata).status(503));
    let sessions = crate::app::builder(&idp, &app.clock).build().unwrap();
    let router: axum::Router = sessions.routes();
    let login = || {
        let request =
            http::Request::get("/api/auth/login?tenant_name=acme").header("host", "localhost:6004");
        tower::ServiceExt::oneshot(
            router.clone(),
            request.body(axum::body::Body::empty()).unwrap(),
        )
    };
    let reply = login().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        reply.headers().contains_key("retry-after") && !reply.headers().contains_key("set-cookie")
    );
    idp.clear_faults();
    assert_eq!(login().await.unwrap().status(), StatusCode::FOUND);
}

/// K15
#[tokio::test]
async fn a_hint_that_is_too_long_or_has_control_characters_is_dropped() {
    let app = App::start().await;
    let long = "h".repeat(257);
    for (hint, expected) in [
        ("a%0ab", None),
        (long.as_str(), None),
        ("a%20b", Some("a b")),
    ] {
        let there = app
            .browser()
            .begin(&format!("&login_hint={hint}&idp_hint={hint}"))
            .await;
        for name in ["login_hint", "idp_hint"] {
            assert_eq!(
                query_of(&there).get(name).map(String::as_str),
                expected,
                "{hint:.10}"
            );
        }
    }
}

/// K16
#[tokio::test]
async fn who_is_signed_in_goes_on_unless_the_token_is_lost() {
    let app = App::start().await;
    app.idp
        .set_token_lifetime(std::time::Duration::from_secs(300));
    let mut browser = app.signed_in(OWNER).await;
    let login = "/api/auth/login?tenant_name=acme&return_url=/page";
    let reply = browser.get(login).await;
    assert_eq!(
        (reply.status, reply.location().as_str()),
        (StatusCode::SEE_OTHER, "http://localhost:6004/page")
    );
    reply.assert_sets_nothing();
    let other = browser.get("/api/auth/login?tenant_name=globex").await;
    assert_eq!(other.status, StatusCode::FOUND);
}

/// K16
#[tokio::test]
async fn who_has_an_expired_token_and_no_other_logs_in_again() {
    let app = App::start().await;
    app.idp
        .set_token_lifetime(std::time::Duration::from_secs(300));
    let mut browser = app.browser();
    let there = browser.begin("").await;
    let claims = serde_json::json!({"iss": app.idp.issuer(), "sub": app.idp.subject(OWNER), "aud": "dev-web",
        "exp": 1_800_000_300, "iat": 1_800_000_000, "nonce": query_of(&there)["nonce"]});
    let header = serde_json::json!({"alg": "RS256", "kid": app.idp.current_kid()});
    let id_token = app.idp.mint_raw(&header.to_string(), &claims.to_string());
    let body = serde_json::json!({"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": id_token});
    let info =
        serde_json::json!({"sub": app.idp.subject(OWNER), "tnt_id": "t", "tnt_name": "acme"});
    for (endpoint, body) in [(Endpoint::Token, body), (Endpoint::Userinfo, info)] {
        let fault = Fault::on(endpoint).times(1).status(200);
        app.idp.fault(
            fault
                .header("content-type", "application/json")
                .body(body.to_string()),
        );
    }
    let callback = crate::app::path_of(&app.idp.sign_in(&there, OWNER));
    assert_eq!(browser.get(&callback).await.status, StatusCode::SEE_OTHER);
    let login = "/api/auth/login?tenant_name=acme&return_url=/page";
    assert_eq!(browser.get(login).await.status, StatusCode::SEE_OTHER);
    app.advance(301);
    assert_eq!(
        browser.get("/page").await.status,
        StatusCode::OK,
        "still known"
    );
    let reply = browser.get(login).await;
    assert_eq!(
        reply.status,
        StatusCode::FOUND,
        "to the provider, for a token"
    );
    assert_eq!(browser.get("/token").await.status, StatusCode::FOUND);
}
