use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};

use crate::peer::{Running, request, server};

/// Short, and reached only by peers that send nothing.
const SHORT: Duration = Duration::from_millis(50);

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "here" }))
        .route(
            "/post",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route("/ignore", get(|| async { "ignored" }))
        .route("/never", get(std::future::pending::<()>))
}

/// G11
#[tokio::test]
async fn a_header_block_beyond_16_kib_is_431() {
    let running = Running::start(server(), router()).await;
    for (name, size, expected) in [("below", 15 * 1024, 200), ("above", 17 * 1024, 431)] {
        let mut peer = running.connect().await;
        let padding = "x".repeat(size);
        peer.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {padding}\r\n\r\n"))
            .await;
        assert_eq!(peer.answer().await.status, expected, "{name}");
    }
    // Far beyond, and never ending its header block.
    let mut peer = running.connect().await;
    peer.send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}",
        "x".repeat(200 * 1024)
    ))
    .await;
    let answers = peer.answers_until_close().await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].status, 431);
    // The request line counts.
    let mut peer = running.connect().await;
    peer.send(request("GET", &format!("/{}", "x".repeat(17 * 1024))))
        .await;
    assert_eq!(peer.answer().await.status, 431);
}

/// G12
#[tokio::test]
async fn header_101_is_431() {
    let running = Running::start(server(), router()).await;
    for (count, expected) in [(100, 200), (101, 431)] {
        let mut peer = running.connect().await;
        let more = "X: a\r\n".repeat(count - 1);
        peer.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n"))
            .await;
        assert_eq!(peer.answer().await.status, expected, "{count}");
    }
}

/// G13
#[tokio::test]
async fn a_peer_that_does_not_end_its_header_block_is_closed() {
    let running = Running::start(server().header_timeout(SHORT), router()).await;
    for (name, bytes) in [
        ("nothing", ""),
        ("a part", "GET / HT"),
        ("all but the end", "GET / HTTP/1.1\r\nHost: a\r\n"),
    ] {
        let mut peer = running.connect().await;
        peer.send(bytes).await;
        let answers = peer.answers_until_close().await;
        assert!(answers.is_empty(), "{name}: {answers:?}");
    }
}

/// G13
#[tokio::test]
async fn the_header_time_is_for_the_whole_block_and_not_per_byte() {
    let running = Running::start(server().header_timeout(SHORT), router()).await;
    let (mut reader, mut writer) = {
        let stream = tokio::net::TcpStream::connect(running.address)
            .await
            .unwrap();
        stream.into_split()
    };
    // Drips until the server has closed, which ends it with a write error.
    let drip = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let mut pace = tokio::time::interval(SHORT / 10);
        while writer.write_all(b"X").await.is_ok() {
            pace.tick().await;
        }
    });
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut reader, &mut byte).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    drip.await.unwrap();
}

/// G14
#[tokio::test]
async fn an_idle_kept_connection_is_closed() {
    // Not `SHORT`: the request has to arrive within it.
    let builder = server().header_timeout(Duration::from_millis(500));
    let running = Running::start(builder, router()).await;
    let mut peer = running.connect().await;
    assert_eq!(peer.get("/").await.status, 200);
    peer.closed().await;
}

/// G14
#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let running = Running::start(server().request_timeout(SHORT), router()).await;
    let mut peer = running.connect().await;
    peer.send("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    let answers = peer.answers_until_close().await;
    assert_eq!(answers.len(), 1);
    answers[0].problem(408);
    assert_eq!(answers[0].header("connection"), Some("close"));
    assert_eq!(running.counters.timeouts(), 1);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_504_and_its_connection_goes_on() {
    let running = Running::start(server().request_timeout(SHORT), router()).await;
    let mut peer = running.connect().await;
    let late = peer.get("/never").await;
    assert_eq!(late.problem(504), "The answer took too long.");
    assert_eq!(peer.get("/").await.status, 200);
    assert_eq!(running.counters.timeouts(), 1);
}

/// G16
#[tokio::test]
async fn a_body_beyond_the_cap_is_413() {
    const CAP: usize = 64 * 1024;
    let running = Running::start(server(), router()).await;
    let mut peer = running.connect().await;
    let body = "x".repeat(CAP);
    peer.send(format!(
        "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: {CAP}\r\n\r\n{body}"
    ))
    .await;
    assert_eq!(
        peer.answer().await.body,
        CAP.to_string(),
        "the cap itself fits"
    );

    for (name, path, framing, body) in [
        (
            "announced",
            "/post",
            format!("Content-Length: {}", CAP + 1),
            format!("{body}y"),
        ),
        (
            "announced on a route without a body",
            "/",
            "Content-Length: 999999".into(),
            body.clone(),
        ),
        (
            "chunked",
            "/post",
            "Transfer-Encoding: chunked".into(),
            format!("{CAP:x}\r\n{body}\r\n1\r\ny\r\n0\r\n\r\n"),
        ),
    ] {
        let mut peer = running.connect().await;
        peer.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"
        ))
        .await;
        let answers = peer.answers_until_close().await;
        assert_eq!(answers.len(), 1, "{name}");
        assert_eq!(
            answers[0].problem(413),
            "The body is larger than this service takes.",
            "{name}"
        );
        assert_eq!(answers[0].header("connection"), Some("close"), "{name}");
    }
}

/// G16
#[tokio::test]
async fn a_body_that_the_handler_ignores_ends_the_connection_after_the_answer() {
    let running = Running::start(server(), router()).await;
    let mut peer = running.connect().await;
    let smuggled = request("GET", "/");
    let length = smuggled.len();
    peer.send(format!(
        "GET /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}"
    ))
    .await;
    let answers = peer.answers_until_close().await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].body, "ignored");
    assert_eq!(answers[0].header("connection"), Some("close"));
}

/// G16
#[tokio::test]
async fn a_refused_body_may_still_arrive_without_a_reset() {
    let running = Running::start(server(), router()).await;
    let mut peer = running.connect().await;
    peer.send("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        .await;
    peer.answer().await.problem(413);
    // A closed socket answers the first of these with a reset, which fails the next.
    for _ in 0..4 {
        peer.send([b'x'; 1000]).await;
    }
}
