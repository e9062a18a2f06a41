//! What happens in a simulation, in order and on both clocks.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use clock::{Clock, ManualClock};
use token_cache::{TokenErrorKind, TokenRequest};
use tokio::time::Instant;

use super::model::Model;

/// The two token requests of the simulated cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Own,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fetched {
    Token(u64, Option<Duration>),
    Failed(TokenErrorKind, Option<Duration>),
    Panicked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    FetchBegan(Key),
    FetchEnded(Key, Fetched),
    FetchDropped(Key),
    /// A caller, and how long it has patience.
    Called(u64, Key, Option<Duration>),
    /// It got a token that expires then.
    Served(u64, u64, SystemTime),
    /// It got an error, and how long it shall wait.
    Failed(u64, TokenErrorKind, Duration),
    GaveUp(u64),
    /// A token was rejected; whether the cache dropped it.
    Rejected(Key, u64, bool),
    SecretReplaced,
    /// From now on every fetch brings a token that lives a second or more, within 200 ms.
    WeatherIsGood,
    WeatherIsNot,
    /// Failures in a row, and time until expiry and until the next attempt, as the cache says.
    Health(Key, u32, Option<Duration>, Option<Duration>),
    /// Nothing more happens before time passes or the script goes on.
    Settled,
    ShutDown,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) monotonic: Duration,
    pub(crate) wall: SystemTime,
}

impl Moment {
    /// How far the wall clock is ahead of the monotonic one.
    pub(crate) fn ahead(self) -> SystemTime {
        self.wall - self.monotonic
    }
}

/// Shows every event to the model. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: WallClock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    model: Model,
    hash: u64,
    events: Vec<(Moment, Event)>,
    broken: Option<String>,
}

/// A manual clock that goes on with paused time.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    pub(crate) steps: ManualClock,
    start: Instant,
}

impl Key {
    pub(crate) const ALL: [Self; 2] = [Self::Own, Self::Other];

    pub(crate) fn of(request: &TokenRequest) -> Self {
        match request.scopes().next() {
            None => Self::Own,
            Some(_) => Self::Other,
        }
    }

    pub(crate) fn request(self) -> TokenRequest {
        match self {
            Self::Own => TokenRequest::new(),
            Self::Other => TokenRequest::new().scope("other"),
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn token(self, number: u64) -> String {
        format!("{self:?}-{number}")
    }

    pub(crate) fn number(self, token: &str) -> u64 {
        let (key, number) = token.split_once('-').unwrap();
        assert_eq!(key, format!("{self:?}"), "another key's token");
        number.parse().unwrap()
    }
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self {
            steps: ManualClock::at_unix(2_000_000_000),
            start: Instant::now(),
        }
    }
}

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        self.steps.now() + self.start.elapsed()
    }
}

impl Trace {
    pub(crate) fn new(clock: WallClock, model: Model) -> Self {
        Self(Arc::new(Inner {
            clock,
            state: Mutex::new(State {
                model,
                hash: 0,
                events: Vec::new(),
                broken: None,
            }),
        }))
    }

    pub(crate) fn note(&self, event: Event) {
        let now = Moment {
            monotonic: self.0.clock.start.elapsed(),
            wall: self.0.clock.now(),
        };
        let mut state = self.0.state.lock().unwrap();
        let state = &mut *state;
        if state.broken.is_some() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (now.monotonic, now.wall, event).hash(&mut hasher);
        // A sum: tokio wakes the waiters of one moment in random order.
        state.hash = state.hash.wrapping_add(hasher.finish());
        state.events.push((now, event));
        state.broken = state.model.see(now, event).err();
    }

    pub(crate) fn hash(&self) -> u64 {
        self.0.state.lock().unwrap().hash
    }

    /// # Errors
    ///
    /// Fails with the promise that was broken and what led to it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let state = self.0.state.lock().unwrap();
        let Some(broken) = &state.broken else {
            return Ok(());
        };
        let mut text = format!("{broken}\nafter:\n");
        let first = state.events.len().saturating_sub(60);
        for (at, event) in &state.events[first..] {
            let wall = at.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            writeln!(
                text,
                "{:12.6} s, wall {:.6}: {event:?}",
                at.monotonic.as_secs_f64(),
                wall.as_secs_f64()
            )
            .unwrap();
        }
        Err(text)
    }
}
