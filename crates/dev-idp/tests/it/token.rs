use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use dev_idp::{DevClient, DevIdp, ExpiresIn};
use serde_json::{Value, json};

use super::{FORM, Reply, ask, basic, claims_of, header_of, http, is_signed_by, jwks, provider};

/// A40
#[tokio::test]
async fn a_token_reply_is_json_that_no_cache_keeps() {
    let idp = provider().await;
    let reply = ask(&idp, "grant_type=client_credentials").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header(http::header::CONTENT_TYPE), "application/json");
    assert_eq!(reply.header(http::header::CACHE_CONTROL), "no-store");
    assert_eq!(reply.header(http::header::PRAGMA), "no-cache");
    let body = reply.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 300);
    assert_eq!(body["scope"], "read write");
}

#[tokio::test]
async fn the_token_has_the_claims_and_header_of_rfc_9068() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let idp = DevIdp::builder()
        .client(DevClient::new("id", "secret").scopes(["read", "write"]))
        .default_audience("https://api.example")
        .token_lifetime(Duration::from_secs(60))
        .clock(Arc::new(clock))
        .start()
        .await
        .unwrap();
    let token = super::token(&idp).await;

    let mut claims = claims_of(&token);
    let jti = claims["jti"].take();
    assert_eq!(jti.as_str().unwrap().len(), 22);
    let expected = json!({
        "iss": idp.issuer(),
        "sub": "id",
        "client_id": "id",
        "aud": "https://api.example",
        "iat": 1_700_000_000,
        "exp": 1_700_000_060,
        "scope": "read write",
        "jti": null,
    });
    assert_eq!(claims, expected);
    let expected = json!({ "alg": "RS256", "kid": idp.current_kid(), "typ": "at+jwt" });
    assert_eq!(header_of(&token), expected);
    assert!(is_signed_by(&token, &jwks(&idp).await));
    assert_ne!(claims_of(&super::token(&idp).await)["jti"], jti);
}

#[tokio::test]
async fn a_client_gets_the_scopes_it_asks_for_each_once() {
    let idp = provider().await;
    let reply = ask(&idp, "grant_type=client_credentials&scope=write+write").await;
    assert_eq!(reply.json()["scope"], "write");
    assert_eq!(claims_of(&reply.access_token())["scope"], "write");
    // RFC 6749 section 3.2: a parameter without a value counts as omitted.
    let reply = ask(&idp, "grant_type=client_credentials&scope=").await;
    assert_eq!(reply.json()["scope"], "read write");
}

