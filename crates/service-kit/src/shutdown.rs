//! The handle that starts a drain and that every part of a process watches.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why the process is going away, which decides whether callers are given time to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownKind {
    /// SIGTERM: an orchestrator ends the process. Listeners stay open for the lame-duck period.
    Terminate,
    /// SIGINT: a person at a terminal is waiting. Listeners close at once.
    Interrupt,
}

/// A shared handle on the end of the process; clones are the same handle.
///
/// A drain begins once and is never taken back. From then on [`Shutdown::is_draining`] is true, the
/// readiness route answers 503 and every answer closes its connection.
#[derive(Clone, Debug)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    grace: Duration,
    begun: OnceLock<(ShutdownKind, Instant)>,
    // Read once per request; the token's own flag is behind a lock that all connections would share.
    draining: AtomicBool,
    token: CancellationToken,
}

/// Longest time for which listeners stay open after SIGTERM: two or three health checks of a load
/// balancer that polls several times a second.
const MAX_LAME_DUCK: Duration = Duration::from_secs(1);

/// Most of the grace that is kept back for what follows the drain, such as ending the token cache's
/// tasks.
const MAX_RESERVE: Duration = Duration::from_secs(1);

impl Shutdown {
    /// Returns a handle that only [`Shutdown::begin`] starts; for tests and for a launcher that runs
    /// several services in one process.
    pub fn manual(grace: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                grace,
                begun: OnceLock::new(),
                draining: AtomicBool::new(false),
                token: CancellationToken::new(),
            }),
        }
    }

    /// Returns a handle that the process's first SIGTERM or SIGINT starts.
    ///
    /// The second signal ends the process at once, without any clean-up, with code 143 (SIGTERM) or
    /// 130 (SIGINT). Must be called inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails when the operating system refuses the signal handlers.
    pub fn on_signals(grace: Duration) -> io::Result<Self> {
        let shutdown = Self::manual(grace);
        let mut signals = Signals::install()?;
        let handle = shutdown.clone();
        tokio::spawn(async move {
            handle.begin(signals.next().await);
            std::process::exit(match signals.next().await {
                ShutdownKind::Terminate => 143,
                ShutdownKind::Interrupt => 130,
            });
        });
        Ok(shutdown)
    }

    /// Starts the drain; later calls change nothing.
    pub fn begin(&self, kind: ShutdownKind) {
        if self.inner.begun.set((kind, Instant::now())).is_ok() {
            self.inner.draining.store(true, Ordering::Release);
            tracing::info!(
                shutdown.kind = ?kind,
                shutdown.grace_ms = u64::try_from(self.inner.grace.as_millis()).unwrap_or(u64::MAX),
                "draining"
            );
            self.inner.token.cancel();
        }
    }

    /// Tells whether the drain has begun; one atomic load.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Acquire)
    }

    /// Waits until the drain begins. Dropping the future has no effect.
    pub async fn draining(&self) {
        self.inner.token.cancelled().await;
    }

    /// The whole time between the beginning of the drain and the end of the process.
    pub fn grace(&self) -> Duration {
        self.inner.grace
    }

    /// The instant at which the grace ends; `None` before the drain has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.begun.get().map(|(_, at)| *at + self.inner.grace)
    }

    /// The instant at which connections that are still open are aborted, a tenth of the grace (at most
    /// 1 s) before [`Shutdown::deadline`]; `None` before the drain has begun.
    pub fn drain_deadline(&self) -> Option<Instant> {
        let reserve = (self.inner.grace / 10).min(MAX_RESERVE);
        self.deadline().map(|at| at - reserve)
    }

    /// The instant at which listeners close: after min(1 s, a fifth of the grace) for
    /// [`ShutdownKind::Terminate`], at once for [`ShutdownKind::Interrupt`]; `None` before the drain
    /// has begun.
    pub fn listeners_close(&self) -> Option<Instant> {
        self.inner.begun.get().map(|(kind, at)| match kind {
            ShutdownKind::Terminate => *at + (self.inner.grace / 5).min(MAX_LAME_DUCK),
            ShutdownKind::Interrupt => *at,
        })
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> ShutdownKind {
        tokio::select! {
            _ = self.terminate.recv() => ShutdownKind::Terminate,
            _ = self.interrupt.recv() => ShutdownKind::Interrupt,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> ShutdownKind {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler there is no second signal to act on.
            std::future::pending::<()>().await;
        }
        ShutdownKind::Interrupt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sigterm_keeps_listeners_open_for_a_fifth_of_the_grace_and_at_most_a_second() {
        for (grace_ms, lame_duck_ms, drained_ms) in [
            (10_000, 1_000, 9_000),
            (1_000, 200, 900),
            (60_000, 1_000, 59_000),
        ] {
            let shutdown = Shutdown::manual(Duration::from_millis(grace_ms));
            assert_eq!(shutdown.listeners_close(), None);
            let now = Instant::now();
            shutdown.begin(ShutdownKind::Terminate);
            assert!(shutdown.is_draining());
            let after = |at: Option<Instant>| at.map(|at| at.duration_since(now).as_millis());
            assert_eq!(after(shutdown.listeners_close()), Some(lame_duck_ms));
            assert_eq!(after(shutdown.drain_deadline()), Some(drained_ms));
            assert_eq!(after(shutdown.deadline()), Some(u128::from(grace_ms)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_to_shut_down_stays() {
        let shutdown = Shutdown::manual(Duration::from_secs(10));
        shutdown.begin(ShutdownKind::Interrupt);
        let closes = shutdown.listeners_close();
        assert_eq!(closes, Some(Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        shutdown.clone().begin(ShutdownKind::Terminate);
        assert_eq!(shutdown.listeners_close(), closes);
        shutdown.draining().await;
    }
}
