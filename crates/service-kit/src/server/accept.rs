//! The accept loop, the connection cap and the drain.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::ServerState;
use super::connection::{self, ConnectionState, Order};
use super::listener::Listener;
use crate::shutdown::Shutdown;

/// How often a full server looks for a connection that has become idle.
const FULL_RETRY: Duration = Duration::from_millis(100);

/// How long a listener that lets no connection begin any more is kept. A handshake that has begun is over by then,
/// unless its packets take longer or get lost.
const HANDSHAKE: Duration = Duration::from_millis(100);

/// Serves until the drain is over; returns the number of connections that had to be aborted.
pub(super) async fn run(mut listener: impl Listener, shared: &Arc<ServerState>) -> usize {
    let mut open = Open::default();
    let mut backoff = Backoff::default();
    let mut closing = pin!(listeners_close(&shared.shutdown));
    // Accepted while the server was full; only then does an idle peer lose its place.
    let mut waiting = None;
    loop {
        if open.states.len() < shared.limits.connections
            && let Some(stream) = waiting.take()
        {
            open.start(stream, shared);
        }
        if waiting.is_some() {
            open.evict();
        }
        tokio::select! {
            biased;
            () = &mut closing => break,
            () = open.one_ended(), if !open.tasks.is_empty() => {}
            () = sleep(FULL_RETRY), if waiting.is_some() => {}
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok(stream) => {
                    backoff.succeeded();
                    waiting = Some(stream);
                }
                Err(error) => if let Some(pause) = backoff.after(&error) {
                    if backoff.is_news() {
                        tracing::warn!(
                            error = %error,
                            retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                            "cannot accept connections"
                        );
                    }
                    // What gives a descriptor back is also what makes trying again worth while.
                    open.evict();
                    tokio::select! {
                        biased;
                        () = &mut closing => break,
                        () = open.one_ended(), if !open.tasks.is_empty() => {}
                        () = sleep(pause) => {}
                    }
                }
            }
        }
    }
    listener.stop();
    if let Some(stream) = waiting {
        open.start(stream, shared);
    }
    let deadline = shared.shutdown.drain_deadline();
    let deadline = deadline.unwrap_or_else(Instant::now);
    // Its end is the point; an error leaves the rest to the close.
    let _ = timeout_at(deadline.min(Instant::now() + HANDSHAKE), async {
        while let Ok(stream) = listener.accept().await {
            open.start(stream, shared);
        }
    })
    .await;
    for stream in listener.close() {
        open.start(stream, shared);
    }
    open.finish(deadline).await
}

async fn listeners_close(shutdown: &Shutdown) {
    shutdown.draining().await;
    if let Some(at) = shutdown.listeners_close() {
        sleep_until(at).await;
    }
}

/// The open connections.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    states: HashMap<Id, Arc<ConnectionState>>,
}

impl Open {
    fn start(&mut self, stream: TcpStream, shared: &Arc<ServerState>) {
        let state = Arc::new(ConnectionState::new(shared.started));
        let task = connection::run(stream, Arc::clone(&state), Arc::clone(shared));
        let id = self.tasks.spawn(task).id();
        self.states.insert(id, state);
    }

    async fn one_ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            // The panic hook has logged it; an answer's body can panic outside of the handler's guard.
            Some(Err(error)) => error.id(),
            None => return,
        };
        self.states.remove(&id);
    }

    /// Tells the connection that has been idle for longest to close, unless one was told already.
    ///
    /// A peer that opens many connections and sends nothing, or sends slowly, so pushes out its own
    /// before one that is in use. Where none is idle, new ones wait in the backlog.
    fn evict(&self) {
        if self
            .states
            .values()
            .any(|state| state.was_ordered(Order::Evict))
        {
            return;
        }
        let idle = self.states.values().filter(|state| state.is_idle());
        if let Some(state) = idle.min_by_key(|state| state.last_used_ns()) {
            state.order(Order::Evict);
        }
    }

    async fn finish(mut self, deadline: Instant) -> usize {
        for state in self.states.values() {
            state.order(Order::Finish);
        }
        let ended = async {
            while !self.tasks.is_empty() {
                self.one_ended().await;
            }
        };
        if timeout_at(deadline, ended).await.is_ok() {
            return 0;
        }
        let aborted = self.tasks.len();
        self.tasks.shutdown().await;
        aborted
    }
}

/// Pause after an accept error that does not concern one connection alone, such as no free file
/// descriptor: at once again would spin, since the connection stays in the backlog.
#[derive(Default)]
struct Backoff {
    last: Option<Duration>,
    told: Option<Instant>,
}

impl Backoff {
    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(1);
    /// Errors and successes can alternate with every connection that a peer opens.
    const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(10);

    fn after(&mut self, error: &io::Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            return None;
        }
        let pause = self
            .last
            .map_or(Self::MIN, |last| (last * 2).min(Self::MAX));
        self.last = Some(pause);
        Some(pause)
    }

    fn succeeded(&mut self) {
        self.last = None;
    }

    /// Tells whether the log has not heard of it for a while, and takes it that it does now.
    fn is_news(&mut self) -> bool {
        let now = Instant::now();
        let news = self
            .told
            .is_none_or(|told| now - told >= Self::TOLD_AGAIN_AFTER);
        if news {
            self.told = Some(now);
        }
        news
    }
}

#[cfg(test)]
mod tests;
