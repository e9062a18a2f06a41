//! Forms that are old, or sent more than once.

use crate::browser::Browser;
use crate::world::{OWNER, World};

async fn fill_in(browser: &Browser) {
    browser.fill("customerName", "Ninth Street Bakery").await;
    browser.fill("customerEmail", "till@ninth.example").await;
    browser.fill("totalDue", "5").await;
    browser.choose("dueDate", "2027-01-31").await;
    browser.fill("message", "Thank you.").await;
}

async fn rows(browser: &Browser, world: &World, expected: usize) {
    browser.go(&world.acme("/invoices")).await;
    let rows = "document.querySelectorAll('tbody tr').length";
    browser.until(rows).await;
    assert_eq!(browser.value(rows).await, expected);
}

/// K102, K126
#[tokio::test]
async fn an_old_form_says_so() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    world.sign_in(&browser, OWNER, "/invoices/new").await;
    let first = browser.tab().await;
    fill_in(&browser).await;
    let second = browser.new_tab().await;
    browser.go(&world.acme("/account")).await;
    browser.press("Sign out").await;
    browser.until_at(&world.acme("/")).await;
    world.sign_in(&browser, OWNER, "/account").await;
    browser.switch(&first).await;
    browser.press("Send the invoice").await;
    browser.until_text("This form is out of date").await;
    browser.follow("Go to the start page").await;
    browser.until_text("Welcome, Olive Owner").await;
    rows(&browser, &world, 3).await;

    browser.switch(&second).await;
    browser.go(&world.acme("/invoices/new")).await;
    fill_in(&browser).await;
    browser.press("Send the invoice").await;
    browser.until_text("Invoice 1004").await;
    let sent = browser.url().await;
    // Reloaded, and sent once more from the page before.
    browser.reload().await;
    browser.until_text("Invoice 1004").await;
    browser.back().await;
    browser
        .until("document.getElementById('customerName')")
        .await;
    let key = "document.querySelector('[name=form_key]').value";
    let is_kept = browser.value(&format!("{key} !== ''")).await;
    assert_eq!(is_kept, true);
    rows(&browser, &world, 4).await;
    browser.go(&world.acme("/invoices/new")).await;
    fill_in(&browser).await;
    browser
        .run(
            "const form = document.querySelector('main form'); const body = new URLSearchParams(new FormData(form));\
             const send = () => fetch('/invoices', { method: 'POST', body, redirect: 'manual' });\
             Promise.all([send(), send()]).then(() => form.submit());",
        )
        .await;
    browser.until_text("Invoice 1005").await;
    assert_ne!(browser.url().await, sent);
    rows(&browser, &world, 5).await;
    browser.end().await;
    world.stop().await;
}
