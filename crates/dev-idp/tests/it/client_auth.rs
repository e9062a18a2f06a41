use dev_idp::{AuthMethod, DevClient, DevIdp};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData as _,
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};

use super::{FORM, Reply, ask, basic, http, post, provider, token};

const GRANT: &str = "grant_type=client_credentials";

async fn ask_as(idp: &DevIdp, authorization: &str, form: &str) -> Reply {
    let request = http().post(idp.token_endpoint());
    let request = request.header(AUTHORIZATION, authorization);
    Reply::of(request.header(CONTENT_TYPE, FORM).body(form.to_owned())).await
}

#[tokio::test]
async fn the_examples_of_rfc_6749_section_2_3_1_are_let_in() {
    let client = DevClient::new("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw");
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    let header = "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3";
    ask_as(&idp, header, GRANT).await.access_token();
    ask_as(&idp, &header.replace("Basic", "bASIC"), GRANT)
        .await
        .access_token();
    let form = format!("{GRANT}&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw");
    post(&idp, &form).await.access_token();
}

#[tokio::test]
async fn id_and_secret_are_form_decoded_in_the_header_and_in_the_form() {
    let client = DevClient::new("svc:odd id+%", r#"sp ace+plus/slash:colon%25=amp&~"q"é"#);
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    let id = "svc%3Aodd+id%2B%25";
    let secret = "sp%20ace%2Bplus%2Fslash%3Acolon%2525%3Damp%26~%22q%22%c3%A9";
    ask_as(&idp, &basic(id, secret), GRANT).await.access_token();
    let form = format!("{GRANT}&client_id={id}&client_secret={secret}");
    post(&idp, &form).await.access_token();
    // The same in clear text is a client that does not encode.
    ask_as(&idp, &basic("svc:odd id+%", "sp ace+plus"), GRANT)
        .await
        .assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_refused_header_is_answered_with_a_challenge() {
    let idp = provider().await;
    for (case, authorization) in [
        ("wrong secret", basic("id", "Secret")),
        ("empty secret", basic("id", "")),
        ("unknown id", basic("nobody", "secret")),
        ("no colon", "Basic aWQ=".to_owned()),
        ("no base64", "Basic id:secret".to_owned()),
        ("not UTF-8", "Basic /zr/".to_owned()),
        ("broken escape", basic("id", "%zz")),
        ("no credentials", "Basic".to_owned()),
        ("another scheme", "Bearer aWQ6c2VjcmV0".to_owned()),
    ] {
        let reply = ask_as(&idp, &authorization, GRANT).await;
        assert_eq!(reply.status, 401, "{case}");
        assert_eq!(reply.json()["error"], "invalid_client", "{case}");
        let challenge = reply.header(WWW_AUTHENTICATE);
        assert!(challenge.starts_with("Basic realm="), "{case}: {challenge}");
        assert_eq!(
            reply.header(http::header::CACHE_CONTROL),
            "no-store",
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_refused_form_is_answered_without_a_challenge() {
    let idp = provider().await;
    for (case, credentials) in [
        ("nothing", ""),
        ("id alone", "&client_id=id"),
        ("secret alone", "&client_secret=secret"),
        ("wrong secret", "&client_id=id&client_secret=x"),
        ("unknown id", "&client_id=nobody&client_secret=secret"),
    ] {
        let reply = post(&idp, &format!("{GRANT}{credentials}")).await;
        let error = reply.json()["error"].clone();
        assert_eq!(
            (reply.status, error),
            (400, "invalid_client".into()),
            "{case}"
        );
        assert!(!reply.headers.contains_key(WWW_AUTHENTICATE), "{case}");
    }
}

/// J13
#[tokio::test]
async fn an_unknown_id_and_a_wrong_secret_get_the_same_bytes() {
    let idp = provider().await;
    let known = ask_as(&idp, &basic("id", "wrong"), GRANT).await;
    let unknown = ask_as(&idp, &basic("nobody", "secret"), GRANT).await;
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    let without_date = |reply: &Reply| {
        let mut headers = reply.headers.clone();
        headers.remove("date");
        headers
    };
    assert_eq!(without_date(&known), without_date(&unknown));
}

#[tokio::test]
async fn more_than_one_authentication_is_an_invalid_request() {
    let idp = provider().await;
    for credentials in [
        "&client_id=id&client_secret=secret",
        "&client_secret=secret",
    ] {
        ask(&idp, &format!("{GRANT}{credentials}"))
            .await
            .assert_error(400, "invalid_request");
    }
    ask(&idp, &format!("{GRANT}&client_id=other"))
        .await
        .assert_error(400, "invalid_request");
    ask(&idp, &format!("{GRANT}&client_id=id"))
        .await
        .access_token();

    let request = http().post(idp.token_endpoint());
    let request = request.header(CONTENT_TYPE, FORM).body(GRANT);
    let request = request.header(AUTHORIZATION, basic("id", "secret"));
    Reply::of(request.header(AUTHORIZATION, basic("id", "secret")))
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_client_may_be_held_to_one_method() {
    let by_header = DevClient::new("id", "secret").allow([AuthMethod::ClientSecretBasic]);
    let by_form = DevClient::new("form", "secret").allow([AuthMethod::ClientSecretPost]);
    let idp = DevIdp::builder().client(by_header).client(by_form);
    let idp = idp.start().await.unwrap();
    token(&idp).await;
    post(
        &idp,
        &format!("{GRANT}&client_id=form&client_secret=secret"),
    )
    .await
    .access_token();
    post(&idp, &format!("{GRANT}&client_id=id&client_secret=secret"))
        .await
        .assert_error(400, "invalid_client");
    ask_as(&idp, &basic("form", "secret"), GRANT)
        .await
        .assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_secret_that_changes_is_refused_and_the_new_one_let_in() {
    let idp = provider().await;
    idp.set_secret("id", "second").unwrap();
    ask(&idp, GRANT).await.assert_error(401, "invalid_client");
    ask_as(&idp, &basic("id", "second"), GRANT)
        .await
        .access_token();
    assert!(idp.set_secret("nobody", "x").is_err());
}

#[tokio::test]
async fn debug_output_shows_no_secret() {
    let client = DevClient::new("id", "hunter2").scopes(["read"]);
    assert!(!format!("{client:?}").contains("hunter2"));
    let builder = DevIdp::builder().client(client);
    assert!(!format!("{builder:?}").contains("hunter2"));
    let idp = builder.start().await.unwrap();
    assert!(!format!("{idp:?}").contains("hunter2"));
}

/// A34
#[tokio::test]
async fn an_assertion_of_the_registered_key_is_let_in_and_another_is_not() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let idp = DevIdp::builder()
        .client(DevClient::new("keyed", "x").public_key(key.subject_public_key_info()))
        .client(DevClient::new("keyless", "x"))
        .start()
        .await
        .unwrap();
    let now = jsonwebtoken::get_current_timestamp();
    let good = serde_json::json!({
        "iss": "keyed", "sub": "keyed", "aud": idp.issuer(), "jti": "1", "iat": now, "exp": now + 60,
    });
    let form = |claims: &serde_json::Value, key: &KeyPair| {
        let key = EncodingKey::from_ec_der(&key.serialize_der());
        let jwt = encode(&Header::new(Algorithm::ES256), claims, &key).unwrap();
        format!(
            "{GRANT}&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion={jwt}"
        )
    };
    post(&idp, &form(&good, &key)).await.access_token();
    let named = form(&good, &key) + "&client_id=keyed";
    post(&idp, &named).await.access_token();
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    for (case, form) in [
        ("another key", form(&good, &other)),
        (
            "another issuer",
            form(&with("aud", "https://x.example".into()), &key),
        ),
        (
            "a list",
            form(&with("aud", serde_json::json!([idp.issuer()])), &key),
        ),
        ("expired", form(&with("exp", (now - 1).into()), &key)),
        ("another maker", form(&with("iss", "other".into()), &key)),
        ("unknown", form(&with("sub", "nobody".into()), &key)),
        ("no key", {
            let mut claims = with("sub", "keyless".into());
            claims["iss"] = "keyless".into();
            form(&claims, &key)
        }),
        ("another id", form(&good, &key) + "&client_id=keyless"),
        ("torn", form(&good, &key).replace('.', "")),
    ] {
        let reply = post(&idp, &form).await;
        assert_eq!(reply.status, 400, "{case}");
        reply.assert_error(400, "invalid_client");
    }
    let two = form(&good, &key) + "&client_secret=x";
    post(&idp, &two).await.assert_error(400, "invalid_request");
}

/// A34
#[tokio::test]
async fn an_assertion_may_be_signed_with_each_kind_of_key() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let idp = DevIdp::builder().start().await.unwrap();
    let now = jsonwebtoken::get_current_timestamp();
    let claims = serde_json::json!({
        "iss": "keyed", "sub": "keyed", "aud": idp.issuer(), "jti": "1", "exp": now + 60,
    });
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let edwards = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let rsa_key = EncodingKey::from_rsa_pem(rsa.serialize_pem().as_bytes()).unwrap();
    let ec = |pair: &KeyPair| EncodingKey::from_ec_der(&pair.serialize_der());
    for (algorithm, pair, key) in [
        (Algorithm::RS256, &rsa, rsa_key.clone()),
        (Algorithm::PS256, &rsa, rsa_key),
        (Algorithm::ES256, &p256, ec(&p256)),
        (Algorithm::ES384, &p384, ec(&p384)),
        (
            Algorithm::EdDSA,
            &edwards,
            EncodingKey::from_ed_der(&edwards.serialize_der()),
        ),
    ] {
        let jwt = encode(&Header::new(algorithm), &claims, &key).unwrap();
        let form = format!(
            "{GRANT}&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion={jwt}"
        );
        let client = DevClient::new("keyed", "x").public_key(pair.subject_public_key_info());
        idp.set_client(client);
        post(&idp, &form).await.access_token();
        let torn = form.replace(&jwt, &jwt[..jwt.len() - 4]);
        post(&idp, &torn).await.assert_error(400, "invalid_client");
    }
}
