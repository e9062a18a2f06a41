//! Two pairs of services, two issuers and their callers, driven through a script.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use token_cache::Freshness;
use tokio::time::sleep_until;

use crate::capture::Log;
use crate::clients::{Call, Clients};
use crate::faults::{Host, Issuer};
use crate::handlers::Handlers;
use crate::hosts::{ProtectedHost, PublicHost, Start, issuers};
use crate::judge::Judge;
use crate::network::{Delivery, Failure, Id, LIMITS, Limits, Network, Outcome, Request};
use crate::plan::{Action, PAIRS, Plan, Rotation};
use crate::provider::Provider;
use crate::trace::Trace;
use crate::wall_clock::WallClock;

/// What is seen of a run in the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The hash of all that happened.
    pub(crate) hash: u64,
    /// What came of the requests with tokens of issuer B: their numbers and statuses.
    pub(crate) of_b: Vec<(u64, u16)>,
    /// How many requests from outside got 200, something else, and nothing.
    pub(crate) answers: [u64; 3],
}

#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    pub(crate) trace: Trace,
    pub(crate) log: Log,
    network: Network,
    pub(crate) judge: Judge,
    providers: [Provider; 2],
    /// Whether an issuer's process runs.
    idp_runs: [bool; 2],
    clocks: BTreeMap<Host, WallClock>,
    clients: Clients,
    handlers: Handlers,
    pub(crate) public: [Option<PublicHost>; PAIRS],
    pub(crate) protected: [Option<ProtectedHost>; PAIRS],
    /// When each host was started last, and how often before.
    pub(crate) started: BTreeMap<Host, (Duration, u64)>,
    answers: [u64; 3],
}

const MILLISECOND: Duration = Duration::from_millis(1);

impl World {
    pub(crate) async fn new(plan: Plan, log: Log) -> Self {
        let trace = Trace::new();
        let settings = plan.settings;
        let hosts = [
            Host::Idp(Issuer::A),
            Host::Idp(Issuer::B),
            Host::Public(0),
            Host::Public(1),
            Host::Protected(0),
            Host::Protected(1),
        ];
        let clocks: BTreeMap<_, _> = hosts
            .into_iter()
            .zip(settings.offsets_ms)
            .map(|(host, offset)| (host, WallClock::new(trace.start(), offset)))
            .collect();
        let providers = [Issuer::A, Issuer::B].map(|issuer| {
            let clock = clocks[&Host::Idp(issuer)].clone();
            Provider::new(
                issuer,
                settings.seed,
                clock,
                settings.lifetime,
                settings.max_age,
            )
        });
        let faults = Arc::new(plan.faults.clone());
        let network = Network::new(settings.seed, Arc::clone(&faults), trace.clone());
        let judge = Judge::new(
            settings,
            trace.clone(),
            faults,
            network.clone(),
            providers.clone(),
            clocks.clone(),
        );
        let mut world = Self {
            plan,
            trace,
            log,
            network,
            judge,
            clients: Clients::new(settings.seed, providers.clone()),
            handlers: Handlers::default(),
            providers,
            idp_runs: [true; 2],
            clocks,
            public: Default::default(),
            protected: Default::default(),
            started: BTreeMap::new(),
            answers: [0; 3],
        };
        for pair in 0..PAIRS {
            world.restart(Host::Protected(pair)).await;
            world.restart(Host::Public(pair)).await;
        }
        world
    }

    /// Runs the script to its end.
    ///
    /// # Errors
    ///
    /// Fails with the promise that was broken.
    pub(crate) async fn run(mut self) -> Result<Seen, String> {
        let actions = std::mem::take(&mut self.plan.actions);
        let mut actions = actions.into_iter().peekable();
        let mut last = Duration::ZERO;
        while let Some((planned, _)) = actions.peek() {
            let due = self.network.next().unwrap_or(*planned).min(*planned);
            let due = due.max(last + MILLISECOND);
            tokio::select! {
                biased;
                () = self.handlers.work() => {}
                () = self.network.changed() => continue,
                () = sleep_until(self.trace.start() + due) => {}
            }
            last = self.trace.now();
            // Before anything new: what the last message caused is over by now.
            self.look();
            if let Some((_, action)) = actions.next_if(|(at, _)| *at <= last) {
                self.act(action).await;
            } else if let Some(delivery) = self.network.deliver() {
                self.deliver(delivery);
            }
            self.trace.check()?;
        }
        Ok(Seen {
            hash: self.trace.hash(),
            of_b: self.judge.answers_of_b(),
            answers: self.answers,
        })
    }

