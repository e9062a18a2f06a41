//! Invoices in pages.

use crate::browser::{Answer, Browser};
use crate::world::World;

const GOOD: [(&str, &str); 6] = [
    ("customerName", "Anna"),
    ("customerEmail", "anna@example.com"),
    ("terms", "NET_7"),
    ("dueDate", "2026-11-30"),
    ("message", "Thank you."),
    ("totalDue", "1234.5"),
];

/// Sends a form that the person has just opened.
async fn write(browser: &mut Browser, changed: &[(&str, &str)]) -> Answer {
    let form = browser.get("/invoices/new").await;
    assert_eq!(form.status, 200, "{}", form.body);
    send(browser, &form.field("form_key"), changed).await
}

async fn send(browser: &mut Browser, key: &str, changed: &[(&str, &str)]) -> Answer {
    let mut fields = GOOD.to_vec();
    for (name, value) in changed {
        fields.retain(|(field, _)| field != name);
        fields.push((name, value));
    }
    fields.push(("form_key", key));
    browser.post("/invoices", &fields).await
}

#[tokio::test]
async fn an_owner_writes_an_invoice_sees_it_and_marks_it_paid() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let list = owner.get("/invoices").await;
    assert!(list.body.contains(">1003</a>"), "{}", list.body);

    let written = write(&mut owner, &[]).await;
    assert_eq!(written.status, 303, "{}", written.body);
    let path = written.header("location").to_owned();
    assert!(path.starts_with("/invoices/"), "{path}");
    let shown = owner.get(&path).await;
    assert_eq!(shown.status, 200);
    for text in [
        "Invoice 1004",
        "Anna",
        "1,234.50",
        "30 Nov 2026",
        "Net 7 days",
        ">Sent<",
    ] {
        assert!(shown.body.contains(text), "{text}: {}", shown.body);
    }

    let paid = owner.post(&format!("{path}/pay"), &[]).await;
    assert_eq!(
        (paid.status.as_u16(), paid.header("location")),
        (303, path.as_str())
    );
    let shown = owner.get(&path).await;
    assert!(shown.body.contains(">Paid<") && !shown.body.contains("Mark as paid"));

    let late = owner.post(&format!("{path}/cancel"), &[]).await;
    assert_eq!(late.status, 409);
    assert!(
        late.body.contains("<h1>This invoice is settled</h1>"),
        "{}",
        late.body
    );
    let none = owner
        .post("/invoices/00000000000000000000000000/pay", &[])
        .await;
    assert_eq!(none.status, 404);
}

/// K125
#[tokio::test]
async fn what_cannot_be_taken_comes_back_with_what_was_typed_and_why() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let before = world.book.size();
    let typed = [
        ("customerName", "A \"quoted\" <name>"),
        ("totalDue", "1e3"),
        ("dueDate", "2026-02-30"),
        ("customerEmail", "nobody"),
        ("message", "line one\r\nline two"),
    ];
    let answer = write(&mut owner, &typed).await;
    assert_eq!(answer.status, 422);
    for text in [
        "value=\"A &#34;quoted&#34; &#60;name&#62;\"",
        "value=\"1e3\"",
        "value=\"2026-02-30\"",
        "value=\"nobody\"",
        "line one\r\nline two</textarea>",
        "<option value=\"NET_7\" selected>",
        "id=\"totalDue-error\"",
        "id=\"dueDate-error\"",
        "id=\"customerEmail-error\"",
        "aria-invalid=\"true\"",
    ] {
        assert!(answer.body.contains(text), "{text}: {}", answer.body);
    }
    assert!(!answer.body.contains("id=\"customerName-error\""));
    assert_eq!(world.book.size(), before);

    // The form that came back is good for the corrected one.
    let key = answer.field("form_key");
    let corrected = send(&mut owner, &key, &[("customerName", "A")]).await;
    assert_eq!(corrected.status, 303);
}

/// K126
#[tokio::test]
async fn a_form_sent_twice_or_reloaded_is_one_invoice() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let key = owner.get("/invoices/new").await.field("form_key");
    let first = send(&mut owner, &key, &[]).await;
    let (mut one, mut other) = (owner.clone(), owner.clone());
    let (again, at_once) = tokio::join!(
        send(&mut one, &key, &[]),
        send(&mut other, &key, &[("message", "changed")])
    );
    for answer in [&again, &at_once] {
        assert_eq!(answer.status, 303);
        assert_eq!(answer.header("location"), first.header("location"));
    }
    assert_eq!(world.book.size().1, 4);

    let without = send(&mut owner, "", &[]).await;
    assert_eq!(without.status, 422);
    assert_eq!(world.book.size().1, 4);
}

