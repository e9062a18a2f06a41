//! Calls the validator, keeps the models up to date and compares.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwks_validator::{AuthError, IssuerRefresh, JwtValidator, Reason, RefreshOutcome};
use tokio::time::{Instant, timeout};

use super::answers::{Caller, Prospect};
use super::budgets::Budgets;
use super::known::History;
use super::source::{Event, Source};
use super::world::{CALM, KIDS, TROUBLED, Token, WallClock};
use crate::fake_source::settle;

/// What happened, line by line; it outlives a script that fails.
pub(super) type Trace = Arc<Mutex<Vec<String>>>;

pub(super) struct Observer {
    pub(super) caller: Caller,
    pub(super) issuers: [Issuer; 2],
    trace: Trace,
}

pub(super) struct Issuer {
    pub(super) source: Source,
    pub(super) history: History,
    budgets: Budgets,
    /// When a key id was last said not to exist; the last is that of tokens without one.
    absent: [Option<Duration>; KIDS + 1],
    /// What was accepted last, and may be cached.
    pub(super) accepted: Vec<Arc<Token>>,
}

/// By issuer, the number of the fetch that the operator gets, or the time to wait.
type Promised = [Result<usize, Duration>; 2];

impl Issuer {
    pub(super) fn new(source: Source, max_stale: Duration) -> Self {
        Self {
            source,
            history: History::new(max_stale),
            budgets: Budgets::new(max_stale),
            absent: [None; KIDS + 1],
            accepted: Vec::new(),
        }
    }
}

impl Observer {
    pub(super) fn new(
        validator: JwtValidator,
        clock: WallClock,
        issuers: [Issuer; 2],
        trace: Trace,
    ) -> Self {
        let caller = Caller {
            validator,
            clock,
            start: Instant::now(),
        };
        Self {
            caller,
            issuers,
            trace,
        }
    }

    /// What a refresh that the operator asks for now is to come to.
    pub(super) async fn promised_refresh(&mut self) -> Promised {
        self.look_around().await;
        let now = self.now();
        self.issuers
            .each_mut()
            .map(|issuer| issuer.budgets.asked_manually(now))
    }

    pub(super) async fn check_refresh(&mut self, promised: Promised, refreshed: &[IssuerRefresh]) {
        self.look_around().await;
        self.note(format!("{refreshed:?}"));
        for ((issuer, promised), refreshed) in self.issuers.iter().zip(promised).zip(refreshed) {
            let mut successes = issuer.history.successes.iter().map(|(number, _)| *number);
            let is_right = match (&refreshed.outcome, promised) {
                (RefreshOutcome::TooSoon { retry_after }, Err(wait)) => *retry_after == wait,
                // The fetch before it brought a `Retry-After`.
                (RefreshOutcome::TooSoon { .. }, Ok(_)) => issuer.budgets.is_held_off(self.now()),
                (RefreshOutcome::Refreshed, Ok(number)) => successes.any(|it| it >= number),
                (RefreshOutcome::Failed(_), Ok(number)) => successes.all(|it| it != number),
                _ => false,
            };
            assert!(is_right, "{promised:?}: {refreshed:?}");
        }
    }

    /// A caller that does not wait for its answer.
    pub(super) async fn give_up(&mut self, issuer: usize, token: &Token, patience: Duration) {
        self.look_around().await;
        let from = self.now();
        let call = self.caller.validator.validate(&token.text);
        let is_answered = timeout(patience, call).await.is_ok();
        let to = self.now();
        let asked = &mut self.issuers[issuer];
        asked.budgets.called(from, to);
        // Perhaps; an answer that was not waited for says nothing.
        asked.absent[token.kid.unwrap_or(KIDS)] = Some(to);
        self.note(format!(
            "{issuer} {} waits {patience:?}: {is_answered}",
            token.id
        ));
    }

    /// The last looks, while nothing is fetched any more.
    pub(super) async fn shut_down(&mut self) {
        self.look_around().await;
        self.caller.validator.shutdown().await;
        for issuer in &mut self.issuers {
            issuer.budgets.stop();
        }
    }

