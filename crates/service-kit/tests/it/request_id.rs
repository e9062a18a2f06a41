//! The id that every request has.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;

use crate::peer::{Running, server};

async fn start() -> Running {
    let ids = get(|headers: HeaderMap| async move {
        let ids = headers.get_all("x-request-id").iter();
        ids.map(|id| id.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    });
    Running::start(server(), Router::new().route("/ids", ids)).await
}

/// C11
#[tokio::test]
async fn a_handler_and_the_answer_get_the_same_single_id() {
    let running = start().await;
    let mut peer = running.connect().await;
    for (name, headers, kept) in [
        ("the caller's", "X-Request-Id: abc-1\r\n", Some("abc-1")),
        ("none", "", None),
        ("two", "X-Request-Id: a\r\nX-Request-Id: b\r\n", None),
        ("with a quote", "X-Request-Id: a\"b\r\n", None),
        ("with a space", "X-Request-Id: a b\r\n", None),
    ] {
        let request = format!("GET /ids HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        peer.send(request).await;
        let answer = peer.answer().await;
        assert_eq!(answer.header("x-request-id"), Some(&*answer.body), "{name}");
        match kept {
            Some(id) => assert_eq!(answer.body, id, "{name}"),
            None => assert_eq!(answer.body.len(), 32, "{name}: {}", answer.body),
        }
    }
}

#[tokio::test]
async fn the_head_of_a_problem_has_the_id_and_no_length_of_another_body() {
    let running = start().await;
    let mut peer = running.connect().await;
    peer.send("HEAD /nope HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc\r\n\r\n")
        .await;
    let answer = peer.head_answer().await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-request-id"), Some("abc"));
    assert_eq!(answer.header("content-length"), None);
}

/// What the server refuses before a handler sees it has an id too.
#[tokio::test]
async fn a_refusal_of_the_server_itself_has_an_id() {
    let running = start().await;
    let mut peer = running.connect().await;
    peer.send("GET /ids HTTP/1.1\r\nX-Request-Id: abc\r\n\r\n")
        .await;
    let answer = peer.answer().await;
    answer.problem(400);
    assert_eq!(answer.header("x-request-id"), Some("abc"));
}
