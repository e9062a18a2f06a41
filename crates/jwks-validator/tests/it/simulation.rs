//! Scripts of rotation and outage, each from a seed, on paused time: keys that overlap, change
//! at once, change under their id and are revoked; issuers that fail, hang, panic, are slow, and answer
//! nonsense; wall clocks that step; forged and invented tokens. A model that knows only what the sources
//! brought and when, and the reference validator, judge every answer. That the fetches are due or paid for is judged
//! here alone; what the services make of it, in the workspace's `tests/simulation`.
//!
//! Two hundred seeds, ten thousand where `M2M_LONG` is set; `M2M_SEED=n` runs the script of one alone.

mod answers;
mod budgets;
mod known;
mod observer;
mod script;
mod source;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use self::observer::Trace;
use self::script::Script;
use crate::signer::{cases, seed};

/// D2, D3, D5, D6, D7, D10, D11, D19, D20, D21, D22, D23, D28, D30, D31, D32, D34, D36, D38, D40, E30, F25
#[test]
fn seeded_scripts_keep_every_promise() {
    if let Some(seed) = seed() {
        run(seed).unwrap_or_else(|broken| panic!("{broken}"));
        return;
    }
    let seeds = cases(200, 10_000);
    let next = AtomicU64::new(0);
    let worker = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            return None;
        }
        if let Err(broken) = run(seed) {
            next.store(seeds, Ordering::Relaxed);
            return Some((seed, broken));
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        results.flatten().min()
    });
    if let Some((_, broken)) = failed {
        panic!("{broken}");
    }
}

#[test]
fn a_seed_tells_everything_that_happens() {
    for seed in (0..cases(200, 10_000)).step_by(50) {
        assert_eq!(run(seed), run(seed), "M2M_SEED={seed}");
    }
}

/// Runs a script and returns what happened.
///
/// # Errors
///
/// Fails with the promise that was broken and what led to it.
fn run(seed: u64) -> Result<Vec<String>, String> {
    // The jitter between fetches comes from this thread's generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let trace = Trace::default();
    let script = || {
        let trace = Trace::clone(&trace);
        runtime.block_on(async { Script::new(seed, trace).run().await });
    };
    let result = catch_unwind(AssertUnwindSafe(script));
    let trace = std::mem::take(&mut *trace.lock().unwrap_or_else(PoisonError::into_inner));
    result.map(|()| trace.clone()).map_err(|panic| {
        let last = &trace[trace.len().saturating_sub(60)..];
        let message = message(&*panic);
        format!("M2M_SEED={seed}: {message}\nafter:\n{}", last.join("\n"))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic")
}
