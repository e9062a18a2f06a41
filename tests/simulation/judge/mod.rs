//! What the pair promises, judged from what is seen of it.
//!
//! The answers are in `answers`, the budgets of requests in `tokens` and `calls`, which keys a service has in
//! `keys`; what holds at every moment is here. A reference that knows the issuers' keys says which tokens are good.

mod answers;
mod bucket;
mod calls;
mod keys;
mod recovery;
mod tokens;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Bytes;
use clock::Clock as _;
use jwks_validator::Answer;

use self::calls::Calls;
use self::keys::{KeyWatch, key_set};
pub(crate) use self::recovery::Look;
use self::tokens::{Moment, TokenWatch};
use crate::faults::{Faults, Host, Issuer};
use crate::network::{Id, Network, Outcome, Request, Response};
use crate::plan::{PAIRS, Settings};
use crate::provider::{AUDIENCE, Provider};
use crate::reference::{self, Broken, Rules};
use crate::trace::Trace;
use crate::wall_clock::WallClock;

/// How a fetch of tokens or keys ended.
#[derive(Debug)]
pub(crate) enum FetchEnd {
    /// A key set, unless it is the one that was there; and for how long it is fresh.
    Keys(Option<Bytes>, Option<Duration>),
    Failed {
        answer: Answer,
        /// What `Retry-After` said.
        asked: Option<Duration>,
    },
}

impl FetchEnd {
    pub(crate) fn failed(answer: Answer, asked: Option<Duration>) -> Self {
        Self::Failed { answer, asked }
    }
}

/// Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Judge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    trace: Trace,
    faults: Arc<Faults>,
    network: Network,
    providers: [Provider; 2],
    clocks: BTreeMap<Host, WallClock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tokens: [TokenWatch; PAIRS],
    keys: BTreeMap<(usize, Issuer), KeyWatch>,
    calls: [Calls; PAIRS],
    seen: BTreeMap<Id, answers::Seen>,
    /// When the wall clock of a public-data was stepped, until somebody calls it.
    stepped: [Option<Duration>; PAIRS],
    /// Since when readiness can be expected again for reasons other than faults.
    troubled: [Duration; PAIRS],
    /// Answers to tokens of issuer B.
    pub(crate) of_b: Vec<(u64, u16)>,
}

impl Judge {
    pub(crate) fn new(
        settings: Settings,
        trace: Trace,
        faults: Arc<Faults>,
        network: Network,
        providers: [Provider; 2],
        clocks: BTreeMap<Host, WallClock>,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            trace,
            faults,
            network,
            providers,
            clocks,
            state: Mutex::default(),
        }))
    }

    /// Answers to tokens of issuer B, with the numbers of the requests.
    pub(crate) fn answers_of_b(&self) -> Vec<(u64, u16)> {
        self.state().of_b.clone()
    }

    /// A process is gone, and with it what it knew.
    pub(crate) fn crashed(&self, host: Host) {
        let mut state = self.state();
        state.seen.retain(|id, _| id.to != host);
        match host {
            Host::Public(index) => {
                state.tokens[index] = TokenWatch::default();
                state.calls[index] = Calls::default();
                state.stepped[index] = None;
            }
            Host::Protected(index) => state.keys.retain(|(of, _), _| *of != index),
            Host::Idp(_) | Host::Outside => {}
        }
    }

    /// What a public-data knows of its token's age may not be true any more.
    pub(crate) fn stepped(&self, host: Host) {
        if let Host::Public(index) = host {
            self.state().stepped[index] = Some(self.now());
        }
    }

    pub(crate) fn revoked(&self, host: usize, issuer: Issuer, kid: &str) {
        let mut state = self.state();
        let watch = state.keys.entry((host, issuer)).or_default();
        watch.revoked.push(kid.to_owned());
    }

    pub(crate) fn token_fetch_began(&self, host: usize) {
        let now = self.moment(Host::Public(host));
        let verdict = self.state().tokens[host].began(now);
        self.hold(Host::Public(host), verdict);
    }

    pub(crate) fn token_came(&self, host: usize, token: &str, lifetime: Duration) {
        let now = self.moment(Host::Public(host));
        self.state().tokens[host].came(token, lifetime, now);
    }

    pub(crate) fn token_fetch_failed(&self, host: usize, end: FetchEnd) {
        let now = self.now();
        self.state().tokens[host].failed(&end, now);
    }

    pub(crate) fn key_fetch_began(&self, host: usize, issuer: Issuer) {
        let now = self.moment(Host::Protected(host));
        let mut state = self.state();
        state.keys.entry((host, issuer)).or_default().began(now);
    }

    pub(crate) fn key_fetch_ended(&self, host: usize, issuer: Issuer, end: FetchEnd) {
        let now = self.now();
        let mut state = self.state();
        let watch = state.keys.entry((host, issuer)).or_default();
        watch.ended(end, now, self.0.settings.max_stale);
    }

    /// A request goes from public-data to protected-data. Returns the number of the attempt.
    pub(crate) fn call_began(
        &self,
        host: usize,
        number: u64,
        request: &Request,
        token: String,
    ) -> u64 {
        let now = self.now();
        let shown = format!("{:?}", request.headers());
        let verdict = match crate::capture::secret_in(&shown.replace("Sensitive", "")) {
            Some(line) => Err(format!("secrets: in a call to protected-data: {line}")),
            None => Ok(()),
        };
        self.hold(Host::Public(host), verdict);
        let (attempt, verdict) = self.state().calls[host].began(number, token, now);
        self.hold(Host::Public(host), verdict);
        attempt
    }

    pub(crate) fn call_ended(&self, host: usize, number: u64, outcome: &Outcome) {
        let now = self.moment(Host::Public(host));
        let mut state = self.state();
        let state = &mut *state;
        let watch = &mut state.tokens[host];
        if state.calls[host].ended(number, outcome, watch, now) {
            state.troubled[host] = now.monotonic;
        }
    }

    fn reference(
        &self,
        token: &str,
        issuer: Issuer,
        now: i64,
        keys: &[reference::Key],
    ) -> Result<(), Broken> {
        let rules = Rules {
            algorithms: vec!["EdDSA"],
            ..Rules::usual(issuer.name(), AUDIENCE)
        };
        reference::judge(token, now, keys, &rules).map(|_| ())
    }

    fn published(&self, issuer: Issuer) -> Vec<reference::Key> {
        key_set(&self.0.providers[issuer as usize].jwks().into())
    }

    fn hold(&self, host: Host, verdict: Result<(), String>) {
        if let Err(promise) = verdict {
            self.0.trace.broken(format!("{host:?}: {promise}"));
        }
    }

    fn now(&self) -> Duration {
        self.0.trace.now()
    }

    fn moment(&self, host: Host) -> Moment {
        let wall = self.0.clocks[&host].now().duration_since(UNIX_EPOCH);
        Moment {
            monotonic: self.now(),
            wall: wall.unwrap(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

/// The request or answer as text, for the search for secrets.
fn shown(response: &Response) -> String {
    let body = String::from_utf8_lossy(response.body());
    format!("{:?}\n{body}", response.headers())
}
