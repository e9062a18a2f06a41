use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use hyper::body::Frame;
use service_kit::health::{self, Readiness};
use service_kit::server::Server;
use service_kit::shutdown::Shutdown;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::gate::Gate;
use crate::peer::{PATIENCE, Running, request, server};

fn router() -> Router {
    Router::new().route("/", get(|| async { "here" }))
}

/// C17
#[tokio::test]
async fn requests_beyond_the_limit_are_shed_at_once_and_health_is_not() {
    let gate = Gate::new();
    let shutdown = Shutdown::manual(Duration::from_secs(10));
    let router = router()
        .merge(gate.route())
        .merge(health::routes(&shutdown, Readiness::ready));
    let running = Running::start_with(server().max_in_flight(2), router, shutdown).await;

    let (mut first, mut second) = (running.connect().await, running.connect().await);
    first.send(request("GET", "/gate")).await;
    second.send(request("GET", "/gate")).await;
    gate.entered().await;
    gate.entered().await;

    let mut third = running.connect().await;
    for _ in 0..3 {
        let shed = third.get("/").await;
        shed.problem(503);
        assert_eq!(shed.header("retry-after"), Some("1"));
    }
    assert_eq!(third.get("/livez").await.status, 200);
    assert_eq!(third.get("/readyz").await.status, 200);
    assert_eq!(running.counters.shed(), 3);

    gate.open.notify_one();
    gate.open.notify_one();
    assert_eq!(first.answer().await.body, "through");
    assert_eq!(second.answer().await.body, "through");
    assert_eq!(
        third.get("/").await.status,
        200,
        "service resumes with the load gone"
    );
}

/// C17
#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back() {
    let gate = Gate::new();
    let running = Running::start(server().max_in_flight(1), router().merge(gate.route())).await;
    let mut first = running.connect().await;
    first.send(request("GET", "/gate")).await;
    gate.entered().await;
    drop(first);
    let mut second = running.connect().await;
    // The server learns of the hang-up from its socket, in its own time.
    let served = async { while second.get("/").await.status == 503 {} };
    timeout(PATIENCE, served).await.unwrap();
}

/// G14
#[tokio::test]
async fn a_full_server_closes_the_connection_that_is_idle_for_longest() {
    let running = Running::start(server().max_connections(2), router()).await;
    let (mut old, mut recent) = (running.connect().await, running.connect().await);
    assert_eq!(recent.get("/").await.status, 200);
    assert_eq!(old.get("/").await.status, 200);
    assert_eq!(recent.get("/").await.status, 200);

    let mut new = running.connect().await;
    assert_eq!(new.get("/").await.status, 200);
    old.closed().await;
    assert_eq!(
        recent.get("/").await.status,
        200,
        "the other one is untouched"
    );
    assert_eq!(running.counters.evicted(), 1);
}

/// G14
#[tokio::test]
async fn a_full_server_leaves_busy_connections_alone_however_old() {
    let gate = Gate::new();
    let running = Running::start(server().max_connections(2), router().merge(gate.route())).await;
    let mut busy = running.connect().await;
    busy.send(request("GET", "/gate")).await;
    gate.entered().await;
    let mut idle = running.connect().await;
    assert_eq!(idle.get("/").await.status, 200);

    assert_eq!(running.connect().await.get("/").await.status, 200);
    idle.closed().await;
    gate.open.notify_one();
    assert_eq!(busy.answer().await.body, "through");
    assert_eq!(running.counters.evicted(), 1);
}

/// G14
#[tokio::test]
async fn a_connection_is_idle_from_the_end_of_its_last_answer() {
    let gate = Gate::new();
    let running = Running::start(server().max_connections(2), router().merge(gate.route())).await;
    let mut slow = running.connect().await;
    slow.send(request("GET", "/gate")).await;
    gate.entered().await;
    let mut idle = running.connect().await;
    assert_eq!(idle.get("/").await.status, 200);
    gate.open.notify_one();
    assert_eq!(slow.answer().await.body, "through");

    assert_eq!(running.connect().await.get("/").await.status, 200);
    idle.closed().await;
    assert_eq!(slow.get("/").await.status, 200);
}

/// G14
#[tokio::test]
async fn peers_that_send_nothing_do_not_keep_others_out() {
    let running = Running::start(server().max_connections(8), router()).await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(running.connect().await);
    }
    assert_eq!(running.connect().await.get("/").await.status, 200);
}

/// G14
#[tokio::test]
async fn with_no_connection_idle_new_ones_wait_for_one_to_end() {
    let gate = Gate::new();
    let running = Running::start(server().max_connections(1), router().merge(gate.route())).await;
    let mut busy = running.connect().await;
    busy.send("GET /gate HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    gate.entered().await;
    let mut waiting = running.connect().await;
    waiting.send(request("GET", "/")).await;
    gate.open.notify_one();
    assert_eq!(busy.answers_until_close().await[0].body, "through");
    assert_eq!(waiting.answer().await.status, 200);
    assert_eq!(running.counters.evicted(), 0);
}

/// A body without end that tells when it is dropped.
struct Endless(Option<oneshot::Sender<()>>);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 16 * 1024])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        if let Some(dropped) = self.0.take() {
            let _ = dropped.send(());
        }
    }
}

/// G14
#[tokio::test]
async fn a_peer_that_never_reads_its_answer_is_closed() {
    let (dropped, closed) = oneshot::channel();
    let body = std::sync::Mutex::new(Some(Body::new(Endless(Some(dropped)))));
    let body = Arc::new(body);
    let router = Router::new().route(
        "/endless",
        get(move || async move { body.lock().unwrap().take().unwrap() }),
    );
    let running = Running::start(server().write_timeout(Duration::from_millis(50)), router).await;
    let mut peer = running.connect().await;
    peer.send(request("GET", "/endless")).await;
    timeout(PATIENCE, closed).await.unwrap().unwrap();
}

/// H13
#[tokio::test]
async fn a_port_in_use_is_named_with_its_variable() {
    let first = Server::builder()
        .bind(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let address = first.local_addr();
    let error = Server::builder().bind(address).await.unwrap_err();
    assert!(error.is_in_use());
    assert_eq!(error.to_string(), format!("{address} is in use"));
    let error = error.for_variable("PUBLIC_DATA_ADDR");
    assert_eq!(
        error.to_string(),
        format!("PUBLIC_DATA_ADDR: {address} is in use")
    );
    assert!(std::error::Error::source(&error).is_none());
}
