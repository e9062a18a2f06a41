use dev_idp::{DevClient, DevIdp, DevPerson, TokenSpec};
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::json;

use super::person::{Asked, OWNER, code, exchange, post, provider, tokens, userinfo};
use super::{Reply, http};

#[tokio::test]
async fn userinfo_tells_person_tenant_and_roles_by_scope() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    let mut claims = userinfo(&idp, reply["access_token"].as_str().unwrap())
        .await
        .json();
    for name in ["tnt_id", "sub"] {
        assert_eq!(claims[name].as_str().unwrap().len(), 22, "{name}");
    }
    claims["tnt_id"].take();
    let id = claims["roles"][0]["id"].take();
    assert_eq!(id.as_str().unwrap().len(), 22);
    let role = json!({ "id": null, "name": "app:dev-web:owner", "display_name": "owner" });
    let expected = json!({
        "sub": idp.subject(OWNER),
        "tnt_id": null,
        "tnt_name": "acme",
        "app_id": "dev-web",
        "idp_name": "dev-idp",
        "email": OWNER,
        "email_verified": true,
        "name": "Olive Owner",
        "preferred_username": OWNER,
        "roles": [role],
    });
    assert_eq!(claims, expected);

    let code = code(&idp, &Asked::new().with("scope", "openid")).await;
    let reply = post(&idp.token_endpoint(), &exchange(&code)).await;
    let claims = userinfo(&idp, &reply.access_token()).await.json();
    let mut names: Vec<&str> = claims
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["app_id", "idp_name", "sub", "tnt_id", "tnt_name"]);
}

#[tokio::test]
async fn a_role_with_a_colon_is_told_as_it_stands() {
    let client = DevClient::web().application_id("invoices");
    let person = DevPerson::new(OWNER, dev_idp::DEFAULT_PASSWORD);
    let person = person.member("acme", ["viewer", "app:x:owner2", "APP:X:OWNER"]);
    let idp = DevIdp::builder().client(client).person(person);
    let idp = idp.start().await.unwrap();
    let reply = tokens(&idp).await;
    let claims = userinfo(&idp, reply["access_token"].as_str().unwrap())
        .await
        .json();
    assert_eq!(claims["app_id"], "invoices");
    let names: Vec<_> = claims["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| &role["name"])
        .collect();
    assert_eq!(
        names,
        ["app:invoices:viewer", "app:x:owner2", "APP:X:OWNER"]
    );
}

#[tokio::test]
async fn userinfo_takes_a_persons_token_in_the_header_and_nothing_else() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    let token = reply["access_token"].as_str().unwrap();
    let url = format!("{}/api/v1/oauth2/userinfo", idp.issuer());
    let minted = idp.mint(TokenSpec::new().claim("sub", idp.subject(OWNER)));
    let longer = format!("{token}x");
    for wrong in [reply["id_token"].as_str().unwrap(), &*minted, &*longer, "x"] {
        let reply = userinfo(&idp, wrong).await;
        assert_eq!((reply.status, reply.text.as_str()), (401, ""));
        let challenge = r#"Bearer realm="dev-idp", error="invalid_token""#;
        assert_eq!(reply.header(WWW_AUTHENTICATE), challenge);
    }
    for request in [
        http().get(&url),
        http().get(&url).bearer_auth(""),
        http().get(format!("{url}?access_token={token}")),
        http()
            .get(&url)
            .header(AUTHORIZATION, format!("Basic {token}")),
        http().post(&url).body(format!("access_token={token}")),
        http()
            .get(&url)
            .bearer_auth(token)
            .header(AUTHORIZATION, "Bearer x"),
    ] {
        let reply = Reply::of(request).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header(WWW_AUTHENTICATE), r#"Bearer realm="dev-idp""#);
    }
    let posted = Reply::of(http().post(&url).bearer_auth(token)).await;
    assert_eq!(posted.status, 200);
    assert_eq!(idp.requests().userinfo, 11);
}
