//! Every route that there is.

use reqwest::Method;

use crate::world::World;

const SESSION_ROUTES: [&str; 3] = ["/api/auth/session", "/api/auth/logout", "/api/auth/token"];

/// The paths of the router, as its source has them, with an invoice, a session and a person put in.
fn paths(id: &str, person: &str) -> Vec<String> {
    let source = include_str!("../../src/api.rs");
    let in_router = source.split(".route(").skip(1).filter_map(|rest| {
        let path = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        Some(
            path.replace("{id}", id)
                .replace("{user_id}", person)
                .replace("{n}", "1"),
        )
    });
    let open = [
        "/livez",
        "/readyz",
        "/openapi.json",
        "/assets/style.css",
        "/none",
    ];
    let found: Vec<String> = in_router
        .chain(SESSION_ROUTES.into_iter().chain(open).map(str::to_owned))
        .collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

/// K105
#[tokio::test]
async fn a_get_of_every_route_changes_nothing() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let mut viewer = world.viewer().await;
    // The samples are there, and at this invoice nobody has looked.
    assert_eq!(viewer.get("/invoices").await.status, 200);
    let body = r#"{"customerName":"A","customerEmail":"a@b","terms":"NET_7","dueDate":"2026-12-15",
        "message":"x","totalDue":"5"}"#;
    let added = owner.json(Method::POST, "/api/v1/invoices", body).await;
    let id = added.json()["id"].as_str().unwrap().to_owned();
    let person = world.idp.subject("viewer@acme.example");
    let before = (format!("{:?}", world.book), owner.csrf());
    for path in paths(&id, &person) {
        for query in ["", "?_method=POST&status=PAID&everywhere=true"] {
            // The stream has no end; its head is enough.
            let request = owner.request(Method::GET, &format!("{path}{query}"));
            let response = request.send().await.unwrap();
            assert!(
                response.status().as_u16() < 500 || path == "/readyz",
                "{path}"
            );
            assert!(!response.headers().contains_key("set-cookie"), "{path}");
        }
    }
    assert_eq!((format!("{:?}", world.book), owner.csrf()), before);
    for browser in [&mut owner, &mut viewer] {
        assert_eq!(browser.get("/api/auth/session").await.status, 200);
    }
}
