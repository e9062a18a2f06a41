use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dev_idp::{Algorithm, DevIdp, Endpoint, Fault, Members, SigningKey, Tamper, TokenSpec};
use serde_json::{Value, json};

use super::person::{
    Asked, OWNER, exchange, get, parameter, post, provider, refresh, sign_in, tokens, userinfo,
};
use super::{claims_of, header_of, is_signed_by, jwks, token};

#[track_caller]
fn text<'a>(reply: &'a Value, member: &str) -> &'a str {
    reply[member].as_str().unwrap()
}

/// The next ID token with these changes.
async fn id_token(idp: &DevIdp, spec: TokenSpec) -> String {
    idp.tamper(Tamper::id_token(spec));
    text(&tokens(idp).await, "id_token").to_owned()
}

#[tokio::test]
async fn every_claim_of_the_next_id_token_may_be_a_lie_and_the_one_after_it_is_none() {
    let idp = provider().await;
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "sid",
        "at_hash",
        "amr",
        "tnt_id",
        "tnt_name",
        "idp_name",
    ] {
        let lie = json!(["a", 1]);
        let token = id_token(&idp, TokenSpec::new().claim(name, lie.clone())).await;
        assert_eq!(claims_of(&token)[name], lie);
        let token = id_token(&idp, TokenSpec::new().without_claim(name)).await;
        assert_eq!(claims_of(&token).get(name), None, "{name}");
        assert!(is_signed_by(&token, &jwks(&idp).await));
    }
    let claims = claims_of(text(&tokens(&idp).await, "id_token"));
    assert_eq!(
        (&claims["iss"], &claims["nonce"]),
        (&json!(idp.issuer()), &json!("n0nce"))
    );
}

#[tokio::test]
async fn the_next_id_token_may_be_signed_otherwise_or_not_at_all() {
    let idp = provider().await;
    let jwks = jwks(&idp).await;

    let token = id_token(&idp, TokenSpec::new().unsigned()).await;
    assert_eq!(header_of(&token)["alg"], "none");
    assert!(
        token.ends_with('.') && token.matches('.').count() == 2,
        "{token}"
    );

    let token = id_token(&idp, TokenSpec::new().hs256("dev-web-secret")).await;
    assert_eq!(header_of(&token)["alg"], "HS256");
    let (signed, tag) = token.rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"dev-web-secret");
    hmac::verify(
        &key,
        signed.as_bytes(),
        &URL_SAFE_NO_PAD.decode(tag).unwrap(),
    )
    .unwrap();

    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let good = id_token(&idp, TokenSpec::new().algorithm(algorithm)).await;
        let bad = id_token(&idp, TokenSpec::new().algorithm(algorithm).bad_signature()).await;
        assert!(
            is_signed_by(&good, &jwks) && !is_signed_by(&bad, &jwks),
            "{algorithm:?}"
        );
        assert_eq!(header_of(&bad), header_of(&good));
        assert_eq!(
            bad.rsplit_once('.').unwrap().1.len(),
            good.rsplit_once('.').unwrap().1.len()
        );
    }
    let token = id_token(&idp, TokenSpec::new().without_header("kid")).await;
    assert_eq!(header_of(&token).get("kid"), None);
    let unpublished = SigningKey::generate(Algorithm::Es256).unwrap();
    let token = id_token(&idp, TokenSpec::new().signed_by(&unpublished)).await;
    assert_eq!(header_of(&token)["kid"], unpublished.kid());
}

#[tokio::test]
async fn a_token_is_padded_to_a_size() {
    let idp = provider().await;
    for size in (32_768..32_776).chain([0, 33_792]) {
        let token = id_token(&idp, TokenSpec::new().size(size)).await;
        let missing = size.saturating_sub(token.len());
        assert!(missing <= 1, "{size}: {}", token.len());
        assert!(token.len() <= size || size == 0, "{size}: {}", token.len());
        assert!(is_signed_by(&token, &jwks(&idp).await), "{size}");
    }
}

#[tokio::test]
async fn the_refresh_reply_may_be_of_another_person_or_issuer() {
    let idp = provider().await;
    let first = tokens(&idp).await;
    idp.tamper(Tamper::id_token(TokenSpec::new().claim("sub", "somebody")));
    idp.tamper(Tamper::user_token(
        TokenSpec::new().claim("sub", "somebody"),
    ));
    idp.tamper(Tamper::id_token(
        TokenSpec::new().claim("iss", "https://other.example"),
    ));
    let second = refresh(&idp, text(&first, "refresh_token")).await.json();
    for member in ["id_token", "access_token"] {
        assert_eq!(
            claims_of(text(&second, member))["sub"],
            "somebody",
            "{member}"
        );
    }
    assert_eq!(
        userinfo(&idp, text(&second, "access_token")).await.status,
        200
    );
    let third = refresh(&idp, text(&second, "refresh_token")).await.json();
    let claims = claims_of(text(&third, "id_token"));
    assert_eq!(claims["iss"], "https://other.example");
    assert_eq!(claims["sub"], idp.subject(OWNER));
}

