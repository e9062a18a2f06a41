//! Cookies that no browser of ours would send.

use reqwest::Method;
use reqwest::header::{COOKIE, HeaderValue, SET_COOKIE};

use crate::browser::{Answer, Browser};
use crate::world::World;

const PATH: &str = "/api/v1/invoices";

async fn with(browser: &mut Browser, cookies: &[u8]) -> Answer {
    let cookies = HeaderValue::from_bytes(cookies).unwrap();
    let request = browser.http.get(format!("{}{PATH}", browser.origin));
    browser.send(request.header(COOKIE, cookies)).await
}

/// K75
#[tokio::test]
async fn made_up_sessions_cost_a_look_into_the_store_each_and_the_provider_nothing() {
    const MANY: u64 = 1_000;
    let world = World::with(&[("INVOICES_ADMIN_ADDR", "127.0.0.1:0")]).await;
    let mut owner = world.owner().await;
    let status = format!("http://{}/status", world.admin.unwrap());
    let calls = async |browser: &mut Browser| {
        let document = browser.get(&status).await.json();
        document["sessions"]["store"]["calls"].as_u64().unwrap()
    };
    let before = calls(&mut owner).await;
    let asked = world.idp.requests();
    let mut forger = world.browser();
    for number in 0..MANY {
        let handle = format!("__Host-session={number:042}A");
        let answer = with(&mut forger, handle.as_bytes()).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.contains_key(SET_COOKIE));
    }
    assert_eq!(world.idp.requests(), asked);
    let made = calls(&mut owner).await - before;
    // The readiness looks into the store too, once a second.
    assert!((MANY..MANY + 100).contains(&made), "{made}");
    assert_eq!(owner.get(PATH).await.status, 200);
}

/// K76
#[tokio::test]
async fn too_many_and_strange_cookies_are_refused_or_passed_over() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let session = format!("__Host-session={}", owner.session());
    let huge = format!("{session}; x={}", "x".repeat(64 * 1024));
    assert_eq!(with(&mut owner, huge.as_bytes()).await.status, 431);
    let others: Vec<String> = (0..199).map(|number| format!("c{number}=1")).collect();
    let others = others.join("; ");
    let first = format!("{session}; {others}");
    assert_eq!(with(&mut owner, first.as_bytes()).await.status, 200);
    let last = format!("{others}; {session}");
    assert_eq!(with(&mut owner, last.as_bytes()).await.status, 401);
    let mut strange = b"n\tm=1; \xff\xfe=2; =3; ;; \"=; ".to_vec();
    strange.extend_from_slice(session.as_bytes());
    assert_eq!(with(&mut owner, &strange).await.status, 200);
    let request = owner.request(Method::GET, PATH);
    assert_eq!(owner.send(request.header(COOKIE, "a=b")).await.status, 200);
}
