//! A hardened HTTP/1 server for an axum router.
//!
//! `axum::serve` has no header timeout, lets header blocks of hundreds of kilobytes through, knows no
//! limit on connections and waits for ever while draining. This server is hyper's HTTP/1 connection
//! with, per item, its default:
//!
//! | what | default | beyond it |
//! |---|---|---|
//! | time for a header block, and idle time of a kept connection | 10 s | closed |
//! | header block with the request line | 16 KiB | 431, closed |
//! | header fields | 100 | 431, closed |
//! | request body | 64 KiB | 413, closed |
//! | request, until its answer's header is there | 10 s | 504; 408 and closed while its body is late |
//! | time without progress in sending an answer | 10 s | closed |
//! | requests being answered at once | 512 | 503 with `Retry-After: 1` |
//! | open connections | 1024, or what the limit on open files leaves room for | the one idle for longest is closed, unless a request has arrived on it; with none idle, new ones wait |
//!
//! Header time and idle time are one limit because hyper's header timer starts when it begins to wait
//! for a request; a client's pool should give up idle connections sooner, or it will send a request
//! into one that is being closed. `/livez` and `/readyz` are never shed. A panic in a handler is a 500 and the
//! connection goes on. A request with both `Transfer-Encoding` and `Content-Length` ends its connection
//! (RFC 9112 section 6.1; hyper does that), so that disagreement about its end never lets a second
//! request in. Of HTTP/1.1's rules one is added that hyper leaves to its user: exactly one `Host`
//! (section 3.2), else 400.
//! A client that closes its sending side after a request (a half-closed connection) counts as gone and gets no
//! answer: the two cannot be told apart before something is sent, and the place of a caller that went away is
//! for others.
//! `X-Forwarded-*` and `X-HTTP-Method-Override` have no meaning here. Every request gets an id
//! ([`request_id`](crate::request_id)).
//!
//! HTTP/2 is left out: the services are called by each other and by load balancers, which all speak
//! HTTP/1.1, and without it stream resets, `CONTINUATION` floods and header compression are no concern.
//!
//! # Drain
//!
//! When the [`Shutdown`] begins, every answer carries `Connection: close` and readiness turns 503. The
//! listener still accepts for the lame-duck period ([`Shutdown::listeners_close`]). Then, on Linux, it lets no
//! connection begin, so that its close loses none: it accepts those that have begun for 100 ms and closes. A
//! client that comes in that time is refused a second later, when it repeats its request for a connection.
//! Elsewhere one that comes at the moment of the close can be reset. Connections that are idle then get
//! another half second, in which a request that is already on its way is still answered; busy ones finish
//! their request. What is left at [`Shutdown::drain_deadline`] is aborted.

mod accept;
mod answer;
mod body;
mod connection;
mod listener;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::descriptors;
use crate::shutdown::Shutdown;

/// Limits of a server; see the [module](self) for the defaults.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    header_timeout: Duration,
    max_header_bytes: usize,
    limits: Limits,
}

#[derive(Clone, Debug)]
struct Limits {
    connections: usize,
    in_flight: usize,
    request_timeout: Duration,
    write_timeout: Duration,
}

/// The longest request body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// hyper cannot buffer less.
const MIN_HEADER_BYTES: usize = 8192;

impl Builder {
    /// Time for a header block, and idle time of a kept connection. Default 10 s.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// Size of a header block with its request line, at least 8 KiB. Default 16 KiB.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = bytes.max(MIN_HEADER_BYTES);
        self
    }

    /// Open connections, at least 1. Default 1024. Fewer where the process's limit on open files would leave less
    /// than 200 (or half of it) for everything else.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections.max(1);
        self
    }

    /// Requests whose answer is being worked on; an answer whose body is still being sent no longer
    /// counts. Default 512.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.limits.in_flight = requests;
        self
    }

    /// Time from the end of a request's header block to the beginning of its answer. Default 10 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.request_timeout = timeout;
        self
    }

    /// Time for which a peer may leave its receive window closed while an answer is sent. Default 10 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// Opens the listener. From here on connections are taken into its backlog.
    ///
    /// # Errors
    ///
    /// Fails when the address is in use, not this machine's, or not allowed to this user.
    pub async fn bind(self, address: SocketAddr) -> Result<Server, BindError> {
        let fail = |source| BindError {
            address,
            variable: None,
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let local = listener.local_addr().map_err(fail)?;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_header_size(self.max_header_bytes)
            .max_buf_size(self.max_header_bytes);
        let mut limits = self.limits;
        limits.connections = descriptors::for_connections(limits.connections);
        Ok(Server {
            listener,
            local,
            http,
            limits,
            counters: Arc::default(),
        })
    }
}

