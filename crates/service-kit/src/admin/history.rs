//! The last events.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The last [`History::LENGTH`] events, with when they happened.
#[derive(Debug)]
pub struct History<T> {
    events: Mutex<VecDeque<(Instant, T)>>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
        }
    }
}

impl<T: Clone> History<T> {
    /// How many events are kept: hours of refreshes, or some minutes of an outage.
    pub const LENGTH: usize = 64;

    /// Adds an event that happens now.
    pub fn add(&self, event: T) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= Self::LENGTH {
            events.pop_front();
        }
        events.push_back((Instant::now(), event));
    }

    /// Returns the events, the oldest first, each with the time since it happened.
    pub fn events(&self) -> Vec<(Duration, T)> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .iter()
            .map(|(at, event)| (at.elapsed(), event.clone()))
            .collect()
    }

    /// Returns the last event and the time since it happened.
    pub fn last(&self) -> Option<(Duration, T)> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, event) = events.back()?;
        Some((at.elapsed(), event.clone()))
    }
}

impl<T: Clone + Serialize> History<T> {
    /// Returns the events as documents have them: the oldest first, each with its `age_ms`.
    pub fn to_json(&self) -> Vec<Value> {
        let events = self.events().into_iter().map(|(age, event)| {
            let mut event = json!(event);
            event["age_ms"] = milliseconds(age).into();
            event
        });
        events.collect()
    }
}

/// Returns a duration in whole milliseconds, as documents have it.
#[must_use]
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_last_events_are_kept() {
        let history = History::default();
        for number in 0..1_000 {
            history.add(number);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let events = history.events();
        assert_eq!(events.len(), History::<i32>::LENGTH);
        assert_eq!(events[0], (Duration::from_secs(64), 936));
        assert_eq!(history.last(), Some((Duration::from_secs(1), 999)));
    }
}
