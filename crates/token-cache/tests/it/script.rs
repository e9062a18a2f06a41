//! A token source that does what it is told and counts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clock::ManualClock;
use token_cache::{
    IssuedToken, RefreshPolicy, TokenCache, TokenError, TokenErrorKind, TokenRequest, TokenSource,
};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A token with these characters and this lifetime in seconds.
    Token(&'static str, Option<u64>),
    Fail(TokenErrorKind),
    /// 503 with a `Retry-After`.
    Overloaded(Duration),
    Panic,
    /// Rejected credentials, which were replaced while the request was under way.
    Outdated,
}

pub(crate) const DOWN: Step = Step::Fail(TokenErrorKind::Connect);
pub(crate) const WRONG_SECRET: Step = Step::Fail(TokenErrorKind::InvalidClient);

#[derive(Clone, Debug)]
pub(crate) struct Script(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    steps: Mutex<VecDeque<Step>>,
    /// What to do when the steps are used up; `None` hands out `token-N` for an hour.
    rest: Mutex<Option<Step>>,
    calls: watch::Sender<u64>,
    times: Mutex<Vec<Instant>>,
    gate: Option<Semaphore>,
    version: Mutex<u64>,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::build(steps, None)
    }

    /// Every fetch waits for one [`open`](Self::open).
    pub(crate) fn gated(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::build(steps, Some(Semaphore::new(0)))
    }

    fn build(steps: impl IntoIterator<Item = Step>, gate: Option<Semaphore>) -> Self {
        Self(Arc::new(Inner {
            steps: Mutex::new(steps.into_iter().collect()),
            rest: Mutex::new(None),
            calls: watch::Sender::new(0),
            times: Mutex::default(),
            gate,
            version: Mutex::new(1),
        }))
    }

    pub(crate) fn then_always(self, step: Step) -> Self {
        *self.0.rest.lock().unwrap() = Some(step);
        self
    }

    pub(crate) fn now_always(&self, step: Option<Step>) {
        *self.0.rest.lock().unwrap() = step;
    }

    pub(crate) fn replace_credentials(&self) {
        *self.0.version.lock().unwrap() += 1;
    }

    pub(crate) fn open(&self) {
        self.0.gate.as_ref().unwrap().add_permits(1);
    }

    pub(crate) fn calls(&self) -> u64 {
        *self.0.calls.borrow()
    }

    pub(crate) async fn called(&self, times: u64) {
        self.0
            .calls
            .subscribe()
            .wait_for(|calls| *calls >= times)
            .await
            .unwrap();
    }

    /// When each fetch began.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.0.times.lock().unwrap().clone()
    }
}

#[async_trait]
impl TokenSource for Script {
    async fn fetch(&self, _request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        self.0.times.lock().unwrap().push(Instant::now());
        self.0.calls.send_modify(|calls| *calls += 1);
        if let Some(gate) = &self.0.gate {
            gate.acquire().await.unwrap().forget();
        }
        let next = self.0.steps.lock().unwrap().pop_front();
        let step = next.or_else(|| self.0.rest.lock().unwrap().clone());
        match step {
            Some(Step::Token(token, lifetime)) => {
                IssuedToken::new(token.to_owned(), lifetime.map(Duration::from_secs))
            }
            Some(Step::Fail(kind)) => Err(TokenError::new(kind)),
            Some(Step::Overloaded(wait)) => {
                let kind = TokenErrorKind::Status5xx;
                Err(TokenError::new(kind).with_retry_after(Some(wait)))
            }
            Some(Step::Panic) => panic!("scripted"),
            Some(Step::Outdated) => {
                self.replace_credentials();
                Err(TokenError::new(TokenErrorKind::InvalidClient))
            }
            None => {
                let token = format!("token-{}", self.calls());
                IssuedToken::new(token, Some(Duration::from_secs(3_600)))
            }
        }
    }

    async fn credentials_version(&self) -> u64 {
        *self.0.version.lock().unwrap()
    }
}

/// A cache over a script, without retries inside an attempt, on a wall clock that stands still: on
/// paused time the monotonic clock alone moves.
pub(crate) fn cache(script: &Script) -> TokenCache {
    let policy = RefreshPolicy::default().retries(0);
    cache_with(script, policy, ManualClock::at_unix(2_000_000_000))
}

pub(crate) fn cache_with(script: &Script, policy: RefreshPolicy, clock: ManualClock) -> TokenCache {
    TokenCache::builder(script.clone())
        .refresh_policy(policy)
        .clock(Arc::new(clock))
        .build()
        .unwrap()
}

/// Lets so much of paused time go by, from timer to timer: whatever is due on the way is done when it is due.
/// That is how long an answer or a script takes, and no wait for anything.
pub(crate) async fn elapse(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Lets every task run until all of them wait for time or for each other.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
