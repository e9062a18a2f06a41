//! A source that a script turns this way and that, and that tells what it was asked and what it brought.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use clock::Clock as _;
use fastrand::Rng;
use jwks_validator::{Answer, EntityTag, Fetched, KeySet, KeySource, SourceError, SourceErrorKind};
use serde_json::json;
use tokio::time::Instant;

use super::known::Moment;
use super::world::{KIDS, WORLD, WallClock};
use crate::fake_source::elapse;
use crate::signer::jwks;

/// How the issuer answers until further notice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) reply: Reply,
    pub(super) latency: Duration,
    pub(super) max_age: Option<Duration>,
    /// Whether keys come with an entity tag.
    pub(super) has_tags: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Good,
    /// The keys, among entries that are none.
    Partial,
    Fails(Answer, Option<Duration>),
    Hangs,
    Panics,
    /// A set without keys, one without a usable key, no set.
    Empty,
    Unusable,
    Garbage,
    /// "Not modified", true or not, asked for or not.
    NotModified,
}

/// Times count from the beginning of the script.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Began(Moment),
    Ended(Duration, Brought),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Brought {
    /// The usable keys by number, in order, and their freshness.
    Keys(Vec<usize>, Option<Duration>),
    Same,
    Nothing(Answer, Option<Duration>),
}

/// Clones are one source.
#[derive(Clone, Debug)]
pub(super) struct Source {
    issuer: usize,
    clock: WallClock,
    start: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    published: Vec<usize>,
    version: u32,
    /// The tag that the next fetch has to come with.
    expected: Option<EntityTag>,
    is_asked: bool,
    asked: usize,
    events: Vec<Event>,
    broken: Option<&'static str>,
}

impl Source {
    pub(super) fn new(issuer: usize, clock: WallClock) -> Self {
        Self {
            issuer,
            clock,
            start: Instant::now(),
            state: Arc::new(Mutex::new(State {
                weather: Weather {
                    reply: Reply::Good,
                    latency: Duration::ZERO,
                    max_age: None,
                    has_tags: true,
                },
                published: vec![0],
                version: 0,
                expected: None,
                is_asked: false,
                asked: 0,
                events: Vec::new(),
                broken: None,
            })),
        }
    }

    pub(super) fn change(&self, weather: Weather) {
        self.state().weather = weather;
    }

    pub(super) fn publish(&self, keys: Vec<usize>) {
        let mut state = self.state();
        state.published = keys;
        state.version += 1;
    }

    pub(super) fn published(&self) -> Vec<usize> {
        self.state().published.clone()
    }

    /// The keys that a fetch would bring now, and how long that would take.
    pub(super) fn forecast(&self) -> Option<(Vec<usize>, Duration)> {
        let state = self.state();
        match state.weather.reply {
            Reply::Good | Reply::Partial => Some((usable(&state.published), state.weather.latency)),
            _ => None,
        }
    }

    /// How many fetches have begun.
    pub(super) fn asked(&self) -> usize {
        self.state().asked
    }

    /// What has happened since the last call.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut state = self.state();
        // A panic in a fetch would be one more failure to the validator.
        assert_eq!(state.broken, None);
        std::mem::take(&mut state.events)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn keys(&self, published: &[usize], with_others: bool) -> Result<KeySet, SourceError> {
        let mut keys = Vec::new();
        if with_others {
            keys.extend([
                json!(1),
                json!({"kty": "oct", "k": "AA"}),
                json!({"kty": "AKP"}),
            ]);
        }
        keys.extend(
            published
                .iter()
                .map(|key| WORLD.jwks[self.issuer][*key].clone()),
        );
        Ok(KeySet::from_jwks_json(&jwks(&keys))?)
    }
}

