//! What an operator sees of an issuer and does to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Issuer, Snapshot};
use crate::algorithm::Algorithm;
use crate::history::KeyHistory;
use crate::key::KeyIdentity;
use crate::source::SourceErrorKind;

/// The operator's fetches come at most this often: a script may ask in a loop.
const MANUAL_INTERVAL: Duration = Duration::from_secs(10);

impl Issuer {
    /// Asks for a fetch on the operator's behalf. Returns its number, or how long to wait before
    /// asking.
    pub(crate) fn request_manually(&self) -> Result<u64, Duration> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some((number, at)) = state.manual {
            if number > state.ended {
                return Ok(number);
            }
            let wait = MANUAL_INTERVAL.saturating_sub(now - at);
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        if let Some(until) = state.held_off_until.filter(|until| now < *until) {
            return Err(until - now);
        }
        // One that runs may have been answered before what the operator knows of.
        let number = self.request(&mut state);
        state.manual = Some((number, now));
        Ok(number)
    }

    /// Returns how long it takes until that fetch may begin, if a `Retry-After` of the issuer has come
    /// meanwhile.
    pub(crate) fn held_off(&self, number: u64) -> Option<Duration> {
        let state = self.state();
        let until = state.held_off_until.filter(|_| state.begun < number)?;
        until
            .checked_duration_since(Instant::now())
            .filter(|wait| !wait.is_zero())
    }

    /// Returns why that fetch, or every one since, brought no keys.
    pub(crate) fn failure_of(&self, number: u64) -> Option<SourceErrorKind> {
        let state = self.state();
        match state.last_success {
            Some((success, _)) if success >= number => None,
            _ => state.last_error,
        }
    }

    /// Makes a key unusable, or usable again. Tells whether that changed anything.
    pub(crate) fn set_revoked(&self, kid: &str, revoked: bool) -> bool {
        let mut state = self.state();
        let known = state.revoked.iter().position(|known| **known == *kid);
        match (known, revoked) {
            (None, true) => state.revoked.push(kid.into()),
            (Some(at), false) => drop(state.revoked.remove(at)),
            _ => return false,
        }
        let current = self.snapshot.load_full();
        self.snapshot.store(Arc::new(Snapshot {
            keys: Arc::new(current.keys.with_revoked(&state.revoked)),
            confirmed: current.confirmed,
        }));
        true
    }

    /// Returns since when the keys are known, for an explanation.
    pub(crate) fn history(&self) -> KeyHistory {
        let confirmed = self.age();
        self.state().sightings.history(confirmed)
    }

    /// Returns the time since the issuer confirmed the keys.
    pub(crate) fn age(&self) -> Option<Duration> {
        let confirmed = self.snapshot.load().confirmed?;
        Some(confirmed.from.age(self.settings.clock.now()))
    }

    pub(crate) fn health(&self) -> IssuerHealth {
        let snapshot = self.snapshot.load();
        let wall = self.settings.clock.now();
        let confirmed = snapshot.confirmed;
        let now = Instant::now();
        let mut state = self.state();
        IssuerHealth {
            issuer: self.name.to_string(),
            keys: snapshot.keys.len(),
            skipped_keys: snapshot.keys.skipped().len(),
            revoked_keys: state.revoked.len(),
            age: confirmed.map(|keys| keys.from.age(wall)),
            usable: confirmed.is_some_and(|keys| !keys.until.has_passed(wall)),
            last_error: state.last_error,
            consecutive_failures: state.failures,
            next_fetch_in: state.next.saturating_duration_since(now),
            fetches_left: state.bucket.left(now),
        }
    }

    /// Returns the keys in use and those that the operator has revoked.
    pub(crate) fn key_health(&self) -> Vec<KeyHealth> {
        let state = self.state();
        let history = state.sightings.history(None);
        let health = |(key, age): (Arc<KeyIdentity>, Duration)| KeyHealth {
            issuer: self.name.to_string(),
            kid: key.kid.as_deref().map(str::to_owned),
            algorithm: key.algorithm,
            age,
            revoked: key
                .kid
                .as_deref()
                .is_some_and(|kid| state.revoked.iter().any(|revoked| **revoked == *kid)),
        };
        history.current.into_iter().map(health).collect()
    }
}

/// How an issuer's keys are doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuerHealth {
    /// The issuer.
    pub issuer: String,
    /// How many usable keys there are.
    pub keys: usize,
    /// How many published keys are not usable.
    pub skipped_keys: usize,
    /// How many key ids the operator has revoked, published or not.
    pub revoked_keys: usize,
    /// Time since the keys were last confirmed by the issuer, by the monotonic or the wall clock, whichever
    /// says more; `None` while there are none.
    pub age: Option<Duration>,
    /// Whether tokens of this issuer can be decided on.
    pub usable: bool,
    /// Why the last fetch failed; `None` after a success.
    pub last_error: Option<SourceErrorKind>,
    /// How many fetches have failed since the last success.
    pub consecutive_failures: u32,
    /// How long until the next fetch that comes by itself; zero while it runs.
    pub next_fetch_in: Duration,
    /// How many fetches tokens with unknown key ids can cause now: two at most, one more per 30 s.
    pub fetches_left: u32,
}

/// A published key that is usable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHealth {
    /// Its issuer.
    pub issuer: String,
    /// Its id, 1 to 256 printable characters, if it has one.
    pub kid: Option<String>,
    /// The one algorithm that it verifies.
    pub algorithm: Algorithm,
    /// Time since a fetch first brought it.
    pub age: Duration,
    /// Whether the operator has revoked it, so that it is not used after all.
    pub revoked: bool,
}
