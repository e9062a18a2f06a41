//! A listener that can be taken down and brought back on the same port, with connections that can
//! end without an answer. `axum::serve` can do neither.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Answers a request, or has the connection closed.
pub(crate) type Handler = Arc<dyn Fn(Request) -> ResponseFuture + Send + Sync>;

pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response, HangUp>> + Send>>;

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed on purpose")
    }
}

impl std::error::Error for HangUp {}

/// An address that is served, or was and will be again. Dropping it ends its task.
pub(crate) struct Server {
    addr: SocketAddr,
    handler: Handler,
    state: Mutex<ServerState>,
}

enum ServerState {
    Up {
        stop: DropGuard,
        task: JoinHandle<()>,
    },
    Down(Reservation),
}

// Large enough that a test with hundreds of callers meets no refused connection.
const BACKLOG: u32 = 1024;

impl Server {
    /// Serves a listener from now on.
    pub(crate) fn start(listener: TcpListener, addr: SocketAddr, handler: Handler) -> Self {
        let state = Mutex::new(ServerState::up(listener, Arc::clone(&handler)));
        Self {
            addr,
            handler,
            state,
        }
    }

    /// Closes the listener and every connection. Does nothing if that was done already.
    pub(crate) async fn pause(&self) {
        let mut state = self.state.lock().await;
        if let ServerState::Up { .. } = *state {
            let up = std::mem::replace(&mut *state, ServerState::Down(Reservation(None)));
            up.end().await;
            *state = ServerState::Down(Reservation::new(self.addr));
        }
    }

    /// Listens on the same address again. Does nothing if it does.
    pub(crate) async fn resume(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        if let ServerState::Down(reservation) = &mut *state {
            let listener = reservation.listen(self.addr)?;
            *state = ServerState::up(listener, Arc::clone(&self.handler));
        }
        Ok(())
    }

    pub(crate) async fn shutdown(self) {
        self.state.into_inner().end().await;
    }
}

impl ServerState {
    fn up(listener: TcpListener, handler: Handler) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, handler, stop.clone()));
        Self::Up {
            stop: stop.drop_guard(),
            task,
        }
    }

    async fn end(self) {
        if let Self::Up { stop, task } = self {
            drop(stop);
            if let Err(error) = task.await {
                tracing::error!(%error, "the development provider's listener ended badly");
            }
        }
    }
}

/// A socket that is bound and does not listen: connections are refused, and no program that asks for any
/// free port is given this one meanwhile.
struct Reservation(Option<TcpSocket>);

impl Reservation {
    fn new(addr: SocketAddr) -> Self {
        Self(bind(addr).ok())
    }

    fn listen(&mut self, addr: SocketAddr) -> io::Result<TcpListener> {
        match self.0.take() {
            Some(socket) => socket.listen(BACKLOG),
            None => listen(addr),
        }
    }
}

/// Listens on an address.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    bind(addr)?.listen(BACKLOG)
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections that were just closed linger on the port; without this, it could not be bound
    // again for a minute. On Windows the option means that others may take the port from us.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

async fn serve(listener: TcpListener, handler: Handler, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&handler)));
                }
                // Out of file descriptors, mostly: trying again at once would spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, handler: Handler) {
    // An answer is written in one go; waiting for more of it would only slow the caller down.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: http::Request<Incoming>| {
        handler(request.map(axum::body::Body::new))
    });
    // Its errors are hang-ups: ours are wanted, and the other side's are no news here.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
