use dev_idp::DevIdp;

use super::person::{post, provider, refresh, tokens, userinfo};
use super::{FORM, Reply, http};

fn endpoint(idp: &DevIdp) -> String {
    format!("{}/api/v1/oauth2/revoke", idp.issuer())
}

#[tokio::test]
async fn a_revoked_refresh_token_takes_the_user_tokens_along() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    let [user, token] = ["access_token", "refresh_token"].map(|name| reply[name].as_str().unwrap());
    let fields = [("token", token), ("token_type_hint", "refresh_token")];
    let revoked = post(&endpoint(&idp), &fields).await;
    assert_eq!((revoked.status, revoked.text.as_str()), (200, ""));
    refresh(&idp, token)
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(userinfo(&idp, user).await.status, 401);
    // Section 2.2: a token that is unknown is as good as revoked.
    assert_eq!(post(&endpoint(&idp), &fields).await.status, 200);
    assert_eq!(idp.requests().revocation, 2);
}

#[tokio::test]
async fn a_revoked_user_token_goes_alone() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    let [user, token] = ["access_token", "refresh_token"].map(|name| reply[name].as_str().unwrap());
    assert_eq!(post(&endpoint(&idp), &[("token", user)]).await.status, 200);
    assert_eq!(userinfo(&idp, user).await.status, 401);
    assert_eq!(refresh(&idp, token).await.status, 200);
}

#[tokio::test]
async fn a_client_revokes_its_own_tokens_only() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    let [user, token] = ["access_token", "refresh_token"].map(|name| reply[name].as_str().unwrap());
    for token in [user, token] {
        let fields = [
            ("token", token),
            ("client_id", "other"),
            ("client_secret", "other-secret"),
        ];
        let request = http().post(endpoint(&idp)).header("content-type", FORM);
        let reply = Reply::of(request.body(super::person::form(&fields))).await;
        assert_eq!(reply.status, 200);
    }
    let request = http().post(endpoint(&idp)).header("content-type", FORM);
    let reply = Reply::of(request.body(format!("token={token}"))).await;
    reply.assert_error(400, "invalid_client");
    post(&endpoint(&idp), &[])
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(userinfo(&idp, user).await.status, 200);
    assert_eq!(refresh(&idp, token).await.status, 200);
}
