//! public-data against a protected-data that fails in every way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use dev_idp::{DevIdp, Endpoint, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::{LIMIT, Pair, header, variables};

/// A server in protected-data's place, and how many requests it got.
pub(crate) struct Stand {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Stand {
    pub(crate) async fn start(
        answer: impl Fn(&HeaderMap) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let app = axum::Router::new().fallback(move |headers: HeaderMap| async move {
            counter.fetch_add(1, Ordering::SeqCst);
            answer(&headers)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) async fn pair(&self, idp: &DevIdp) -> Pair {
        pair_with(idp, &self.url).await
    }
}

async fn pair_with(idp: &DevIdp, protected_data: &str) -> Pair {
    let mut variables = variables(idp);
    variables.insert("PROTECTED_DATA_URL".to_owned(), protected_data.to_owned());
    Pair::ready(&variables).await
}

/// C14, C15, C16, J16
#[tokio::test]
async fn every_answer_but_the_agreed_one_has_its_status_and_echoes_nothing() {
    let idp = DevIdp::builder().start().await.unwrap();
    for (name, status, body, expected) in [
        ("an internal error", 500, "canary", 502),
        ("not found", 404, "canary", 502),
        ("a redirect", 302, "", 502),
        ("no content", 204, "", 502),
        ("forbidden", 403, "canary", 502),
        ("another JSON", 200, r#"{"protectedData":["canary"]}"#, 502),
        ("no JSON", 200, "<html>canary", 502),
        ("overloaded", 503, "canary", 503),
        ("too many requests", 429, "canary", 503),
        ("a slow gateway", 504, "canary", 504),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let stand = Stand::start(move |_| (status, body).into_response()).await;
        let pair = stand.pair(&idp).await;
        let response = pair.public_data().await;
        assert_eq!(response.status(), expected, "{name}");
        assert_eq!(
            header(&response, "content-type"),
            "application/problem+json",
            "{name}"
        );
        assert_eq!(
            header(&response, "retry-after").is_empty(),
            expected != 503,
            "{name}"
        );
        assert!(!response.text().await.unwrap().contains("canary"), "{name}");
        // One call has no budget for a repetition.
        assert_eq!(stand.requests(), 1, "{name}");
    }
}

/// C16
#[tokio::test]
async fn an_answer_that_is_too_large_or_cut_off_is_502() {
    let idp = DevIdp::builder().start().await.unwrap();
    for raw in [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n{}",
            "x".repeat(999_999)
        ),
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"protectedData\":".to_owned(),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4_096]).await;
                let _ = stream.write_all(raw.as_bytes()).await;
            }
        });
        assert_eq!(
            pair_with(&idp, &url).await.public_data().await.status(),
            502
        );
    }
}

/// C12
#[tokio::test]
async fn a_protected_data_that_hangs_is_504() {
    let idp = DevIdp::builder().start().await.unwrap();
    // Connections wait in its backlog for an answer that does not come.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let response = pair_with(&idp, &url).await.public_data().await;
    assert_eq!(response.status(), 504);
}

/// B25
#[tokio::test]
async fn calls_that_hang_downstream_keep_no_token_from_being_refreshed() {
    let idp = DevIdp::builder().start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let pair = pair_with(&idp, &url).await;
    let mut callers = JoinSet::new();
    let mut hanging = Vec::new();
    for _ in 0..60 {
        let url = format!("http://{}/api/public/data", pair.public);
        callers.spawn(pair.client.get(url).send());
        let call = timeout(LIMIT, listener.accept()).await.unwrap();
        hanging.push(call.unwrap());
    }
    let token = pair.tokens.token().await.unwrap();
    assert!(pair.tokens.invalidate(&token));
    let next = timeout(LIMIT, pair.tokens.token()).await.unwrap().unwrap();
    assert!(!next.is_same(&token));
    // All of them were still waiting.
    assert!(callers.try_join_next().is_none());
}

