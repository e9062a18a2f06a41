//! What a validator may know of an issuer's keys, given what the source brought and when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jwks_validator::Answer;

use super::source::Brought;
use super::world::KIDS;

/// The keys of one issuer in the course of time.
#[derive(Debug)]
pub(super) struct History {
    max_stale: Duration,
    /// What was known from when on.
    states: Vec<(Duration, Known)>,
    began: Moment,
    ended: usize,
    /// The fetches that brought keys, by number, with their ends.
    pub(super) successes: Vec<(usize, Duration)>,
    pub(super) revoked: [bool; KIDS],
}

/// The keys of the last good fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    published: Vec<usize>,
    confirmed: Option<Moment>,
}

/// By both clocks: paused time since the beginning, and what the wall clock shows.
pub(super) type Moment = (Duration, SystemTime);

/// What a fetch was to the validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success(Option<Duration>),
    Failure(Answer, Option<Duration>),
}

impl History {
    pub(super) fn new(max_stale: Duration) -> Self {
        Self {
            max_stale,
            states: vec![(Duration::ZERO, Known::default())],
            began: (Duration::ZERO, UNIX_EPOCH),
            ended: 0,
            successes: Vec::new(),
            revoked: [false; KIDS],
        }
    }

    pub(super) fn began(&mut self, at: Moment) {
        self.began = at;
    }

    /// Returns what the fetch was to the validator.
    pub(super) fn ended(&mut self, at: Duration, brought: Brought) -> Outcome {
        self.ended += 1;
        let last = &self.states.last().unwrap().1;
        let (published, max_age) = match brought {
            Brought::Keys(keys, max_age) if !keys.is_empty() => (keys, max_age),
            Brought::Same if last.confirmed.is_some() => (last.published.clone(), None),
            Brought::Nothing(answer, retry_after) => return Outcome::Failure(answer, retry_after),
            _ => return Outcome::Failure(Answer::None, None),
        };
        let confirmed = Some(self.began);
        let known = Known {
            published,
            confirmed,
        };
        self.states.push((at, known));
        self.successes.push((self.ended, at));
        Outcome::Success(max_age)
    }

    /// What is known once everything that happens now has happened.
    pub(super) fn settled(&self) -> Known {
        self.states.last().unwrap().1.clone()
    }

    /// What may be known to somebody who looks at this time: of what happens then, any part may have
    /// happened.
    pub(super) fn possible(&self, at: Duration) -> Vec<Known> {
        let earlier = self.states.partition_point(|(from, _)| *from < at);
        let last = self.states.partition_point(|(from, _)| *from <= at);
        let states = &self.states[earlier.saturating_sub(1)..last];
        states.iter().map(|(_, known)| known.clone()).collect()
    }

    pub(super) fn is_usable(&self, known: &Known, at: Moment) -> bool {
        self.age(known, at).is_some_and(|age| age <= self.max_stale)
    }

    /// The longer of the times that the two clocks say.
    pub(super) fn age(&self, known: &Known, (at, wall): Moment) -> Option<Duration> {
        known.confirmed.map(|(since, wall_then)| {
            let by_wall = wall.duration_since(wall_then).unwrap_or_default();
            by_wall.max(at - since)
        })
    }

    /// Tells whether there are keys that are too old.
    pub(super) fn is_stale(&self, at: Moment) -> bool {
        let known = self.settled();
        known.confirmed.is_some() && !self.is_usable(&known, at)
    }

    /// The keys that the operator has not revoked.
    pub(super) fn keys(&self, known: &Known) -> Vec<usize> {
        let keys = known.published.iter().copied();
        keys.filter(|key| !self.revoked[key % KIDS]).collect()
    }
}
