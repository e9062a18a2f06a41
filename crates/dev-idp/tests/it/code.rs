use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use dev_idp::{Algorithm, DevIdp};
use serde_json::{Value, json};

use super::person::{
    Asked, OWNER, code, exchange, form, post, provider, refresh, tokens, userinfo,
};
use super::{FORM, Reply, claims_of, header_of, http, is_signed_by, jwks};

/// The claims of a text member that is a token.
#[track_caller]
fn claims(reply: &Value, member: &str) -> Value {
    claims_of(reply[member].as_str().unwrap())
}

#[tokio::test]
async fn a_code_gives_a_user_token_an_id_token_and_a_refresh_token() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let builder = DevIdp::builder().clock(Arc::new(clock.clone()));
    let idp = builder.start().await.unwrap();
    let asked = Asked::new().with("resource", "https://api.example/");
    let code = code(&idp, &asked).await;
    clock.advance(Duration::from_secs(60));
    let reply = post(&idp.token_endpoint(), &exchange(&code)).await;
    assert_eq!(reply.header(http::header::CACHE_CONTROL), "no-store");
    let reply = reply.json();
    assert_eq!(reply["token_type"], "Bearer");
    assert_eq!(reply["expires_in"], 300);
    assert_eq!(reply["scope"], "openid offline_access profile email roles");
    assert!(reply["refresh_token"].is_string());

    let user_token = reply["access_token"].as_str().unwrap();
    assert_eq!(header_of(user_token)["typ"], "at+jwt");
    let mut claims = claims_of(user_token);
    claims["jti"].take();
    let expected = json!({
        "iss": idp.issuer(),
        "sub": idp.subject(OWNER),
        "aud": "https://api.example/",
        "client_id": "dev-web",
        "iat": 1_700_000_060,
        "exp": 1_700_000_360,
        "jti": null,
        "scope": "openid offline_access profile email roles",
    });
    assert_eq!(claims, expected);

    let id_token = reply["id_token"].as_str().unwrap();
    assert_eq!(header_of(id_token)["typ"], "JWT");
    let mut claims = claims_of(id_token);
    let names = ["sid", "at_hash", "tnt_id"];
    let lengths = names.map(|name| claims[name].take().as_str().unwrap().len());
    assert_eq!(lengths, [22, 22, 22]);
    let expected = json!({
        "iss": idp.issuer(),
        "sub": idp.subject(OWNER),
        "aud": "dev-web",
        "iat": 1_700_000_060,
        "exp": 1_700_000_360,
        "auth_time": 1_700_000_000,
        "nonce": "n0nce",
        "sid": null,
        "at_hash": null,
        "amr": ["pwd"],
        "tnt_id": null,
        "tnt_name": "acme",
        "idp_name": "dev-idp",
    });
    assert_eq!(claims, expected);
    let jwks = jwks(&idp).await;
    assert!(is_signed_by(user_token, &jwks) && is_signed_by(id_token, &jwks));
}

/// K128
#[tokio::test]
async fn a_code_is_good_for_a_minute_one_client_one_uri_and_one_verifier() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let builder = DevIdp::builder()
        .clock(Arc::new(clock.clone()))
        .client(dev_idp::DevClient::web())
        .client(dev_idp::DevClient::new("other", "other-secret"));
    let idp = builder.start().await.unwrap();
    let code = code(&idp, &Asked::new()).await;
    let with = |name: &'static str, value: &'static str| {
        let mut fields = exchange(&code);
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        fields
    };
    for (case, fields, error) in [
        ("other code", with("code", "a.b"), "invalid_grant"),
        ("no code", with("code", ""), "invalid_request"),
        (
            "other URI",
            with(
                "redirect_uri",
                "http://acme.localhost:6004/api/auth/callback",
            ),
            "invalid_grant",
        ),
        ("no URI", with("redirect_uri", ""), "invalid_request"),
        (
            "other verifier",
            with(
                "code_verifier",
                "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXx",
            ),
            "invalid_grant",
        ),
        (
            "short verifier",
            with("code_verifier", "x"),
            "invalid_grant",
        ),
        ("no verifier", with("code_verifier", ""), "invalid_request"),
    ] {
        let reply = post(&idp.token_endpoint(), &fields).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]),
            (400, &json!(error)),
            "{case}"
        );
    }
    let request = http()
        .post(idp.token_endpoint())
        .header("content-type", FORM);
    let request = request.header("authorization", super::basic("other", "other-secret"));
    let reply = Reply::of(request.body(form(&exchange(&code)))).await;
    reply.assert_error(400, "invalid_grant");

    clock.advance(Duration::from_secs(61));
    let late = post(&idp.token_endpoint(), &exchange(&code)).await;
    late.assert_error(400, "invalid_grant");
}

/// K128
#[tokio::test]
async fn a_code_that_comes_twice_takes_back_what_it_gave() {
    let idp = provider().await;
    let code = code(&idp, &Asked::new()).await;
    let reply = post(&idp.token_endpoint(), &exchange(&code)).await.json();
    let [user_token, refresh_token] =
        ["access_token", "refresh_token"].map(|name| reply[name].as_str().unwrap());
    assert_eq!(userinfo(&idp, user_token).await.status, 200);
    // Guessing at a used code takes nothing back.
    let guess = format!("{}x", &code[..code.len() - 1]);
    let again = post(&idp.token_endpoint(), &exchange(&guess)).await;
    again.assert_error(400, "invalid_grant");
    assert_eq!(userinfo(&idp, user_token).await.status, 200);

    let again = post(&idp.token_endpoint(), &exchange(&code)).await;
    again.assert_error(400, "invalid_grant");
    assert_eq!(userinfo(&idp, user_token).await.status, 401);
    refresh(&idp, refresh_token)
        .await
        .assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token() {
    let idp = provider().await;
    let code = code(&idp, &Asked::new().with("scope", "openid")).await;
    let reply = post(&idp.token_endpoint(), &exchange(&code)).await.json();
    assert_eq!(reply.get("refresh_token"), None);
    assert_eq!(reply["scope"], "openid");
}

#[tokio::test]
async fn every_algorithm_signs_id_tokens_and_their_at_hash() {
    let idp = provider().await;
    for (algorithm, length) in [
        (Algorithm::Rs256, 22),
        (Algorithm::Es256, 22),
        (Algorithm::EdDsa, 43),
    ] {
        idp.set_signing_algorithm(algorithm);
        let reply = tokens(&idp).await;
        let id_token = reply["id_token"].as_str().unwrap();
        assert_eq!(header_of(id_token)["alg"], algorithm.name());
        assert!(is_signed_by(id_token, &jwks(&idp).await));
        let at_hash = claims(&reply, "id_token")["at_hash"].clone();
        assert_eq!(at_hash.as_str().unwrap().len(), length, "{algorithm:?}");
    }
}