/// A listener that is open, and the limits it will serve with.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    http: http1::Builder,
    limits: Limits,
    counters: Arc<Counters>,
}

impl Server {
    /// Starts with the default limits.
    pub fn builder() -> Builder {
        Builder {
            header_timeout: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
            limits: Limits {
                connections: 1024,
                in_flight: 512,
                request_timeout: Duration::from_secs(10),
                write_timeout: Duration::from_secs(10),
            },
        }
    }

    /// Returns the address of the listener, with the port that was chosen when it was bound to 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns the counts of what the server itself answered or ended; they are updated while it runs.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Serves `router` until `shutdown` has begun and the drain is over.
    ///
    /// Dropping the future aborts every connection. A problem document of a known size gets its request's id
    /// added, and is read for that: one that `router` passes on from elsewhere must be sent in chunks.
    pub async fn serve(self, router: Router, shutdown: Shutdown) -> Drained {
        tracing::info!(server.address = %self.local, "listening");
        self.serve_unannounced(router, shutdown).await
    }

    /// The same, for a listener that is not what the service is there for.
    pub(crate) async fn serve_unannounced(self, router: Router, shutdown: Shutdown) -> Drained {
        let shared = Arc::new(ServerState {
            // Without it a router makes its handlers into services anew for every request.
            router: router.with_state(()),
            http: self.http,
            limits: self.limits,
            in_flight: AtomicUsize::new(0),
            counters: self.counters,
            shutdown,
            started: Instant::now(),
        });
        let aborted = accept::run(self.listener, &shared).await;
        tracing::info!(server.address = %self.local, connections.aborted = aborted, "drained");
        Drained { aborted }
    }
}

/// The state that the connections of one server share.
struct ServerState {
    router: Router,
    http: http1::Builder,
    limits: Limits,
    in_flight: AtomicUsize,
    counters: Arc<Counters>,
    shutdown: Shutdown,
    started: Instant,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that were still open at the deadline and were aborted.
    pub aborted: usize,
}

/// Counts of events that no handler sees.
#[derive(Debug, Default)]
pub struct Counters {
    /// By the first digit of the status, from 1.
    answers: [AtomicU64; 5],
    panics: AtomicU64,
    shed: AtomicU64,
    timeouts: AtomicU64,
    evicted: AtomicU64,
}

impl Counters {
    /// Answers whose status has this first digit, 1 to 5; those of the server itself are among them.
    pub fn answers(&self, class: u16) -> u64 {
        let class = usize::from(class.wrapping_sub(1));
        self.answers
            .get(class)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Handlers that panicked and were answered with 500.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Requests answered with 503 because too many were in flight.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// Requests answered with 504 or 408 because their time was over.
    pub fn timeouts(&self) -> u64 {
        self.timeouts.load(Ordering::Relaxed)
    }

    /// Idle connections closed to make room for new ones.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

/// The listener could not be opened.
///
/// `Display` is `127.0.0.1:6001 is in use`, preceded by the variable if
/// [`BindError::for_variable`] named one.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    variable: Option<&'static str>,
    source: io::Error,
}

impl BindError {
    /// Names the variable that the address came from, so that the message says what to change.
    #[must_use]
    pub fn for_variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    /// Tells whether another socket has the address.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variable) = self.variable {
            write!(f, "{variable}: ")?;
        }
        write!(f, "{} ", self.address)?;
        f.write_str(match self.source.kind() {
            io::ErrorKind::AddrInUse => "is in use",
            io::ErrorKind::AddrNotAvailable => "is not an address of this machine",
            io::ErrorKind::PermissionDenied => "may not be listened on by this user",
            _ => "cannot be listened on",
        })
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.source.kind() {
            // The message says it all.
            io::ErrorKind::AddrInUse
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied => None,
            _ => Some(&self.source),
        }
    }
}

/// Returns where a client on this machine finds a listener: one on all interfaces is on loopback too.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_interfaces_is_reached_on_loopback() {
        for (address, expected) in [
            ("0.0.0.0:6001", "127.0.0.1:6001"),
            ("[::]:6001", "[::1]:6001"),
            ("192.0.2.7:6001", "192.0.2.7:6001"),
            ("[2001:db8::7]:6001", "[2001:db8::7]:6001"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(reachable(address).to_string(), expected);
        }
    }
}
