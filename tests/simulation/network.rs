//! A network in memory: it delays, loses and breaks messages as the script says.
//!
//! It hands out one message per millisecond. As paused time passes only when nothing else can run,
//! whatever a message causes is over before the next one arrives, and a seed always gives one order.

mod exchange;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::{Notify, oneshot};

pub(crate) use self::exchange::{
    Delivery, Failure, Id, LIMITS, Limits, Outcome, Request, Response,
};
use self::exchange::{Exchange, State, Step};
use crate::faults::{Faults, Host, Weather};
use crate::nonsense;
use crate::plan::PAIRS;
use crate::trace::Trace;

#[derive(Clone, Debug)]
pub(crate) struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seed: u64,
    faults: Arc<Faults>,
    trace: Trace,
    state: Mutex<State>,
    changed: Notify,
}

impl Network {
    pub(crate) fn new(seed: u64, faults: Arc<Faults>, trace: Trace) -> Self {
        Self(Arc::new(Inner {
            seed,
            faults,
            trace,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// The protected-data that a balancer takes for a call.
    pub(crate) fn behind_the_address(&self, from: Host, number: u64) -> Host {
        let mut hasher = DefaultHasher::new();
        (self.0.seed, from, number).hash(&mut hasher);
        Host::Protected(Rng::with_seed(hasher.finish()).usize(0..PAIRS))
    }

    /// Sends a request and waits for its answer. Dropping the future hangs up.
    pub(crate) async fn exchange(&self, id: Id, request: Request) -> Outcome {
        let (caller, answer) = oneshot::channel();
        self.send(id, request, LIMITS, Some(caller));
        let mut call = Call(self, id, true);
        let outcome = answer.await.unwrap_or(Err(Failure::Reset));
        call.2 = false;
        outcome
    }

    pub(crate) fn send(
        &self,
        id: Id,
        request: Request,
        limits: Limits,
        caller: Option<oneshot::Sender<Outcome>>,
    ) {
        let now = self.0.trace.now();
        let path = request.uri().path().to_owned();
        let weather = self.weather(id, &path, now);
        let gives_up = match weather.is_cut {
            true => (now + limits.connect, Failure::Unreachable),
            false => (now + limits.total, Failure::Timeout),
        };
        let mut state = self.state();
        state.queue.insert((gives_up.0, id, Step::GiveUp));
        if !weather.is_cut {
            let arrival = now + self.latency(id, Step::Arrive) + weather.delay;
            state.queue.insert((arrival, id, Step::Arrive));
        }
        self.0.trace.note(format!("{id:?} sends to {path}"));
        let exchange = Exchange {
            path,
            request: Some(request),
            outcome: None,
            caller,
            gives_up,
            has_arrived: false,
            is_disturbed: weather.is_cut || !weather.delay.is_zero(),
            is_abandoned: false,
        };
        state.exchanges.insert(id, exchange);
        self.0.changed.notify_one();
    }

    /// When the next message is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.state().queue.first().map(|(at, ..)| *at)
    }

    /// Waits until something may be due earlier than it was.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Takes the message that is due.
    pub(crate) fn deliver(&self) -> Option<Delivery> {
        let now = self.0.trace.now();
        let mut state = self.state();
        let (_, id, step) = state.queue.pop_first()?;
        let exchange = state.exchanges.get_mut(&id)?;
        match step {
            Step::Arrive => {
                if exchange.is_abandoned {
                    state.exchanges.remove(&id);
                    return None;
                }
                if self.weather(id, &exchange.path, now).is_cut {
                    exchange.is_disturbed = true;
                    return None;
                }
                exchange.has_arrived = true;
                let request = exchange.request.take()?;
                Some(Delivery::Request(id, request))
            }
            Step::Return => {
                let outcome = exchange.outcome.take()?;
                state.end(id, outcome, &self.0.trace)
            }
            Step::GiveUp => {
                let failure = exchange.gives_up.1;
                let answer = state.end(id, Err(failure), &self.0.trace);
                Some(answer.unwrap_or(Delivery::Gone(id)))
            }
            Step::HangUp => {
                state.exchanges.remove(&id);
                Some(Delivery::Gone(id))
            }
        }
    }

    /// Sends an answer back.
    pub(crate) fn answer(&self, id: Id, response: Response) {
        let now = self.0.trace.now();
        let mut state = self.state();
        let Some(exchange) = state.exchanges.get_mut(&id) else {
            return;
        };
        let weather = self.weather(id, &exchange.path, now);
        exchange.is_disturbed |=
            weather.is_cut || weather.is_torn || weather.says.is_some() || !weather.delay.is_zero();
        if weather.is_cut {
            return;
        }
        exchange.outcome = Some(match (weather.says, weather.is_torn) {
            (_, true) => Err(Failure::Torn),
            (Some(nonsense), false) => Ok(nonsense::answer(nonsense)),
            (None, false) => Ok(response),
        });
        self.return_after(&mut state, id, weather.delay);
    }

    /// Tells a caller that nobody is there, or not any more.
    pub(crate) fn refuse(&self, id: Id, failure: Failure) {
        let mut state = self.state();
        if let Some(exchange) = state.exchanges.get_mut(&id) {
            exchange.is_disturbed = true;
            exchange.outcome = Some(Err(failure));
            self.return_after(&mut state, id, Duration::ZERO);
        }
    }

    /// Resets the connections of a host that is gone.
    pub(crate) fn crashed(&self, host: Host) {
        let is_gone = |id: &Id, it: &Exchange| {
            id.to == host && it.has_arrived && it.outcome.is_none() && !it.is_abandoned
        };
        let gone: Vec<_> = {
            let state = self.state();
            let exchanges = state.exchanges.iter();
            exchanges
                .filter(|(id, it)| is_gone(id, it))
                .map(|(id, _)| *id)
                .collect()
        };
        for id in gone {
            self.refuse(id, Failure::Reset);
        }
    }

    /// Whether an exchange that a fault has touched is still under way.
    pub(crate) fn is_disturbed(&self, from: Host, to: Host) -> bool {
        let state = self.state();
        let mut exchanges = state.exchanges.iter();
        exchanges.any(|(id, it)| (id.from, id.to) == (from, to) && it.is_disturbed)
    }

    fn return_after(&self, state: &mut State, id: Id, delay: Duration) {
        let at = self.0.trace.now() + self.latency(id, Step::Return) + delay;
        state.queue.insert((at, id, Step::Return));
        self.0.changed.notify_one();
    }

    fn weather(&self, id: Id, path: &str, now: Duration) -> Weather {
        self.0.faults.weather(id.from, id.to, path, now)
    }

    /// Drawn for each message by itself, so that it does not matter in which order they are sent.
    fn latency(&self, id: Id, step: Step) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.0.seed, id, step).hash(&mut hasher);
        Duration::from_millis(Rng::with_seed(hasher.finish()).u64(1..=5))
    }

    fn abandon(&self, id: Id) {
        let at = self.0.trace.now() + self.latency(id, Step::HangUp);
        let mut state = self.state();
        if let Some(exchange) = state.exchanges.get_mut(&id) {
            exchange.is_abandoned = true;
            exchange.caller = None;
            let give_up = (exchange.gives_up.0, id, Step::GiveUp);
            state.queue.remove(&give_up);
            state.queue.insert((at, id, Step::HangUp));
            self.0.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

/// Hangs up when it is dropped before the answer came.
struct Call<'a>(&'a Network, Id, bool);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.2 {
            self.0.abandon(self.1);
        }
    }
}
