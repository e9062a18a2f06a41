use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use dev_idp::{DevIdp, RefreshTokens};
use serde_json::Value;

use super::claims_of;
use super::person::{post, provider, refresh, tokens, userinfo};

#[track_caller]
fn text<'a>(reply: &'a Value, member: &str) -> &'a str {
    reply[member].as_str().unwrap()
}

#[tokio::test]
async fn a_refresh_token_rotates_and_gives_a_new_pair_for_the_same_person() {
    let idp = provider().await;
    let first = tokens(&idp).await;
    let second = refresh(&idp, text(&first, "refresh_token")).await.json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_ne!(second["access_token"], first["access_token"]);
    assert_eq!(second["scope"], first["scope"]);
    let [before, after] = [&first, &second].map(|reply| claims_of(text(reply, "id_token")));
    for name in ["iss", "sub", "aud", "auth_time", "sid", "tnt_id"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert_eq!(
        (before["nonce"].as_str(), after.get("nonce")),
        (Some("n0nce"), None)
    );
    assert_eq!(
        userinfo(&idp, text(&second, "access_token")).await.status,
        200
    );
}

/// K128
#[tokio::test]
async fn a_used_refresh_token_ends_its_family_and_no_other() {
    let idp = provider().await;
    let [first, other] = [tokens(&idp).await, tokens(&idp).await];
    let used = text(&first, "refresh_token");
    let second = refresh(&idp, used).await.json();
    refresh(&idp, used).await.assert_error(400, "invalid_grant");
    let newest = text(&second, "refresh_token");
    refresh(&idp, newest)
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(
        userinfo(&idp, text(&second, "access_token")).await.status,
        401
    );
    assert_eq!(
        refresh(&idp, text(&other, "refresh_token")).await.status,
        200
    );
}

#[tokio::test]
async fn what_is_no_refresh_token_of_the_client_is_refused_and_ends_nothing() {
    let idp = provider().await;
    let reply = tokens(&idp).await;
    let token = text(&reply, "refresh_token");
    let (family, _) = token.split_once('.').unwrap();
    let guess = format!("{family}.AAAAAAAAAAAAAAAAAAAAAA");
    for wrong in ["x", ".", &*guess, text(&reply, "access_token")] {
        refresh(&idp, wrong)
            .await
            .assert_error(400, "invalid_grant");
    }
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", "other"),
        ("client_secret", "other-secret"),
    ];
    let form = super::person::form(&fields);
    super::post(&idp, &form)
        .await
        .assert_error(400, "invalid_grant");
    let without = [("grant_type", "refresh_token")];
    let reply = post(&idp.token_endpoint(), &without).await;
    reply.assert_error(400, "invalid_request");
    assert_eq!(refresh(&idp, token).await.status, 200);
}

#[tokio::test]
async fn refresh_tokens_may_stay_or_be_left_out_or_have_a_grace() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let builder = DevIdp::builder().clock(Arc::new(clock.clone()));
    let idp = builder.start().await.unwrap();
    let reply = tokens(&idp).await;
    let token = text(&reply, "refresh_token");
    for (tokens, expected) in [
        (RefreshTokens::Keep, Some(token)),
        (RefreshTokens::Omit, None),
        (RefreshTokens::Keep, Some(token)),
    ] {
        idp.set_refresh_tokens(tokens);
        let reply = refresh(&idp, token).await.json();
        assert_eq!(reply["refresh_token"].as_str(), expected, "{tokens:?}");
    }
    idp.set_refresh_tokens(RefreshTokens::RotateWithGrace(5));
    for _ in 0..2 {
        let reply = refresh(&idp, token).await.json();
        assert_ne!(text(&reply, "refresh_token"), token);
        clock.advance(Duration::from_secs(5));
    }
    refresh(&idp, token)
        .await
        .assert_error(400, "invalid_grant");
}
