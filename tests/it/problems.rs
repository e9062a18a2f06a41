//! Every refusal is a problem document of one form.

use dev_idp::DevIdp;
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use crate::openapi::raw;
use crate::status::open;
use crate::world::{Pair, header};

/// Sends a request and asserts that it is refused in the one form.
async fn assert_problem(name: &str, request: RequestBuilder, status: u16) {
    assert_is_problem(name, request.send().await.unwrap(), status).await;
}

async fn assert_is_problem(name: &str, response: Response, status: u16) {
    assert_eq!(response.status(), status, "{name}");
    let kind = header(&response, "content-type");
    assert_eq!(kind, "application/problem+json", "{name}");
    assert_eq!(header(&response, "cache-control"), "no-store", "{name}");
    let id = header(&response, "x-request-id").to_owned();
    let title = StatusCode::from_u16(status).unwrap();
    let title = title.canonical_reason().unwrap();
    let begin = format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":""#);
    let end = format!(r#".","request_id":"{id}"}}"#);
    let body = response.text().await.unwrap();
    assert!(
        body.starts_with(&begin) && body.ends_with(&end),
        "{name}: {body}"
    );
}

/// N85
#[tokio::test]
async fn every_refusal_has_type_title_status_detail_and_request_id() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    let token = idp.mint(dev_idp::TokenSpec::new());
    let admins = [pair.public_admin.unwrap(), pair.protected_admin.unwrap()];
    for address in [pair.public, pair.protected, admins[0], admins[1]] {
        let url = |path: &str| format!("http://{address}{path}");
        let request = |method, path| {
            let request = pair.client.request(method, url(path));
            // Only protected-data asks for it.
            request.bearer_auth(&token)
        };
        let known = if admins.contains(&address) {
            "/status"
        } else {
            "/livez"
        };
        let name = |case: &str| format!("{address}: {case}");
        let unknown = request(Method::GET, "/nowhere");
        assert_problem(&name("an unknown path"), unknown, 404).await;
        let method = request(Method::DELETE, known);
        assert_problem(&name("a method that the path does not take"), method, 405).await;
        // Announced and never sent: a client that sends it may find the connection closed first.
        let large =
            format!("POST {known} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n");
        let large = raw(address, &large).await;
        assert_is_problem(&name("a body that is too large"), large, 413).await;
    }
    for admin in admins {
        let page = pair.client.get(format!("http://{admin}/status"));
        let page = page.header("origin", "https://page.example");
        assert_problem("a page elsewhere", page, 403).await;
    }
    let data = format!("http://{}/api/protected/data", pair.protected);
    let get = || pair.client.get(&data);
    assert_problem("no token", get(), 401).await;
    assert_problem("a bad token", get().bearer_auth("a.b.c"), 401).await;
    assert_problem("two tokens", get().bearer_auth("a").bearer_auth("b"), 400).await;
    pair.stop().await;

    idp.pause().await;
    let pair = Pair::start(&open(&idp)).await;
    let protected = format!("http://{}/api/protected/data", pair.protected);
    let no_keys = pair.client.get(protected).bearer_auth(&token);
    assert_problem("no keys", no_keys, 503).await;
    let public = format!("http://{}/api/public/data", pair.public);
    assert_problem("no token to be had", pair.client.get(public), 503).await;
    pair.stop().await;
}
