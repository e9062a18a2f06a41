//! The calls of one public-data to protected-data.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::http::StatusCode;

use super::tokens::{Moment, TokenWatch};
use crate::network::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// By the number of the request from outside.
    of: BTreeMap<u64, Attempts>,
    inbound: VecDeque<Duration>,
    repeated: VecDeque<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) tokens: Vec<String>,
    /// The status of each that has ended; `None` where there is none.
    pub(super) ended: Vec<Option<StatusCode>>,
    /// A rejected token makes one more necessary.
    pub(super) must_repeat: bool,
    /// The token before a new one that was rejected, which the replay has to take.
    former: Option<String>,
}

/// The budget looks back on ten seconds, counted in whole ones: on nine to ten.
const LOOKS_BACK_AT_LEAST: Duration = Duration::from_secs(9);
const LOOKS_BACK_AT_MOST: Duration = Duration::from_secs(10);

impl Calls {
    pub(super) fn inbound(&mut self, number: u64, now: Duration) {
        self.of.insert(number, Attempts::default());
        self.inbound.push_back(now);
    }

    pub(super) fn of(&mut self, number: u64) -> Attempts {
        self.of.remove(&number).unwrap_or_default()
    }

    /// Returns the number of the attempt, and whether there may be one.
    pub(super) fn began(
        &mut self,
        number: u64,
        token: String,
        now: Duration,
    ) -> (u64, Result<(), String>) {
        let attempts = self.of.entry(number).or_default();
        let count = attempts.tokens.len();
        let rejected = attempts.ended.last() == Some(&Some(StatusCode::UNAUTHORIZED));
        let former = attempts.former.take();
        let verdict = if count > 3 {
            Err("outage: more than two calls, each with a replay".into())
        } else if former.is_some_and(|former| former != token) {
            Err("replays: the token before a new one is not sent in its place".into())
        } else if rejected && attempts.tokens.last() == Some(&token) {
            Err("replays: a rejected token is sent again".into())
        } else if count > 0 && !rejected {
            self.repeated.push_back(now);
            within_a_tenth(&mut self.inbound, &mut self.repeated, now)
        } else {
            Ok(())
        };
        let attempts = self.of.entry(number).or_default();
        attempts.tokens.push(token);
        (count as u64, verdict)
    }

    /// Returns whether a token was rejected so that the cache has to get another one.
    pub(super) fn ended(
        &mut self,
        number: u64,
        outcome: &Outcome,
        watch: &mut TokenWatch,
        now: Moment,
    ) -> bool {
        let Some(attempts) = self.of.get_mut(&number) else {
            return false;
        };
        let status = outcome.as_ref().ok().map(crate::network::Response::status);
        let rejected = Some(StatusCode::UNAUTHORIZED);
        let before = attempts.ended.last().copied().flatten();
        let is_replay = before == rejected;
        attempts.ended.push(status);
        let Some(token) = attempts.tokens.last() else {
            return false;
        };
        if status != rejected || is_replay {
            return false;
        }
        attempts.former = watch.before(token, now);
        if attempts.former.is_some() {
            attempts.must_repeat = true;
            return false;
        }
        attempts.must_repeat = watch.rejected(token, now);
        attempts.must_repeat
    }
}

fn within_a_tenth(
    inbound: &mut VecDeque<Duration>,
    repeated: &mut VecDeque<Duration>,
    now: Duration,
) -> Result<(), String> {
    inbound.retain(|at| now - *at <= LOOKS_BACK_AT_MOST);
    repeated.retain(|at| now - *at <= LOOKS_BACK_AT_LEAST);
    match repeated.len() * 10 <= inbound.len() {
        true => Ok(()),
        false => Err(format!(
            "outage: {} calls were repeated for {} from outside",
            repeated.len(),
            inbound.len()
        )),
    }
}
