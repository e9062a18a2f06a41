//! What protected-data is told to accept.

use std::collections::BTreeMap;

use dev_idp::{DEFAULT_AUDIENCE, DevIdp, Endpoint, Fault, TokenSpec};
use reqwest::Response;

use crate::processes::with;
use crate::status::{document, open};
use crate::world::{Pair, variables};

async fn pair(idp: &DevIdp, settings: &[(&str, &str)]) -> Pair {
    let variables: BTreeMap<String, String> = with(variables(idp), settings);
    Pair::ready(&variables).await
}

/// N50, N51, N52
#[tokio::test]
async fn audiences_and_claims_are_those_of_the_variables() {
    let idp = DevIdp::builder().start().await.unwrap();
    let claims = "token_use=access limited=false role=ADMIN|OWNER";
    let token = || {
        TokenSpec::new()
            .claim("token_use", "access")
            .claim("limited", false)
            .claim("role", "OWNER")
    };
    let several = format!("https://other.example {DEFAULT_AUDIENCE}");
    let by_audience = pair(
        &idp,
        &[("API_AUDIENCE", &several), ("REQUIRED_CLAIMS", claims)],
    )
    .await;
    let by_client = pair(
        &idp,
        &[
            ("API_AUDIENCE", "app-1 app-2"),
            ("AUDIENCE_CLAIM", "client_id"),
            ("REQUIRED_CLAIMS", "token_use=access"),
        ],
    )
    .await;
    for (name, pair, spec, status) in [
        (
            "first",
            &by_audience,
            token().claim("aud", "https://other.example"),
            200,
        ),
        ("second", &by_audience, token(), 200),
        (
            "neither",
            &by_audience,
            token().claim("aud", several.clone()),
            401,
        ),
        (
            "another role",
            &by_audience,
            token().claim("role", "USER"),
            401,
        ),
        ("limited", &by_audience, token().claim("limited", true), 401),
        ("text", &by_audience, token().claim("limited", "false"), 401),
        (
            "client",
            &by_client,
            token().claim("client_id", "app-2"),
            200,
        ),
        (
            "another client",
            &by_client,
            token().claim("client_id", "app-3"),
            401,
        ),
        (
            "an ID token",
            &by_client,
            token().claim("client_id", "app-1").claim("token_use", "id"),
            401,
        ),
    ] {
        let response = pair.protected_data(&idp.mint(spec)).await;
        assert_eq!(response.status(), status, "{name}");
    }
    by_audience.stop().await;
    by_client.stop().await;
}

/// E22, N53
#[tokio::test]
async fn a_long_token_in_another_header_passes_where_both_are_set() {
    let idp = DevIdp::builder().start().await.unwrap();
    let settings = [
        ("MAX_TOKEN_SIZE", "32KiB"),
        ("TOKEN_FROM", "header:x-goog-iap-jwt-assertion"),
    ];
    let pair = pair(&idp, &settings).await;
    let groups = "x".repeat(23 * 1024);
    let long = idp.mint(TokenSpec::new().claim("groups", groups));
    assert!(long.len() > 30 * 1024, "{}", long.len());
    let ask = async |headers: &[(&str, &str)]| -> Response {
        let url = format!("http://{}/api/protected/data", pair.protected);
        let mut request = pair.client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let place = "x-goog-iap-jwt-assertion";
    let rest = "x".repeat(7 * 1024);
    let response = ask(&[(place, &long), ("x-rest", &rest)]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["vary"], "*");
    let bearer = format!("Bearer {}", idp.mint(TokenSpec::new()));
    let response = ask(&[("authorization", &bearer)]).await;
    assert_eq!(response.status(), 401);
    let document = pair.get_protected("/openapi.json").await;
    let document: serde_json::Value =
        serde_json::from_str(&document.text().await.unwrap()).unwrap();
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!(
        (&scheme["in"], &scheme["name"]),
        (&"header".into(), &place.into())
    );
    pair.stop().await;
}

/// N55, N57
#[tokio::test]
async fn what_kind_of_token_came_is_told_with_what_to_change() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    let admin = pair.protected_admin.unwrap();
    for (name, token, reason, advice) in [
        (
            "opaque",
            "c3VyZWx5b3BhcXVl".to_owned(),
            "opaque",
            "TOKEN_AUDIENCE",
        ),
        (
            "encrypted",
            "eyJhbGciOiJkaXIifQ..aa.bb.cc".to_owned(),
            "encrypted",
            "encryption",
        ),
        (
            "no audience",
            idp.mint(TokenSpec::new().without_claim("aud")),
            "no audience claim",
            "AUDIENCE_CLAIM",
        ),
        (
            "too long",
            idp.mint(TokenSpec::new().claim("groups", "x".repeat(10 * 1024))),
            "longer than",
            "MAX_TOKEN_SIZE",
        ),
    ] {
        assert_eq!(pair.protected_data(&token).await.status(), 401, "{name}");
        let status = document(&pair.client, admin).await;
        assert_eq!(status["state"], "amber", "{name}");
        let said = status["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{name}: {said}");
        let change = status["advice"].as_str().unwrap();
        assert!(change.contains(advice), "{name}: {change}");
    }
    pair.stop().await;
}

/// N59
#[tokio::test]
async fn an_address_of_keys_that_wants_credentials_is_told_as_such() {
    for status in [401, 403] {
        for endpoint in [Endpoint::Jwks, Endpoint::Metadata] {
            let idp = DevIdp::builder().start().await.unwrap();
            idp.fault(Fault::on(endpoint).status(status));
            let pair = Pair::start(&open(&idp)).await;
            // Callers wait for the first fetch.
            let response = pair.protected_data(&idp.mint(TokenSpec::new())).await;
            assert_eq!(response.status(), 503);
            let told = document(&pair.client, pair.protected_admin.unwrap()).await;
            assert_eq!(told["state"], "red", "{status} {endpoint:?}");
            let reason = told["reason"].as_str().unwrap();
            assert!(reason.contains("asks for credentials"), "{reason}");
            let advice = told["advice"].as_str().unwrap();
            assert!(advice.contains("Kubernetes"), "{advice}");
            pair.stop().await;
        }
    }
}
