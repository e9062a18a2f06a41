use dev_idp::{DEFAULT_PASSWORD, DevIdp, DevPerson};
use reqwest::header::{CONTENT_SECURITY_POLICY, RETRY_AFTER, SET_COOKIE};

use super::person::{Asked, CALLBACK, OWNER, get, parameter, provider, sign_in, submit};
use super::{FORM, Reply, http};

const WRONG: &str = "The e-mail address or the password is wrong.";

/// K129
#[tokio::test]
async fn whatever_is_wrong_the_page_says_the_same() {
    let idp = provider().await;
    let page = Asked::new().page(&idp, "acme");
    let mut pages = Vec::new();
    for (case, email, password) in [
        ("wrong password", OWNER, "hunter2"),
        ("no password", OWNER, ""),
        ("unknown person", "nobody@acme.example", DEFAULT_PASSWORD),
        (
            "person of another tenant",
            "owner@globex.example",
            DEFAULT_PASSWORD,
        ),
        ("nobody", "", ""),
    ] {
        let reply = Reply::of(submit(&page, &[("email", email), ("password", password)])).await;
        reply.assert_page(400, WRONG);
        assert!(!reply.headers.contains_key(SET_COOKIE), "{case}");
        assert!(!reply.text.contains("hunter2"), "{case}");
        let typed = format!("value=\"{email}\"");
        assert!(reply.text.contains(&typed), "{case}: {}", reply.text);
        let page = reply.text.replace(&typed, "value=\"\"");
        pages.push(page.replace(" autofocus", ""));
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:?}");
    for email in ["both@example.com", " Owner@ACME.example "] {
        let location = sign_in(&page, email).await.location();
        assert!(parameter(&location, "code").is_some(), "{email}");
    }
}

/// K129
#[tokio::test]
async fn passwords_cannot_be_guessed_fast() {
    let idp = provider().await;
    let page = Asked::new().page(&idp, "acme");
    for email in [OWNER, "nobody@acme.example"] {
        let mut statuses = Vec::new();
        for guess in 0..12 {
            let fields = [("email", email), ("password", &*guess.to_string())];
            statuses.push(Reply::of(submit(&page, &fields)).await.status);
        }
        assert_eq!(statuses[..10], [400; 10], "{email}");
        assert_eq!(statuses[11], 429, "{email}");
    }
    // Not even with the right one, or the limit would say that it is.
    let reply = sign_in(&page, OWNER).await;
    reply.assert_page(429, "too many wrong passwords");
    let wait: u64 = reply.header(RETRY_AFTER).parse().unwrap();
    assert!((1..=7).contains(&wait), "{wait}");
    // Others are not held up.
    sign_in(&page, "viewer@acme.example").await.location();
}

/// K130
#[tokio::test]
async fn a_form_of_another_sites_page_is_refused() {
    let idp = provider().await;
    let page = Asked::new().page(&idp, "acme");
    let own = format!("http://{}", idp.addr());
    let evil = format!("evil.example:{}", idp.addr().port());
    let evil_origin = format!("http://{evil}");
    let fields = super::person::form(&[("email", OWNER), ("password", DEFAULT_PASSWORD)]);
    let with = |headers: &[(&str, &str)]| {
        let mut request = http().post(&page).header("content-type", FORM);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::of(request.body(fields.clone()))
    };
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example")],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        &[("origin", &*own), ("sec-fetch-site", "cross-site")],
        &[("origin", "http://127.0.0.1:1")],
        // A name that was made to resolve to loopback.
        &[("origin", &*evil_origin), ("host", &*evil)],
    ] {
        let reply = with(headers).await;
        reply.assert_page(403, "another site");
        assert!(!reply.headers.contains_key(SET_COOKIE), "{headers:?}");
    }
    for headers in [
        &[][..],
        &[("origin", &*own)],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-origin"), ("origin", &*own)],
    ] {
        assert_eq!(with(headers).await.status, 303, "{headers:?}");
    }
}

