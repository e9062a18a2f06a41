//! A world in memory: two issuers, two public-data, two protected-data behind one address, and callers of all
//! kinds, under seeded scripts of faults on paused time.
//!
//! The services' routers, the caches and the middleware are the real ones. The network, the issuers
//! and the clocks are not. What a run must keep is in `judge`; what can happen to it in `plan`.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod capture;
mod clients;
mod faults;
mod handlers;
mod hosts;
mod judge;
mod look;
mod network;
mod nonsense;
mod plan;
mod provider;
#[path = "../../crates/jwks-validator/tests/it/reference.rs"]
mod reference;
mod regressions;
mod sources;
mod trace;
mod transport;
mod wall_clock;
mod world;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use self::capture::Log;
use self::faults::Issuer;
use self::plan::Plan;
use self::regressions::REGRESSIONS;
use self::world::{Seen, World};

/// In a plain test run; `M2M_SEEDS` sets another number.
const SEEDS: u64 = 30;

/// A longer run says how far it is each time it has done this many.
const PROGRESS: u64 = 500;

/// A10, A11, B9, C1, C2, C10, C13, C14, C18, D2, D4, D5, D6, D7, D20, D21, D22, D27, E30
/// H14, H15, H18, N10
#[test]
fn seeded_scripts_of_faults_break_no_promise() {
    if let Some(seed) = variable("M2M_SEED") {
        run(seed).unwrap_or_else(|broken| panic!("{}", failure(seed, &broken)));
        return;
    }
    let count = variable("M2M_SEEDS").unwrap_or(SEEDS);
    let known = REGRESSIONS.len() as u64;
    let seed_at = |at: u64| match usize::try_from(at) {
        Ok(at) if at < REGRESSIONS.len() => REGRESSIONS[at].0,
        _ => at - known,
    };
    let next = AtomicU64::new(0);
    let failed = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= known + count {
                            return None;
                        }
                        let seed = seed_at(at);
                        if let Err(broken) = run(seed) {
                            next.store(known + count, Ordering::Relaxed);
                            return Some((seed, broken));
                        }
                        let done = at + 1;
                        if count > SEEDS && done.is_multiple_of(PROGRESS) {
                            // Not `eprintln!`: the harness would keep it to the end.
                            let _ = writeln!(std::io::stderr(), "{done} of {}", known + count);
                        }
                    }
                })
            })
            .collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        results.flatten().min()
    });
    if let Some((seed, broken)) = failed {
        panic!("{}", failure(seed, &broken));
    }
}

#[test]
fn a_seed_tells_everything_that_happens() {
    for seed in 0..8 {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first, second, "seed {seed}");
    }
}

/// D30
#[test]
fn what_befalls_one_issuer_changes_no_answer_about_another() {
    for seed in 0..8 {
        // When keys are fetched is up to jitter, so what a rotation makes of old tokens is too.
        let plan = Plan::new(seed).without_rotations_of(Issuer::B);
        let with = run_plan(plan.clone().with_outage_of(Issuer::A)).unwrap();
        let without = run_plan(plan.without_faults_of(Issuer::A)).unwrap();
        assert_eq!(with.of_b, without.of_b, "seed {seed}");
    }
}

fn failure(seed: u64, broken: &str) -> String {
    format!("{broken}\nagain: M2M_SEED={seed} cargo test -p tests --test simulation seeded")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a seed is not configuration of anything"
)]
fn variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

fn run(seed: u64) -> Result<Seen, String> {
    run_plan(Plan::new(seed))
}

fn run_plan(plan: Plan) -> Result<Seen, String> {
    let log = Log::default();
    let subscriber = log.subscriber(plan.settings.level);
    // The jitter of both caches comes from this thread's generator.
    fastrand::seed(plan.settings.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let script = async { World::new(plan, log).await.run().await };
    let run = || tracing::dispatcher::with_default(&subscriber, || runtime.block_on(script));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("a panic, see above".into()))
}
