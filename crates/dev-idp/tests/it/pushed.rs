use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use dev_idp::DevIdp;
use serde_json::json;

use super::person::{Asked, OWNER, get, parameter, post, provider, sign_in};
use super::{FORM, Reply, basic, http};

async fn push(idp: &DevIdp, asked: &Asked) -> Reply {
    let url = format!("{}/api/v1/oauth2/par", idp.issuer());
    let request = http().post(url).header("content-type", FORM);
    let request = request.header("authorization", basic("dev-web", "dev-web-secret"));
    Reply::of(request.body(asked.query())).await
}

/// The address that a browser is sent to with a pushed request.
fn url(idp: &DevIdp, request_uri: &str, client_id: &str) -> String {
    let endpoint = idp
        .authorization_endpoint()
        .replace("{tenant_name}", "acme");
    let query = super::person::form(&[("client_id", client_id), ("request_uri", request_uri)]);
    format!("{endpoint}?{query}")
}

#[tokio::test]
async fn a_pushed_request_is_good_once_for_its_client_and_a_minute() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let idp = DevIdp::builder().clock(Arc::new(clock.clone()));
    let idp = idp.start().await.unwrap();
    let reply = push(&idp, &Asked::new()).await;
    assert_eq!(
        (reply.status, &reply.json()["expires_in"]),
        (201, &json!(60))
    );
    assert_eq!(reply.header(http::header::CACHE_CONTROL), "no-store");
    let request_uri = reply.json()["request_uri"].as_str().unwrap().to_owned();
    assert!(request_uri.starts_with("urn:ietf:params:oauth:request_uri:"));

    clock.advance(Duration::from_secs(60));
    let reply = get(&url(&idp, &request_uri, "dev-web")).await;
    let page = format!("{}{}", idp.issuer(), reply.header(http::header::LOCATION));
    let location = sign_in(&page, OWNER).await.location();
    assert!(parameter(&location, "code").is_some(), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("a state"));
    let again = get(&url(&idp, &request_uri, "dev-web")).await;
    again.assert_page(400, "used before");

    let pushed = async || push(&idp, &Asked::new()).await.json()["request_uri"].clone();
    let other = pushed().await;
    let other = get(&url(&idp, other.as_str().unwrap(), "dev-client")).await;
    other.assert_page(400, "never came");
    let late = pushed().await;
    clock.advance(Duration::from_secs(61));
    let late = get(&url(&idp, late.as_str().unwrap(), "dev-web")).await;
    late.assert_page(400, "too old");
    get(&url(&idp, "urn:x", "dev-web"))
        .await
        .assert_page(400, "never came");
}

#[tokio::test]
async fn a_push_is_refused_for_what_the_browsers_request_would_be() {
    let idp = provider().await;
    let asked = Asked::new();
    for (asked, error) in [
        (
            asked.clone().with("redirect_uri", "https://evil.example/"),
            "invalid_request",
        ),
        (
            asked.clone().with("code_challenge_method", "plain"),
            "invalid_request",
        ),
        (asked.clone().with("scope", "email"), "invalid_scope"),
        (asked.clone().with("client_id", "other"), "invalid_request"),
        (
            asked.clone().with("request_uri", "urn:x"),
            "invalid_request",
        ),
        (asked.clone().and("state", "again"), "invalid_request"),
    ] {
        push(&idp, &asked).await.assert_error(400, error);
    }
    let url = format!("{}/api/v1/oauth2/par", idp.issuer());
    let request = http().post(&url).header("content-type", FORM);
    let reply = Reply::of(request.body(asked.query())).await;
    reply.assert_error(400, "invalid_client");
    let credentials = [("client_id", "dev-web"), ("client_secret", "wrong")];
    post(&url, &credentials)
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_provider_may_insist_on_pushed_requests() {
    let idp = provider().await;
    idp.require_pushed_requests(true);
    let metadata = format!("{}/.well-known/openid-configuration", idp.issuer());
    let metadata = get(&metadata).await.json();
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
    let location = get(&Asked::new().at(&idp, "acme")).await.location();
    assert_eq!(
        parameter(&location, "error").as_deref(),
        Some("invalid_request")
    );
    let pushed = push(&idp, &Asked::new()).await.json();
    let callback = idp.sign_in(
        &url(&idp, pushed["request_uri"].as_str().unwrap(), "dev-web"),
        OWNER,
    );
    assert!(callback.contains("code="), "{callback}");
    assert_eq!(idp.requests().pushed_request, 1);
}
