//! Where the process's counters go: one recorder, read as Prometheus text.
//!
//! The libraries count through the `metrics` facade, which is nothing until a recorder is installed.
//! Handles are made when a cache or a validator is built, so [`install`] comes first.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::MissedTickBehavior;

mod process;

/// Buckets of the histograms `…_duration_seconds`: exchanges, from a millisecond to the longest time limit.
const DURATIONS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Buckets of the histograms `…_lifetime_seconds`: the rest of the lives of tokens, up to an hour.
const LIFETIMES: [f64; 9] = [0.0, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 3600.0];

/// The process's recorder. Copies are the same one.
#[derive(Clone, Copy)]
pub struct Metrics {
    handle: &'static PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// How often samples of histograms are put into their buckets.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder of this process; later calls change nothing.
///
/// For binaries: a library that installs one takes the choice from its user. Does nothing where another
/// recorder is there already, and then [`installed`] has none.
pub fn install() {
    INSTALLED.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &DURATIONS)
            .and_then(|builder| {
                let lifetimes = Matcher::Suffix("_lifetime_seconds".to_owned());
                builder.set_buckets_for_metric(lifetimes, &LIFETIMES)
            });
        // The lists above are not empty, which is all that a builder can refuse.
        let handle = builder.ok()?.install_recorder().ok()?;
        process::describe(SystemClock.now());
        Some(handle)
    });
}

/// Returns the recorder, if [`install`] has installed it.
#[must_use]
pub fn installed() -> Option<Metrics> {
    let handle = INSTALLED.get()?.as_ref()?;
    Some(Metrics { handle })
}

/// Moves the samples of histograms into their buckets every few seconds, for ever. A program that has called
/// [`install`] runs it for as long as something is measured: only this, and a reader of the metrics, empties the
/// histograms. [`Admin`](crate::admin::Admin) does so while it serves.
pub async fn tidy() {
    let mut ticks = tokio::time::interval(TIDY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(metrics) = installed() {
            metrics.handle.run_upkeep();
        }
    }
}

impl Metrics {
    /// Returns everything that was counted, in the Prometheus text format 0.0.4, with what the process
    /// uses of the machine.
    #[must_use]
    pub fn render(&self) -> String {
        process::record();
        self.handle.render()
    }
}
