//! The life of the tasks that keep tokens and keys current.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The pause before a task that panicked is started again: a panic may come back at once.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// Tasks end at their next await, so this is reached only on a runtime that does not run.
const JOIN_LIMIT: Duration = Duration::from_secs(1);

/// Owns background tasks, and ends them when it is shut down or dropped.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: TaskTracker,
    _end_on_drop: DropGuard,
}

/// One background task of a [`Supervisor`], which runs as long as it is needed.
///
/// It does not run until [`ensure`](Self::ensure) is called. It is started again after a panic, and,
/// by the next call of `ensure`, after the end of the runtime that it ran on.
#[derive(Debug)]
pub struct SupervisedTask {
    running: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The task has been ended, or the caller's runtime, which would have to run it, has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the background task has ended")]
pub struct Ended;

impl Supervisor {
    /// Returns a supervisor without tasks.
    #[must_use]
    pub fn new() -> Self {
        let stop = CancellationToken::new();
        Self {
            tasks: TaskTracker::new(),
            _end_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Returns another task. It does not run yet.
    #[must_use]
    pub fn task(&self) -> SupervisedTask {
        SupervisedTask {
            running: Arc::default(),
            stop: self.stop.child_token(),
            tasks: self.tasks.clone(),
        }
    }

    /// Ends all tasks at their next await, without waiting for that. No task starts any more.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// [Ends](Self::end) all tasks and returns when they have ended, after 1 s at the latest.
    pub async fn shutdown(&self) {
        self.end();
        self.tasks.close();
        let _ = timeout(JOIN_LIMIT, self.tasks.wait()).await;
    }

    /// Tells whether the tasks have been told to end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the tasks are told to end.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl SupervisedTask {
    /// Sees to it that the task runs: starts it on the current runtime unless it runs already. Costs one
    /// atomic load if it does.
    ///
    /// `work` begins the task's work, which ends only by being dropped: after a panic, and when the task is
    /// ended or its runtime goes away. What it leaves undone is for its own `Drop`, which has run before
    /// another run of the task can begin. After that, `gone` is called: it has to wake those who wait for
    /// the task, so that they call `ensure` again.
    ///
    /// # Errors
    ///
    /// Fails when the task was ended, and when there is no current runtime or it is shutting down.
    /// Asking again on the same runtime does not help.
    ///
    /// # Panics
    ///
    /// Panics on a runtime without timers.
    pub fn ensure<F>(
        &self,
        work: impl Fn() -> F + Send + Sync + 'static,
        gone: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), Ended>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.has_ended() {
            return Err(Ended);
        }
        if self.running.load(Ordering::Acquire) {
            return Ok(());
        }
        let runtime = Handle::try_current().map_err(|_| Ended)?;
        // Without timers nothing works. Said here it reaches the caller, once.
        drop(sleep(Duration::ZERO));
        if self.running.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let guard = RunGuard {
            running: Arc::clone(&self.running),
            gone,
        };
        let task = run(work, guard, self.stop.clone());
        // A runtime that shuts down drops what it is given on the spot.
        if self.tasks.spawn_on(task, &runtime).is_finished() {
            return Err(Ended);
        }
        Ok(())
    }

    /// Ends the task at its next await. It does not start again.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Tells whether the task was ended, alone or with its supervisor.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.stop.is_cancelled()
    }
}

/// Held by the one run of a task, from before its first poll: a runtime may drop it unpolled.
struct RunGuard<G: Fn()> {
    running: Arc<AtomicBool>,
    gone: G,
}

impl<G: Fn()> Drop for RunGuard<G> {
    fn drop(&mut self) {
        // In this order: who is woken has to find that none runs.
        self.running.store(false, Ordering::Release);
        (self.gone)();
    }
}

async fn run<F: Future<Output = ()>, G: Fn()>(
    work: impl Fn() -> F,
    guard: RunGuard<G>,
    stop: CancellationToken,
) {
    let restarted = async {
        while panics(&work).await {
            tracing::error!("a background task panicked; it starts again in 1 s");
            (guard.gone)();
            sleep(RESTART_AFTER).await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = restarted => {}
    }
}

/// Does the work to its end and tells whether that was a panic.
// Not in a task of its own: that would outlive this one for a moment, beside its successor.
async fn panics<F: Future<Output = ()>>(work: impl Fn() -> F) -> bool {
    let mut work = pin!(async { work().await });
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(|()| false),
            Err(_) => Poll::Ready(true),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use tokio::sync::watch;
    use tokio::time::{Instant, advance};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    }

    /// Counts the starts and the ends of a task, which panics as often as `panics` says.
    #[derive(Clone, Default)]
    struct Counted {
        starts: watch::Sender<u64>,
        ends: watch::Sender<u64>,
        panics: Arc<AtomicU64>,
    }

    impl Counted {
        fn ensure(&self, task: &SupervisedTask) -> Result<(), Ended> {
            let (work, gone) = (self.clone(), self.clone());
            let work = move || {
                let work = work.clone();
                async move {
                    work.starts.send_modify(|starts| *starts += 1);
                    let left = work.panics.load(Ordering::SeqCst);
                    if left > 0 {
                        work.panics.store(left - 1, Ordering::SeqCst);
                        std::panic::resume_unwind(Box::new("told to"));
                    }
                    std::future::pending::<()>().await;
                }
            };
            task.ensure(work, move || gone.ends.send_modify(|ends| *ends += 1))
        }

        async fn started(&self, times: u64) {
            let mut starts = self.starts.subscribe();
            starts.wait_for(|starts| *starts >= times).await.unwrap();
        }

        fn counts(&self) -> (u64, u64) {
            (*self.starts.borrow(), *self.ends.borrow())
        }
    }

    /// H10
    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again_after_a_second() {
        let supervisor = Supervisor::new();
        let (task, counted) = (supervisor.task(), Counted::default());
        counted.panics.store(2, Ordering::SeqCst);
        counted.ensure(&task).unwrap();
        let began = Instant::now();
        counted.started(3).await;
        assert_eq!(began.elapsed(), 2 * RESTART_AFTER);
        assert_eq!(counted.counts(), (3, 2));
        counted.ensure(&task).unwrap();
        advance(Duration::from_secs(3_600)).await;
        assert_eq!(counted.counts(), (3, 2), "one at a time, and it goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_and_joins_every_task_for_good() {
        let supervisor = Supervisor::new();
        let (tasks, counted) = ([supervisor.task(), supervisor.task()], Counted::default());
        for task in &tasks {
            counted.ensure(task).unwrap();
        }
        counted.started(2).await;
        tasks[0].end();
        assert!(tasks[0].has_ended() && !tasks[1].has_ended());
        supervisor.shutdown().await;
        supervisor.ended().await;
        assert_eq!(counted.counts(), (2, 2));
        for task in &tasks {
            assert_eq!(counted.ensure(task), Err(Ended));
        }
        assert_eq!(counted.counts(), (2, 2));
    }

    /// N2
    #[test]
    fn a_task_whose_runtime_ended_starts_on_the_next_one() {
        let supervisor = Supervisor::new();
        let (task, counted) = (supervisor.task(), Counted::default());
        for run in 1..=2 {
            let runtime = runtime();
            runtime.block_on(async {
                counted.ensure(&task).unwrap();
                counted.started(run).await;
            });
            drop(runtime);
            assert_eq!(counted.counts(), (run, run));
        }
        drop(supervisor);
        let runtime = runtime();
        assert_eq!(
            runtime.block_on(async { counted.ensure(&task) }),
            Err(Ended)
        );
    }

    /// N1
    #[test]
    fn where_no_runtime_can_run_it_a_task_does_not_start() {
        let supervisor = Supervisor::new();
        let (task, counted) = (supervisor.task(), Counted::default());
        assert_eq!(counted.ensure(&task), Err(Ended), "outside of any");
        let runtime = runtime();
        let handle = runtime.handle().clone();
        drop(runtime);
        let ensured = thread::scope(|scope| {
            let ended = scope.spawn(|| {
                let _entered = handle.enter();
                counted.ensure(&task)
            });
            ended.join().unwrap()
        });
        assert_eq!(ensured, Err(Ended), "on one that ended");
        assert_eq!(counted.counts().0, 0);
    }
}