#[async_trait]
impl KeySource for Source {
    async fn fetch(&self, known: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        let mut fetch = Fetch::begin(self, known);
        let weather = self.state().weather;
        if !weather.latency.is_zero() {
            elapse(weather.latency).await;
        }
        match weather.reply {
            Reply::Good | Reply::Partial => {}
            Reply::Fails(answer, retry_after) => {
                fetch.brought = Brought::Nothing(answer, retry_after);
                let error = SourceError::new(SourceErrorKind::Other("told to"), answer);
                return Err(error.with_retry_after(retry_after));
            }
            Reply::Hangs => std::future::pending().await,
            // Unlike `panic!`, this prints nothing.
            Reply::Panics => std::panic::resume_unwind(Box::new("told to")),
            Reply::Empty => return self.keys(&[], false).map(Fetched::keys),
            Reply::Unusable => return self.keys(&[], true).map(Fetched::keys),
            Reply::Garbage => return Ok(Fetched::keys(KeySet::from_jwks_json(b"<html>")?)),
            Reply::NotModified => {
                if known.is_some() {
                    fetch.brought = Brought::Same;
                }
                return Ok(Fetched::not_modified());
            }
        }
        let (published, tag) = {
            let state = self.state();
            let tag = weather
                .has_tags
                .then(|| EntityTag::new(state.version.into()));
            (state.published.clone(), tag)
        };
        if tag.is_some() && known == tag.as_ref() {
            fetch.brought = Brought::Same;
            return Ok(Fetched::not_modified());
        }
        let keys = self.keys(&published, weather.reply == Reply::Partial)?;
        fetch.brought = Brought::Keys(usable(&published), weather.max_age);
        self.state().expected.clone_from(&tag);
        Ok(Fetched::keys(keys)
            .with_max_age(weather.max_age)
            .with_entity_tag(tag))
    }
}

/// Goes into the log on every way out, a panic and an abandoned wait included.
struct Fetch<'s> {
    source: &'s Source,
    brought: Brought,
}

impl<'s> Fetch<'s> {
    fn begin(source: &'s Source, known: Option<&EntityTag>) -> Self {
        let mut state = source.state();
        if state.is_asked {
            state.broken = Some("two fetches at once");
        }
        if state.expected.as_ref() != known {
            state.broken = Some("an entity tag that is not that of the keys in use");
        }
        state.is_asked = true;
        state.asked += 1;
        let moment = (source.start.elapsed(), source.clock.now());
        state.events.push(Event::Began(moment));
        Self {
            source,
            brought: Brought::Nothing(Answer::None, None),
        }
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        let mut state = self.source.state();
        state.is_asked = false;
        let event = Event::Ended(self.source.start.elapsed(), self.brought.clone());
        state.events.push(event);
    }
}

/// Two keys of one id cannot be told apart.
fn usable(published: &[usize]) -> Vec<usize> {
    let mut keys = published.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let has_twin = |key: usize| keys.contains(&((key + KIDS) % (2 * KIDS)));
    keys.iter().copied().filter(|key| !has_twin(*key)).collect()
}

/// What an issuer does for a while.
pub(super) fn weather(rng: &mut Rng) -> Weather {
    let seconds = Duration::from_secs;
    let reply = match rng.u8(..20) {
        0..=7 => Reply::Good,
        8 => Reply::Partial,
        9 => Reply::Fails(Answer::None, None),
        10 => Reply::Fails(Answer::Unusable, None),
        11 => Reply::Fails(Answer::Refused, None),
        12 => Reply::Fails(Answer::Unusable, Some(seconds(rng.u64(1..=300)))),
        13 => Reply::Hangs,
        14 => Reply::Panics,
        15 => Reply::Empty,
        16 => Reply::Unusable,
        17 => Reply::Garbage,
        _ => Reply::NotModified,
    };
    let latency = match rng.u8(..10) {
        0..=4 => Duration::ZERO,
        5..=7 => Duration::from_millis(rng.u64(1..1_000)),
        8 => Duration::from_millis(rng.u64(1_000..5_000)),
        // An attempt is given up after fifteen seconds.
        _ => seconds([14, 16, 17][rng.usize(..3)]),
    };
    let max_age = match rng.u8(..8) {
        0 => Some(Duration::ZERO),
        1 => Some(seconds(59)),
        2 => Some(seconds(rng.u64(60..300))),
        3 => Some(seconds(10 * 365 * 86_400)),
        4 => Some(Duration::MAX),
        _ => None,
    };
    Weather {
        reply,
        latency,
        max_age,
        has_tags: rng.u8(..3) > 0,
    }
}
