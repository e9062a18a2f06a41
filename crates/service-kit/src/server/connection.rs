//! One connection, from its first byte to its last.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_io_timeout::TimeoutWriter;

use super::ServerState;
use super::answer::answer;

/// Time in which an idle connection is still served after the listener has closed: the request of a
/// client that was given this connection a moment ago is on its way, and that client may be slow.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// How long a connection that is to be closed for another one is still served. What the kernel has received is
/// seen before a timer ends, however long ago this program last asked it.
const ARRIVED: Duration = Duration::from_millis(1);

/// Bounds of what is read and thrown away after an answer that left part of its request unread.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 256 * 1024;

/// An order of the accept loop to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Close now if idle; if not, go on.
    Evict = 1,
    /// Close after the request that is being answered or is about to arrive.
    Finish = 2,
}

/// The messages between a connection's task and the accept loop.
#[derive(Debug)]
pub(super) struct ConnectionState {
    busy: AtomicBool,
    last_used_ns: AtomicU64,
    order: AtomicU8,
    ordered: Notify,
    unread: AtomicBool,
    epoch: Instant,
}

impl ConnectionState {
    pub(super) fn new(epoch: Instant) -> Self {
        let state = Self {
            busy: AtomicBool::new(false),
            last_used_ns: AtomicU64::new(0),
            order: AtomicU8::new(0),
            ordered: Notify::new(),
            unread: AtomicBool::new(false),
            epoch,
        };
        state.used(Instant::now());
        state
    }

    /// Marks the connection busy until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, now: Instant) -> BusyGuard {
        self.used(now);
        self.busy.store(true, Ordering::Relaxed);
        BusyGuard(Arc::clone(self))
    }

    /// Says that part of a request will stay unread.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn last_used_ns(&self) -> u64 {
        self.last_used_ns.load(Ordering::Relaxed)
    }

    pub(super) fn order(&self, order: Order) {
        self.order.store(order as u8, Ordering::Release);
        self.ordered.notify_one();
    }

    pub(super) fn was_ordered(&self, order: Order) -> bool {
        self.order.load(Ordering::Acquire) == order as u8
    }

    /// Forgets an order unless another has replaced it.
    fn withdraw(&self, order: Order) {
        // A failed exchange means that the newer order stands.
        let _ = self
            .order
            .compare_exchange(order as u8, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    fn used(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.epoch).as_nanos();
        self.last_used_ns.store(
            u64::try_from(elapsed).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

/// A request is being answered, up to the last part of the answer's body.
pub(super) struct BusyGuard(Arc<ConnectionState>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.used(Instant::now());
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

/// Serves `stream` until either side closes it.
pub(super) async fn run(
    mut stream: TcpStream,
    state: Arc<ConnectionState>,
    shared: Arc<ServerState>,
) {
    // Answers are one small write; waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "cannot set TCP_NODELAY");
    }
    let unread = {
        // hyper has no such timer, and a peer that asks and never reads would hold its connection for ever.
        let mut io = TimeoutWriter::new(&mut stream);
        io.set_timeout(Some(shared.limits.write_timeout));
        serve(TokioIo::new(pin!(io)), &state, &shared).await
    };
    if unread {
        linger(&stream).await;
    }
}

/// Drives the HTTP connection; `true` when the peer may still be sending.
async fn serve(
    io: TokioIo<Pin<&mut TimeoutWriter<&mut TcpStream>>>,
    state: &Arc<ConnectionState>,
    shared: &ServerState,
) -> bool {
    let service = service_fn(|request| answer(shared, state, request));
    let mut connection = pin!(shared.http.serve_connection(io, service));
    // The connection comes first in each select: a request that has arrived is taken before an order
    // that came with it.
    let result = loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => break result,
            () = state.ordered.notified() => {
                if state.was_ordered(Order::Finish) {
                    let last = timeout(last_request(shared), connection.as_mut()).await;
                    if let Ok(result) = last {
                        break result;
                    }
                    connection.as_mut().graceful_shutdown();
                    break connection.await;
                }
                let last_used = state.last_used_ns();
                let is_unused = || state.is_idle() && state.last_used_ns() == last_used;
                if is_unused() {
                    if let Ok(result) = timeout(ARRIVED, connection.as_mut()).await {
                        break result;
                    }
                    if is_unused() {
                        shared.counters.evicted.fetch_add(1, Ordering::Relaxed);
                        return false;
                    }
                }
                // Busy again since it was chosen.
                state.withdraw(Order::Evict);
            }
        }
    };
    match result {
        Ok(()) => state.unread.load(Ordering::Relaxed),
        Err(error) => {
            // The error names the broken rule, never the bytes that broke it.
            tracing::debug!(error = %error, "connection ended");
            error.is_parse()
        }
    }
}

/// [`LAST_REQUEST`], but no more than half of what is left of the drain.
fn last_request(shared: &ServerState) -> Duration {
    let left = shared.shutdown.drain_deadline();
    let left = left.map(|deadline| deadline.saturating_duration_since(Instant::now()) / 2);
    left.map_or(LAST_REQUEST, |left| left.min(LAST_REQUEST))
}

/// Reads and forgets what the peer still sends (RFC 9112 section 9.6): closing a socket with unread
/// input resets it, and the reset can overtake the answer.
async fn linger(stream: &TcpStream) {
    let mut scrap = [0; 4096];
    let read_all = async {
        let mut left = LINGER_BYTES;
        while left > 0 && stream.readable().await.is_ok() {
            match stream.try_read(&mut scrap) {
                Ok(0) => break,
                Ok(count) => left = left.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    };
    // The bound is the point; what is left after it may be reset.
    let _ = timeout(LINGER, read_all).await;
}