    /// Shows tokens to the validator, all at once, and checks the answers.
    pub(super) async fn show(&mut self, issuer: usize, tokens: Vec<Arc<Token>>) {
        self.look_around().await;
        let now = self.caller.moment();
        let Issuer {
            source,
            history,
            budgets,
            absent,
            ..
        } = &self.issuers[issuer];
        let is_paid = budgets.has_one_left(now.0);
        let prospects: Vec<_> = tokens
            .into_iter()
            .map(|token| {
                let asked = absent[token.kid.unwrap_or(KIDS)];
                let is_worth = asked.is_none_or(|at| now.0 - at > Duration::from_secs(30));
                let forecast = if is_paid && is_worth {
                    source.forecast()
                } else {
                    None
                };
                Prospect::new(issuer, token, history, forecast, now)
            })
            .collect();
        let callers: Vec<_> = prospects
            .iter()
            .map(|prospect| {
                let (caller, source) = (self.caller.clone(), source.clone());
                let token = Arc::clone(&prospect.token);
                tokio::spawn(async move { caller.call(&source, &token).await })
            })
            .collect();
        let mut calls = Vec::new();
        for caller in callers {
            calls.push(caller.await.unwrap());
        }
        for call in &calls {
            self.issuers[issuer].budgets.called(call.from, call.to);
        }
        self.look(issuer);
        for (prospect, call) in prospects.iter().zip(&calls) {
            let outcome = match &call.result {
                Ok(_) => "accepted",
                Err(error) => error.reason().as_str(),
            };
            let (id, waited) = (&prospect.token.id, call.to - call.from);
            let about = format!("{:?} {id}: {outcome} after {waited:?}", call.to);
            self.note(about.clone());
            let issuer = &mut self.issuers[issuer];
            prospect.check(call, &issuer.history, &about);
            match call.result.as_ref().map_err(AuthError::reason) {
                Ok(_) => {
                    issuer.accepted.truncate(3);
                    issuer.accepted.insert(0, Arc::clone(&prospect.token));
                }
                Err(Reason::UnknownKey) => {
                    issuer.absent[prospect.token.kid.unwrap_or(KIDS)] = Some(call.to);
                }
                Err(_) => {}
            }
        }
    }

    /// Lets everything happen that happens now, and compares what can be seen of it.
    pub(super) async fn look_around(&mut self) {
        settle().await;
        let moment = self.caller.moment();
        let now = moment.0;
        let mut is_ready = false;
        for issuer in [TROUBLED, CALM] {
            self.look(issuer);
            let Issuer {
                history, budgets, ..
            } = &self.issuers[issuer];
            budgets.check(now);
            let known = history.settled();
            let health = &self.caller.validator.health()[issuer];
            let is_usable = history.is_usable(&known, moment);
            is_ready |= is_usable;
            assert_eq!(health.usable, is_usable, "{health:?}");
            assert_eq!(health.age, history.age(&known, moment), "{health:?}");
            assert_eq!(health.keys, history.keys(&known).len(), "{health:?}");
            assert_eq!(health.consecutive_failures, budgets.failed, "{health:?}");
        }
        assert_eq!(self.caller.validator.ready(), is_ready);
    }

    /// Takes in what a source was asked and what it brought.
    fn look(&mut self, issuer: usize) {
        for event in self.issuers[issuer].source.events() {
            self.note(format!("{issuer} {event:?}"));
            let Issuer {
                history, budgets, ..
            } = &mut self.issuers[issuer];
            match event {
                Event::Began(at) => {
                    let is_stale = history.is_stale(at);
                    history.began(at);
                    budgets.began(at.0, is_stale);
                }
                Event::Ended(at, brought) => {
                    let outcome = history.ended(at, brought);
                    budgets.ended(at, outcome);
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.caller.start.elapsed()
    }

    pub(super) fn note(&self, line: String) {
        self.trace.lock().unwrap().push(line);
    }
}
