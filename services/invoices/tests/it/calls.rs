//! Calls to protected-data.

use dev_idp::{Endpoint, Fault, Tamper, TokenSpec};

use crate::world::World;

/// A user token that protected-data refuses.
fn refused() -> Tamper {
    Tamper::user_token(TokenSpec::new().bad_signature())
}

#[tokio::test]
async fn the_person_and_the_service_call_protected_data() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    for path in ["/api/v1/protected", "/api/v1/machine"] {
        let answer = owner.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.body, r#"{"protectedData":"here I am"}"#);
    }
    let page = owner.get("/calls").await;
    assert_eq!(page.body.matches("here I am").count(), 2, "{}", page.body);
    assert_eq!(page.body.matches(">Answered<").count(), 2);
}

#[tokio::test]
async fn a_service_that_is_away_is_503_and_a_page_says_so() {
    let mut world = World::start().await;
    let mut owner = world.owner().await;
    world.protected.take().unwrap().stop().await;
    for path in ["/api/v1/protected", "/api/v1/machine"] {
        let answer = owner.get(path).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let page = owner.get("/calls").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.body.matches(">No answer<").count(), 2, "{}", page.body);
}

#[tokio::test]
async fn a_token_that_is_refused_is_502() {
    let world = World::with(&[("LOGIN_AUDIENCE", "https://other.example")]).await;
    let mut owner = world.owner().await;
    assert_eq!(owner.get("/api/v1/protected").await.status, 502);
    assert_eq!(owner.get("/api/v1/machine").await.status, 200);
}

/// K93
#[tokio::test]
async fn a_call_is_repeated_with_another_token_where_the_person_s_is_refused() {
    let world = World::start().await;
    for path in ["/api/v1/protected", "/calls"] {
        world.idp.tamper(refused());
        let mut owner = world.owner().await;
        let before = world.idp.requests().token;
        let answer = owner.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.body.contains("here I am"), "{path}: {}", answer.body);
        let machine = u64::from(path == "/calls");
        let asked = world.idp.requests().token - before;
        assert!((1..=1 + machine).contains(&asked), "{path}: {asked}");
    }
}

#[tokio::test]
async fn a_session_that_ends_with_a_refused_token_is_401() {
    let world = World::start().await;
    world.idp.tamper(refused());
    let mut owner = world.owner().await;
    let invalid_grant = Fault::on(Endpoint::Token)
        .times(1)
        .status(400)
        .header("content-type", "application/json")
        .body(r#"{"error":"invalid_grant"}"#);
    world.idp.fault(invalid_grant);
    for _ in 0..2 {
        let answer = owner.get("/api/v1/protected").await;
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert!(answer.header("www-authenticate").starts_with("Session"));
    }
}

#[tokio::test]
async fn without_a_client_of_its_own_the_service_does_not_call() {
    let world = World::with(&[("CLIENT_ID", ""), ("CLIENT_SECRET", "")]).await;
    let mut owner = world.owner().await;
    assert_eq!(owner.get("/api/v1/machine").await.status, 404);
    assert_eq!(owner.get("/api/v1/protected").await.status, 200);
    let page = owner.get("/calls").await;
    assert_eq!(page.body.matches("here I am").count(), 1, "{}", page.body);
    assert!(!page.body.contains("As the service"));
}
