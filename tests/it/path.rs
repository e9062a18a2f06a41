//! One request through both services, and the tokens that protected-data refuses.

use dev_idp::{Algorithm, DevIdp, SigningKey, TokenSpec};
use serde_json::json;

use crate::world::{PROTECTED_BODY, PUBLIC_BODY, Pair, challenge, header, variables};

#[tokio::test]
async fn one_request_passes_both_services_with_the_agreed_bodies() {
    let idp = DevIdp::builder().start().await.unwrap();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        idp.set_signing_algorithm(algorithm);
        let pair = Pair::ready(&variables(&idp)).await;
        let response = pair.public_data().await;
        assert_eq!(response.status(), 200, "{algorithm:?}");
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(response.text().await.unwrap(), PUBLIC_BODY);
        let response = pair.protected_data(&idp.mint(TokenSpec::new())).await;
        assert_eq!(response.status(), 200, "{algorithm:?}");
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert_eq!(response.text().await.unwrap(), PROTECTED_BODY);
        pair.stop().await;
    }
}

#[tokio::test]
async fn a_thousand_requests_cost_one_token_request_and_one_key_fetch() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    for _ in 0..1_000 {
        assert_eq!(pair.public_data().await.status(), 200);
    }
    let requests = idp.requests();
    // Both services read the metadata once.
    assert_eq!(
        (requests.token, requests.jwks, requests.metadata),
        (1, 1, 2)
    );
}

/// G1, G2, G3, G4, G5, G6, G7
#[tokio::test]
async fn requests_without_usable_credentials_get_the_answers_of_rfc_6750() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let token = idp.mint(TokenSpec::new());
    let plain = "Bearer realm=\"api\"";
    let invalid = "error=\"invalid_request\"";
    let url = format!("http://{}/api/protected/data", pair.protected);
    for (name, headers, query, status, expected) in [
        ("nothing", vec![], "", 401, plain),
        (
            "another scheme",
            vec!["Basic eA==".to_owned()],
            "",
            401,
            plain,
        ),
        (
            "two headers",
            vec![format!("Bearer {token}"); 2],
            "",
            400,
            invalid,
        ),
        (
            "two in one header",
            vec![format!("Bearer {token}, Bearer {token}")],
            "",
            400,
            invalid,
        ),
        ("no token", vec!["Bearer".to_owned()], "", 400, invalid),
        (
            "two spaces",
            vec![format!("Bearer  {token}")],
            "",
            400,
            invalid,
        ),
        ("a tab", vec![format!("Bearer\t{token}")], "", 400, invalid),
        ("only in the query", vec![], "?access_token=x", 401, plain),
        (
            "in header and query",
            vec![format!("Bearer {token}")],
            "?access_token=x",
            400,
            invalid,
        ),
        (
            "another letter case",
            vec![format!("bEARER {token}")],
            "",
            200,
            "",
        ),
    ] {
        let mut request = pair.client.get(format!("{url}{query}"));
        for value in headers {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        assert!(
            challenge(&response).contains(expected),
            "{name}: {}",
            challenge(&response)
        );
        assert_eq!(
            challenge(&response).contains("error"),
            expected == invalid,
            "{name}"
        );
    }
}

