//! Logins that overlap, are not kept, or come from elsewhere.

use crate::browser::{Browser, Habits};
use crate::elsewhere::Elsewhere;
use crate::front::{Front, HELD};
use crate::world::{OWNER, Plan, VIEWER, World};

const HOST: &str = "acme.localhost";

/// K12
#[tokio::test]
async fn four_tabs_log_in_at_once() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    let mut tabs = Vec::new();
    for path in ["/invoices", "/account", "/people?a=b", "/calls"] {
        tabs.push((browser.new_tab().await, path));
        browser.go(&world.acme(path)).await;
        browser.until("document.getElementById('password')").await;
        browser.fill("email", OWNER).await;
        browser.fill("password", dev_idp::DEFAULT_PASSWORD).await;
    }
    for at in [2, 0, 3, 1] {
        browser.switch(&tabs[at].0).await;
        // Without waiting for what comes of it.
        browser
            .run("setTimeout(() => document.forms[0].requestSubmit());")
            .await;
    }
    for (tab, path) in &tabs {
        browser.switch(tab).await;
        browser.until_at(&world.acme(path)).await;
        browser.until_text("Olive Owner").await;
    }
    browser.end().await;
    world.stop().await;
}

/// K11, K13
#[tokio::test]
async fn thirty_begun_logins_leave_four_cookies() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    let mut first = None;
    let mut begun: Vec<String> = Vec::new();
    for n in 0..30 {
        browser.go(&world.acme(&format!("/account?n={n}"))).await;
        browser.until("document.getElementById('password')").await;
        let url = browser.url().await;
        first.get_or_insert(url);
        let mut kept = browser.cookies().await;
        kept.retain(|(_, name), _| name.starts_with("__Host-login."));
        let bytes: usize = kept
            .iter()
            .map(|((_, name), value)| name.len() + value.len())
            .sum();
        assert!(kept.len() <= 4 && bytes <= 4_000, "{n}: {bytes}");
        let kept: Vec<String> = kept.into_values().collect();
        let new: Vec<&String> = kept.iter().filter(|it| !begun.contains(it)).collect();
        assert_eq!(new.len(), 1, "{n}");
        begun.push(new[0].clone());
        // Those that were begun last, and no others.
        let newest = &begun[begun.len() - kept.len()..];
        assert!(newest.iter().all(|it| kept.contains(it)), "{n}");
        assert!(kept.len() == begun.len().min(4), "{n}: {}", kept.len());
    }
    let asked = world.idp.requests().authorize;
    browser.go(first.unwrap().as_str()).await;
    browser.sign_in(OWNER).await;
    // Its cookie is gone: one more way to the provider, which knows the person by now.
    browser.until_at(&world.acme("/")).await;
    browser.until_text("Welcome, Olive Owner").await;
    assert_eq!(world.idp.requests().authorize, asked + 1);
    browser.end().await;
    world.stop().await;
}

/// K21, K22
#[tokio::test]
async fn cookies_blocked_ends_in_a_page() {
    let habits = Habits {
        blocks_cookies: true,
        ..Habits::default()
    };
    let Some(browser) = Browser::with(habits).await else {
        return;
    };
    let world = World::start().await;
    browser.go(&world.acme("/invoices")).await;
    browser.sign_in(OWNER).await;
    // The provider keeps no cookie either, and asks again.
    browser
        .until("document.getElementById('email').value === ''")
        .await;
    browser.sign_in(OWNER).await;
    browser.until_text("Cookies seem to be blocked").await;
    assert_eq!(world.idp.requests().authorize, 2);
    browser.follow("Sign in").await;
    browser.until_text("Sign in to acme").await;
    browser.end().await;
    world.stop().await;
}

/// K40
#[tokio::test]
async fn a_session_cookie_that_is_not_kept_ends_in_a_page() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let front = Front::http().await;
    let world = World::behind(&front).await;
    front.lose_session();
    browser.go(&world.acme("/invoices")).await;
    browser.sign_in(OWNER).await;
    // The provider knows the person now: what follows happens by itself.
    browser.until_text("Cookies seem to be blocked").await;
    assert_eq!(world.idp.requests().authorize, 3);
    assert_eq!(browser.handle(HOST).await, None);
    browser.end().await;
    world.stop().await;
}

/// K59
#[tokio::test]
async fn a_late_answer_does_not_undo_a_login() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let front = Front::http().await;
    let world = World::behind(&front).await;
    world.sign_in(&browser, OWNER, "/account").await;
    let first = browser.tab().await;
    let ask = |n: u8| {
        format!(
            "fetch('/account?{HELD}&n={n}', {{ keepalive: true }}).finally(() => document.title = 'came {n}');"
        )
    };
    browser.run(&ask(1)).await;
    front.until_asked(&[HELD, "n=1"]).await;
    browser.new_tab().await;
    browser.go(&world.acme("/account")).await;
    browser.press("Sign out").await;
    browser.until_at(&world.acme("/")).await;
    world.sign_in(&browser, VIEWER, "/account").await;
    let second = browser.tab().await;
    let before = browser.cookies().await;
    assert!(browser.handle(HOST).await.is_some());
    front.let_go();
    browser.switch(&first).await;
    browser.until("document.title === 'came 1'").await;
    assert_eq!(browser.cookies().await, before);
    browser.reload().await;
    browser.until_text("Victor Viewer").await;

    // And the other way: an answer of before the logout brings nobody back.
    front.hold();
    browser.run(&ask(2)).await;
    front.until_asked(&[HELD, "n=2"]).await;
    browser.switch(&second).await;
    browser.press("Sign out").await;
    browser.until_at(&world.acme("/")).await;
    front.let_go();
    browser.switch(&first).await;
    browser.until("document.title === 'came 2'").await;
    assert_eq!(browser.handle(HOST).await, None);
    browser.end().await;
    world.stop().await;
}

