//! What became of every request, and how memory went.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Good {
    /// 200 with the agreed body.
    Answered,
    /// 503 that says when to come back.
    Shed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Hostile {
    Refused,
    Accepted,
    /// The connection ended, which is an answer to these.
    Unanswered,
}

/// Losses that are told one by one; the others are counted.
const TOLD: usize = 100;
/// Longer than a problem document.
const MAX_WHAT: usize = 1_000;

/// Counts from many tasks.
#[derive(Debug)]
pub(crate) struct Record(Mutex<State>);

#[derive(Debug)]
struct State {
    total: Counts,
    latency: Histogram<u64>,
    this_second: Histogram<u64>,
    seconds: Vec<Second>,
    losses: Vec<Loss>,
}

/// A good request that got neither the answer nor a 503 that says when to come back.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// The second of the run in which that was known.
    pub(crate) second: usize,
    /// From when it was due.
    pub(crate) after: Duration,
    /// Status and body, or why there is none.
    pub(crate) what: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    pub(crate) shed: u64,
    pub(crate) lost: u64,
    pub(crate) refused: u64,
    pub(crate) accepted: u64,
    pub(crate) unanswered: u64,
    pub(crate) canaries: u64,
}

/// One second of the run: latencies in µs, resident memory in KiB of public-data and protected-data.
#[derive(Clone, Debug)]
pub(crate) struct Second {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
    pub(crate) resident: [Option<u64>; 2],
}

/// All of it, after the end.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) duration: Duration,
    pub(crate) counts: Counts,
    /// µs at 50, 99, 99.9 % and the largest.
    pub(crate) latency: [u64; 4],
    pub(crate) seconds: Vec<Second>,
    pub(crate) losses: Vec<Loss>,
}

/// Three significant digits up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are constants that the library takes"))
}

impl Record {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            total: Counts::default(),
            latency: histogram(),
            this_second: histogram(),
            seconds: Vec::new(),
            losses: Vec::new(),
        }))
    }

    pub(crate) fn good(&self, outcome: Good, latency: Duration) {
        let mut state = self.lock();
        match outcome {
            Good::Answered => state.total.answered += 1,
            Good::Shed => state.total.shed += 1,
        }
        state.took(latency);
    }

    /// Notes a good request that got `what` instead of an answer.
    pub(crate) fn lost(&self, mut what: String, latency: Duration) {
        what.truncate(what.floor_char_boundary(MAX_WHAT));
        let mut state = self.lock();
        state.total.lost += 1;
        state.took(latency);
        if state.losses.len() < TOLD {
            let loss = Loss {
                second: state.seconds.len(),
                after: latency,
                what,
            };
            eprintln!("{loss}");
            state.losses.push(loss);
        }
    }

    pub(crate) fn hostile(&self, outcome: Hostile) {
        let mut state = self.lock();
        match outcome {
            Hostile::Refused => state.total.refused += 1,
            Hostile::Accepted => state.total.accepted += 1,
            Hostile::Unanswered => state.total.unanswered += 1,
        }
    }

    /// A secret or token was printed.
    pub(crate) fn canary(&self) {
        self.lock().total.canaries += 1;
    }

    /// Ends a second.
    pub(crate) fn second(&self, resident: [Option<u64>; 2]) {
        let mut state = self.lock();
        let latency = &state.this_second;
        let second = Second {
            p50: latency.value_at_quantile(0.5),
            p99: latency.value_at_quantile(0.99),
            max: latency.max(),
            resident,
        };
        state.seconds.push(second);
        state.this_second.reset();
    }

    pub(crate) fn progress(&self) -> String {
        let state = self.lock();
        let p99 = state.seconds.last().map_or(0, |second| second.p99);
        let Counts {
            answered,
            shed,
            lost,
            refused,
            accepted,
            ..
        } = state.total;
        format!(
            "answered {answered}, shed {shed}, lost {lost}; hostile refused {refused}, accepted \
             {accepted}; p99 of the last second {p99} µs"
        )
    }

    pub(crate) fn summary(&self, duration: Duration) -> Summary {
        let state = self.lock();
        let at = |quantile| state.latency.value_at_quantile(quantile);
        Summary {
            duration,
            counts: state.total.clone(),
            latency: [at(0.5), at(0.99), at(0.999), state.latency.max()],
            seconds: state.seconds.clone(),
            losses: state.losses.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn took(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(us);
        self.this_second.saturating_record(us);
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            second,
            after,
            what,
        } = self;
        write!(
            f,
            "lost in second {second}, {} ms after it was due: {what}",
            after.as_millis()
        )
    }
}

