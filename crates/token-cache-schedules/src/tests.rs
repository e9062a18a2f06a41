//! The scenarios. Each asserts what callers get and how many fetches it takes, in every schedule tried.

mod flight;
mod rejection;
mod shutdown;
mod stand_ins;

use shuttle::future::{JoinHandle, block_on};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// Any number does. `SHUTTLE_RANDOM_SEED` replaces it.
const SEED: u64 = 0x5eed;
/// Preemptions at which the second scheduler aims; nearly all known concurrency bugs need at most two.
const DEPTH: usize = 3;

/// Runs a scenario under random schedules, and under schedules with few preemptions. Where `M2M_LONG` is set, five
/// times as many.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests chooses how long they take"
)]
fn explore(scenario: fn()) {
    let times = std::env::var_os("M2M_LONG").map_or(1, |_| 5);
    run(RandomScheduler::new_from_seed(SEED, 300 * times), scenario);
    run(
        PctScheduler::new_from_seed(SEED, DEPTH, 200 * times),
        scenario,
    );
}

/// Runs a scenario under every schedule there is.
fn explore_all(scenario: fn()) {
    run(DfsScheduler::new(None, false), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    // It says that relaxed atomics are taken for sequentially consistent ones; the crate's page does too.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}

/// Waits for all of them.
fn results<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    tasks
        .into_iter()
        .map(|task| block_on(task).unwrap())
        .collect()
}
