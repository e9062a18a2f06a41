use std::time::Duration;

use axum::Router;
use axum::routing::get;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use tokio::net::TcpStream;

use crate::gate::Gate;
use crate::peer::{Running, request, server};

fn router(gate: &Gate) -> Router {
    Router::new()
        .route("/", get(|| async { "here" }))
        .merge(gate.route())
}

/// H6
#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_server_ends() {
    for kind in [ShutdownKind::Terminate, ShutdownKind::Interrupt] {
        let gate = Gate::new();
        let running = Running::start(server(), router(&gate)).await;
        let mut peer = running.connect().await;
        peer.send(request("GET", "/gate")).await;
        gate.entered().await;
        running.shutdown.begin(kind);
        gate.open.notify_one();
        let answers = peer.answers_until_close().await;
        assert_eq!(answers.len(), 1, "{kind:?}");
        assert_eq!(answers[0].body, "through", "{kind:?}");
        assert_eq!(answers[0].header("connection"), Some("close"), "{kind:?}");
        assert_eq!(running.drained().await.aborted, 0, "{kind:?}");
    }
}

/// H6
#[tokio::test]
async fn the_lame_duck_still_serves_kept_and_new_connections_and_closes_them() {
    let running = Running::start(server(), router(&Gate::new())).await;
    let mut kept = running.connect().await;
    assert_eq!(kept.get("/").await.header("connection"), None);

    running.shutdown.begin(ShutdownKind::Terminate);
    let mut new = running.connect().await;
    for peer in [&mut kept, &mut new] {
        let answer = peer.get("/").await;
        assert_eq!(answer.body, "here");
        assert_eq!(answer.header("connection"), Some("close"));
        peer.closed().await;
    }
    let address = running.address;
    assert_eq!(running.drained().await.aborted, 0);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the listener is closed"
    );
}

/// H6
#[tokio::test]
async fn a_connection_that_waits_in_the_backlog_when_the_listener_closes_is_served() {
    let gate = Gate::new();
    let running = Running::start(server().max_connections(1), router(&gate)).await;
    let mut busy = running.connect().await;
    busy.send(request("GET", "/gate")).await;
    gate.entered().await;
    // The server has taken the first of these in already and has no place for it.
    let mut queued = Vec::new();
    for _ in 0..4 {
        let mut peer = running.connect().await;
        peer.send(request("GET", "/")).await;
        queued.push(peer);
    }

    running.shutdown.begin(ShutdownKind::Interrupt);
    for peer in &mut queued {
        assert_eq!(peer.answers_until_close().await[0].body, "here");
    }
    gate.open.notify_one();
    assert_eq!(busy.answers_until_close().await[0].body, "through");
    assert_eq!(running.drained().await.aborted, 0);
}

/// H6
#[tokio::test]
async fn a_request_sent_on_an_idle_connection_just_before_the_drain_is_answered() {
    let running = Running::start(server(), router(&Gate::new())).await;
    let mut peers = Vec::new();
    for _ in 0..32 {
        let mut peer = running.connect().await;
        assert_eq!(peer.get("/").await.status, 200);
        peers.push(peer);
    }
    for peer in &mut peers {
        peer.send(request("GET", "/")).await;
    }
    running.shutdown.begin(ShutdownKind::Interrupt);
    for peer in &mut peers {
        assert_eq!(peer.answer().await.body, "here");
    }
    assert_eq!(running.drained().await.aborted, 0);
}

/// H6
#[tokio::test]
async fn idle_connections_do_not_hold_up_the_drain() {
    let shutdown = Shutdown::manual(Duration::from_secs(60));
    // Neither the header timeout nor the deadline is to be what ends them.
    let builder = server().header_timeout(Duration::from_secs(60));
    let running = Running::start_with(builder, router(&Gate::new()), shutdown).await;
    let mut silent = running.connect().await;
    let mut idle = running.connect().await;
    assert_eq!(idle.get("/").await.status, 200);
    running.shutdown.begin(ShutdownKind::Interrupt);
    silent.closed().await;
    idle.closed().await;
    assert_eq!(running.drained().await.aborted, 0);
}

/// H8
#[tokio::test]
async fn a_stuck_client_is_aborted_at_the_deadline() {
    let shutdown = Shutdown::manual(Duration::from_millis(200));
    let gate = Gate::new();
    let running = Running::start_with(server(), router(&gate), shutdown.clone()).await;
    let mut stuck = running.connect().await;
    stuck.send(request("GET", "/gate")).await;
    gate.entered().await;
    let mut half = running.connect().await;
    half.send("GET / HTTP/1.1\r\nHost:").await;

    shutdown.begin(ShutdownKind::Terminate);
    let drained = running.drained().await;
    assert_eq!(drained.aborted, 2);
    assert!(tokio::time::Instant::now() >= shutdown.drain_deadline().unwrap());
    stuck.closed().await;
}

/// G13, H8
#[tokio::test]
async fn the_header_timeout_still_counts_while_draining() {
    let builder = server().header_timeout(Duration::from_millis(50));
    let running = Running::start(builder, router(&Gate::new())).await;
    let mut half = running.connect().await;
    half.send("GET / HTTP/1.1\r\nHost:").await;
    running.shutdown.begin(ShutdownKind::Terminate);
    half.closed().await;
    assert_eq!(running.drained().await.aborted, 0);
}
