//! How sessions end, and what tabs make of it.

use std::time::Duration;

use crate::browser::Browser;
use crate::world::{OWNER, Plan, VIEWER, World};

/// K116
#[tokio::test]
async fn logout_reaches_the_provider_through_the_csp() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    for (count, path) in [(1, "/invoices"), (2, "/api/auth/logout")] {
        browser.go(&world.acme("/account")).await;
        browser.sign_in(OWNER).await;
        browser.until_at(&world.acme("/account")).await;
        assert_eq!(world.idp.sessions(OWNER).len(), 1);
        browser.go(&world.acme(path)).await;
        browser.press("Sign out").await;
        browser.until_at(&world.acme("/")).await;
        browser.until_text("Sign in").await;
        assert_eq!(world.idp.requests().logout, count);
        assert_eq!(world.idp.sessions(OWNER), [""; 0]);
    }
    browser.end().await;
    world.stop().await;
}

/// K113
#[tokio::test]
async fn an_open_list_closes_on_logout_in_another_tab() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    let list = browser.tab().await;
    browser.new_tab().await;
    browser.go(&world.acme("/invoices/new")).await;
    browser.fill("customerName", "Ninth Street Bakery").await;
    browser.fill("customerEmail", "till@ninth.example").await;
    browser.fill("totalDue", "5").await;
    browser.choose("dueDate", "2027-01-31").await;
    browser.fill("message", "Thank you.").await;
    browser.press("Send the invoice").await;
    browser.until_text("Invoice 1004").await;
    let other = browser.tab().await;
    // It is open: what others do appears by itself.
    browser.switch(&list).await;
    browser.until_text("Ninth Street Bakery").await;
    browser.switch(&other).await;
    browser.press("Sign out").await;
    browser.until_at(&world.acme("/")).await;
    browser.switch(&list).await;
    browser.until_at(&world.acme("/")).await;
    browser.end().await;
    world.stop().await;
}

/// K57
#[tokio::test]
async fn an_open_list_is_no_activity() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::with(Plan {
        variables: &[("SESSION_IDLE_TIMEOUT", "4s")],
        ..Plan::default()
    })
    .await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    // The provider would sign the person in again without a question; nobody asks it.
    browser.until_at(&world.acme("/")).await;
    browser.until_text("Sign in").await;
    assert_eq!(world.idp.requests().authorize, 1);
    browser.end().await;
    world.stop().await;
}

/// K85, K95
#[tokio::test]
async fn a_disabled_person_is_out_with_the_next_refresh() {
    let (Some(browser), Some(other)) = (Browser::start().await, Browser::start().await) else {
        return;
    };
    let world = World::with(Plan {
        token_lifetime: Some(Duration::from_secs(2)),
        ..Plan::default()
    })
    .await;
    world.sign_in(&browser, OWNER, "/invoices/new").await;
    world.sign_in(&other, VIEWER, "/invoices").await;
    let roles = world.idp.set_roles(OWNER, "acme", ["viewer"]);
    roles.unwrap();
    browser.reload_until("Not allowed").await;
    browser.go(&world.acme("/account")).await;
    browser.until_text("viewer").await;
    world.idp.disable_person(OWNER, true).unwrap();
    browser.reload_until("Sign in to acme").await;
    browser.sign_in(OWNER).await;
    browser
        .until_text("The e-mail address or the password is wrong.")
        .await;
    // Others go on.
    other.reload().await;
    other.until_text("Victor Viewer").await;
    browser.end().await;
    other.end().await;
    world.stop().await;
}

/// K117
#[tokio::test]
async fn sessions_end_from_another_browser() {
    let (Some(browser), Some(other)) = (Browser::start().await, Browser::start().await) else {
        return;
    };
    let world = World::start().await;
    world.sign_in(&browser, OWNER, "/account").await;
    world.sign_in(&other, OWNER, "/account").await;
    other.press("Sign out everywhere else").await;
    other
        .until("!document.body.innerText.includes('Sign out everywhere else')")
        .await;
    browser.reload().await;
    // The provider knows the person still: a login without a question, and the other session stays.
    browser.until_at(&world.acme("/account")).await;
    browser.until_text("Sign out everywhere else").await;

    // Somebody who administers the tenant ends another's.
    browser.press("Sign out").await;
    browser.until_at(&world.acme("/")).await;
    world.sign_in(&browser, VIEWER, "/account").await;
    let viewer = browser.handle("acme.localhost").await.unwrap();
    other.go(&world.acme("/people")).await;
    other.until_text("Victor Viewer").await;
    other
        .run("document.querySelector('[aria-label=\"Sign out Victor Viewer\"]').click();")
        .await;
    other
        .until("!document.body.innerText.includes('Victor Viewer')")
        .await;
    let ended = world.answer("/account", &viewer).await;
    assert!(ended.starts_with("HTTP/1.1 302"), "{ended}");
    other.go(&world.acme("/account")).await;
    other.until_text("Olive Owner").await;
    browser.end().await;
    other.end().await;
    world.stop().await;
}
