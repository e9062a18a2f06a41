//! The page of the status addresses in a browser: what a person sees while a provider comes and goes.
//!
//! `M2M_CHROMEDRIVER` names the driver; without it each test says on standard error that it did not run.
//! `M2M_SCREENSHOTS` names a folder for pictures of the page.

mod session;
mod world;

use std::time::Duration;

use dev_idp::{DevIdp, Rotation, TokenSpec};
use fantoccini::key::Key;

use crate::session::{Look, Session};
use crate::world::Pair;

const STATE: &str = "document.getElementById('state').dataset.state";

/// The page of a public-data whose tokens live for 8 s, if there is a browser.
async fn public_page() -> Option<(Session, DevIdp, Pair)> {
    let session = Session::start(Look::Light).await?;
    let idp = DevIdp::builder()
        .token_lifetime(Duration::from_secs(8))
        .start()
        .await
        .unwrap();
    let pair = Pair::ready(&idp).await;
    session.open(pair.public_admin).await;
    Some((session, idp, pair))
}

#[tokio::test]
async fn the_bar_moves_and_starts_anew_with_the_next_token() {
    let Some((session, _idp, pair)) = public_page().await else {
        return;
    };
    let age = "parseFloat(document.getElementById('life-age').style.width)";
    let before = session
        .until(&format!("{STATE} === 'green' && {age}"))
        .await;
    let before = before.as_f64().unwrap();
    let later = session
        .until(&format!("{age} > {before} + 5 && {age}"))
        .await;
    // The refresh comes at half of so short a life.
    session.until(&format!("{age} < {later} - 5")).await;
    session
        .until("document.querySelectorAll('#line-rows tr').length >= 2")
        .await;
    let bar = "document.getElementById('life')";
    session
        .until(&format!("{bar}.getAttribute('aria-valuenow') > 0"))
        .await;
    session
        .until(&format!(
            "{bar}.getAttribute('aria-valuetext').includes('refresh')"
        ))
        .await;
    // The style is that of the page and not the browser's: the policy lets it through.
    session
        .until(&format!("getComputedStyle({bar}).position === 'relative'"))
        .await;
    pair.stop().await;
    session
        .until("document.getElementById('link').textContent.startsWith('no connection')")
        .await;
    session.end().await;
}

#[tokio::test]
async fn an_outage_turns_the_page_amber_then_red_and_its_end_green() {
    let Some((session, idp, pair)) = public_page().await else {
        return;
    };
    session.until(&format!("{STATE} === 'green'")).await;
    idp.pause().await;
    session.until(&format!("{STATE} === 'amber'")).await;
    session.picture("outage-amber").await;
    session.until(&format!("{STATE} === 'red'")).await;
    let advice = session
        .until("document.getElementById('advice').textContent")
        .await;
    assert!(advice.as_str().unwrap().contains("ISSUER"), "{advice}");
    session.picture("outage-red").await;
    idp.resume().await.unwrap();
    session.until(&format!("{STATE} === 'green'")).await;
    session
        .until("document.querySelector('#line i.failed') !== null")
        .await;
    session.end().await;
    pair.stop().await;
}

#[tokio::test]
async fn a_rotation_appears_and_validations_count() {
    let Some(session) = Session::start(Look::Dark).await else {
        return;
    };
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&idp).await;
    session.open(pair.protected_admin).await;
    let has =
        |kid: &str| format!("document.getElementById('key-rows').textContent.includes('{kid}')");
    let old = idp.current_kid();
    session.until(&has(&old)).await;
    idp.rotate(Rotation::Hard).await.unwrap();
    // The first token of the new key makes protected-data ask for it.
    let token = idp.mint(TokenSpec::new());
    assert!(pair.validator.validate(&token).await.is_ok());
    session.until(&has(&idp.current_kid())).await;
    session.until(&format!("!{}", has(&old))).await;
    session
        .until("document.querySelectorAll('#line i.changed').length === 2")
        .await;
    for _ in 0..4 {
        assert_eq!(pair.public_data().await, 200);
    }
    session
        .until("document.getElementById('outcomes').getAttribute('aria-label').startsWith('4 accepted')")
        .await;
    session
        .until("document.getElementById('hits').getAttribute('aria-valuenow') > 0")
        .await;
    session.picture("protected-dark").await;
    session.end().await;
    pair.stop().await;
}

#[tokio::test]
async fn the_button_works_from_the_keyboard_and_shows_each_hop() {
    let Some(session) = Session::start(Look::Light).await else {
        return;
    };
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&idp).await;
    session.open(pair.public_admin).await;
    session.until(&format!("{STATE} === 'green'")).await;
    // From the top of the page to the button, as somebody without a mouse gets there.
    let focused = "document.activeElement.id === 'try'";
    while !session.is(focused).await {
        session.press(Key::Tab.into()).await;
        assert!(
            session.is("document.activeElement !== document.body").await,
            "the button cannot be reached"
        );
    }
    session.press(Key::Enter.into()).await;
    let hops = session
        .until("document.querySelectorAll('.hops li').length >= 4 && document.getElementById('trial').innerText")
        .await;
    let hops = hops.as_str().unwrap();
    for station in [
        "token attached",
        "protected-data answered 200",
        "answered 200 after",
    ] {
        assert!(hops.contains(station), "{hops}");
    }
    session.picture("public-light").await;
    session.end().await;
    pair.stop().await;
}

#[tokio::test]
async fn nothing_is_wider_than_a_phone() {
    for (look, name) in [(Look::Light, "light"), (Look::Dark, "dark")] {
        let Some(session) = Session::start(look).await else {
            return;
        };
        let idp = DevIdp::builder().start().await.unwrap();
        let pair = Pair::ready(&idp).await;
        for (admin, service) in [
            (pair.public_admin, "public"),
            (pair.protected_admin, "protected"),
        ] {
            session.open(admin).await;
            session.until(&format!("{STATE} === 'green'")).await;
            session.be_as_wide_as_a_phone().await;
            session.until("innerWidth === 390").await;
            session
                .until("document.documentElement.scrollWidth <= innerWidth")
                .await;
            let is_dark = "matchMedia('(prefers-color-scheme: dark)').matches";
            assert_eq!(session.is(is_dark).await, name == "dark");
            session.picture(&format!("phone-{service}-{name}")).await;
        }
        session.end().await;
        pair.stop().await;
    }
}
