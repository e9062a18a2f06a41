use axum::Router;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use std::io::{Read as _, Write as _};
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::advance;

use super::*;
use crate::server::Server;
use crate::shutdown::ShutdownKind;

/// Fails as the operating system does without free file descriptors, then accepts.
struct Exhausted {
    failures: u32,
    listener: TcpListener,
}

impl Listener for Exhausted {
    async fn accept(&mut self) -> io::Result<TcpStream> {
        const EMFILE: i32 = 24;
        if self.failures > 0 {
            self.failures -= 1;
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        Listener::accept(&mut self.listener).await
    }

    fn stop(&self) {
        self.listener.stop();
    }

    fn close(self) -> Vec<TcpStream> {
        self.listener.close()
    }
}

/// Hands over connections from within the program, so that the accept loop runs without a look at the sockets.
struct Handed(mpsc::UnboundedReceiver<io::Result<TcpStream>>);

impl Listener for Handed {
    async fn accept(&mut self) -> io::Result<TcpStream> {
        match self.0.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn stop(&self) {}

    fn close(self) -> Vec<TcpStream> {
        Vec::new()
    }
}

/// Has one connection, whose handshake ends some time after it was stopped.
struct Late {
    accepted: Option<TcpStream>,
    stopped: Arc<Notify>,
}

impl Listener for Late {
    async fn accept(&mut self) -> io::Result<TcpStream> {
        self.stopped.notified().await;
        // The handshake takes that long.
        advance(HANDSHAKE - Duration::from_millis(1)).await;
        match self.accepted.take() {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }

    fn stop(&self) {
        self.stopped.notify_one();
    }

    fn close(self) -> Vec<TcpStream> {
        Vec::new()
    }
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

/// H6
#[tokio::test(start_paused = true)]
async fn a_handshake_that_ends_after_the_listener_was_stopped_is_not_lost() {
    let (mut peer, accepted) = connection().await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    shutdown.begin(ShutdownKind::Interrupt);
    let listener = Late {
        accepted: Some(accepted),
        stopped: Arc::default(),
    };
    assert_eq!(run(listener, &shared(&shutdown)).await, 0);
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// H11
#[tokio::test]
async fn the_accept_loop_goes_on_after_running_out_of_file_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let shared = shared(&shutdown);
    let listener = Exhausted {
        failures: 1,
        listener,
    };
    let server = tokio::spawn(async move { run(listener, &shared).await });

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
    const EMFILE: i32 = 24;
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let shared = shared(&shutdown);
    let counters = Arc::clone(&shared.counters);
    let (hand, handed) = mpsc::unbounded_channel();
    let server = tokio::spawn(async move { run(Handed(handed), &shared).await });
    let (mut idle, accepted) = connection().await;
    hand.send(Ok(accepted)).unwrap();
    hand.send(Err(io::Error::from_raw_os_error(EMFILE)))
        .unwrap();
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
    let (hand, handed) = mpsc::unbounded_channel();
    let server = tokio::spawn(async move { run(Handed(handed), &Arc::new(shared)).await });
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
    let exhausted = io::Error::from_raw_os_error(24);
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
