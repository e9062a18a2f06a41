//! Invoices as JSON.

use reqwest::Method;
use serde_json::json;

use crate::world::World;

const GOOD: &str = r#"{"customerName":"Anna","customerEmail":"anna@example.com","terms":"NET_15",
    "dueDate":"2026-12-15","message":"Thanks","totalDue":"5","tenantId":"other","id":"x","number":1}"#;

#[tokio::test]
async fn an_invoice_is_added_read_and_changed() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let added = owner.json(Method::POST, "/api/v1/invoices", GOOD).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let invoice = added.json();
    assert_eq!(invoice["number"], 1004);
    assert_eq!(invoice["totalDue"], "5.00");
    assert_eq!(invoice["status"], "SENT");
    assert_eq!(
        invoice["createdBy"],
        world.idp.subject("owner@acme.example")
    );
    let path = added.header("location").to_owned();
    assert_eq!(
        path,
        format!("/api/v1/invoices/{}", invoice["id"].as_str().unwrap())
    );
    assert_eq!(owner.get(&path).await.json(), invoice);
    let list = owner.get("/api/v1/invoices").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    assert_eq!(list["items"][0], invoice);

    let changed = owner
        .json(Method::PUT, &path, r#"{"status":"CANCELLED"}"#)
        .await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["status"]),
        (200, &json!("CANCELLED"))
    );
    let again = owner.json(Method::PUT, &path, r#"{"status":"PAID"}"#).await;
    assert_eq!(again.status, 409);
    let unknown = "/api/v1/invoices/00000000000000000000000000";
    let unknown = owner
        .json(Method::PUT, unknown, r#"{"status":"PAID"}"#)
        .await;
    assert_eq!(unknown.status, 404);
}

/// K125
#[tokio::test]
async fn what_cannot_be_taken_is_told_by_member() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let body = r#"{"customerName":7,"customerEmail":"x","terms":"NET_7","totalDue":5}"#;
    let refused = owner.json(Method::POST, "/api/v1/invoices", body).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let problem = refused.json();
    let errors: Vec<&String> = problem["errors"].as_object().unwrap().keys().collect();
    assert_eq!(
        errors,
        [
            "customerEmail",
            "customerName",
            "dueDate",
            "message",
            "totalDue"
        ]
    );
    assert!(problem["request_id"].is_string(), "{problem}");
    for (body, expected) in [("[]", 400), ("{", 400), ("", 400), ("\"x\"", 400)] {
        let answer = owner.json(Method::POST, "/api/v1/invoices", body).await;
        assert_eq!(answer.status, expected, "{body}");
    }
    for body in [
        r#"{"status":"SENT"}"#,
        r#"{"status":"PAID","status":"CANCELLED"}"#,
        "{}",
        r#"{"status":"SENT "}"#,
        r#"{"status":1}"#,
    ] {
        let path = "/api/v1/invoices/00000000000000000000000000";
        let answer = owner.json(Method::PUT, path, body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    let token = owner.csrf().unwrap();
    let request = owner
        .request(Method::POST, "/api/v1/invoices")
        .header("content-type", "text/plain")
        .header("x-csrf-token", token)
        .body(GOOD);
    assert_eq!(owner.send(request).await.status, 415);
    assert_eq!(world.book.size().1, 0);
}

/// K121
#[tokio::test]
async fn an_invoice_of_another_tenant_is_not_there_for_programs_either() {
    let world = World::start().await;
    let mut acme = world.owner().await;
    let mut globex = world.signed_in("owner@globex.example", "globex").await;
    let added = acme.json(Method::POST, "/api/v1/invoices", GOOD).await;
    let path = added.header("location").to_owned();
    assert_eq!(globex.get(&path).await.status, 404);
    let changed = globex
        .json(Method::PUT, &path, r#"{"status":"PAID"}"#)
        .await;
    assert_eq!(changed.status, 404);
    let request = globex
        .request(Method::GET, "/api/v1/invoices")
        .header("x-tenant-id", "acme");
    let list = globex.send(request).await.json();
    assert!(!list.to_string().contains("Anna"), "{list}");
    assert_eq!(acme.get(&path).await.json()["status"], "SENT");
}

/// K122
#[tokio::test]
async fn a_viewer_changes_nothing_over_the_api() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let path = owner.json(Method::POST, "/api/v1/invoices", GOOD).await;
    let path = path.header("location").to_owned();
    let before = format!("{:?}", world.book);
    let mut viewer = world.viewer().await;
    let added = viewer.json(Method::POST, "/api/v1/invoices", GOOD).await;
    let changed = viewer
        .json(Method::PUT, &path, r#"{"status":"PAID"}"#)
        .await;
    for answer in [added, changed] {
        assert_eq!(answer.status, 403);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(viewer.get(&path).await.status, 200);
    assert_eq!(format!("{:?}", world.book), before);
}

/// K123
#[tokio::test]
async fn only_the_exact_form_of_a_role_permits_something() {
    let world = World::start().await;
    let roles = [
        ("app:x:owner", 200),
        ("app:x:owner2", 403),
        ("APP:X:OWNER", 403),
        ("app:x:OWNER", 403),
        ("app::owner", 403),
        ("app:x:y:owner", 403),
        ("tenant:x:owner", 403),
    ];
    for (at, (role, expected)) in roles.into_iter().enumerate() {
        let email = format!("person{at}@acme.example");
        let person = dev_idp::DevPerson::new(&email, "pw").member("acme", [role]);
        world.idp.set_person(person);
        let mut browser = world.signed_in(&email, "acme").await;
        let answer = browser.get("/api/v1/invoices").await;
        assert_eq!(answer.status, expected, "{role}");
    }
}

/// K104
#[tokio::test]
async fn no_header_query_or_field_makes_another_method() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let path = owner.json(Method::POST, "/api/v1/invoices", GOOD).await;
    let path = path.header("location").to_owned();
    let before = format!("{:?}", world.book);
    let token = owner.csrf().unwrap();
    for (method, path, expected) in [
        (Method::POST, format!("{path}?_method=PUT"), 405),
        (Method::GET, format!("{path}?_method=PUT"), 200),
        (
            Method::GET,
            path.replace("/api/v1", "") + "/pay?_method=POST",
            405,
        ),
    ] {
        let request = owner
            .request(method.clone(), &path)
            .header("x-http-method-override", "PUT")
            .header("x-method-override", "PUT")
            .header("x-csrf-token", &token)
            .header("content-type", "application/json")
            .body(r#"{"status":"PAID","_method":"PUT"}"#);
        let answer = owner.send(request).await;
        assert_eq!(answer.status, expected, "{method} {path}");
    }
    let fields = [("_method", "DELETE"), ("customerName", "x")];
    assert_eq!(owner.post("/invoices", &fields).await.status, 422);
    assert_eq!(format!("{:?}", world.book), before);
}

/// K106
#[tokio::test]
async fn hello_takes_a_session_or_a_bearer_and_says_when() {
    let audience = dev_idp::DEFAULT_AUDIENCE;
    let world = World::with(&[("API_AUDIENCE", audience)]).await;
    let mut owner = world.owner().await;
    let said = owner
        .json(Method::POST, "/api/v1/hello", r#"{"message":"hi <b>"}"#)
        .await;
    assert_eq!(said.status, 200, "{}", said.body);
    let message = said.json()["message"].as_str().unwrap().to_owned();
    let time = message.strip_prefix("You said \"hi <b>\" at ").unwrap();
    assert_eq!((time.len(), time.as_bytes()[10]), (19, b'T'), "{message}");
    for body in ["{}", r#"{"message":""}"#, r#"{"message":1}"#] {
        let answer = owner.json(Method::POST, "/api/v1/hello", body).await;
        assert_eq!(answer.status, 400, "{body}");
    }

    let token = world.idp.mint(dev_idp::TokenSpec::new());
    let mut program = world.browser();
    let hello = |bearer: &str| {
        let request = world.browser().request(Method::POST, "/api/v1/hello");
        let request = request.header("content-type", "application/json");
        request.bearer_auth(bearer).body(r#"{"message":"x"}"#)
    };
    assert_eq!(program.send(hello(&token)).await.status, 200);
    let refused = program.send(hello("a.b.c")).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").starts_with("Bearer "));
    // A bearer decides alone, and a session beside it does not help.
    for (bearer, csrf, status) in [
        ("a.b.c", owner.csrf(), 401),
        (&token, None, 200),
        (&token, Some("of another session".to_owned()), 200),
    ] {
        let mut request = owner.request(Method::POST, "/api/v1/hello");
        if let Some(csrf) = csrf {
            request = request.header("x-csrf-token", csrf);
        }
        let request = request.bearer_auth(bearer);
        let request = request.header("content-type", "application/json");
        let answer = owner.send(request.body(r#"{"message":"x"}"#)).await;
        assert_eq!(answer.status, status, "{bearer}");
    }
}

#[tokio::test]
async fn without_an_audience_no_bearer_is_taken() {
    let world = World::start().await;
    let token = world.idp.mint(dev_idp::TokenSpec::new());
    let mut program = world.browser();
    let request = program
        .request(Method::POST, "/api/v1/hello")
        .header("content-type", "application/json")
        .bearer_auth(token)
        .body(r#"{"message":"x"}"#);
    let answer = program.send(request).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").starts_with("Session "));
}
