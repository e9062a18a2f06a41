//! What all pages have: nothing for the policy to report, names for everything, text that can be read.

use dev_idp::{DEFAULT_PASSWORD, DevPerson};
use serde_json::{Value, json};

use crate::browser::{Browser, Habits};
use crate::world::{OWNER, World};

const MARKUP: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;'\"";

/// K124
#[tokio::test]
async fn nothing_is_reported_to_csp() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    let person = DevPerson::new("eve@acme.example", DEFAULT_PASSWORD).name(MARKUP);
    world
        .idp
        .set_person(person.member("acme", ["owner", MARKUP]));
    browser.go(&world.apex("/")).await;
    browser.follow("Sign up").await;
    browser.fill("company", MARKUP).await;
    browser.fill("tenant_name", "nine").await;
    browser.fill("email", "ann@nine.example").await;
    browser.fill("password", DEFAULT_PASSWORD).await;
    browser.press("Sign up").await;
    browser.until_text(MARKUP).await;
    browser.sign_in("no&body'{}@nine.example").await;
    browser.until_text("password is wrong").await;
    world
        .sign_in(&browser, "eve@acme.example", "/invoices/new")
        .await;
    browser.until_text(MARKUP).await;
    browser.fill("customerName", MARKUP).await;
    browser.fill("customerEmail", "<b>\"'@<i>").await;
    browser.fill("totalDue", MARKUP).await;
    browser.choose("dueDate", "2027-01-31").await;
    browser.fill("message", MARKUP).await;
    browser.press("Send the invoice").await;
    browser.until_text("Please check the form").await;
    let typed = browser.value("document.getElementById('message').value");
    assert_eq!(typed.await, MARKUP);
    browser.fill("totalDue", "5").await;
    browser.press("Send the invoice").await;
    browser.until_text("Invoice 1004").await;
    browser.until_text(MARKUP).await;
    let invoice = browser.url().await;
    let shown = world.acme("/invoices");
    for page in [invoice.as_str(), &shown] {
        browser.go(page).await;
        browser.until_text(MARKUP).await;
    }
    for path in ["/", "/account", "/people", "/calls", "/api/auth/logout"] {
        browser.go(&world.acme(path)).await;
        browser.until(LOADED).await;
        let made = "document.querySelectorAll('main img, main script').length";
        assert_eq!(browser.value(made).await, 0, "{path}");
    }
    browser.go(&world.acme("/api/auth/logout")).await;
    browser.press("Sign out").await;
    browser.until_at(&world.acme("/")).await;
    let entries = browser.console().await;
    let is_report = |entry: &&String| entry.contains("Content Security Policy");
    let reports: Vec<_> = entries.iter().filter(is_report).collect();
    assert_eq!(reports, [""; 0]);
    browser.end().await;
    world.stop().await;
}

const LOADED: &str = "document.readyState === 'complete' && document.querySelector('h1')";

/// Every page of the application and of the provider, one after the other, with its name.
async fn visit(browser: &Browser, world: &World, mut look: impl AsyncFnMut(&Browser, &str)) {
    let idp = world.idp.issuer();
    for (name, url) in [
        ("start", world.apex("/")),
        ("find tenant", format!("{idp}/login?client_id=dev-web")),
        (
            "forgot tenant",
            format!("{idp}/forgot-tenant?client_id=dev-web"),
        ),
        ("sign up", format!("{idp}/signup?client_id=dev-web")),
        ("broken link", format!("{idp}/signup")),
        ("signing in failed", world.acme("/api/auth/login?check=1")),
        ("sign in", world.acme("/invoices")),
    ] {
        browser.go(&url).await;
        browser.until(LOADED).await;
        look(browser, name).await;
    }
    browser.fill("email", OWNER).await;
    browser.fill("password", "wrong").await;
    browser.press("Sign in").await;
    browser
        .until("document.querySelector('[role=alert]')")
        .await;
    look(browser, "wrong password").await;
    browser.sign_in(OWNER).await;
    browser.until_at(&world.acme("/invoices")).await;
    look(browser, "invoices").await;
    for path in [
        "/",
        "/invoices/new",
        "/account",
        "/people",
        "/calls",
        "/nothing",
        "/api/auth/logout",
    ] {
        browser.go(&world.acme(path)).await;
        browser.until(LOADED).await;
        look(browser, path).await;
    }
    browser.go(&world.acme("/invoices")).await;
    browser.follow("1001").await;
    browser.until_text("Invoice 1001").await;
    look(browser, "invoice").await;
    browser.go(&world.acme("/invoices/new")).await;
    browser.press("Send the invoice").await;
    browser.until_text("Please check the form").await;
    look(browser, "invoice with errors").await;
}

