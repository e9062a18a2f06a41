use dev_idp::DevClient;
use reqwest::header::{CACHE_CONTROL, REFERRER_POLICY};

use super::person::{Asked, CALLBACK, OWNER, get, parameter, provider, sign_in};
use super::{Reply, http};

/// K127
#[tokio::test]
async fn a_wrong_client_redirect_uri_or_tenant_is_a_page_and_never_a_redirect() {
    let idp = provider().await;
    let asked = Asked::new();
    let elsewhere = |uri: &str| asked.clone().with("redirect_uri", uri);
    for (case, asked, tenant) in [
        ("no client", asked.clone().with("client_id", ""), "acme"),
        (
            "other client",
            asked.clone().with("client_id", "nobody"),
            "acme",
        ),
        (
            "machine client",
            asked.clone().with("client_id", "dev-client"),
            "acme",
        ),
        ("no URI", elsewhere(""), "acme"),
        ("suffix", elsewhere(&format!("{CALLBACK}/x")), "acme"),
        ("query", elsewhere(&format!("{CALLBACK}?x=1")), "acme"),
        (
            "other port",
            elsewhere(&CALLBACK.replace("6004", "6005")),
            "acme",
        ),
        (
            "other scheme",
            elsewhere(&CALLBACK.replace("http", "https")),
            "acme",
        ),
        ("fragment", elsewhere(&format!("{CALLBACK}#x")), "acme"),
        (
            "credentials",
            elsewhere(&CALLBACK.replace("//", "//a@")),
            "acme",
        ),
        (
            "letter case",
            elsewhere(&CALLBACK.replace("localhost", "LOCALHOST")),
            "acme",
        ),
        (
            "dot segments",
            elsewhere(&CALLBACK.replace("/auth", "/x/../auth")),
            "acme",
        ),
        (
            "another tenant's host",
            elsewhere("http://globex.localhost:6004/api/auth/callback"),
            "acme",
        ),
        (
            "two labels",
            elsewhere("http://acme.evil.localhost:6004/api/auth/callback"),
            "acme",
        ),
        ("no such tenant", asked.clone(), "umbrella"),
        ("strange tenant", asked.clone(), "acme%2F"),
    ] {
        let reply = get(&asked.at(&idp, tenant)).await;
        assert_eq!(reply.status, 400, "{case}: {}", reply.text);
        reply.assert_page(400, "<h1>This link is broken</h1>");
        let reply = sign_in(&asked.page(&idp, tenant), OWNER).await;
        reply.assert_page(400, "<h1>This link is broken</h1>");
    }
}

/// K127
#[tokio::test]
async fn every_other_mistake_goes_back_to_the_client_with_state_and_issuer() {
    let idp = provider().await;
    let asked = Asked::new();
    let with = |name, value: &str| asked.clone().with(name, value);
    for (asked, error) in [
        (with("response_type", ""), "invalid_request"),
        (with("response_type", "token"), "unsupported_response_type"),
        (
            with("response_type", "code id_token"),
            "unsupported_response_type",
        ),
        (with("response_mode", "form_post"), "invalid_request"),
        (with("scope", ""), "invalid_scope"),
        (with("scope", "profile"), "invalid_scope"),
        (with("scope", "openid admin"), "invalid_scope"),
        (with("code_challenge", ""), "invalid_request"),
        (with("code_challenge", "too-short"), "invalid_request"),
        (with("code_challenge_method", ""), "invalid_request"),
        (with("code_challenge_method", "plain"), "invalid_request"),
        (with("prompt", "consent"), "invalid_request"),
        (with("max_age", "-1"), "invalid_request"),
        (with("request", "a.b.c"), "request_not_supported"),
        (with("resource", "/relative"), "invalid_target"),
        (asked.clone().and("nonce", "again"), "invalid_request"),
        (
            asked.clone().and("redirect_uri", CALLBACK),
            "invalid_request",
        ),
        (with("prompt", "none"), "login_required"),
    ] {
        let location = get(&asked.at(&idp, "acme")).await.location();
        assert!(
            location.as_str().starts_with(&format!("{CALLBACK}?")),
            "{location}"
        );
        assert_eq!(
            parameter(&location, "error").as_deref(),
            Some(error),
            "{location}"
        );
        assert_eq!(parameter(&location, "state").as_deref(), Some("a state"));
        assert_eq!(parameter(&location, "iss").as_deref(), Some(idp.issuer()));
        assert_eq!(parameter(&location, "code"), None);
    }
    let long = with("state", &"s".repeat(513));
    let location = get(&long.at(&idp, "acme")).await.location();
    assert_eq!(
        parameter(&location, "error").as_deref(),
        Some("invalid_request")
    );
    assert_eq!(parameter(&location, "state"), None);
}

