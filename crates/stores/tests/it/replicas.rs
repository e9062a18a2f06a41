//! Several processes of one application, over each store that there is.

mod dying;

use std::sync::Arc;

use dev_idp::{Endpoint, Fault, RefreshTokens};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use self::dying::Dying;
use crate::house::{Browser, House, Replica};

/// Longer than a lease.
const LEASE_IS_OVER: u64 = 11;

fn token(replica: &Replica, browser: &Browser) -> impl Future<Output = String> + use<> {
    let (replica, mut browser) = (replica.clone(), browser.clone());
    async move { replica.get(&mut browser, "/token").await.text }
}

/// K78
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_at_three_replicas_are_one_refresh() {
    for house in House::each().await {
        let replicas = house.replicas().await;
        let browser = house.signed_in(&replicas[0]).await;
        house.advance(301);
        let before = house.token_requests();
        let mut people = JoinSet::new();
        for n in 0..50 {
            let (replicas, browser) = (replicas.clone(), browser.clone());
            people.spawn(async move {
                for request in 0..20 {
                    let answer = token(&replicas[(n + request) % 3], &browser).await;
                    assert_eq!(answer, "generation 2");
                }
            });
        }
        while let Some(person) = people.join_next().await {
            person.unwrap();
        }
        assert_eq!(house.token_requests(), before + 1);
    }
}

/// K38
#[tokio::test]
async fn a_login_begun_at_one_replica_ends_at_another_and_twice_at_once_is_one_session() {
    for house in House::each().await {
        let [one, two, three] = house.replicas().await;
        let mut browser = Browser::default();
        let callback = house.until_callback(&one, &mut browser).await;
        let before = house.token_requests();
        let mut again = browser.clone();
        let (first, second) = tokio::join!(
            two.get(&mut browser, &callback),
            three.get(&mut again, &callback)
        );
        for reply in [first, second] {
            assert_eq!(reply.status, StatusCode::SEE_OTHER);
            assert_eq!(reply.location, "http://localhost:6004/page");
        }
        assert!(browser.handle().is_some());
        assert_eq!(browser.handle(), again.handle());
        assert_eq!(house.token_requests(), before + 1);
        assert_eq!(one.get(&mut browser, "/page").await.status, StatusCode::OK);
    }
}

/// K112
#[tokio::test]
async fn who_is_logged_out_at_one_replica_is_nobody_at_the_others() {
    for house in House::each().await {
        let [one, two, three] = house.replicas().await;
        let mut browser = house.signed_in(&one).await;
        let mut kept = browser.clone();
        for replica in [&two, &three] {
            assert_eq!(replica.get(&mut kept, "/page").await.status, StatusCode::OK);
        }
        let out = two.post(&mut browser, "/api/auth/logout").await;
        assert_eq!(out.status, StatusCode::SEE_OTHER);
        for replica in [&one, &two, &three] {
            assert_eq!(
                replica.get(&mut kept, "/page").await.status,
                StatusCode::FOUND
            );
        }
    }
}

