//! The calls of one public-data to its protected-data.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::http::StatusCode;

use super::tokens::{Moment, TokenWatch};
use crate::network::{Failure, Outcome};

#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// By the number of the request from outside.
    of: BTreeMap<u64, Attempts>,
    inbound: VecDeque<Duration>,
    repeated: VecDeque<Duration>,
    /// The newest token for which the one before it was tried after a 503, and whether that helped.
    tried: Option<(String, bool)>,
}

#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) tokens: Vec<String>,
    /// The status of each that has ended; `None` where there is none.
    pub(super) ended: Vec<Option<StatusCode>>,
    /// A rejected token makes one more necessary.
    pub(super) must_repeat: bool,
    /// A rejected token, and the one before it, which the replay has to take.
    bridged: Option<(String, String)>,
    /// A token that got 503, and the one before it, which may be tried.
    unavailable: Option<(String, String)>,
    /// A new token, while the one before it is under way in its place.
    stood_in_for: Option<String>,
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
        let stands_in = attempts.unavailable.take();
        let stands_in = stands_in.filter(|(_, former)| *former == token);
        let verdict = if count > 3 {
            Err("outage: more than two calls, each with a replay".into())
        } else if let Some((new, _)) = stands_in {
            let tried = self.tried.take().filter(|(tried, _)| *tried == new);
            let helped = tried.as_ref().map(|(_, helped)| *helped);
            self.tried = Some((new.clone(), helped.unwrap_or(false)));
            attempts.stood_in_for = Some(new);
            match helped {
                Some(false) => Err("outage: a call is sent twice again and again".into()),
                Some(true) | None => Ok(()),
            }
        } else if rejected
            && attempts
                .bridged
                .as_ref()
                .is_some_and(|(_, former)| *former != token)
        {
            Err("outage: the accepted token is not sent instead of the rejected one".into())
        } else if rejected && attempts.tokens.last() == Some(&token) {
            Err("outage: a rejected token is sent again".into())
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
        if status == Some(StatusCode::SERVICE_UNAVAILABLE) {
            let former = watch.before(token, now);
            let tried = self.tried.as_ref().filter(|(tried, _)| tried == token);
            attempts.must_repeat = former.is_some() && tried.is_none();
            attempts.unavailable = former.map(|former| (token.clone(), former));
        }
        // What is torn begins with a 200.
        let is_torn = matches!(outcome, Err(Failure::Torn));
        let accepted = is_torn || status.is_some_and(|status| status.is_success());
        if accepted {
            watch.accepted(token, now);
        }
        let bridged = attempts.bridged.as_ref().map(|(new, _)| new.clone());
        let stood_in_for = attempts.stood_in_for.take();
        if accepted && let Some(new) = stood_in_for.clone().or(bridged) {
            self.tried = Some((new, true));
        }
        if status != rejected {
            attempts.bridged = None;
            return false;
        }
        watch.forget(token);
        if stood_in_for.is_some() {
            // The 503 stands, and the new token stays.
            return false;
        }
        if is_replay {
            // The token before was refused too.
            let bridged = attempts.bridged.take();
            return bridged.is_some_and(|(token, _)| watch.rejected(&token, now));
        }
        if let Some(former) = watch.before(token, now) {
            attempts.bridged = Some((token.clone(), former));
            attempts.must_repeat = true;
            return watch.is_no_longer_new(token, now) && watch.rejected(token, now);
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
