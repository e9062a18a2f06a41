//! What a person does from the first visit to the last.

use crate::browser::{Browser, Habits};
use crate::world::{OWNER, World};

/// K6
#[tokio::test]
async fn a_person_signs_up_and_lands_in_their_tenant() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    browser.go(&world.apex("/")).await;
    browser.follow("Sign up").await;
    browser.fill("company", "Nine & Sons").await;
    browser.fill("tenant_name", "nine").await;
    browser.fill("email", "ann@nine.example").await;
    browser.fill("password", dev_idp::DEFAULT_PASSWORD).await;
    browser.press("Sign up").await;
    browser.until_text("Sign in to Nine & Sons").await;
    let typed = browser.value("document.getElementById('email').value");
    assert_eq!(typed.await, "ann@nine.example");
    browser.sign_in("ann@nine.example").await;
    browser.until_at(&world.at("nine", "/")).await;
    browser.until_text("You are signed in at nine").await;
    browser.follow("See the invoices").await;
    browser.until_at(&world.at("nine", "/invoices")).await;

    // Who does not say which tenant is asked by the provider, which is told nothing else.
    browser.go(&world.apex("/")).await;
    browser.follow("Sign in").await;
    let asked = format!("{}/login?client_id=dev-web", world.idp.issuer());
    browser.until_at(&asked).await;
    let cookies = browser.cookies().await;
    let begun = cookies.keys().filter(|(_, name)| name.contains("login."));
    assert_eq!(begun.count(), 0, "{cookies:?}");
    browser.fill("tenant", "nine").await;
    browser.press("Continue").await;
    // Still signed in there.
    browser.until_at(&world.at("nine", "/")).await;
    browser.end().await;
    world.stop().await;
}

#[tokio::test]
async fn the_whole_flow_works_with_scripts_off() {
    let habits = Habits {
        has_no_scripts: true,
        ..Habits::default()
    };
    let Some(browser) = Browser::with(habits).await else {
        return;
    };
    let world = World::start().await;
    browser.go(&world.acme("/")).await;
    browser.follow("Sign in").await;
    browser.sign_in(OWNER).await;
    browser.follow("See the invoices").await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 3")
        .await;
    browser.follow("New invoice").await;
    browser.fill("customerName", "Ninth Street Bakery").await;
    browser.fill("totalDue", "1e3").await;
    browser.press("Send the invoice").await;
    browser.until_text("Please check the form").await;
    let typed = browser.value("document.getElementById('customerName').value");
    assert_eq!(typed.await, "Ninth Street Bakery");
    browser.fill("customerEmail", "till@ninth.example").await;
    browser.fill("totalDue", "1250.5").await;
    browser.choose("dueDate", "2027-01-31").await;
    browser.fill("message", "Thank you.").await;
    browser.press("Send the invoice").await;
    browser.until_text("Invoice 1004").await;
    browser.until_text("1,250.50").await;
    browser.press("Mark as paid").await;
    browser.until_text("Paid").await;
    browser.follow("All invoices").await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 4")
        .await;
    browser.follow("Calls").await;
    browser
        .until("document.body.innerText.match(/here I am/g)?.length === 2")
        .await;
    browser.follow("People").await;
    browser.until_text("Olive Owner").await;
    browser.follow("Account").await;
    browser.until_text("Where you are signed in").await;
    browser.press("Sign out").await;
    browser.until_at(&world.acme("/")).await;
    browser.until_text("Sign in").await;
    browser.end().await;
    world.stop().await;
}

/// K23
#[tokio::test]
async fn back_after_login_is_no_error() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    browser.go(&world.acme("/invoices")).await;
    browser.until("document.getElementById('password')").await;
    let request = browser.url().await;
    browser.sign_in(OWNER).await;
    browser.until_at(&world.acme("/invoices")).await;
    browser.back().await;
    browser.until_text("Sign in to acme").await;
    let exchanges = world.idp.requests().token;
    // The login that this page belongs to is over; whoever sends it once more is signed in already.
    browser.sign_in(OWNER).await;
    browser.until_at(&world.acme("/")).await;
    browser.until_text("Welcome, Olive Owner").await;
    // An address of a callback out of a bookmark.
    let callback = world.idp.sign_in(request.as_str(), OWNER);
    browser.go(&callback).await;
    browser.until_at(&world.acme("/")).await;
    browser.until_text("Welcome, Olive Owner").await;
    assert_eq!(world.idp.requests().token, exchanges);
    browser.end().await;
    world.stop().await;
}

/// K112
#[tokio::test]
async fn back_after_logout_shows_nothing() {
    for has_no_scripts in [false, true] {
        let habits = Habits {
            has_no_scripts,
            ..Habits::default()
        };
        let Some(browser) = Browser::with(habits).await else {
            return;
        };
        let world = World::start().await;
        world.sign_in(&browser, OWNER, "/invoices").await;
        let first = browser.tab().await;
        browser.new_tab().await;
        browser.go(&world.acme("/invoices")).await;
        browser.follow("Account").await;
        browser.until_text("Olive Owner").await;
        let acme = world.acme("/");
        let host = url::Url::parse(&acme)
            .unwrap()
            .host_str()
            .unwrap()
            .to_owned();
        let handle = browser.handle(&host).await.unwrap();
        let known = world.answer("/invoices", &handle).await;
        assert!(known.starts_with("HTTP/1.1 200"), "{known}");
        browser.press("Sign out").await;
        browser.until_at(&acme).await;
        for _ in 0..2 {
            browser.back().await;
            browser.until_text("Sign in to acme").await;
        }
        browser.switch(&first).await;
        if has_no_scripts {
            browser.reload().await;
            browser.until_text("Sign in to acme").await;
        } else {
            browser.until_at(&acme).await;
        }
        let copied = world.answer("/invoices", &handle).await;
        assert!(copied.starts_with("HTTP/1.1 302"), "{copied}");
        browser.end().await;
        world.stop().await;
    }
}