#[tokio::test]
async fn a_client_without_scopes_gets_a_token_without_them() {
    let idp = DevIdp::builder().client(DevClient::new("id", "secret"));
    let idp = idp.start().await.unwrap();
    let reply = ask(&idp, "grant_type=client_credentials").await;
    assert_eq!(reply.json().get("scope"), None);
    assert_eq!(claims_of(&reply.access_token()).get("scope"), None);
    ask(&idp, "grant_type=client_credentials&scope=read")
        .await
        .assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn audience_and_resources_decide_the_audience_of_the_token() {
    let idp = provider().await;
    for (case, form, expected) in [
        ("none", "", json!("https://protected-data.example")),
        ("audience", "&audience=a", json!("a")),
        ("resource", "&resource=urn:a:b", json!("urn:a:b")),
        (
            "two resources",
            "&resource=https://a.example/&resource=https://b.example/",
            json!(["https://a.example/", "https://b.example/"]),
        ),
        (
            "the same thing twice",
            "&audience=urn:a:b&resource=urn:a:b&resource=urn:a:b",
            json!("urn:a:b"),
        ),
    ] {
        let reply = ask(&idp, &format!("grant_type=client_credentials{form}")).await;
        assert_eq!(claims_of(&reply.access_token())["aud"], expected, "{case}");
    }
}

#[tokio::test]
async fn a_client_that_lists_audiences_gets_only_those() {
    let client = DevClient::new("id", "secret").audiences(["https://a.example", "b"]);
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    for (form, expected) in [
        ("", json!("https://a.example")),
        ("&audience=b", json!("b")),
        (
            "&audience=b&resource=https://a.example",
            json!(["https://a.example", "b"]),
        ),
    ] {
        let reply = ask(&idp, &format!("grant_type=client_credentials{form}")).await;
        assert_eq!(claims_of(&reply.access_token())["aud"], expected, "{form}");
    }
    for form in [
        "&audience=c",
        "&resource=https://c.example",
        "&audience=b&resource=urn:c:d",
    ] {
        ask(&idp, &format!("grant_type=client_credentials{form}"))
            .await
            .assert_error(400, "invalid_target");
    }
}

/// A40
#[tokio::test]
async fn each_bad_request_gets_its_error_of_rfc_6749() {
    let idp = provider().await;
    let large = format!("grant_type=client_credentials&pad={}", "x".repeat(70_000));
    for (case, form, status, code) in [
        ("empty", "", 400, "invalid_request"),
        ("no grant", "scope=read", 400, "invalid_request"),
        ("empty grant", "grant_type=", 400, "invalid_request"),
        (
            "other grant",
            "grant_type=password",
            400,
            "unsupported_grant_type",
        ),
        (
            "letter case",
            "grant_type=Client_Credentials",
            400,
            "unsupported_grant_type",
        ),
        (
            "scope not held",
            "grant_type=client_credentials&scope=read+admin",
            400,
            "invalid_scope",
        ),
        (
            "two spaces",
            "grant_type=client_credentials&scope=read++write",
            400,
            "invalid_scope",
        ),
        (
            "leading space",
            "grant_type=client_credentials&scope=+read",
            400,
            "invalid_scope",
        ),
        (
            "repeated grant",
            "grant_type=client_credentials&grant_type=client_credentials",
            400,
            "invalid_request",
        ),
        (
            "repeated scope",
            "grant_type=client_credentials&scope=read&scope=write",
            400,
            "invalid_request",
        ),
        (
            "repeated audience",
            "grant_type=client_credentials&audience=a&audience=a",
            400,
            "invalid_request",
        ),
        (
            "repeated unknown",
            "grant_type=client_credentials&x=1&x=",
            400,
            "invalid_request",
        ),
        (
            "broken escape",
            "grant_type=client_credentials&x=%zz",
            400,
            "invalid_request",
        ),
        (
            "not UTF-8",
            "grant_type=client_credentials&x=%ff",
            400,
            "invalid_request",
        ),
        (
            "relative resource",
            "grant_type=client_credentials&resource=/a",
            400,
            "invalid_target",
        ),
        (
            "fragment",
            "grant_type=client_credentials&resource=https://a.example/%23f",
            400,
            "invalid_target",
        ),
        ("large body", large.as_str(), 413, "invalid_request"),
    ] {
        let reply = ask(&idp, form).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, error), (status, json!(code)), "{case}");
        assert_eq!(
            reply.header(http::header::CONTENT_TYPE),
            "application/json",
            "{case}"
        );
        assert_eq!(
            reply.header(http::header::CACHE_CONTROL),
            "no-store",
            "{case}"
        );
        assert_eq!(reply.header(http::header::PRAGMA), "no-cache", "{case}");
        assert!(!reply.headers.contains_key("www-authenticate"), "{case}");
    }
}

#[tokio::test]
async fn only_a_form_is_read() {
    let idp = provider().await;
    let body = "grant_type=client_credentials";
    for (content_type, status) in [
        (Some(FORM), 200),
        (
            Some("Application/X-WWW-Form-Urlencoded ; charset=UTF-8"),
            200,
        ),
        (Some("application/json"), 400),
        (Some("text/plain"), 400),
        (None, 400),
    ] {
        let mut request = http().post(idp.token_endpoint()).body(body);
        request = request.header("authorization", basic("id", "secret"));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let reply = Reply::of(request).await;
        assert_eq!(reply.status, status, "{content_type:?}");
        if status == 400 {
            reply.assert_error(400, "invalid_request");
        }
    }
}

#[tokio::test]
async fn a_client_that_may_not_use_the_grant_is_unauthorized() {
    let client = DevClient::new("id", "secret").deny_grant();
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    ask(&idp, "grant_type=client_credentials")
        .await
        .assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn the_lifetime_and_what_the_reply_says_of_it_change_independently() {
    let idp = provider().await;
    idp.set_token_lifetime(Duration::from_secs(5));
    for (says, expected) in [
        (ExpiresIn::Lifetime, Some(json!(5))),
        (ExpiresIn::Omitted, None),
        (ExpiresIn::Value(json!("3600")), Some(json!("3600"))),
        (ExpiresIn::Value(Value::Null), Some(Value::Null)),
    ] {
        idp.set_expires_in(says.clone());
        let reply = ask(&idp, "grant_type=client_credentials").await;
        assert_eq!(
            reply.json().get("expires_in"),
            expected.as_ref(),
            "{says:?}"
        );
        let claims = claims_of(&reply.access_token());
        let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(lifetime, 5);
    }
}