#[tokio::test]
async fn a_good_request_leads_to_the_tenants_page_and_with_its_cookie_to_a_code() {
    let idp = provider().await;
    let asked = Asked::new().with("redirect_uri", "https://app.example/in?x=1");
    let reply = get(&asked.at(&idp, "acme")).await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header(CACHE_CONTROL), "no-store");
    assert_eq!(reply.header(REFERRER_POLICY), "no-referrer");
    let page = format!("{}{}", idp.issuer(), reply.header(http::header::LOCATION));
    assert_eq!(page, asked.page(&idp, "acme"));
    get(&page)
        .await
        .assert_page(200, "<h1>Sign in to acme</h1>");

    let reply = sign_in(&page, OWNER).await;
    assert_eq!(reply.status, 303);
    let cookie = reply.header(http::header::SET_COOKIE);
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"),
        "{cookie}"
    );
    let location = reply.location();
    assert!(
        location
            .as_str()
            .starts_with("https://app.example/in?x=1&code=")
    );
    assert_eq!(parameter(&location, "state").as_deref(), Some("a state"));
    assert_eq!(parameter(&location, "iss").as_deref(), Some(idp.issuer()));
    assert_eq!(parameter(&location, "tenant_name").as_deref(), Some("acme"));
    assert_eq!(parameter(&location, "error"), None);

    // The browser is remembered for that tenant, by any client.
    let cookie = reply.cookie();
    let asked = Asked::new().with("client_id", "other");
    let asked = asked.with("scope", "openid").with("prompt", "none");
    let again = async |tenant| {
        let request = http().get(asked.at(&idp, tenant)).header("cookie", &cookie);
        Reply::of(request).await.location()
    };
    let location = again("acme").await;
    assert!(parameter(&location, "code").is_some(), "{location}");
    let location = again("globex").await;
    assert_eq!(
        parameter(&location, "error").as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn a_template_takes_the_tenant_of_the_request() {
    let idp = provider().await;
    let uri = "http://acme.localhost:6004/api/auth/callback";
    let asked = Asked::new().with("redirect_uri", uri);
    let location = sign_in(&asked.page(&idp, "acme"), OWNER).await.location();
    assert!(
        location.as_str().starts_with(&format!("{uri}?code=")),
        "{location}"
    );
}

#[tokio::test]
async fn a_client_may_move_while_the_provider_runs() {
    let idp = provider().await;
    let uri = "http://localhost:41234/api/auth/callback";
    let asked = Asked::new().with("redirect_uri", uri);
    get(&asked.at(&idp, "acme"))
        .await
        .assert_page(400, "did not register");
    idp.set_client(DevClient::web().application_at("http://localhost:41234"));
    let location = sign_in(&asked.page(&idp, "acme"), OWNER).await.location();
    assert!(location.as_str().starts_with(uri), "{location}");
}

#[tokio::test]
async fn prompt_and_max_age_ask_for_the_password_again() {
    use clock::ManualClock;
    use std::sync::Arc;
    use std::time::Duration;

    let clock = ManualClock::at_unix(1_700_000_000);
    let builder = dev_idp::DevIdp::builder().clock(Arc::new(clock.clone()));
    let idp = builder.start().await.unwrap();
    let cookie = sign_in(&Asked::new().page(&idp, "acme"), OWNER)
        .await
        .cookie();
    clock.advance(Duration::from_secs(10));
    for (name, value, asks) in [
        ("max_age", "10", false),
        ("max_age", "9", true),
        ("max_age", "0", true),
        ("max_age", "99999999999999999999", false),
        ("prompt", "login", true),
    ] {
        let asked = Asked::new().with(name, value);
        let request = http().get(asked.at(&idp, "acme")).header("cookie", &cookie);
        let reply = Reply::of(request).await;
        let location = reply.header(http::header::LOCATION);
        assert_eq!(
            location.starts_with("/tenants/acme/login?"),
            asks,
            "{name}={value}"
        );
    }
}

#[tokio::test]
async fn without_a_tenant_a_person_signs_in_at_the_first_of_theirs() {
    let idp = provider().await;
    let query = Asked::new().query();
    let url = format!("{}/api/v1/oauth2/authorize?{query}", idp.issuer());
    let reply = get(&url).await;
    let page = format!("{}/sign-in?{query}", idp.issuer());
    assert_eq!(
        reply.header(http::header::LOCATION),
        format!("/sign-in?{query}")
    );
    let location = sign_in(&page, "both@example.com").await.location();
    assert_eq!(parameter(&location, "tenant_name"), None);
    let code = parameter(&location, "code").unwrap();
    let tokens = super::person::post(&idp.token_endpoint(), &super::person::exchange(&code)).await;
    let id_token = tokens.json()["id_token"].as_str().unwrap().to_owned();
    assert_eq!(super::claims_of(&id_token)["tnt_name"], "acme");
}

#[tokio::test]
async fn a_test_signs_a_person_in_without_a_browser() {
    let idp = provider().await;
    let callback = idp.sign_in(&Asked::new().at(&idp, "acme"), OWNER);
    assert!(
        callback.starts_with(&format!("{CALLBACK}?code=")),
        "{callback}"
    );
    assert_eq!(idp.requests().authorize, 0);
}
