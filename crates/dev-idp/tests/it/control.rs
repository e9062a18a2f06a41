use dev_idp::{DevIdp, Endpoint};
use reqwest::header::{HOST, ORIGIN};
use serde_json::{Value, json};

use super::{Reply, claims_of, header_of, http, is_signed_by, jwks, post, token};

async fn controlled() -> DevIdp {
    let client = dev_idp::DevClient::new("id", "secret").scopes(["read"]);
    let addr = "127.0.0.1:0".parse().unwrap();
    let builder = DevIdp::builder().client(client).control_addr(addr);
    builder.start().await.unwrap()
}

fn url(idp: &DevIdp, path: &str) -> String {
    format!("http://{}{path}", idp.control_addr().unwrap())
}

async fn command(idp: &DevIdp, path: &str) -> Value {
    let reply = Reply::of(http().post(url(idp, path))).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.json()
}

#[track_caller]
fn assert_problem(reply: &Reply, status: u16, title: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    let kind = reply.header(http::header::CONTENT_TYPE);
    assert_eq!(kind, "application/problem+json", "{}", reply.text);
    let json = reply.json();
    assert_eq!(json["type"], "about:blank");
    assert_eq!(json["title"], title);
    assert_eq!(json["status"], status);
    let detail = json["detail"].as_str().unwrap();
    assert!(detail.ends_with('.'), "{detail}");
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let idp = super::provider().await;
    assert_eq!(idp.control_addr(), None);
    let reply = Reply::of(http().post(format!("{}/rotate", idp.issuer()))).await;
    reply.assert_error(404, "not_found");
}

