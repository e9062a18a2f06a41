//! Which of the failures in a row are worth a log line.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a failure that goes on is told again.
const REMINDER: Duration = Duration::from_secs(60);

/// How many texts have lines of their own at a time. Some providers put a time or a trace id into every refusal, and
/// each of those would be news.
const MAX_TEXTS: usize = 4;

/// Decides for something that is tried again and again which of its failures are logged.
///
/// The first one is, then one a minute with the number of those left out, and the end. A failure with another text
/// than those of the last minute is told at once, for up to 4 texts.
#[derive(Debug)]
pub struct Outage {
    settle: Duration,
    // Read before the lock is taken: mostly nothing fails.
    is_open: AtomicBool,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    began: Instant,
    last: Instant,
    failures: u64,
    left_out: u64,
    /// The texts of the lines of the last minute, and when each was told.
    told: Vec<(String, Instant)>,
}

impl Outage {
    /// Returns one for attempts that follow each other: a success is the end.
    #[must_use]
    pub const fn new() -> Self {
        Self::settling(Duration::ZERO)
    }

    /// Returns one for attempts beside each other, some of which may succeed while others fail: the end is a success
    /// at least `settle` after the last failure.
    #[must_use]
    pub const fn settling(settle: Duration) -> Self {
        Self {
            settle,
            is_open: AtomicBool::new(false),
            open: Mutex::new(None),
        }
    }

    /// Notes a failure. Returns something if it is worth a line, which then ends with it: it tells how many were left
    /// out since the line before.
    pub fn failed(&self, text: impl fmt::Display) -> Option<LeftOut> {
        let (text, now) = (text.to_string(), Instant::now());
        let mut open = self.open();
        self.is_open.store(true, Ordering::Relaxed);
        let open = open.get_or_insert_with(|| Open {
            began: now,
            last: now,
            failures: 0,
            left_out: 0,
            told: Vec::new(),
        });
        open.failures = open.failures.saturating_add(1);
        open.last = now;
        open.told
            .retain(|(_, told)| now.saturating_duration_since(*told) < REMINDER);
        let is_known = open.told.iter().any(|(known, _)| *known == text);
        if is_known || open.told.len() >= MAX_TEXTS {
            open.left_out = open.left_out.saturating_add(1);
            return None;
        }
        open.told.push((text, now));
        Some(LeftOut(std::mem::take(&mut open.left_out)))
    }

    /// Notes a success. Returns something if it is the end of an outage. Costs one atomic load otherwise.
    #[inline]
    pub fn succeeded(&self) -> Option<OutageEnd> {
        if self.is_open.load(Ordering::Relaxed) {
            self.close()
        } else {
            None
        }
    }

    #[cold]
    fn close(&self) -> Option<OutageEnd> {
        let mut open = self.open();
        let now = Instant::now();
        open.as_ref()
            .filter(|open| now.saturating_duration_since(open.last) >= self.settle)?;
        self.is_open.store(false, Ordering::Relaxed);
        let ended = open.take()?;
        Some(OutageEnd {
            failures: ended.failures,
            lasted: now.saturating_duration_since(ended.began),
        })
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Outage {
    fn default() -> Self {
        Self::new()
    }
}

/// How many failures were left out of the log before a line; formatted it is the end of that line, empty for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut(u64);

impl LeftOut {
    /// Returns the number.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} more since the line before)"),
        }
    }
}

/// The end of an outage; formatted it is `after 4 failures in 12 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutageEnd {
    failures: u64,
    lasted: Duration,
}

impl OutageEnd {
    /// Returns how many attempts failed.
    #[must_use]
    pub const fn failures(self) -> u64 {
        self.failures
    }

    /// Returns the time from the first failure to the success.
    #[must_use]
    pub const fn lasted(self) -> Duration {
        self.lasted
    }
}

impl fmt::Display for OutageEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.failures == 1 { "" } else { "s" };
        let (failures, seconds) = (self.failures, self.lasted.as_secs());
        write!(f, "after {failures} failure{plural} in {seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_has_a_line_at_its_start_one_a_minute_and_one_at_its_end() {
        let outage = Outage::new();
        assert_eq!(outage.succeeded(), None);
        let mut lines = Vec::new();
        for second in 0..150 {
            lines.extend(outage.failed("no connection").map(|left| (second, left.0)));
            pass(1).await;
        }
        assert_eq!(lines, [(0, 0), (60, 59), (120, 59)]);
        let end = outage.succeeded().unwrap();
        assert_eq!(end.to_string(), "after 150 failures in 150 s");
        assert_eq!(outage.succeeded(), None);
        assert_eq!(outage.failed("no connection"), Some(LeftOut(0)));
        let end = outage.succeeded().unwrap();
        assert_eq!(end.to_string(), "after 1 failure in 0 s");
    }

    #[tokio::test(start_paused = true)]
    async fn another_failure_is_told_at_once_and_a_text_that_always_changes_is_bounded() {
        let outage = Outage::new();
        assert_eq!(outage.failed("no connection"), Some(LeftOut(0)));
        assert_eq!(outage.failed("no connection"), None);
        let other = outage.failed("the certificate has expired").unwrap();
        assert_eq!(other.to_string(), " (1 more since the line before)");
        assert_eq!(outage.failed("no connection"), None);
        assert_eq!(outage.failed("the certificate has expired"), None);
        let told = (0..60).filter_map(|trace| outage.failed(format!("refused, trace {trace}")));
        assert_eq!(told.count(), MAX_TEXTS - 2);
        pass(60).await;
        let told = (0..60).filter_map(|trace| outage.failed(format!("refused, trace {trace}")));
        assert_eq!(told.count(), MAX_TEXTS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_is_no_end_where_attempts_run_beside_each_other() {
        let outage = Outage::settling(Duration::from_secs(10));
        let mut lines = 0;
        for _ in 0..55 {
            lines += usize::from(outage.failed("timed out").is_some());
            assert_eq!(outage.succeeded(), None);
            pass(1).await;
        }
        assert_eq!(lines, 1);
        pass(9).await;
        assert!(outage.succeeded().is_some());
    }
}
