//! A budget of two, and one more per half minute, kept as the time at which it is whole again.

use std::time::Duration;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    whole: Duration,
}

const CAPACITY: u32 = 2;
const INTERVAL: Duration = Duration::from_secs(30);

impl Bucket {
    pub(super) fn has_one(&self, now: Duration) -> bool {
        self.whole.saturating_sub(now) <= INTERVAL * (CAPACITY - 1)
    }

    /// Takes one, or what is left of it.
    pub(super) fn charge(&mut self, now: Duration) {
        self.whole = (self.whole.max(now) + INTERVAL).min(now + INTERVAL * CAPACITY);
    }
}
