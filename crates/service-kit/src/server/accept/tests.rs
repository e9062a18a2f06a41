use axum::Router;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

    fn close(self) -> Vec<TcpStream> {
        self.listener.close()
    }
}

fn shared(shutdown: &Shutdown) -> Arc<Shared> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    Arc::new(Shared {
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
