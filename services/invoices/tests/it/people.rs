//! Sessions of one's own, and those of a company.

use reqwest::Method;

use crate::world::World;

#[tokio::test]
async fn a_person_sees_their_sessions_and_ends_another_one() {
    let world = World::start().await;
    let mut here = world.owner().await;
    let mut there = world.owner().await;
    let page = here.get("/account").await;
    assert_eq!(page.status, 200);
    for text in ["Olive Owner", "owner@acme.example", "owner", "This one"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let start = "action=\"/account/sessions/";
    let actions: Vec<&str> = page.body.split(start).skip(1).collect();
    assert_eq!(actions.len(), 2, "{}", page.body);
    let other = actions.iter().find(|it| !it.starts_with("end-others"));
    let name = other.unwrap().split('/').next().unwrap();
    let path = format!("/account/sessions/{name}/end");
    let ended = here.post(&path, &[]).await;
    assert_eq!(
        (ended.status.as_u16(), ended.header("location")),
        (303, "/account")
    );
    assert_eq!(there.get("/api/auth/session").await.status, 401);
    assert_eq!(here.get("/api/auth/session").await.status, 200);
    assert_eq!(here.post(&path, &[]).await.status, 404);
}

#[tokio::test]
async fn a_person_ends_all_other_sessions() {
    let world = World::start().await;
    let mut here = world.owner().await;
    let mut others = [world.owner().await, world.owner().await];
    let mut somebody = world.viewer().await;
    let ended = here.post("/account/sessions/end-others", &[]).await;
    assert_eq!(ended.status, 303);
    for other in &mut others {
        assert_eq!(other.get("/api/auth/session").await.status, 401);
    }
    assert_eq!(here.get("/api/auth/session").await.status, 200);
    assert_eq!(somebody.get("/api/auth/session").await.status, 200);
}

#[tokio::test]
async fn an_owner_ends_the_sessions_of_people_of_the_own_tenant_alone() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let mut viewer = world.viewer().await;
    let mut globex = world.signed_in("owner@globex.example", "globex").await;
    // The others have signed in, and made no request since.
    let page = owner.get("/people").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Victor Viewer") && page.body.contains("Olive Owner"));
    assert!(!page.body.contains("Gloria"), "{}", page.body);

    let path = |email| format!("/people/{}/end-sessions", world.idp.subject(email));
    for email in ["owner@globex.example", "nobody@acme.example"] {
        assert_eq!(owner.post(&path(email), &[]).await.status, 404, "{email}");
    }
    assert_eq!(globex.get("/api/auth/session").await.status, 200);
    let refused = viewer.post(&path("owner@acme.example"), &[]).await;
    assert_eq!(refused.status, 403);
    assert_eq!(viewer.get("/people").await.status, 403);

    let ended = owner.post(&path("viewer@acme.example"), &[]).await;
    assert_eq!(
        (ended.status.as_u16(), ended.header("location")),
        (303, "/people")
    );
    assert_eq!(viewer.get("/api/auth/session").await.status, 401);
    let page = owner.get("/people").await;
    assert!(!page.body.contains("Victor Viewer"), "{}", page.body);
    world
        .sign_in(&mut viewer, "viewer@acme.example", "acme")
        .await;
    assert_eq!(viewer.get("/invoices").await.status, 200);
}

/// K117, K121
#[tokio::test]
async fn what_a_person_does_at_another_tenant_is_neither_shown_nor_ended() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let mut here = world.signed_in("both@example.com", "acme").await;
    assert_eq!(here.get("/invoices").await.status, 200);
    let alone = owner.get("/people").await.body;
    let mut there = world.signed_in("both@example.com", "globex").await;
    assert_eq!(there.get("/invoices").await.status, 200);
    let rows = |page: &str| -> Vec<String> {
        let cells = page
            .split("<td")
            .map(|cell| cell.split("</td>").next().unwrap_or_default());
        cells
            .map(str::to_owned)
            .filter(|cell| cell.contains("data-label=\"Sessions\""))
            .collect()
    };
    let both = owner.get("/people").await.body;
    assert!(!rows(&both).is_empty());
    assert_eq!(rows(&both), rows(&alone));
    // Nor ended.
    let path = format!(
        "/people/{}/end-sessions",
        world.idp.subject("both@example.com")
    );
    assert_eq!(owner.post(&path, &[]).await.status, 303);
    assert_eq!(here.get("/api/auth/session").await.status, 401);
    let page = owner.get("/people").await.body;
    assert!(
        page.contains("Olive Owner") && !page.contains("both@example.com"),
        "{page}"
    );
    assert_eq!(there.get("/api/auth/session").await.status, 200);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_the_pages_with_it() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let kept = owner.clone();
    let out = owner.post("/api/auth/logout", &[]).await;
    assert_eq!(out.status, 303);
    let request = kept.request(Method::GET, "/invoices");
    assert_eq!(owner.send(request).await.status, 302);
}
