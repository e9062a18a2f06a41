use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};

use crate::peer::{Running, request, server};

/// A router that counts what reaches it.
async fn start() -> (Running, Arc<AtomicUsize>) {
    let handled = Arc::new(AtomicUsize::new(0));
    let (on_get, on_post) = (Arc::clone(&handled), Arc::clone(&handled));
    let router = Router::new()
        .route(
            "/",
            get(move || async move {
                on_get.fetch_add(1, Ordering::SeqCst);
                "got"
            }),
        )
        .route(
            "/post",
            post(move |body: Bytes| async move {
                on_post.fetch_add(1, Ordering::SeqCst);
                body
            }),
        )
        .route("/panic", get(|| async { panics() }));
    (Running::start(server(), router).await, handled)
}

#[expect(clippy::panic, reason = "the fault under test")]
fn panics() -> &'static str {
    panic!("hunter2")
}

/// G8
#[tokio::test]
async fn malformed_header_lines_are_400_and_close() {
    let (running, handled) = start().await;
    for (name, lines) in [
        ("line folding", &b"X: a\r\n b\r\n"[..]),
        ("NUL in a value", b"X: a\0b\r\n"),
        ("NUL in a name", b"X\0: a\r\n"),
        ("bare CR", b"X: a\rY: b\r\n"),
        ("space before the colon", b"X : a\r\n"),
        ("space before the name", b" X: a\r\n"),
        ("no colon", b"X\r\n"),
        ("empty name", b": a\r\n"),
    ] {
        let mut peer = running.connect().await;
        peer.send([b"GET / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat())
            .await;
        let answers = peer.answers_until_close().await;
        assert_eq!(answers.len(), 1, "{name}");
        assert_eq!(answers[0].status, 400, "{name}");
        // The library's own answer: there is no request that an id could be given to.
        assert_eq!(answers[0].header("x-request-id"), None, "{name}");
        assert_eq!(answers[0].body, "", "{name}");
    }
    assert_eq!(handled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_counts_as_gone() {
    let arrived = Arc::new(tokio::sync::Notify::new());
    let on_get = Arc::clone(&arrived);
    let router = Router::new().route(
        "/",
        get(move || async move {
            on_get.notify_one();
            std::future::pending::<&str>().await
        }),
    );
    let running = Running::start(server(), router).await;
    let mut peer = running.connect().await;
    peer.send(request("GET", "/")).await;
    arrived.notified().await;
    peer.close_sending().await;
    // Not even the 504 that a client which still sends would get.
    peer.closed().await;
}

/// G9
#[tokio::test]
async fn a_request_needs_exactly_one_host() {
    let (running, handled) = start().await;
    for (name, head) in [
        ("none", "GET / HTTP/1.1\r\n\r\n"),
        ("two", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (
            "the same twice",
            "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
        ),
    ] {
        let mut peer = running.connect().await;
        peer.send(head).await;
        peer.answer().await.problem(400);
        assert_eq!(handled.load(Ordering::SeqCst), 0, "{name}");
    }
    let mut peer = running.connect().await;
    peer.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        peer.answers_until_close().await[0].status,
        200,
        "HTTP/1.0 has no Host"
    );
}

/// G9
#[tokio::test]
async fn bare_line_feeds_end_lines_and_make_one_request() {
    let (running, handled) = start().await;
    let mut peer = running.connect().await;
    peer.send("GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
        .await;
    assert_eq!(peer.answers_until_close().await.len(), 1);
    assert_eq!(handled.load(Ordering::SeqCst), 1);
}

/// G10
#[tokio::test]
async fn ambiguous_framing_never_lets_a_second_request_in() {
    const INNER: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (running, handled) = start().await;
    for (name, headers, body) in [
        (
            "both, short length",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "both, other order",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "0\r\n\r\n",
        ),
        (
            "both, lying length",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "two lengths",
            "Content-Length: 0\r\nContent-Length: 5\r\n",
            "hello",
        ),
        ("a list of lengths", "Content-Length: 0, 5\r\n", "hello"),
        ("signed length", "Content-Length: +0\r\n", ""),
        (
            "chunked is not last",
            "Transfer-Encoding: chunked, gzip\r\n",
            "0\r\n\r\n",
        ),
        (
            "unknown coding",
            "Transfer-Encoding: xchunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "obscured coding",
            "Transfer-Encoding: \x0bchunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "bad chunk size",
            "Transfer-Encoding: chunked\r\n",
            "0x0\r\n\r\n",
        ),
    ] {
        handled.store(0, Ordering::SeqCst);
        let mut peer = running.connect().await;
        peer.send(format!(
            "POST /post HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}{INNER}"
        ))
        .await;
        let answers = peer.answers_until_close().await;
        assert!(answers.len() <= 1, "{name}: {answers:?}");
        // The outer request may be handled, the one in its body never.
        assert!(
            answers.iter().all(|answer| answer.body != "got"),
            "{name}: {answers:?}"
        );
        assert!(handled.load(Ordering::SeqCst) <= 1, "{name}");
    }
}

/// G15
#[tokio::test]
async fn http_2_is_not_spoken() {
    let (running, handled) = start().await;
    let mut peer = running.connect().await;
    peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answers = peer.answers_until_close().await;
    assert!(
        answers.iter().all(|answer| answer.status == 400),
        "{answers:?}"
    );

    let mut peer = running.connect().await;
    peer.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
    )
    .await;
    assert_eq!(peer.answer().await.status, 200);
    assert_eq!(handled.load(Ordering::SeqCst), 1);
}

/// G18
#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let (running, handled) = start().await;
    let mut peer = running.connect().await;
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO", "get",
    ] {
        peer.send(request(method, "/")).await;
        let answer = peer.answer().await;
        assert_eq!(
            answer.problem(405),
            "This path does not take this method; Allow lists those that it takes.",
            "{method}"
        );
        assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method}");
    }
    assert_eq!(handled.load(Ordering::SeqCst), 0);
    peer.send("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = peer.answer().await;
    assert!([404, 405].contains(&answer.status), "{answer:?}");
}

/// G22
#[tokio::test]
async fn forwarding_and_method_override_headers_mean_nothing() {
    let (running, handled) = start().await;
    let mut peer = running.connect().await;
    peer.send(
        "GET / HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: POST\r\nX-Original-URL: /post\r\n\
         X-Forwarded-Host: b\r\nX-Forwarded-Prefix: /post\r\nX-Rewrite-URL: /post\r\n\r\n",
    )
    .await;
    assert_eq!(peer.answer().await.body, "got");
    assert_eq!(handled.load(Ordering::SeqCst), 1);
}

/// G23
#[tokio::test]
async fn a_panicking_handler_is_a_500_and_its_connection_goes_on() {
    let (running, _) = start().await;
    let mut peer = running.connect().await;
    let failed = peer.get("/panic").await;
    assert_eq!(
        failed.problem(500),
        "The service failed; its log tells more under the request's id."
    );
    assert_eq!(peer.get("/").await.body, "got");
    assert_eq!(running.counters.panics(), 1);
}
