//! What happens to people behind the back of an application.

use dev_idp::DevPerson;
use serde_json::json;

use super::person::{
    Asked, OWNER, get_with, parameter, provider, refresh, sign_in, tokens, userinfo,
};

#[tokio::test]
async fn a_disabled_person_is_out_everywhere_but_in_tokens_that_are_out() {
    let idp = provider().await;
    let page = Asked::new().page(&idp, "acme");
    let cookie = sign_in(&page, OWNER).await.cookie();
    let reply = tokens(&idp).await;
    let [user, token] = ["access_token", "refresh_token"].map(|name| reply[name].as_str().unwrap());
    idp.disable_person("OWNER@acme.example", true).unwrap();
    sign_in(&page, OWNER)
        .await
        .assert_page(400, "The e-mail address or the password is wrong.");
    let asked = Asked::new().with("prompt", "none");
    let location = get_with(&asked.at(&idp, "acme"), &cookie).await.location();
    assert_eq!(
        parameter(&location, "error").as_deref(),
        Some("login_required")
    );
    assert_eq!(userinfo(&idp, user).await.status, 401);
    refresh(&idp, token)
        .await
        .assert_error(400, "invalid_grant");

    idp.disable_person(OWNER, false).unwrap();
    let location = get_with(&asked.at(&idp, "acme"), &cookie).await.location();
    assert!(parameter(&location, "code").is_some(), "{location}");
    assert_eq!(userinfo(&idp, user).await.status, 200);
    idp.disable_person("nobody@acme.example", true).unwrap_err();
}

#[tokio::test]
async fn userinfo_tells_the_roles_of_now() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    let user = reply["access_token"].as_str().unwrap();
    idp.set_roles(OWNER, "acme", ["viewer"]).unwrap();
    let claims = userinfo(&idp, user).await.json();
    assert_eq!(claims["roles"][0]["name"], "app:dev-web:viewer");
    assert_eq!(claims["name"], "Olive Owner");
    idp.set_roles(OWNER, "acme", [""; 0]).unwrap();
    assert_eq!(userinfo(&idp, user).await.json()["roles"], json!([]));
    idp.set_roles("nobody@acme.example", "acme", ["owner"])
        .unwrap_err();
    // No member any more.
    idp.set_person(DevPerson::new(OWNER, "x").member("globex", ["owner"]));
    assert_eq!(userinfo(&idp, user).await.status, 401);
}