/// C13, C14, C18
#[tokio::test]
async fn an_outage_costs_protected_data_at_most_a_tenth_more_requests() {
    let idp = DevIdp::builder().start().await.unwrap();
    let stand = Stand::start(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let pair = stand.pair(&idp).await;
    for _ in 0..200 {
        assert_eq!(pair.public_data().await.status(), 502);
    }
    let requests = stand.requests();
    assert!(
        (205..=220).contains(&requests),
        "{requests} requests for 200 calls"
    );
}

/// C13
#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_tried_again_within_the_budget() {
    let idp = DevIdp::builder().start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let broken = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&broken);
    tokio::spawn(async move {
        for n in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await;
            if n == 20 {
                seen.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 29\r\n\r\n{\"protectedData\":\"here I am\"}";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let pair = pair_with(&idp, &url).await;
    for _ in 0..40 {
        assert_eq!(pair.public_data().await.status(), 200);
    }
    assert_eq!(broken.load(Ordering::SeqCst), 1);
}

/// C15
#[tokio::test]
async fn retry_after_is_passed_on_and_nothing_repeated_before() {
    let idp = DevIdp::builder().start().await.unwrap();
    let overloaded = || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "17")]).into_response();
    let stand = Stand::start(move |_| overloaded()).await;
    let pair = stand.pair(&idp).await;
    for n in 1..=30 {
        let response = pair.public_data().await;
        assert_eq!(response.status(), 503);
        assert_eq!(header(&response, "retry-after"), "17");
        assert_eq!(stand.requests(), n);
    }
}

/// C10, C11
#[tokio::test]
async fn of_an_inbound_request_two_identifiers_go_on_and_nothing_else() {
    let idp = DevIdp::builder().start().await.unwrap();
    let stand = Stand::start(|headers| {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let bearer = headers["authorization"]
            .to_str()
            .unwrap()
            .starts_with("Bearer ey");
        let body = format!(r#"{{"protectedData":"{bearer} {}"}}"#, names.join(" "));
        body.into_response()
    })
    .await;
    let pair = stand.pair(&idp).await;
    let response = pair
        .client
        .get(format!("http://{}/api/public/data", pair.public))
        .header("x-request-id", "abc")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("authorization", "Basic eA==")
        .header("cookie", "a=b")
        .header("x-forwarded-for", "1.2.3.4")
        .header("te", "trailers")
        .send()
        .await
        .unwrap();
    let text = response.text().await.unwrap();
    assert!(
        text.contains("true accept authorization host traceparent x-request-id\""),
        "{text}"
    );
}

/// C19
#[tokio::test]
async fn a_caller_that_leaves_ends_its_call_and_no_token_fetch() {
    let idp = DevIdp::builder().start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let pair = pair_with(&idp, &url).await;
    let caller = tokio::spawn(
        pair.client
            .get(format!("http://{}/api/public/data", pair.public))
            .send(),
    );
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 4_096];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    caller.abort();
    // The connection to protected-data is closed although it never answered.
    let closed = async { while stream.read(&mut request).await.unwrap_or(0) > 0 {} };
    timeout(LIMIT, closed).await.unwrap();

    // The same while the token is being fetched: the fetch goes on and its token is used.
    idp.fault(Fault::on(Endpoint::Token).times(1).hold());
    let mut variables = variables(&idp);
    variables.insert("PROTECTED_DATA_URL".to_owned(), url);
    let before = idp.requests().token;
    let pair = Pair::start(&variables).await;
    let caller = tokio::spawn(
        pair.client
            .get(format!("http://{}/api/public/data", pair.public))
            .send(),
    );
    idp.wait_for_requests(Endpoint::Token, before + 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    idp.clear_faults();
    timeout(LIMIT, pair.tokens.token()).await.unwrap().unwrap();
    assert_eq!(idp.requests().token, before + 1);
}