/// K41
#[tokio::test]
async fn strict_cookies_log_in_on_the_first_try() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::with(Plan {
        variables: &[("SESSION_SAME_SITE", "strict")],
        ..Plan::default()
    })
    .await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    assert_eq!(world.idp.requests().authorize, 1);
    let mail = Elsewhere::start().await;
    let link = format!(
        "<a href=\"{}\">The invoices</a>",
        world.acme("/invoices?x=1&y=2")
    );
    mail.show("/mail", &link);
    browser.go(&mail.at("127.0.0.1", "/mail")).await;
    browser.follow("The invoices").await;
    browser.until_at(&world.acme("/invoices?x=1&y=2")).await;
    browser.until_text("Olive Owner").await;
    assert_eq!(world.idp.requests().authorize, 1);
    browser.end().await;
    world.stop().await;
}

/// K16
#[tokio::test]
async fn whoever_is_signed_in_goes_straight_on() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    let before = browser.cookies().await;
    browser
        .go(&world.acme("/api/auth/login?return_url=/account"))
        .await;
    browser.until_at(&world.acme("/account")).await;
    assert_eq!(world.idp.requests().authorize, 1);
    assert_eq!(browser.cookies().await, before);
    browser.end().await;
    world.stop().await;
}

/// K26
#[tokio::test]
async fn the_callback_of_somebody_else_signs_nobody_in() {
    let (Some(attacker), Some(victim)) = (Browser::start().await, Browser::start().await) else {
        return;
    };
    let world = World::start().await;
    attacker.go(&world.acme("/invoices")).await;
    attacker.until("document.getElementById('password')").await;
    let request = attacker.url().await;
    let callback = world.idp.sign_in(request.as_str(), VIEWER);
    victim.go(&callback).await;
    // It belongs to no login of this browser's, so one begins.
    victim.until_text("Sign in to acme").await;
    assert_eq!(victim.handle(HOST).await, None);
    victim.sign_in(OWNER).await;
    victim.until_at(&world.acme("/")).await;
    victim.until_text("Welcome, Olive Owner").await;
    // Nor does it change who is signed in.
    victim.go(&callback).await;
    victim.until_text("Welcome, Olive Owner").await;
    attacker.end().await;
    victim.end().await;
    world.stop().await;
}

/// K52
#[tokio::test]
async fn a_planted_session_cookie_is_not_the_one_that_is_signed_in() {
    let (Some(attacker), Some(victim)) = (Browser::start().await, Browser::start().await) else {
        return;
    };
    let world = World::start().await;
    world.sign_in(&attacker, VIEWER, "/account").await;
    attacker.press("Sign out").await;
    attacker.until_at(&world.acme("/")).await;
    let made_up = "A".repeat(43);
    let acme = world.acme("/");
    victim.plant(&acme, "__Host-session", &made_up).await;
    world.sign_in(&victim, OWNER, "/account").await;
    let handle = victim.handle(HOST).await.unwrap();
    assert_ne!(handle, made_up);
    let planted = world.answer("/account", &made_up).await;
    assert!(planted.starts_with("HTTP/1.1 302"), "{planted}");
    attacker.end().await;
    victim.end().await;
    world.stop().await;
}

/// K69, K70
#[tokio::test]
async fn a_former_session_serves_its_person_for_a_while_and_nobody_after_another() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    // Two logins that were begun before either ended.
    let begin = async || {
        browser.go(&world.acme("/account")).await;
        browser.until("document.getElementById('password')").await;
        browser.url().await
    };
    let (first, second, third) = (begin().await, begin().await, begin().await);
    browser.go(first.as_str()).await;
    browser.sign_in(OWNER).await;
    browser.until_at(&world.acme("/account")).await;
    let former = browser.handle(HOST).await.unwrap();
    let callback = world.idp.sign_in(second.as_str(), OWNER);
    browser.go(&callback).await;
    browser.until_at(&world.acme("/account")).await;
    let next = browser.handle(HOST).await.unwrap();
    assert_ne!(former, next);
    for handle in [&former, &next] {
        let answer = world.answer("/account", handle).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let callback = world.idp.sign_in(third.as_str(), VIEWER);
    browser.go(&callback).await;
    browser.until_at(&world.acme("/account")).await;
    browser.until_text("Victor Viewer").await;
    let answer = world.answer("/account", &next).await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    browser.end().await;
    world.stop().await;
}