/// K120
#[tokio::test]
async fn the_provider_ends_sessions_at_any_replica_and_after_a_restart() {
    for house in House::each().await {
        let one = house.replica().await;
        let mut browser = house.signed_in(&one).await;
        let mut id = 0;
        let mut logout_token = || {
            id += 1;
            let now = house.now();
            let header =
                json!({"alg": "RS256", "kid": house.idp.current_kid(), "typ": "logout+jwt"});
            let claims = json!({
                "iss": house.idp.issuer(),
                "sub": house.idp.subject(crate::house::OWNER),
                "aud": "dev-web",
                "iat": now,
                "exp": now + 120,
                "jti": format!("j{id}"),
                "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            });
            house.idp.mint_raw(&header.to_string(), &claims.to_string())
        };
        let two = house.replica().await;
        assert_eq!(two.get(&mut browser, "/page").await.status, StatusCode::OK);
        house.advance(1);
        assert_eq!(two.backchannel(&logout_token()).await, StatusCode::OK);
        for replica in [&one, &two] {
            assert_eq!(
                replica.get(&mut browser, "/page").await.status,
                StatusCode::FOUND
            );
        }
        house.advance(1);
        let mut browser = house.signed_in(&one).await;
        drop((one, two));
        let restarted = house.replica().await;
        assert_eq!(
            restarted.get(&mut browser, "/page").await.status,
            StatusCode::OK
        );
        house.advance(1);
        assert_eq!(restarted.backchannel(&logout_token()).await, StatusCode::OK);
        assert_eq!(
            restarted.get(&mut browser, "/page").await.status,
            StatusCode::FOUND
        );
    }
}

/// K88
#[tokio::test]
async fn when_a_replica_dies_with_the_lease_another_refreshes_when_it_is_over() {
    for house in House::each().await {
        let (store, mut dead) = Dying::after_claim(house.store());
        let one = house.replica_over(Arc::new(store)).await;
        let (store, mut refusals) = Dying::never(house.store());
        let two = house.replica_over(Arc::new(store)).await;
        let browser = house.signed_in(&two).await;
        house.advance(301);
        let before = house.token_requests();
        let unanswered = tokio::spawn(token(&one, &browser));
        dead.wait_for(|count| *count == 1).await.unwrap();
        unanswered.abort();
        let waiting = tokio::spawn(token(&two, &browser));
        // It looks again and again, and sends nothing: an exchange may last for 8 s.
        refusals.wait_for(|count| *count >= 2).await.unwrap();
        house.advance(9);
        let seen = *refusals.borrow();
        refusals.wait_for(|count| *count >= seen + 2).await.unwrap();
        assert_eq!(house.token_requests(), before);
        house.advance(LEASE_IS_OVER - 9);
        assert_eq!(waiting.await.unwrap(), "generation 2");
        assert_eq!(house.token_requests(), before + 1);
    }
}

/// K88
#[tokio::test]
async fn when_a_replica_dies_after_the_provider_rotated_the_session_ends_once_and_not_with_a_grace()
{
    for (tokens, survives) in [
        (RefreshTokens::Rotate, false),
        (RefreshTokens::RotateWithGrace(60), true),
    ] {
        for house in House::each().await {
            house.idp.set_refresh_tokens(tokens);
            let (store, mut dead) = Dying::after_exchange(house.store());
            let one = house.replica_over(Arc::new(store)).await;
            let two = house.replica().await;
            let mut browser = house.signed_in(&two).await;
            house.advance(301);
            let before = house.token_requests();
            let unanswered = tokio::spawn(token(&one, &browser));
            dead.wait_for(|count| *count == 1).await.unwrap();
            unanswered.abort();
            assert_eq!(house.token_requests(), before + 1);
            house.advance(LEASE_IS_OVER);
            if survives {
                assert_eq!(token(&two, &browser).await, "generation 2");
            }
            for _ in 0..3 {
                let status = two.get(&mut browser, "/page").await.status;
                let expected = if survives {
                    StatusCode::OK
                } else {
                    StatusCode::FOUND
                };
                assert_eq!(status, expected, "{tokens:?}");
            }
            assert_eq!(house.token_requests(), before + 2, "{tokens:?}");
        }
    }
}

/// Lets one replica's exchange wait until another has refreshed, which the end of the lease makes possible.
async fn overtaken(house: &House, one: &Replica, two: &Replica, browser: &Browser) -> String {
    house.advance(301);
    let before = house.token_requests();
    house.idp.fault(Fault::on(Endpoint::Token).times(1).hold());
    let slow = tokio::spawn(token(one, browser));
    house
        .idp
        .wait_for_requests(Endpoint::Token, before + 1)
        .await;
    house.advance(LEASE_IS_OVER);
    assert_eq!(token(two, browser).await, "generation 2");
    house.idp.clear_faults();
    slow.await.unwrap()
}

/// K84
#[tokio::test]
async fn a_refusal_after_another_replica_has_refreshed_logs_nobody_out() {
    for house in House::each().await {
        house.idp.set_refresh_tokens(RefreshTokens::Rotate);
        let [one, two, _] = house.replicas().await;
        let mut browser = house.signed_in(&one).await;
        // The one that was slow presents a token that has been used.
        assert_eq!(
            overtaken(&house, &one, &two, &browser).await,
            "generation 2"
        );
        for replica in [&one, &two] {
            assert_eq!(
                replica.get(&mut browser, "/page").await.status,
                StatusCode::OK
            );
        }
    }
}

/// K89
#[tokio::test]
async fn tokens_that_come_after_anothers_are_taken_back_and_overwrite_nothing() {
    for house in House::each().await {
        house
            .idp
            .set_refresh_tokens(RefreshTokens::RotateWithGrace(60));
        let [one, two, _] = house.replicas().await;
        let browser = house.signed_in(&one).await;
        let revoked = house.idp.requests().revocation;
        assert_eq!(
            overtaken(&house, &one, &two, &browser).await,
            "generation 2"
        );
        house
            .idp
            .wait_for_requests(Endpoint::Revocation, revoked + 1)
            .await;
        assert_eq!(token(&two, &browser).await, "generation 2");
    }
}
