//! Requests and answers under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{self, StatusCode};
use tokio::sync::oneshot;

use crate::faults::Host;
use crate::trace::Trace;

pub(crate) type Request = http::Request<Bytes>;
pub(crate) type Response = http::Response<Bytes>;
pub(crate) type Outcome = Result<Response, Failure>;

/// One request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) number: u64,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    /// No connection in time.
    Unreachable,
    /// No answer in time.
    Timeout,
    Reset,
    /// The answer ended half-way.
    Torn,
}

/// How long a caller waits for a connection, and for everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) total: Duration,
}

/// What the HTTP clients of both halves, and public-data's, are built with.
pub(crate) const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(3),
};

/// Something for the world to do.
#[derive(Debug)]
pub(crate) enum Delivery {
    Request(Id, Request),
    /// Of a request from outside.
    Answer(Id, Outcome),
    /// Nobody waits for the answer any more, and nobody works on it.
    Gone(Id),
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: BTreeSet<(Duration, Id, Step)>,
    pub(super) exchanges: BTreeMap<Id, Exchange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    Arrive,
    Return,
    GiveUp,
    HangUp,
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) path: String,
    pub(super) request: Option<Request>,
    pub(super) outcome: Option<Outcome>,
    /// Nobody but the world waits for the answer to a request from outside.
    pub(super) caller: Option<oneshot::Sender<Outcome>>,
    pub(super) gives_up: (Duration, Failure),
    pub(super) has_arrived: bool,
    pub(super) is_disturbed: bool,
    pub(super) is_abandoned: bool,
}

impl State {
    pub(super) fn end(&mut self, id: Id, outcome: Outcome, trace: &Trace) -> Option<Delivery> {
        let exchange = self.exchanges.remove(&id)?;
        self.queue.retain(|(_, other, _)| *other != id);
        let status = outcome.as_ref().map(Response::status).map_err(|it| *it);
        let text = match status {
            Ok(status) => StatusCode::as_str(&status).to_owned(),
            Err(failure) => format!("{failure:?}"),
        };
        trace.note(format!("{id:?} gets {text}"));
        match exchange.caller {
            Some(caller) => {
                let _ = caller.send(outcome);
                None
            }
            None if exchange.is_abandoned => None,
            None => Some(Delivery::Answer(id, outcome)),
        }
    }
}
