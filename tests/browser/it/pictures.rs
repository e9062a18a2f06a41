//! The pictures of the documents: `UPDATE_DOCS=1 cargo test pictures` in this folder takes them anew.

use std::path::Path;

use dev_idp::{DEFAULT_PASSWORD, DevPerson};
use serde_json::json;

use crate::browser::{Browser, Habits};
use crate::world::{OWNER, VIEWER, World};

/// What a picture in a repository may weigh.
const MAX_BYTES: usize = 60 * 1_024;

const DESK: u32 = 800;
const PHONE: u32 = 390;
/// A wide picture ends here; what is below tells nothing new.
const HEIGHT: i64 = 620;

/// Takes a picture of the page, this many CSS pixels wide.
async fn take(browser: &Browser, name: &str, width: u32) {
    let size = async |height: i64| {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == PHONE });
        browser
            .protocol("Emulation.setDeviceMetricsOverride", size)
            .await;
    };
    size(200).await;
    browser
        .until(&format!(
            "innerWidth === {width} && document.readyState === 'complete'"
        ))
        .await;
    // As far as there is something, and a little room.
    let height = browser
        .value("Math.ceil(Math.max(...[...document.querySelectorAll('main *, footer')].map((it) => it.getBoundingClientRect().bottom))) + 40")
        .await;
    let height = height.as_i64().unwrap();
    size(if width == DESK {
        height.min(HEIGHT)
    } else {
        height
    })
    .await;
    let picture = browser.picture().await;
    assert!(
        picture.len() <= MAX_BYTES,
        "{name}: {} bytes",
        picture.len()
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
}

#[tokio::test]
async fn pictures_for_the_documents() {
    if !std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        eprintln!("did not run: UPDATE_DOCS=1 takes them anew");
        return;
    }
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (Some(dark), Some(other)) = (
        Browser::with(Habits {
            is_dark: true,
            ..Habits::default()
        })
        .await,
        Browser::start().await,
    ) else {
        return;
    };
    let world = World::start().await;
    let vera = DevPerson::new("vera@acme.example", DEFAULT_PASSWORD).name("Vera Vance");
    world.idp.set_person(vera.member("acme", ["viewer"]));
    browser.go(&world.acme("/invoices")).await;
    browser.until("document.getElementById('password')").await;
    browser.fill("email", OWNER).await;
    take(&browser, "sign-in", DESK).await;
    browser.sign_in(OWNER).await;
    browser.until_at(&world.acme("/invoices")).await;
    browser.follow("1002").await;
    browser.press("Mark as paid").await;
    browser.until_text("Paid").await;
    browser.go(&world.acme("/invoices")).await;
    take(&browser, "invoices", DESK).await;
    take(&browser, "invoices-phone", PHONE).await;
    world.sign_in(&dark, OWNER, "/invoices").await;
    take(&dark, "invoices-dark", DESK).await;
    browser.follow("1001").await;
    browser.until_text("Invoice 1001").await;
    take(&browser, "invoice", DESK).await;
    browser.go(&world.acme("/invoices/new")).await;
    browser.fill("customerName", "Ninth Street Bakery").await;
    browser.fill("customerEmail", "till").await;
    browser.fill("totalDue", "1e3").await;
    browser.choose("dueDate", "2027-01-31").await;
    browser.fill("message", "Thank you for your order.").await;
    browser.press("Send the invoice").await;
    browser.until_text("Please check the form").await;
    take(&browser, "invoice-form", DESK).await;
    browser.go(&world.acme("/account")).await;
    take(&browser, "account", DESK).await;
    for email in [VIEWER, "vera@acme.example"] {
        world.sign_in(&other, email, "/account").await;
        // Without a logout, so that they stay signed in.
        other.protocol("Storage.clearCookies", json!({})).await;
    }
    browser.go(&world.acme("/people")).await;
    browser.until_text("Vera Vance").await;
    take(&browser, "people", DESK).await;
    browser.go(&world.acme("/calls")).await;
    browser.until_text("here I am").await;
    take(&browser, "calls", DESK).await;
    browser.go(&world.acme("/invoices/nothing")).await;
    browser.until("document.querySelector('h1')").await;
    take(&browser, "error", DESK).await;
    for browser in [browser, dark, other] {
        browser.end().await;
    }
    world.stop().await;
}