#[tokio::test]
async fn the_next_answer_may_lie_about_anything() {
    let idp = provider().await;
    let answer = async |members| {
        idp.tamper(Tamper::answer(members));
        sign_in(&Asked::new().page(&idp, "acme"), OWNER)
            .await
            .location()
    };
    let location = answer(Members::new().set("iss", "https://other.example")).await;
    assert_eq!(
        parameter(&location, "iss").as_deref(),
        Some("https://other.example")
    );
    let location = answer(Members::new().without("iss").set("state", "x")).await;
    assert_eq!(parameter(&location, "iss"), None);
    assert_eq!(parameter(&location, "state").as_deref(), Some("x"));
    let location = answer(Members::new().set("error", "access_denied")).await;
    assert!(parameter(&location, "code").is_some() && parameter(&location, "error").is_some());
    let location = answer(Members::new().set("tenant_name", "globex").without("code")).await;
    assert_eq!(
        parameter(&location, "tenant_name").as_deref(),
        Some("globex")
    );
    assert_eq!(parameter(&location, "code"), None);
    let location = answer(Members::new().repeat("iss", "x")).await;
    assert_eq!(location.query().unwrap().matches("iss=").count(), 2);
    // An error is an answer too.
    idp.tamper(Tamper::answer(Members::new().set("error", "server_error")));
    let location = get(&Asked::new().with("prompt", "none").at(&idp, "acme"))
        .await
        .location();
    assert_eq!(
        parameter(&location, "error").as_deref(),
        Some("server_error")
    );
}

#[tokio::test]
async fn replies_of_the_token_endpoint_and_of_userinfo_may_lie_once() {
    let idp = provider().await;
    let members = Members::new().without("id_token").set("token_type", "mac");
    idp.tamper(Tamper::token_reply(
        members.set("refresh_token", Value::Null),
    ));
    let reply = tokens(&idp).await;
    assert_eq!(
        (reply.get("id_token"), &reply["token_type"]),
        (None, &json!("mac"))
    );
    assert_eq!(reply["refresh_token"], Value::Null);

    idp.tamper(Tamper::token_reply(Members::new().repeat("id_token", "x")));
    let code = super::person::code(&idp, &Asked::new()).await;
    let reply = post(&idp.token_endpoint(), &exchange(&code)).await;
    assert_eq!(
        reply.text.matches("\"id_token\":").count(),
        2,
        "{}",
        reply.text
    );
    assert_eq!(reply.header(http::header::CONTENT_TYPE), "application/json");

    let reply = tokens(&idp).await;
    let user_token = text(&reply, "access_token");
    idp.tamper(Tamper::userinfo(
        Members::new().set("sub", "x").set("roles", json!({})),
    ));
    let lie = userinfo(&idp, user_token).await.json();
    assert_eq!((&lie["sub"], &lie["roles"]), (&json!("x"), &json!({})));
    let html = Fault::on(Endpoint::Userinfo).times(1);
    idp.fault(html.header("content-type", "text/html").body("<p>"));
    assert_eq!(userinfo(&idp, user_token).await.text, "<p>");
    assert_eq!(
        userinfo(&idp, user_token).await.json()["sub"],
        idp.subject(OWNER)
    );
}

#[tokio::test]
async fn lies_are_forgotten_with_the_faults() {
    let idp = provider().await;
    idp.tamper(Tamper::userinfo(Members::new().set("sub", "x")));
    idp.tamper(Tamper::id_token(TokenSpec::new().unsigned()));
    idp.clear_faults();
    let reply = tokens(&idp).await;
    assert_eq!(header_of(text(&reply, "id_token"))["alg"], "RS256");
    let claims = userinfo(&idp, text(&reply, "access_token")).await.json();
    assert_eq!(claims["sub"], idp.subject(OWNER));
}

#[tokio::test]
async fn a_refresh_may_take_effect_without_an_answer() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    idp.fault(Fault::on(Endpoint::Token).times(1).lose_answer());
    let request = super::http().post(idp.token_endpoint());
    let request = request.header("content-type", super::FORM);
    let form = super::person::form(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&reply, "refresh_token")),
        ("client_id", "dev-web"),
        ("client_secret", "dev-web-secret"),
    ]);
    request.body(form).send().await.unwrap_err();
    let again = refresh(&idp, text(&reply, "refresh_token")).await;
    again.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn machines_get_their_tokens_whatever_people_are_told() {
    let idp = super::provider().await;
    idp.tamper(Tamper::id_token(TokenSpec::new().unsigned()));
    idp.tamper(Tamper::user_token(TokenSpec::new().unsigned()));
    assert!(is_signed_by(&token(&idp).await, &jwks(&idp).await));
}