/// J12
#[tokio::test]
async fn web_pages_cannot_use_it() {
    let idp = controlled().await;
    let kid = idp.current_kid();
    let with = |name, value: &str| http().post(url(&idp, "/rotate")).header(name, value);
    for (case, request) in [
        ("a page", with(ORIGIN, "https://evil.example")),
        ("a sandboxed page", with(ORIGIN, "null")),
        ("a page of ours", with(ORIGIN, &url(&idp, ""))),
        (
            "a name that was made to resolve to us",
            with(HOST, "evil.example:80"),
        ),
        (
            "a name that begins like us",
            with(HOST, "127.0.0.1.evil.example"),
        ),
        ("nonsense", with(HOST, "a b")),
    ] {
        let reply = Reply::of(request).await;
        assert_problem(&reply, 403, "Forbidden");
        assert!(reply.text.contains("web pages"), "{case}");
    }
    assert_eq!(idp.current_kid(), kid);
    for host in ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:9"] {
        let request = http().get(url(&idp, "/requests")).header(HOST, host);
        assert_eq!(Reply::of(request).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn it_rotates_and_retires_keys() {
    let idp = controlled().await;
    let old = token(&idp).await;
    let summary = command(&idp, "/rotate").await;
    assert_eq!(summary["kids"].as_array().unwrap().len(), 6);
    assert_eq!(summary["signing_kid"], idp.current_kid());
    assert!(is_signed_by(&old, &jwks(&idp).await));
    let summary = command(&idp, "/retire").await;
    assert_eq!(summary["kids"], json!(idp.published_kids()));
    assert!(!is_signed_by(&old, &jwks(&idp).await));
    let old = token(&idp).await;
    let summary = command(&idp, "/rotate?mode=hard").await;
    assert_eq!(summary["kids"].as_array().unwrap().len(), 3);
    assert!(!is_signed_by(&old, &jwks(&idp).await));
}

#[tokio::test]
async fn it_sets_algorithm_and_lifetime() {
    let idp = controlled().await;
    command(&idp, "/algorithm?name=ES256").await;
    command(&idp, "/lifetime?seconds=9").await;
    let token = token(&idp).await;
    assert_eq!(header_of(&token)["alg"], "ES256");
    let claims = claims_of(&token);
    assert_eq!(
        claims["exp"].as_i64(),
        claims["iat"].as_i64().map(|iat| iat + 9)
    );
}

#[tokio::test]
async fn it_adds_and_clears_faults() {
    let idp = controlled().await;
    command(
        &idp,
        "/fault?endpoint=token&status=429&retry_after=3&body=%7B%7D",
    )
    .await;
    let reply = post(&idp, "").await;
    assert_eq!((reply.status, reply.text.as_str()), (429, "{}"));
    assert_eq!(reply.header(http::header::RETRY_AFTER), "3");
    token(&idp).await;

    command(&idp, "/fault?endpoint=jwks&status=-1&count=0&delay_ms=1").await;
    for _ in 0..3 {
        http().get(idp.jwks_uri()).send().await.unwrap_err();
    }
    let reply = Reply::of(http().delete(url(&idp, "/fault"))).await;
    assert_eq!(reply.status, 200);
    jwks(&idp).await;
    assert_eq!(idp.requests().of(Endpoint::Jwks), 4);

    // Only a delay: the request is answered.
    command(&idp, "/fault?endpoint=any&delay_ms=1").await;
    token(&idp).await;
}

#[tokio::test]
async fn it_mints_tokens() {
    let idp = controlled().await;
    let mint = async |body: Value| {
        let request = http().post(url(&idp, "/mint")).body(body.to_string());
        Reply::of(request).await
    };
    let reply = Reply::of(http().post(url(&idp, "/mint"))).await;
    assert!(is_signed_by(&reply.access_token(), &jwks(&idp).await));

    let reply = mint(json!({
        "claims": { "aud": null, "extra": [1] },
        "without": ["exp"],
        "header": { "typ": "JWT" },
        "without_header": ["kid"],
        "algorithm": "EdDSA",
        "lifetime_s": 5,
    }));
    let token = reply.await.access_token();
    assert_eq!(header_of(&token), json!({ "alg": "EdDSA", "typ": "JWT" }));
    let claims = claims_of(&token);
    assert_eq!(claims.get("aud"), Some(&Value::Null));
    assert_eq!(claims["extra"], json!([1]));
    assert_eq!(claims.get("exp"), None);

    for bad in [
        json!([]),
        json!({ "claim": {} }),
        json!({ "claims": [] }),
        json!({ "without": [1] }),
    ] {
        assert_problem(&mint(bad).await, 400, "Bad Request");
    }
    let large = mint(json!({ "claims": { "a": "x".repeat(300_000) } })).await;
    assert_problem(&large, 413, "Payload Too Large");
}

#[tokio::test]
async fn it_tells_the_request_counts() {
    let idp = controlled().await;
    token(&idp).await;
    jwks(&idp).await;
    let counts = Reply::of(http().get(url(&idp, "/requests"))).await.json();
    assert_eq!(
        counts,
        json!({
            "token": 1, "jwks": 1, "metadata": 0, "authorize": 0, "pages": 0, "userinfo": 0,
            "revocation": 0, "logout": 0, "pushed_request": 0, "other": 0,
        })
    );
}

#[tokio::test]
async fn what_it_does_not_understand_changes_nothing() {
    let idp = controlled().await;
    for path in [
        "/rotate?mode=soft",
        "/algorithm?name=HS256",
        "/algorithm",
        "/lifetime",
        "/lifetime?seconds=-1",
        "/fault?endpoint=all",
        "/fault?status=abc",
        "/fault?status=100",
        "/fault?status=70000",
        "/fault?body=x",
        "/fault?count=many",
        "/fault?%zz",
        "/fault?status=-3",
        "/refresh-tokens?mode=reuse",
        "/refresh-tokens?mode=keep&grace=1",
        "/pushed-requests",
        "/pushed-requests?required=1",
        "/client?id=nobody",
        "/person?email=nobody@acme.example",
        "/person?email=owner@acme.example&role=owner",
        "/person?email=owner@acme.example&disabled=yes",
    ] {
        let reply = Reply::of(http().post(url(&idp, path))).await;
        assert_problem(&reply, 400, "Bad Request");
    }
    assert_eq!(idp.published_kids().len(), 3);
    token(&idp).await;
    let reply = Reply::of(http().get(url(&idp, "/rotate"))).await;
    assert_problem(&reply, 405, "Method Not Allowed");
    assert_eq!(reply.header(http::header::ALLOW), "POST");
    let reply = Reply::of(http().get(url(&idp, "/keys"))).await;
    assert_problem(&reply, 404, "Not Found");
}

#[tokio::test]
async fn it_lies_and_changes_people_clients_and_sessions() {
    use super::person::{Asked, OWNER, refresh, sign_in, tokens, userinfo};

    let addr = "127.0.0.1:0".parse().unwrap();
    let idp = DevIdp::builder().control_addr(addr).start().await.unwrap();
    let lies = json!({
        "id_token": { "hs256": "dev-web-secret", "claims": { "nonce": "other" } },
        "user_token": { "size": 2000 },
        "token_reply": { "set": { "scope": 1 }, "without": ["expires_in"] },
        "userinfo": { "set": { "sub": "x" } },
        "answer": { "repeat": { "iss": "x" } },
    });
    let tamper = async |lies: Value| {
        let request = http().post(url(&idp, "/tamper")).body(lies.to_string());
        Reply::of(request).await
    };
    assert_eq!(tamper(lies).await.status, 200);
    for bad in [
        json!({ "id_token": { "set": {} } }),
        json!({ "id_token": { "size": 1e9 } }),
        json!({ "answer": { "claims": {} } }),
        json!({ "userinfo": [] }),
        json!({ "jwks": {} }),
    ] {
        assert_problem(&tamper(bad).await, 400, "Bad Request");
    }
    let page = Asked::new().page(&idp, "acme");
    let location = sign_in(&page, OWNER).await.location();
    assert_eq!(location.query().unwrap().matches("iss=").count(), 2);
    let reply = tokens(&idp).await;
    let id_token = reply["id_token"].as_str().unwrap();
    assert_eq!(header_of(id_token)["alg"], "HS256");
    assert_eq!(claims_of(id_token)["nonce"], "other");
    let user_token = reply["access_token"].as_str().unwrap();
    assert!((1999..=2000).contains(&user_token.len()));
    assert_eq!(
        (&reply["scope"], reply.get("expires_in")),
        (&json!(1), None)
    );
    assert_eq!(userinfo(&idp, user_token).await.json()["sub"], "x");

    command(&idp, "/refresh-tokens?mode=omit").await;
    let token = reply["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&idp, token).await.json().get("refresh_token"), None);

    let changed = "/person?email=owner@acme.example&tenant=acme&role=viewer&role=app:x:y";
    assert_eq!(command(&idp, changed).await["sub"], idp.subject(OWNER));
    let roles = userinfo(&idp, user_token).await.json()["roles"].clone();
    assert_eq!(roles[0]["name"], "app:dev-web:viewer");
    assert_eq!(roles[1]["name"], "app:x:y");
    command(&idp, "/person?email=owner@acme.example&disabled=true").await;
    refresh(&idp, token)
        .await
        .assert_error(400, "invalid_grant");
    command(&idp, "/person?email=owner@acme.example&disabled=false").await;

    command(&idp, "/pushed-requests?required=true").await;
    command(&idp, "/pushed-requests?required=false").await;
    let moved = "/client?id=dev-web&application_at=http://127.0.0.1:1";
    command(&idp, moved).await;
    let asked = Asked::new().with("redirect_uri", "http://127.0.0.1:1/api/auth/callback");
    sign_in(&asked.page(&idp, "acme"), OWNER).await.location();

    let sessions = Reply::of(http().get(url(&idp, "/sessions?email=owner@acme.example"))).await;
    let sids = sessions.json()["sids"].as_array().unwrap().clone();
    assert_eq!(sids.len(), idp.sessions(OWNER).len());
    let end = format!("/sessions?sid={}", sids[0].as_str().unwrap());
    let ended = Reply::of(http().delete(url(&idp, &end))).await.json();
    let told = json!({ "told": [{ "client_id": "dev-web", "status": null }] });
    assert_eq!(ended, told);
    assert_eq!(idp.sessions(OWNER).len(), sids.len() - 1);
    let nobody = Reply::of(http().delete(url(&idp, "/sessions"))).await;
    assert_problem(&nobody, 400, "Bad Request");
}

#[tokio::test]
async fn it_stays_up_while_the_provider_is_down() {
    let idp = controlled().await;
    idp.pause().await;
    command(&idp, "/rotate?mode=hard").await;
    idp.resume().await.unwrap();
    token(&idp).await;
}