/// K126
#[tokio::test]
async fn a_form_of_before_the_last_login_is_refused_with_a_way_back() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let old = owner.get("/invoices/new").await;
    let token = old.field("csrf_token");
    owner.forget();
    world
        .sign_in(&mut owner, "owner@acme.example", "acme")
        .await;
    let request = owner
        .request(reqwest::Method::POST, "/invoices")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("csrf_token={token}&customerName=x"));
    let answer = owner.send(request).await;
    assert_eq!(answer.status, 403);
    let link = "href=\"/\">Go to the start page";
    assert!(answer.body.contains(link), "{}", answer.body);
    assert_eq!(world.book.size().1, 0);
}

/// K122
#[tokio::test]
async fn a_viewer_sees_invoices_and_changes_none() {
    let world = World::start().await;
    let mut viewer = world.viewer().await;
    let list = viewer.get("/invoices").await;
    assert_eq!(list.status, 200);
    assert!(!list.body.contains("/invoices/new"), "{}", list.body);
    let id = world.book.all(&tenant(&world, "acme").await)[0]
        .id
        .to_string();
    let shown = viewer.get(&format!("/invoices/{id}")).await;
    assert_eq!(shown.status, 200);
    assert!(!shown.body.contains("/pay\""), "{}", shown.body);

    let before = format!("{:?}", world.book);
    let refused = viewer.get("/invoices/new").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("class=\"brand\""), "{}", refused.body);
    let mut answers = vec![send(&mut viewer, "0123456789abcdefghjkmnpqrs", &[]).await];
    for change in ["pay", "cancel"] {
        let path = format!("/invoices/{id}/{change}");
        answers.push(viewer.post(&path, &[]).await);
    }
    for answer in answers {
        assert_eq!(answer.status, 403);
        assert!(
            answer.body.contains("<h1>Not allowed</h1>"),
            "{}",
            answer.body
        );
    }
    assert_eq!(format!("{:?}", world.book), before);
}

/// The id of a tenant, by the session of somebody there.
pub(crate) async fn tenant(world: &World, name: &str) -> String {
    let email = format!("owner@{name}.example");
    let mut browser = world.signed_in(&email, name).await;
    let session = browser.get("/api/auth/session").await.json();
    session["tenantId"].as_str().unwrap().to_owned()
}

/// K121
#[tokio::test]
async fn an_invoice_of_another_tenant_is_not_there() {
    let world = World::start().await;
    let mut acme = world.owner().await;
    let mut globex = world.signed_in("owner@globex.example", "globex").await;
    let path = write(&mut acme, &[]).await.header("location").to_owned();
    let unknown = "/invoices/00000000000000000000000000";
    let foreign = globex.get(&path).await;
    let missing = globex.get(unknown).await;
    assert_eq!(
        (foreign.status.as_u16(), missing.status.as_u16()),
        (404, 404)
    );
    assert!(foreign.body.contains("<h1>No such invoice</h1>"));

    let acme_id = tenant(&world, "acme").await;
    for change in ["pay", "cancel"] {
        let answer = globex
            .post(
                &format!("{path}/{change}?tenant_id={acme_id}"),
                &[("tenantId", &acme_id)],
            )
            .await;
        assert_eq!(answer.status, 404);
    }
    let shown = acme.get(&path).await;
    assert!(shown.body.contains(">Sent<"));

    // A tenant that a form names is not the session's.
    let written = write(
        &mut globex,
        &[("tenantId", &acme_id), ("tenant_name", "acme")],
    )
    .await;
    let path = written.header("location").to_owned();
    assert_eq!(acme.get(&path).await.status, 404);
    assert_eq!(globex.get(&path).await.status, 200);
}

/// K124
#[tokio::test]
async fn markup_in_every_text_is_shown_as_text() {
    let world = World::start().await;
    let markup = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let person = dev_idp::DevPerson::new("mark@acme.example", "pw")
        .name(markup)
        .member("acme", ["owner"]);
    world.idp.set_person(person);
    let mut owner = world.signed_in("mark@acme.example", "acme").await;
    let email = "<i>@\"'><script>";
    let texts = [
        ("customerName", markup),
        ("customerEmail", email),
        ("message", markup),
    ];
    let path = write(&mut owner, &texts)
        .await
        .header("location")
        .to_owned();
    let refused = [
        ("customerName", markup),
        ("message", markup),
        ("totalDue", markup),
    ];
    let refused = write(&mut owner, &refused).await;
    assert_eq!(refused.status, 422);
    let mut pages = vec![refused];
    for path in ["/", "/invoices", &path, "/account", "/people", "/calls"] {
        pages.push(owner.get(path).await);
    }
    for page in pages {
        assert!(page.body.contains("&#60;script&#62;"), "{}", page.body);
        for raw in ["<script>alert", "<img src=x", "<i>@"] {
            assert!(!page.body.contains(raw), "{}", page.body);
        }
    }
}
