//! Two things that take turns.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// Long enough for the clock, short enough that both turns of a round see the same machine.
const TURN: Duration = Duration::from_micros(500);

/// Returns the median, over all rounds, of the time of `run` by the time of `base`; nothing for 0 rounds.
pub fn ratio<R, B>(
    rounds: usize,
    run: &mut impl FnMut() -> R,
    base: &mut impl FnMut() -> B,
) -> Option<f64> {
    if rounds == 0 {
        return None;
    }
    let (runs, bases) = (repeats(TURN, run), repeats(TURN, base));
    let ratios = (0..rounds).map(|_| {
        let run = turn(runs, run) / f64::from(runs);
        run / (turn(bases, base) / f64::from(bases))
    });
    median(ratios.collect())
}

/// Returns how often `run` has to be repeated to take at least this long, as a power of two.
pub fn repeats<R>(length: Duration, run: &mut impl FnMut() -> R) -> u32 {
    let mut count = 1;
    while turn(count, run) < length.as_secs_f64() {
        count *= 2;
    }
    count
}

/// Returns how long so many calls take together, in seconds.
pub fn turn<R>(count: u32, run: &mut impl FnMut() -> R) -> f64 {
    let begun = Instant::now();
    for _ in 0..count {
        black_box(run());
    }
    begun.elapsed().as_secs_f64()
}

/// Returns the allocations of one call on this thread.
pub fn allocations<R>(run: &mut impl FnMut() -> R) -> f64 {
    const TIMES: u32 = 100;
    // The first call sets up what a thread needs once.
    black_box(run());
    let counted = allocation_counter::measure(|| {
        for _ in 0..TIMES {
            black_box(run());
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let total = counted.count_total as f64;
    total / f64::from(TIMES)
}

/// Polls once, as a task does that finds everything there.
///
/// # Panics
///
/// If there is something to wait for.
pub fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing has to be waited for"),
    }
}

/// Returns the value in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    }
}
