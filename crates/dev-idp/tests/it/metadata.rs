use reqwest::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use serde_json::json;

use super::{Reply, http, provider};
use dev_idp::{DevIdp, Rotation};

#[tokio::test]
async fn both_documents_say_where_everything_is() {
    let idp = provider().await;
    let expected = json!({
        "issuer": format!("http://{}", idp.addr()),
        "token_endpoint": format!("http://{}/api/v1/oauth2/token", idp.addr()),
        "jwks_uri": format!("http://{}/api/v1/oauth2/jwks", idp.addr()),
        "authorization_endpoint": format!("http://{}/api/v1/oauth2/authorize", idp.addr()),
        "userinfo_endpoint": format!("http://{}/api/v1/oauth2/userinfo", idp.addr()),
        "revocation_endpoint": format!("http://{}/api/v1/oauth2/revoke", idp.addr()),
        "end_session_endpoint": format!("http://{}/api/v1/logout", idp.addr()),
        "pushed_authorization_request_endpoint": format!("http://{}/api/v1/oauth2/par", idp.addr()),
        "require_pushed_authorization_requests": false,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported":
            ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
        "scopes_supported": ["read", "write"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": ["login", "none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
    });
    for name in ["openid-configuration", "oauth-authorization-server"] {
        let url = format!("{}/.well-known/{name}", idp.issuer());
        let reply = Reply::of(http().get(url)).await;
        let mut document = reply.json();
        let claims = document.as_object_mut().unwrap().remove("claims_supported");
        assert!(claims.unwrap().as_array().unwrap().contains(&json!("sid")));
        assert_eq!((reply.status, document), (200, expected.clone()), "{name}");
    }
    assert_eq!(idp.requests().metadata, 2);
}

#[tokio::test]
async fn an_issuer_is_used_byte_for_byte_and_moves_no_endpoint() {
    let issuer = "https://issuer.example/Tenant/";
    let idp = DevIdp::builder().issuer(issuer).start().await.unwrap();
    assert_eq!(idp.issuer(), issuer);
    let url = format!("http://{}/.well-known/openid-configuration", idp.addr());
    let document = Reply::of(http().get(url)).await.json();
    assert_eq!(document["issuer"], issuer);
    assert_eq!(document["jwks_uri"], idp.jwks_uri());
    assert!(
        idp.token_endpoint()
            .starts_with(&format!("http://{}/", idp.addr()))
    );
}

#[tokio::test]
async fn keys_are_answered_with_304_until_they_change() {
    let idp = provider().await;
    let first = Reply::of(http().get(idp.jwks_uri())).await;
    assert_eq!(first.header(CACHE_CONTROL), "public, max-age=60");
    assert_eq!(first.json()["keys"].as_array().unwrap().len(), 3);
    let etag = first.header(ETAG).to_owned();

    for seen in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let request = http().get(idp.jwks_uri()).header(IF_NONE_MATCH, &seen);
        let reply = Reply::of(request).await;
        assert_eq!((reply.status, reply.text.as_str()), (304, ""), "{seen}");
        assert_eq!(reply.header(ETAG), etag);
        assert_eq!(reply.header(CACHE_CONTROL), "public, max-age=60");
    }

    idp.rotate(Rotation::Overlapping).await.unwrap();
    let request = http().get(idp.jwks_uri()).header(IF_NONE_MATCH, &etag);
    let reply = Reply::of(request).await;
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header(ETAG), etag);
}

/// J12
#[tokio::test]
async fn no_private_member_of_a_key_is_published() {
    let idp = provider().await;
    for key in super::jwks(&idp).await["keys"].as_array().unwrap() {
        let members: Vec<&str> = key
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected: &[&str] = match key["kty"].as_str().unwrap() {
            "RSA" => &["alg", "e", "kid", "kty", "n", "use"],
            "EC" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            _ => &["alg", "crv", "kid", "kty", "use", "x"],
        };
        assert_eq!(members, expected);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let idp = provider().await;
    let reply = Reply::of(http().get(format!("{}/nowhere", idp.issuer()))).await;
    reply.assert_error(404, "not_found");
    let reply = Reply::of(http().get(idp.token_endpoint())).await;
    reply.assert_error(405, "method_not_allowed");
    assert_eq!(reply.header(http::header::ALLOW), "POST");
    let reply = Reply::of(http().post(idp.jwks_uri())).await;
    reply.assert_error(405, "method_not_allowed");
    assert_eq!(reply.header(http::header::ALLOW), "GET,HEAD");
    let reply = Reply::of(http().head(idp.jwks_uri())).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!(idp.requests().other, 1);
}
