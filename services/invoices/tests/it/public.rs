//! What everybody may see.

use reqwest::Method;

use crate::world::World;

#[tokio::test]
async fn the_start_page_tells_strangers_where_to_sign_in() {
    let world = World::with(&[("SIGNUP_URL", "http://127.0.0.1:9/signup")]).await;
    let mut browser = world.browser();
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("href=\"/api/auth/login\""),
        "{}",
        page.body
    );
    let signup = "href=\"http://127.0.0.1:9/signup?client_id=dev-web\"";
    assert!(page.body.contains(signup), "{}", page.body);
    assert_eq!(page.body.matches("<h1>").count(), 1);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
}

#[tokio::test]
async fn pages_hold_no_style_and_no_script_of_their_own() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    for path in [
        "/",
        "/invoices",
        "/invoices/new",
        "/account",
        "/people",
        "/calls",
        "/none",
    ] {
        let page = owner.get(path).await;
        assert_eq!(
            page.header("content-type"),
            "text/html; charset=utf-8",
            "{path}"
        );
        assert_eq!(page.body.matches("<h1>").count(), 1, "{path}");
        for own in ["style=", "<style", "onclick", "javascript:", "<script>"] {
            assert!(!page.body.contains(own), "{path}: {own}");
        }
        assert!(page.body.contains("<html lang=\"en\">"), "{path}");
    }
}

#[tokio::test]
async fn assets_are_the_same_for_everybody_and_may_be_kept() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    for (path, kind) in [
        ("/assets/style.css", "text/css; charset=utf-8"),
        ("/assets/invoices.js", "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let asset = owner.get(path).await;
        assert_eq!(
            (asset.status.as_u16(), asset.header("content-type")),
            (200, kind)
        );
        assert_eq!(asset.header("cache-control"), "public, max-age=300");
        assert_eq!(asset.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_and_a_problem_for_programs() {
    let world = World::start().await;
    let mut browser = world.browser();
    let page = browser.get("/none").await;
    assert_eq!(page.status, 404);
    assert!(page.body.contains("<h1>Not found</h1>"), "{}", page.body);
    let problem = browser.get("/api/v1/none").await;
    assert_eq!(problem.status, 404);
    assert_eq!(problem.header("content-type"), "application/problem+json");
    let request = browser
        .request(Method::GET, "/none")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-dest", "empty");
    let fetched = browser.send(request).await;
    assert_eq!(fetched.header("content-type"), "application/problem+json");
    let request = browser.request(Method::DELETE, "/assets/style.css");
    assert_eq!(browser.send(request).await.status, 405);
}

#[tokio::test]
async fn strangers_are_sent_to_sign_in_and_programs_told_so() {
    let world = World::start().await;
    let mut browser = world.browser();
    for path in [
        "/invoices",
        "/invoices/new",
        "/account",
        "/people",
        "/calls",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 302, "{path}");
        let to = answer.header("location");
        let expected = format!("/api/auth/login?return_url={}", path.replace('/', "%2F"));
        assert!(to.ends_with(&expected), "{path}: {to}");
    }
    for path in [
        "/api/v1/invoices",
        "/api/v1/protected",
        "/api/v1/machine",
        "/api/v1/events",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Session realm=")
        );
    }
    let posted = browser.post("/invoices", &[("customerName", "x")]).await;
    assert_eq!(posted.status, 401);
}

#[tokio::test]
async fn the_document_describes_every_route_of_the_api() {
    let world = World::start().await;
    let mut browser = world.browser();
    let document = browser.get("/openapi.json").await.json();
    let source = include_str!("../../src/api.rs");
    let described = document["paths"].as_object().unwrap();
    for path in source
        .split('"')
        .filter(|text| text.starts_with("/api/v1/"))
    {
        assert!(described.contains_key(path), "{path}");
    }
    for (path, methods) in [
        ("/api/v1/invoices", ["get", "post"]),
        ("/api/v1/invoices/{id}", ["get", "put"]),
    ] {
        for method in methods {
            assert!(described[path].get(method).is_some(), "{method} {path}");
        }
    }
}
