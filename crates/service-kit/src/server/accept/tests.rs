use axum::Router;
use axum::routing::get;
use futures_util::TryFutureExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use std::io::{Read as _, Write as _};
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::advance;

use super::*;
use crate::server::Server;
use crate::shutdown::ShutdownKind;

const EMFILE: i32 = 24;

/// Fails as the operating system does without free file descriptors.
fn exhausted() -> io::Result<TcpStream> {
    Err(io::Error::from_raw_os_error(EMFILE))
}

/// Connections from within the program, so that the accept loop runs without a look at the sockets.
fn handed(
    mut handed: mpsc::UnboundedReceiver<io::Result<TcpStream>>,
) -> impl Stream<Item = io::Result<TcpStream>> + Unpin {
    stream::poll_fn(move |context| handed.poll_recv(context))
}

/// [`run`], on connections from elsewhere than a listener.
async fn run_on(
    connections: impl Stream<Item = io::Result<TcpStream>> + Unpin,
    shared: &Arc<ServerState>,
) -> usize {
    let open = serve(connections, shared).await;
    open.finish(&shared.shutdown).await
}

/// Both ends of a connection; the peer's knows nothing of the runtime.
async fn connection() -> (std::net::TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (peer, listener.accept().await.unwrap().0)
}

fn shared(shutdown: &Shutdown) -> Arc<ServerState> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    Arc::new(ServerState {
        router: Router::new().route("/", get(|| async { "here" })),
        http,
        limits: Server::builder().limits,
        in_flight: AtomicUsize::new(0),
        counters: Arc::default(),
        shutdown: shutdown.clone(),
        started: Instant::now(),
    })
}

/// H11
#[tokio::test]
async fn the_accept_loop_goes_on_after_running_out_of_file_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let shared = shared(&shutdown);
    let server = tokio::spawn(async move {
        let accepted = pin!(stream::once(listener.accept().map_ok(|(stream, _)| stream)));
        run_on(stream::iter([exhausted()]).chain(accepted), &shared).await
    });

    let mut peer = TcpStream::connect(address).await.unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    shutdown.begin(ShutdownKind::Interrupt);
    assert_eq!(server.await.unwrap(), 0);
}

/// H11
#[tokio::test]
async fn an_idle_connection_gives_way_when_file_descriptors_run_out() {
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let shared = shared(&shutdown);
    let counters = Arc::clone(&shared.counters);
    let (hand, receiver) = mpsc::unbounded_channel();
    let server = tokio::spawn(async move { run_on(handed(receiver), &shared).await });
    let (mut idle, accepted) = connection().await;
    hand.send(Ok(accepted)).unwrap();
    hand.send(exhausted()).unwrap();
    let closed = tokio::task::spawn_blocking(move || idle.read(&mut [0; 16]));
    assert_eq!(closed.await.unwrap().unwrap(), 0, "not closed");
    assert_eq!(counters.evicted(), 1);
    shutdown.begin(ShutdownKind::Interrupt);
    assert_eq!(server.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn accept_errors_are_told_once_in_ten_seconds() {
    let mut backoff = Backoff::default();
    assert!(backoff.is_news());
    backoff.succeeded();
    assert!(!backoff.is_news());
    advance(Duration::from_secs(10)).await;
    assert!(backoff.is_news());
}

/// G14
#[tokio::test]
async fn a_request_that_has_arrived_is_answered_although_another_connection_needs_the_place() {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let mut shared = Arc::into_inner(shared(&shutdown)).unwrap();
    shared.limits.connections = 1;
    let (hand, receiver) = mpsc::unbounded_channel();
    let server = tokio::spawn(async move { run_on(handed(receiver), &Arc::new(shared)).await });
    let answered = |mut peer: std::net::TcpStream| {
        tokio::task::spawn_blocking(move || {
            let mut answer = Vec::new();
            while !answer.ends_with(b"here") {
                let mut part = [0; 512];
                match peer.read(&mut part).unwrap() {
                    0 => panic!("closed"),
                    read => answer.extend_from_slice(&part[..read]),
                }
            }
            peer
        })
    };

    let (mut first, accepted) = connection().await;
    hand.send(Ok(accepted)).unwrap();
    first.write_all(GET).unwrap();
    let mut first = answered(first).await.unwrap();
    let (second, accepted) = connection().await;
    // Nothing between these two waits, so the server hears of the other connection first.
    first.write_all(GET).unwrap();
    hand.send(Ok(accepted)).unwrap();
    drop((answered(first).await.unwrap(), second));
    shutdown.begin(ShutdownKind::Interrupt);
    server.await.unwrap();
}

/// H11
#[test]
fn the_pause_after_accept_errors_grows_to_a_second() {
    let mut backoff = Backoff::default();
    let exhausted = exhausted().unwrap_err();
    let pauses: Vec<u128> = std::iter::from_fn(|| backoff.after(&exhausted))
        .take(6)
        .map(|p| p.as_millis())
        .collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    assert_eq!(
        backoff.after(&io::ErrorKind::ConnectionAborted.into()),
        None
    );
}