impl Summary {
    /// Whether nothing was lost, let in or printed.
    pub(crate) fn is_clean(&self) -> bool {
        let counts = &self.counts;
        counts.lost == 0 && counts.accepted == 0 && counts.canaries == 0 && counts.answered > 0
    }

    /// How fast resident memory grew in the second half of the run, in MiB per hour (least squares),
    /// and its largest value in MiB.
    pub(crate) fn memory(&self, service: usize) -> Option<(f64, f64)> {
        let samples: Vec<(f64, f64)> = self
            .seconds
            .iter()
            .enumerate()
            .filter_map(|(second, it)| {
                let kib = u32::try_from(it.resident[service]?).ok()?;
                let hours = f64::from(u32::try_from(second).ok()?) / 3_600.0;
                Some((hours, f64::from(kib) / 1_024.0))
            })
            .collect();
        let largest = samples.iter().map(|(_, mib)| *mib).fold(0.0, f64::max);
        let half = &samples[samples.len() / 2..];
        let count = f64::from(u32::try_from(half.len()).ok()?);
        let mean = |of: fn(&(f64, f64)) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|s| s.0), mean(|s| s.1));
        let over: f64 = half.iter().map(|s| (s.0 - x) * (s.1 - y)).sum();
        let under: f64 = half.iter().map(|s| (s.0 - x).powi(2)).sum();
        (under > 0.0).then(|| (over / under, largest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_by_a_mebibyte_a_minute_grows_by_sixty_an_hour() {
        let record = Record::new();
        for second in 0..600 {
            record.second([Some(10_240 + second * 1_024 / 60), None]);
        }
        let summary = record.summary(Duration::from_secs(600));
        let (slope, largest) = summary.memory(0).unwrap_or_default();
        assert!((59.9..60.1).contains(&slope), "{slope}");
        assert!((19.9..20.1).contains(&largest), "{largest}");
        assert_eq!(summary.memory(1), None);
    }

    #[test]
    fn a_run_is_clean_only_without_losses_intruders_and_canaries() {
        let clean = |change: fn(&Record)| {
            let record = Record::new();
            record.good(Good::Answered, Duration::from_millis(1));
            record.good(Good::Shed, Duration::from_millis(1));
            record.hostile(Hostile::Refused);
            change(&record);
            record.summary(Duration::from_secs(1)).is_clean()
        };
        assert!(clean(|_| {}));
        assert!(!clean(|record| record.lost(String::new(), Duration::ZERO)));
        assert!(!clean(|record| record.hostile(Hostile::Accepted)));
        assert!(!clean(Record::canary));
        assert!(!Record::new().summary(Duration::ZERO).is_clean());
    }

    #[test]
    fn losses_are_told_with_their_second_up_to_a_number_and_all_counted() {
        let record = Record::new();
        record.second([None, None]);
        for n in 0..TOLD + 5 {
            record.lost(format!("{n} é{}", "é".repeat(MAX_WHAT)), Duration::ZERO);
        }
        let summary = record.summary(Duration::from_secs(1));
        assert_eq!(summary.counts.lost, 105);
        assert_eq!(summary.losses.len(), TOLD);
        let last = &summary.losses[TOLD - 1];
        assert_eq!((last.second, &last.what[..3]), (1, "99 "));
        assert!(last.what.len() <= MAX_WHAT);
    }
}