    async fn act(&mut self, action: Action) {
        if !matches!(action, Action::Look | Action::Send(_)) {
            self.trace.note(format!("{action:?}"));
        }
        match action {
            Action::Crash(host) => self.crash(host),
            // Two of its crashes may overlap.
            Action::Restart(host) if self.plan.faults.is_down(host, self.trace.now()) => {}
            Action::Restart(host) => self.restart(host).await,
            Action::Send(call) => self.send(&call),
            Action::Rotate(issuer, rotation) => self.rotate(issuer, rotation),
            Action::Withdraw(issuer) => {
                self.providers[issuer as usize].withdraw_old_keys();
            }
            Action::Step(host, by_ms) => {
                self.clocks[&host].step(by_ms);
                self.judge.stepped(host);
            }
            Action::Look => {}
        }
    }

    fn crash(&mut self, host: Host) {
        self.handlers.crash(host);
        match host {
            Host::Public(index) => self.public[index] = None,
            Host::Protected(index) => self.protected[index] = None,
            Host::Idp(issuer) => self.idp_runs[issuer as usize] = false,
            Host::Outside => {}
        }
        self.network.crashed(host);
        self.judge.crashed(host);
    }

    async fn restart(&mut self, host: Host) {
        let now = self.trace.now();
        let restarts = self.started.get(&host).map_or(0, |(_, before)| before + 1);
        self.started.insert(host, (now, restarts));
        let start = |index| Start {
            network: self.network.clone(),
            judge: self.judge.clone(),
            settings: self.plan.settings,
            clock: self.clocks[&host].clone(),
            host: index,
            restarts,
        };
        match host {
            Host::Public(index) => {
                self.public[index] = Some(PublicHost::start(&start(index)).await);
            }
            Host::Protected(index) => {
                self.protected[index] = Some(ProtectedHost::start(&start(index)));
            }
            Host::Idp(issuer) => self.idp_runs[issuer as usize] = true,
            Host::Outside => {}
        }
    }

    fn rotate(&mut self, issuer: Issuer, rotation: Rotation) {
        let provider = &self.providers[issuer as usize];
        provider.add_key();
        if rotation == Rotation::Overlapping {
            return;
        }
        let withdrawn = provider.withdraw_old_keys();
        if rotation == Rotation::Hard {
            return;
        }
        for (index, host) in self.protected.iter().enumerate() {
            let (Some(host), true) = (host, issuers(index).contains(&issuer)) else {
                continue;
            };
            for kid in &withdrawn {
                host.validator.revoke_kid(issuer.name(), kid).unwrap();
                self.judge.revoked(index, issuer, kid);
            }
        }
    }

    fn send(&mut self, call: &Call) {
        let id = Id {
            from: Host::Outside,
            to: call.to,
            number: call.number,
        };
        let limits = Limits {
            total: call.patience,
            ..LIMITS
        };
        let request = self.clients.request(call);
        self.network.send(id, request, limits, None);
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Request(id, request) => self.request(id, request),
            Delivery::Gone(id) => self.gone(id),
            Delivery::Answer(id, outcome) => {
                self.gone(id);
                self.answers[kind_of(&outcome)] += 1;
            }
        }
    }

    fn gone(&mut self, id: Id) {
        self.handlers.stop(id);
        self.judge.forget(id);
    }

    fn request(&mut self, id: Id, request: Request) {
        let (router, had_token) = match id.to {
            Host::Public(index) => match &self.public[index] {
                Some(host) => (host.router(), has_token(host)),
                None => return self.network.refuse(id, Failure::Refused),
            },
            Host::Protected(index) => match &self.protected[index] {
                Some(host) => (host.router(), false),
                None => return self.network.refuse(id, Failure::Refused),
            },
            Host::Idp(issuer) if self.idp_runs[issuer as usize] => {
                let response = self.providers[issuer as usize].answer(&request);
                return self.network.answer(id, response);
            }
            Host::Idp(_) | Host::Outside => return self.network.refuse(id, Failure::Refused),
        };
        self.judge.arrived(id, &request, had_token);
        self.handlers
            .start(router, id, request, &self.judge, &self.network);
    }
}

fn has_token(host: &PublicHost) -> bool {
    let freshness = host.tokens.health().freshness;
    freshness.is_some_and(|freshness| freshness <= Freshness::Stale)
}

fn kind_of(outcome: &Outcome) -> usize {
    match outcome {
        Ok(response) if response.status() == 200 => 0,
        Ok(_) => 1,
        Err(_) => 2,
    }
}
