//! Calls to protected-data.

use crate::world::World;

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
