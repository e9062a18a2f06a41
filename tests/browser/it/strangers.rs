//! Pages of other sites, other ports and other tenants.

use crate::browser::{Browser, Habits};
use crate::elsewhere::Elsewhere;
use crate::front::Front;
use crate::world::{OWNER, Plan, VIEWER, World};

const HOST: &str = "acme.localhost";

/// The fields of an invoice, but for the token.
const FIELDS: &str = "<input name=customerName value=Mallory><input name=customerEmail value=m@evil.example>\
<input name=totalDue value=1.00><input name=dueDate value=2027-01-31><input name=terms value=NET_7>\
<input name=message value=x><input name=form_key value=AAAAAAAAAAAAAAAAAAAAAAAAAA>";

/// A form that sends itself, with the token of this expression.
fn form(action: &str, token: &str) -> String {
    format!(
        "<form method=post action='{action}'>{FIELDS}<input name=csrf_token></form>\
         <script>const form = document.forms[0]; form.csrf_token.value = {token}; form.submit();</script>"
    )
}

/// The token for scripts, which a page on another port of the host can read as well.
const READ_TOKEN: &str = "document.cookie.match(/__Host-CSRF-TOKEN=([^;]*)/)?.[1] ?? 'none'";

async fn three_invoices(browser: &Browser, world: &World) {
    browser.go(&world.acme("/invoices")).await;
    browser
        .until("document.querySelectorAll('tbody tr').length")
        .await;
    let rows = browser.value("document.querySelectorAll('tbody tr').length");
    assert_eq!(rows.await, 3);
}

/// K9, K109
#[tokio::test]
async fn prefetch_and_images_end_no_session() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let front = Front::http().await;
    let world = World::behind(&front).await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    let before = browser.cookies().await;
    let elsewhere = Elsewhere::start().await;
    let mut page = String::new();
    for path in ["login", "callback?state=x", "logout"] {
        let url = world.acme(&format!("/api/auth/{path}"));
        page += &format!(
            "<img src='{url}' onerror='came()'><iframe src='{url}' onload='came()'></iframe>\
             <link rel=prefetch href='{url}' onload='came()' onerror='came()'>"
        );
    }
    let ahead = world.acme("/api/auth/logout?ahead");
    let page = format!(
        "<script>let count = 0; const came = () => {{ count += 1; document.title = `came ${{count}}`; }};</script>{page}\
         <script type=speculationrules>{{\"prefetch\": [{{\"urls\": [\"{ahead}\"], \"eagerness\": \"immediate\"}}]}}</script>"
    );
    elsewhere.show("/", &page);
    // The same site, so the session comes along.
    browser.go(&elsewhere.at(HOST, "/")).await;
    browser.until("document.title === 'came 9'").await;
    for path in ["login", "callback?state=x", "logout"] {
        let line = format!("get /api/auth/{path} ");
        for dest in ["image", "iframe"] {
            let dest = format!("sec-fetch-dest: {dest}");
            front.until_asked(&[&line, &dest, "__host-session="]).await;
        }
        let early = "sec-purpose: prefetch";
        front.until_asked(&[&line, early, "__host-session="]).await;
    }
    front
        .until_asked(&["get /api/auth/logout?ahead ", "sec-purpose: prefetch"])
        .await;
    assert_eq!(browser.cookies().await, before);
    three_invoices(&browser, &world).await;
    // A link there is a page with a button, and nothing more.
    browser.go(&world.acme("/api/auth/logout")).await;
    browser.until_text("Sign out?").await;
    assert_eq!(browser.cookies().await, before);
    three_invoices(&browser, &world).await;
    browser.end().await;
    world.stop().await;
}

/// K99, K101
#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let front = Front::http().await;
    let world = World::behind(&front).await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    let elsewhere = Elsewhere::start().await;
    let action = world.acme("/invoices");
    elsewhere.show("/form", &form(&action, READ_TOKEN));
    let sandboxed = form(&action, "'x'").replace("<form ", "<form target=_top ");
    let sandboxed = sandboxed.replace('\'', "&#39;").replace('"', "&quot;");
    let frame = format!(
        "<iframe sandbox='allow-forms allow-scripts allow-top-navigation' srcdoc=\"{sandboxed}\"></iframe>"
    );
    elsewhere.show("/sandbox", &frame);

    // Another site: the session does not come along.
    browser.go(&elsewhere.at("127.0.0.1", "/form")).await;
    browser.until_text("Please sign in").await;
    // Another port of the same host: both come along, the token as well.
    browser.go(&elsewhere.at(HOST, "/form")).await;
    browser.until_text("This form is out of date").await;
    front
        .until_asked(&[
            "post /invoices ",
            "sec-fetch-site: same-site",
            "__host-session=",
        ])
        .await;
    // No origin at all.
    browser.go(&elsewhere.at(HOST, "/sandbox")).await;
    browser.until_at(&action).await;
    browser.until_text("Please sign in").await;
    front
        .until_asked(&[
            "post /invoices ",
            "origin: null",
            "sec-fetch-site: cross-site",
        ])
        .await;
    three_invoices(&browser, &world).await;

    // Our own page that tells nobody where it is.
    browser.go(&world.acme("/invoices/new")).await;
    browser
        .run("document.head.insertAdjacentHTML('beforeend', '<meta name=referrer content=no-referrer>');")
        .await;
    browser.fill("customerName", "Ninth Street Bakery").await;
    browser.fill("customerEmail", "till@ninth.example").await;
    browser.fill("totalDue", "5").await;
    browser.choose("dueDate", "2027-01-31").await;
    browser.fill("message", "Thank you.").await;
    browser.press("Send the invoice").await;
    browser.until_text("Invoice 1004").await;
    front
        .until_asked(&[
            "post /invoices ",
            "origin: null",
            "sec-fetch-site: same-origin",
        ])
        .await;
    browser.end().await;
    world.stop().await;
}

