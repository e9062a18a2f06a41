//! What happened, in order.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// The events of a run. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    start: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    hash: u64,
    last: VecDeque<(Duration, String)>,
    broken: Option<String>,
}

/// How many events are shown of a run that failed.
const SHOWN: usize = 80;

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: Arc::default(),
        }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn note(&self, event: String) {
        let now = self.now();
        let mut hasher = DefaultHasher::new();
        (now, &event).hash(&mut hasher);
        let mut state = self.state.lock().unwrap();
        // A sum: tokio wakes those who wait for one thing in random order.
        state.hash = state.hash.wrapping_add(hasher.finish());
        if state.last.len() == SHOWN {
            state.last.pop_front();
        }
        state.last.push_back((now, event));
    }

    /// Records a broken promise; the first one counts.
    pub(crate) fn broken(&self, promise: String) {
        let mut state = self.state.lock().unwrap();
        if state.broken.is_none() {
            let mut text = format!("{promise}\nafter:\n");
            for (at, event) in &state.last {
                writeln!(text, "{:10.3} s  {event}", at.as_secs_f64()).unwrap();
            }
            state.broken = Some(text);
        }
    }

    /// # Errors
    ///
    /// Fails with the promise that was broken and what led to it.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.state.lock().unwrap().broken {
            Some(broken) => Err(broken.clone()),
            None => Ok(()),
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.state.lock().unwrap().hash
    }
}