/// Roles of what a person can do something with.
const CONTROLS: [&str; 9] = [
    "button",
    "link",
    "textbox",
    "combobox",
    "option",
    "Date",
    "DateTime",
    "InputTime",
    "spinbutton",
];

#[tokio::test]
async fn every_page_has_labels_and_a_heading() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    visit(&browser, &world, async |browser, page| {
        let tree = browser.protocol("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().unwrap();
        let nodes = nodes.iter().filter(|node| node["ignored"] == false);
        let nodes: Vec<(&str, &Value)> = nodes
            .map(|node| (node["role"]["value"].as_str().unwrap_or_default(), node))
            .collect();
        let name = |node: &Value| node["name"]["value"].as_str().unwrap_or_default().to_owned();
        let count = |wanted: &str| nodes.iter().filter(|(role, _)| *role == wanted).count();
        for (role, node) in &nodes {
            let is_control = CONTROLS.contains(role) || *role == "heading";
            assert!(!is_control || !name(node).trim().is_empty(), "{page}: {node}");
        }
        assert!(count("heading") > 0 && count("main") == 1, "{page}: {nodes:?}");
        let levels = browser
            .value("[...document.querySelectorAll('h1,h2,h3,h4')].map((it) => Number(it.tagName[1]))")
            .await;
        let levels: Vec<u64> = levels.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{page}");
        let jumps = levels.windows(2).any(|pair| pair[1] > pair[0] + 1);
        assert!(levels[0] == 1 && !jumps, "{page}: {levels:?}");
        let is_told = "document.documentElement.lang === 'en' && document.title.length > 3 \
             && [...document.images].every((it) => it.hasAttribute('alt')) \
             && [...document.querySelectorAll('[aria-describedby]')].every((it) => document.getElementById(it.getAttribute('aria-describedby')))";
        assert_eq!(browser.value(is_told).await, true, "{page}");
    })
    .await;
    browser.end().await;
    world.stop().await;
}

/// Pairs of text and background that WCAG 2.2 AA does not take, in the page.
const UNREADABLE: &str = r"(() => {
    const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const parse = (text) => {
        paint.clearRect(0, 0, 1, 1); paint.fillStyle = text; paint.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((it) => it / 255).map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3])).concat(1);
    const behind = (element) => {
        const layers = [];
        for (let it = element; it; it = it.parentElement) layers.push(parse(getComputedStyle(it).backgroundColor));
        const dark = matchMedia('(prefers-color-scheme: dark)').matches;
        return layers.reduceRight((below, top) => over(top, below), dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
    };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        const text = walk.currentNode.data.trim();
        if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest('script, style, option, .skip')) continue;
        const style = getComputedStyle(element);
        const below = behind(element);
        const [a, b] = [light(over(parse(style.color), below)), light(below)].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize);
        const is_large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < (is_large ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return found;
})()";

#[tokio::test]
async fn every_text_can_be_read_in_light_and_dark_and_on_a_phone() {
    for is_dark in [false, true] {
        let habits = Habits {
            is_dark,
            ..Habits::default()
        };
        let Some(browser) = Browser::with(habits).await else {
            return;
        };
        let world = World::start().await;
        let long = DevPerson::new(OWNER, DEFAULT_PASSWORD)
            .name("Maximiliane-Friederike Donaudampfschifffahrtsgesellschaft");
        world.idp.set_person(long.member("acme", ["owner"]));
        browser
            .protocol(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true }),
            )
            .await;
        visit(&browser, &world, async |browser, page| {
            let scheme = "matchMedia('(prefers-color-scheme: dark)').matches";
            assert_eq!(browser.value(scheme).await, is_dark, "{page}");
            let unreadable = browser.value(UNREADABLE).await;
            assert_eq!(unreadable, json!([]), "{page}, dark: {is_dark}");
            let wide = "document.documentElement.scrollWidth > 360 ? [...document.querySelectorAll('*')].filter((it) => it.getBoundingClientRect().right > 360.5).map((it) => it.outerHTML.slice(0, 80)) : []";
            assert_eq!(browser.value(wide).await, json!([]), "{page}");
        })
        .await;
        browser.end().await;
        world.stop().await;
    }
}