/// E1, E16, F1, F2, F3, F9, F10, F11, F12
#[tokio::test]
async fn bad_tokens_get_401_invalid_token_and_nothing_of_them_back() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let good = idp.mint(TokenSpec::new());
    let foreign = SigningKey::generate(Algorithm::Rs256).unwrap();
    let issuer = idp.issuer().to_owned();
    let spec = TokenSpec::new;
    // A character inside the signature: the last one may become one that no token can have.
    let at = good.len() - 20;
    let other = if good[at..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
    for (name, token) in [
        ("not a token", "junk".to_owned()),
        ("another character in the signature", changed),
        ("a truncated token", good[..good.len() - 10].to_owned()),
        (
            "no signature",
            format!("{}.", good.rsplit_once('.').unwrap().0),
        ),
        ("alg none", idp.mint(spec().header("alg", "none"))),
        (
            "a foreign key under a published id",
            idp.mint(spec().signed_by(&foreign).kid(idp.current_kid())),
        ),
        ("expired", idp.mint(spec().claim("exp", 1_000_000_000))),
        ("no exp", idp.mint(spec().without_claim("exp"))),
        (
            "exp as a string",
            idp.mint(spec().claim("exp", "9999999999")),
        ),
        (
            "another audience",
            idp.mint(spec().claim("aud", "https://other.example")),
        ),
        ("no audience", idp.mint(spec().without_claim("aud"))),
        (
            "an empty audience list",
            idp.mint(spec().claim("aud", json!([]))),
        ),
        (
            "another issuer",
            idp.mint(spec().claim("iss", "https://evil-canary.example")),
        ),
        (
            "the issuer with a slash",
            idp.mint(spec().claim("iss", format!("{issuer}/"))),
        ),
        (
            "the issuer in a list",
            idp.mint(spec().claim("iss", json!([issuer]))),
        ),
        ("no issuer", idp.mint(spec().without_claim("iss"))),
        (
            "not valid yet",
            idp.mint(spec().claim("nbf", 9_999_999_999_u64)),
        ),
        ("crit", idp.mint(spec().header("crit", json!(["exp"])))),
        ("another typ", idp.mint(spec().typ("logout+jwt"))),
        (
            "bound to a key",
            idp.mint(spec().claim("cnf", json!({"jkt": "x"}))),
        ),
    ] {
        let response = pair.protected_data(&token).await;
        assert_eq!(response.status(), 401, "{name}");
        let challenge = challenge(&response).to_owned();
        assert!(
            challenge.contains("error=\"invalid_token\""),
            "{name}: {challenge}"
        );
        let seen = format!("{challenge} {}", response.text().await.unwrap());
        assert!(
            !seen.contains("canary") && !seen.contains("other.example"),
            "{name}: {seen}"
        );
    }
    assert_eq!(pair.protected_data(&good).await.status(), 200);
}

/// F18, C4
#[tokio::test]
async fn a_missing_scope_is_403_there_and_502_for_the_caller_of_public_data() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = variables(&idp);
    variables.insert(
        "REQUIRED_SCOPES".to_owned(),
        "data:read data:write".to_owned(),
    );
    let pair = Pair::ready(&variables).await;
    let response = pair.protected_data(&idp.mint(TokenSpec::new())).await;
    assert_eq!(response.status(), 403);
    let challenge = challenge(&response);
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(
        challenge.contains("scope=\"data:read data:write\""),
        "{challenge}"
    );
    let enough = TokenSpec::new().claim("scope", "data:write data:read");
    assert_eq!(pair.protected_data(&idp.mint(enough)).await.status(), 200);

    let response = pair.public_data().await;
    assert_eq!(response.status(), 502);
    assert_eq!(crate::world::challenge(&response), "");
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json"
    );
    // No other token can help, so none is asked for.
    assert_eq!(idp.requests().token, 1);
}

/// C2
#[tokio::test]
async fn a_wrong_audience_is_502_after_one_other_token() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = variables(&idp);
    variables.insert(
        "API_AUDIENCE".to_owned(),
        "https://not-ours.example".to_owned(),
    );
    let pair = Pair::ready(&variables).await;
    let response = pair.public_data().await;
    assert_eq!(response.status(), 502);
    assert_eq!(challenge(&response), "");
    assert_eq!(idp.requests().token, 2);
}

/// G17, G18
#[tokio::test]
async fn unknown_paths_and_methods_are_problems_and_guarded_where_the_api_is() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let token = idp.mint(TokenSpec::new());
    for path in [
        "/nope",
        "//api/protected/data",
        "/api/protected/data/",
        "/api/protected/%64ata/x",
    ] {
        assert_eq!(pair.get_protected(path).await.status(), 401, "{path}");
        let url = format!("http://{}{path}", pair.protected);
        let response = pair
            .client
            .get(url)
            .bearer_auth(&token)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(
            header(&response, "content-type"),
            "application/problem+json"
        );
        assert_eq!(pair.get_public(path).await.status(), 404, "{path}");
    }
    let url = format!("http://{}/api/protected/data", pair.protected);
    assert_eq!(pair.client.post(&url).send().await.unwrap().status(), 401);
    assert_eq!(
        pair.client
            .post(&url)
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    let url = format!("http://{}/api/public/data", pair.public);
    let response = pair.client.post(&url).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json"
    );
}

/// C10
#[tokio::test]
async fn an_inbound_authorization_header_goes_no_further() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let url = format!("http://{}/api/public/data", pair.public);
    let response = pair
        .client
        .get(url)
        .bearer_auth("junk")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn the_wristband_way_needs_no_discovery() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = variables(&idp);
    variables.insert("TOKEN_ENDPOINT".to_owned(), idp.token_endpoint());
    variables.insert("JWKS_URI".to_owned(), idp.jwks_uri());
    let pair = Pair::ready(&variables).await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
    assert_eq!(idp.requests().metadata, 0);
}