/// K130
#[tokio::test]
async fn pages_cannot_be_framed_and_their_forms_lead_to_the_client_alone() {
    let idp = provider().await;
    let page = get(&Asked::new().page(&idp, "acme")).await;
    let policy = "default-src 'none'; style-src 'self'; \
        form-action 'self' http://*.localhost:6004 http://localhost:6004 https://app.example; \
        frame-ancestors 'none'; base-uri 'none'";
    assert_eq!(page.header(CONTENT_SECURITY_POLICY), policy);
    let broken = get(&Asked::new().with("client_id", "").page(&idp, "acme")).await;
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; \
        frame-ancestors 'none'; base-uri 'none'";
    assert_eq!(broken.header(CONTENT_SECURITY_POLICY), policy);
    for reply in [page, broken] {
        assert_eq!(reply.header(http::header::X_FRAME_OPTIONS), "DENY");
        assert_eq!(reply.header(http::header::CACHE_CONTROL), "no-store");
        assert_eq!(reply.header(http::header::REFERRER_POLICY), "same-origin");
        assert_eq!(
            reply.header(http::header::CONTENT_TYPE),
            "text/html; charset=utf-8"
        );
        assert!(!reply.text.contains("<script"), "{}", reply.text);
    }
    let style = get(&format!("{}/style.css", idp.issuer())).await;
    assert_eq!(
        style.header(http::header::CONTENT_TYPE),
        "text/css; charset=utf-8"
    );
    assert!(style.text.contains("prefers-color-scheme: dark"));
}

#[tokio::test]
async fn what_people_and_links_say_is_shown_as_text() {
    let markup = "\"><script>alert(1)</script>@a.example";
    let client = dev_idp::DevClient::web().application_id("<b>app</b>");
    let idp = DevIdp::builder().client(client);
    let idp = idp.start().await.unwrap();
    let page = Asked::new().with("login_hint", markup).page(&idp, "acme");
    let typed = submit(&page, &[("email", markup), ("password", "x")]);
    for reply in [get(&page).await, Reply::of(typed).await] {
        assert!(
            !reply.text.contains("<script") && !reply.text.contains("<b>"),
            "{}",
            reply.text
        );
        assert!(reply.text.contains("&#60;b&#62;app"), "{}", reply.text);
        assert!(
            reply.text.contains("&#34;&#62;&#60;script"),
            "{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn an_id_that_was_put_into_a_browser_never_becomes_signed_in() {
    let idp = provider().await;
    let asked = Asked::new();
    let fields = [("email", OWNER), ("password", DEFAULT_PASSWORD)];
    let planted = "dev-idp=AAAAAAAAAAAAAAAAAAAAAA";
    let request = submit(&asked.page(&idp, "acme"), &fields).header("cookie", planted);
    let cookie = Reply::of(request).await.cookie();
    assert_ne!(cookie, planted);
    let asked = asked.with("prompt", "none");
    let outcome = async |tenant, cookie: &str| {
        let request = http().get(asked.at(&idp, tenant)).header("cookie", cookie);
        parameter(&Reply::of(request).await.location(), "error")
    };
    assert_eq!(
        outcome("acme", planted).await.as_deref(),
        Some("login_required")
    );
    assert_eq!(outcome("acme", &cookie).await, None);

    // Another sign-in keeps those at other tenants, under a new id again.
    let fields = [
        ("email", "both@example.com"),
        ("password", DEFAULT_PASSWORD),
    ];
    let page = Asked::new().page(&idp, "globex");
    let second = Reply::of(submit(&page, &fields).header("cookie", &cookie))
        .await
        .cookie();
    assert_eq!(outcome("acme", &second).await, None);
    assert_eq!(outcome("globex", &second).await, None);
    assert_eq!(
        outcome("acme", &cookie).await.as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn other_people_may_be_configured() {
    let ann = DevPerson::new("Ann@new.example", "correct horse").member("new", ["owner"]);
    let idp = DevIdp::builder().person(ann).start().await.unwrap();
    let page = Asked::new().page(&idp, "new");
    let fields = [("email", "ann@new.example"), ("password", "correct horse")];
    let location = Reply::of(submit(&page, &fields)).await.location();
    assert!(location.as_str().starts_with(CALLBACK));
    get(&Asked::new().page(&idp, "acme"))
        .await
        .assert_page(400, "no such tenant");
    idp.set_person(DevPerson::new(OWNER, DEFAULT_PASSWORD).member("acme", ["owner"]));
    sign_in(&Asked::new().page(&idp, "acme"), OWNER)
        .await
        .location();
}
