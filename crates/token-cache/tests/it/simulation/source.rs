//! A provider whose weather changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use token_cache::{IssuedToken, TokenError, TokenErrorKind, TokenRequest, TokenSource};

use super::trace::{Event, Fetched, Key, Trace};
use crate::script::elapse;

/// How the provider answers until further notice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weather {
    /// A token that lives this long.
    Token(Option<Duration>),
    /// The token it gave out last, if there was one.
    SameToken(Option<Duration>),
    Fails(TokenErrorKind),
    /// 429 or 5xx with a `Retry-After`.
    Asks(Duration),
    Panics,
    /// The secret has to be replaced first; until then it is rejected or cannot be read.
    RejectsSecret(TokenErrorKind),
}

#[derive(Clone, Debug)]
pub(crate) struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trace: Trace,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    latency: Duration,
    secret: u64,
    accepted_secret: u64,
    /// What becomes of a request with an older one.
    refusal: TokenErrorKind,
    /// The number of the last token of each key.
    issued: [u64; Key::ALL.len()],
}

impl Source {
    pub(crate) fn new(trace: Trace, weather: Weather) -> Self {
        Self(Arc::new(Inner {
            trace,
            state: Mutex::new(State {
                weather,
                latency: Duration::ZERO,
                secret: 1,
                accepted_secret: 1,
                refusal: TokenErrorKind::Config,
                issued: [0; Key::ALL.len()],
            }),
        }))
    }

    pub(crate) fn change(&self, weather: Weather, latency: Duration) {
        let mut state = self.0.state.lock().unwrap();
        state.weather = weather;
        state.latency = latency;
        if let Weather::RejectsSecret(refusal) = weather {
            state.refusal = refusal;
            state.accepted_secret = state.secret + 1;
        }
    }

    pub(crate) fn accepts_the_secret(&self) -> bool {
        let state = self.0.state.lock().unwrap();
        state.secret >= state.accepted_secret
    }

    pub(crate) fn replace_secret(&self) {
        self.0.state.lock().unwrap().secret += 1;
    }
}

/// Notes a fetch that was dropped before its end.
struct Unfinished<'a>(&'a Trace, Key, bool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.2 {
            self.0.note(Event::FetchDropped(self.1));
        }
    }
}

#[async_trait]
impl TokenSource for Source {
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        let key = Key::of(request);
        let trace = &self.0.trace;
        trace.note(Event::FetchBegan(key));
        let mut unfinished = Unfinished(trace, key, false);
        let latency = self.0.state.lock().unwrap().latency;
        if !latency.is_zero() {
            elapse(latency).await;
        }
        let fetched = self.0.answer(key);
        unfinished.2 = true;
        trace.note(Event::FetchEnded(key, fetched));
        match fetched {
            Fetched::Token(number, lifetime) => IssuedToken::new(key.token(number), lifetime),
            Fetched::Failed(kind, asked) => Err(TokenError::new(kind).with_retry_after(asked)),
            // Unlike `panic!`, this prints nothing.
            Fetched::Panicked => std::panic::resume_unwind(Box::new("scripted")),
        }
    }

    async fn credentials_version(&self) -> u64 {
        self.0.state.lock().unwrap().secret
    }
}

impl Inner {
    fn answer(&self, key: Key) -> Fetched {
        let mut state = self.state.lock().unwrap();
        let status = TokenErrorKind::Status5xx;
        if state.secret < state.accepted_secret {
            return Fetched::Failed(state.refusal, None);
        }
        match state.weather {
            Weather::Fails(kind) => Fetched::Failed(kind, None),
            Weather::Asks(wait) => Fetched::Failed(status, Some(wait)),
            Weather::Panics => Fetched::Panicked,
            Weather::Token(lifetime) => Fetched::Token(state.issue(key), lifetime),
            Weather::SameToken(lifetime) => {
                let number = match state.issued[key.index()] {
                    0 => state.issue(key),
                    last => last,
                };
                Fetched::Token(number, lifetime)
            }
            Weather::RejectsSecret(_) => {
                Fetched::Token(state.issue(key), Some(Duration::from_secs(300)))
            }
        }
    }
}

impl State {
    fn issue(&mut self, key: Key) -> u64 {
        self.issued[key.index()] += 1;
        self.issued[key.index()]
    }
}

/// Weather and latency for a while, and the longest time that is simulated under them at once.
pub(crate) fn forecast(rng: &mut Rng, longest_s: u64) -> (Weather, Duration, Duration) {
    let weather = match rng.u32(0..20) {
        0..7 => Weather::Token(lifetime(rng, longest_s)),
        7 => Weather::SameToken(lifetime(rng, longest_s)),
        8..11 => Weather::Fails(TokenErrorKind::Connect),
        11 => Weather::Fails(TokenErrorKind::Timeout),
        12 => Weather::Fails(TokenErrorKind::Status5xx),
        13 | 14 => Weather::Asks(asked(rng)),
        15 => Weather::Panics,
        16 => Weather::Fails(*pick(
            rng,
            &[
                TokenErrorKind::Json,
                TokenErrorKind::MissingToken,
                TokenErrorKind::ExpiresIn,
            ],
        )),
        17 => Weather::Fails(*pick(
            rng,
            &[
                TokenErrorKind::OAuth,
                TokenErrorKind::Tls,
                TokenErrorKind::Proxy,
                TokenErrorKind::ScopeNotGranted,
                TokenErrorKind::Status4xx,
            ],
        )),
        _ => Weather::RejectsSecret(*pick(
            rng,
            &[TokenErrorKind::InvalidClient, TokenErrorKind::Config],
        )),
    };
    // Nothing between: an attempt of three requests then either fits its three seconds or does not.
    let latency = match rng.u32(0..10) {
        0..5 => Duration::ZERO,
        5..9 => Duration::from_millis(rng.u64(1..=200)),
        _ => Duration::from_millis(rng.u64(3_000..=5_000)),
    };
    let span = match weather {
        Weather::Token(lifetime) | Weather::SameToken(lifetime)
            if lifetime.is_none_or(|it| it >= Duration::from_secs(300)) =>
        {
            Duration::from_secs(2 * 3_600)
        }
        _ => Duration::from_secs(60),
    };
    (weather, latency, span)
}

fn lifetime(rng: &mut Rng, longest_s: u64) -> Option<Duration> {
    match rng.u32(0..12) {
        0 => None,
        1 => Some(Duration::MAX),
        2 => Some(Duration::ZERO),
        // Down to a few seconds as often as near to the longest.
        _ => {
            let longest_s = longest_s >> rng.u32(0..12);
            Some(Duration::from_millis(rng.u64(1..=longest_s.max(1) * 1_000)))
        }
    }
}

fn asked(rng: &mut Rng) -> Duration {
    match rng.u32(0..5) {
        0 => Duration::ZERO,
        1 => Duration::MAX,
        2 => Duration::from_secs(rng.u64(1..4)),
        // Not just below three seconds: whether a retry without a wait of its own still fits in would be
        // up to its jitter.
        _ => match rng.u64(1..60_000) {
            2_001..3_000 => Duration::from_secs(3),
            wait_ms => Duration::from_millis(wait_ms),
        },
    }
}

pub(crate) fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(0..from.len())]
}