/// K61, K99
#[tokio::test]
async fn a_sibling_tenant_cannot_post() {
    let habits = Habits {
        knows_app_example: true,
        ..Habits::default()
    };
    let Some(browser) = Browser::with(habits).await else {
        return;
    };
    let front = Front::tls().await;
    let public = format!("https://{{tenant_name}}.app.example:{}", front.port);
    let world = World::with(Plan {
        front: Some((&front, public)),
        ..Plan::default()
    })
    .await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    let evil = Elsewhere::start().await;
    front.lead_evil_to(evil.address);
    // As if a token had leaked.
    let token = browser.value(READ_TOKEN).await;
    let page = form(&world.acme("/invoices"), &token.to_string());
    evil.show("/form", &page);
    browser.go(&world.at("evil", "/form")).await;
    browser.until_text("This form is out of date").await;
    // One site, so the session came along.
    let came = [
        "post /invoices ",
        "sec-fetch-site: same-site",
        "__host-session=",
    ];
    front.until_asked(&came).await;
    three_invoices(&browser, &world).await;

    // On another tenant's host the session is nobody's.
    let handle = browser.handle("acme.app.example").await.unwrap();
    let globex = world.at("globex", "/");
    browser.plant(&globex, "__Host-session", &handle).await;
    assert_eq!(browser.handle("globex.app.example").await, Some(handle));
    browser.go(&world.at("globex", "/invoices")).await;
    browser.until_text("Sign in to globex").await;
    three_invoices(&browser, &world).await;
    browser.end().await;
    world.stop().await;
}

/// K107
#[tokio::test]
async fn no_page_stands_in_a_frame_and_no_preflight_is_granted() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let front = Front::http().await;
    let world = World::behind(&front).await;
    world.sign_in(&browser, OWNER, "/invoices").await;
    browser.console().await;
    let elsewhere = Elsewhere::start().await;
    let pages = ["/invoices", "/", "/api/auth/logout", "/nothing"];
    let frames = pages.map(|path| format!("<iframe src='{}'></iframe>", world.acme(path)));
    elsewhere.show("/", &frames.concat());
    browser.go(&elsewhere.at(HOST, "/")).await;
    let refused = browser.console().await;
    for path in pages {
        let url = world.acme("/");
        let is_it = |entry: &&String| entry.contains("frame-ancestors") && entry.contains(&url);
        assert!(refused.iter().any(|it| is_it(&it)), "{path}: {refused:?}");
    }
    browser.enter_frame(0).await;
    let text = browser.text().await;
    assert!(!text.contains("1001"), "{text}");

    browser.go(&elsewhere.at(HOST, "/")).await;
    let api = world.acme("/api/v1/invoices");
    browser
        .run(&format!(
            "fetch('{api}', {{ credentials: 'include', headers: {{ 'x-csrf-token': 'x' }} }})\
             .then(() => document.title = 'granted', () => document.title = 'refused');"
        ))
        .await;
    browser.until("document.title === 'refused'").await;
    front.until_asked(&["options /api/v1/invoices "]).await;
    browser.end().await;
    world.stop().await;
}

/// K122
#[tokio::test]
async fn a_viewer_with_a_forged_button_changes_nothing() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::start().await;
    world.sign_in(&browser, VIEWER, "/invoices").await;
    assert_eq!(
        browser
            .value("document.querySelectorAll('main form, main .button').length")
            .await,
        0
    );
    let forged = format!(
        "const form = Object.assign(document.createElement('form'), {{ method: 'post', action: '/invoices' }});\
         form.innerHTML = '{FIELDS}';\
         form.append(document.querySelector('[name=csrf_token]').cloneNode());\
         document.body.append(form); setTimeout(() => form.submit());"
    );
    browser.run(&forged).await;
    browser.until_text("Not allowed").await;
    browser.go(&world.acme("/invoices/new")).await;
    browser.until_text("Not allowed").await;
    browser.go(&world.acme("/people")).await;
    browser.until_text("Not allowed").await;
    three_invoices(&browser, &world).await;
    browser.end().await;
    world.stop().await;
}
