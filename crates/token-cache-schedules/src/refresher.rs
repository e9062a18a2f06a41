//! A cache of one slot: its refresher makes the calls of `token-cache`'s own, on a clock that moves only
//! for it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use shuttle::future::{AbortHandle, JoinHandle, spawn, yield_now};
use tokio::time::Instant;

use crate::error::{TokenError, TokenErrorKind};
use crate::freshness::{Freshness, Lifetime, Moment};
use crate::policy::RefreshPolicy;
use crate::request::TokenRequest;
use crate::slot::{Due, Entry, Patience, Slot};
use crate::sync::{Arc, AtomicBool, watch};
use crate::token::{AccessToken, IssuedToken};

/// Time passes for a refresher that sleeps no longer than this. A longer sleep ends only when it is woken, so
/// that a lost wake-up is a deadlock and not a delay.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DOWN: TokenErrorKind = TokenErrorKind::Connect;

/// What one fetch brings.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Token(&'static str, Duration),
    /// A failure and the window after it.
    Down(Duration),
}

/// What a caller got: a token's characters or the kind of its failure.
pub(crate) type Outcome = Result<String, TokenErrorKind>;

pub(crate) struct Cache {
    pub(crate) slot: Slot,
    start: Instant,
    // The clocks and counters are no part of what is explored, so they are not shuttle's.
    monotonic_ms: AtomicU64,
    wall_step_ms: AtomicI64,
    answers: Mutex<VecDeque<Answer>>,
    fetching: AtomicU64,
    /// Attempts that the slot knows to have begun.
    pub(crate) begun: watch::Sender<u64>,
    /// Attempts whose result the slot has.
    pub(crate) ended: AtomicU64,
    /// A refresher is there, as `idp_http::SupervisedTask` notes it.
    running: AtomicBool,
    /// Refreshers that are there or just going.
    alive: watch::Sender<u64>,
    refreshers: Mutex<Vec<AbortHandle>>,
    cancelled: watch::Sender<bool>,
}

impl Cache {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self {
            slot: Slot::new(TokenRequest::new()),
            start: Instant::now(),
            monotonic_ms: AtomicU64::new(0),
            wall_step_ms: AtomicI64::new(0),
            answers: Mutex::new(answers.into_iter().collect()),
            fetching: AtomicU64::new(0),
            begun: watch::Sender::new(0),
            ended: AtomicU64::new(0),
            running: AtomicBool::new(false),
            alive: watch::Sender::new(0),
            refreshers: Mutex::default(),
            cancelled: watch::Sender::new(false),
        })
    }

    pub(crate) fn now(&self) -> Moment {
        let passed_ms = self.monotonic_ms.load(Ordering::Relaxed);
        let wall_ms = i64::try_from(passed_ms).unwrap() + self.wall_step_ms.load(Ordering::Relaxed);
        Moment {
            monotonic: self.start + Duration::from_millis(passed_ms),
            wall: UNIX_EPOCH + Duration::from_millis(u64::try_from(wall_ms).unwrap()),
        }
    }

    /// The machine was suspended: only the wall clock went on.
    pub(crate) fn suspend(&self, slept: Duration) {
        let slept_ms = i64::try_from(slept.as_millis()).unwrap();
        self.wall_step_ms.fetch_add(slept_ms, Ordering::Relaxed);
    }

    /// One call for a token, as `TokenCache::token` makes it.
    pub(crate) async fn token(self: &Arc<Self>) -> Outcome {
        let token = match self.slot.peek(self.now()) {
            Some((token, Freshness::Fresh)) => Ok(token),
            Some((token, Freshness::Stale)) => {
                self.slot.wake_refresher(|| self.ensure_refresher());
                Ok(token)
            }
            _ => self.join(Patience::OneAttempt).await,
        };
        token
            .map(|token| token.secret().to_owned())
            .map_err(|error| error.kind())
    }

    async fn join(self: &Arc<Self>, patience: Patience) -> Result<AccessToken, TokenError> {
        let (now, ensure) = (|| self.now(), || self.ensure_refresher());
        self.slot.join(now, patience, ensure).await
    }

    /// Waits for a token through an outage.
    pub(crate) async fn token_at_last(self: &Arc<Self>) -> Outcome {
        loop {
            match self.join(Patience::NextAttempt).await {
                Ok(token) => return Ok(token.secret().to_owned()),
                Err(error) if error.kind() == DOWN => {}
                Err(error) => return Err(error.kind()),
            }
        }
    }

    pub(crate) fn caller(self: &Arc<Self>) -> JoinHandle<Outcome> {
        let cache = Arc::clone(self);
        spawn(async move { cache.token().await })
    }

    pub(crate) fn callers(self: &Arc<Self>, count: usize) -> Vec<JoinHandle<Outcome>> {
        (0..count).map(|_| self.caller()).collect()
    }

    /// A token of these characters as a caller would hold it.
    pub(crate) fn held(characters: &str) -> AccessToken {
        IssuedToken::new(characters.to_owned(), None)
            .unwrap()
            .into_token(UNIX_EPOCH)
            .unwrap()
    }

    pub(crate) fn invalidate(&self, characters: &str) -> bool {
        self.slot.invalidate(&Self::held(characters), self.now())
    }

    /// As `SupervisedTask::ensure`.
    pub(crate) fn ensure_refresher(self: &Arc<Self>) -> bool {
        if *self.cancelled.borrow() {
            return false;
        }
        if !self.running.swap(true, Ordering::SeqCst) {
            let place = Place::new(Arc::clone(self));
            let refresher = spawn(refresh(place));
            self.refreshers
                .lock()
                .unwrap()
                .push(refresher.abort_handle());
        }
        true
    }

    /// Ends the refresher at its next await, as a runtime that goes away does.
    pub(crate) fn kill_refresher(&self) {
        let refresher = self.refreshers.lock().unwrap().pop();
        if let Some(refresher) = refresher {
            refresher.abort();
        }
    }

    /// Ends everything and waits for it, as `TokenCache::shutdown` does.
    pub(crate) async fn shutdown(&self) {
        self.cancelled.send_modify(|cancelled| *cancelled = true);
        self.slot.wake_waiters();
        until(&self.alive, |alive| *alive == 0).await;
    }

    fn answer(&self) -> Answer {
        self.answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("more fetches than answers")
    }
}

/// Waits until a watched value is as wanted.
pub(crate) async fn until<T>(value: &watch::Sender<T>, wanted: impl Fn(&T) -> bool) {
    let mut changes = value.subscribe();
    while !wanted(&value.borrow()) {
        let _ = changes.changed().await;
    }
}

/// The refresher's place, from before its task runs until after it ended.
struct Place(Arc<Cache>);

impl Place {
    fn new(cache: Arc<Cache>) -> Self {
        cache.alive.send_modify(|alive| *alive += 1);
        Self(cache)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.slot.drop_attempt();
        self.0.running.store(false, Ordering::SeqCst);
        self.0.slot.refresher_gone();
        self.0.alive.send_modify(|alive| *alive -= 1);
    }
}

async fn refresh(place: Place) {
    let cache = &place.0;
    let mut cancelled = pin!(until(&cache.cancelled, |cancelled| *cancelled));
    let mut work = pin!(refresh_for_ever(cache));
    poll_fn(|cx| {
        if cancelled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        work.as_mut().poll(cx)
    })
    .await;
}

async fn refresh_for_ever(cache: &Cache) {
    loop {
        match cache.slot.due(|| cache.now(), true) {
            Due::Now => attempt(cache).await,
            Due::At(at) => sleep_until(cache, at).await,
            Due::WhenAsked => cache.slot.woken().await,
        }
    }
}

async fn sleep_until(cache: &Cache, at: Instant) {
    if at - cache.now().monotonic > PATIENCE {
        return cache.slot.woken().await;
    }
    let mut woken = pin!(cache.slot.woken());
    let mut timer = pin!(yield_now());
    poll_fn(|cx| {
        if woken.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        timer.as_mut().poll(cx).map(|()| {
            let at_ms = u64::try_from((at - cache.start).as_millis()).unwrap();
            cache.monotonic_ms.fetch_max(at_ms, Ordering::Relaxed);
        })
    })
    .await;
}

async fn attempt(cache: &Cache) {
    cache.slot.begin();
    let sent = cache.now();
    cache.begun.send_modify(|attempts| *attempts += 1);
    match fetch(cache).await {
        Answer::Token(characters, lifetime) => {
            let lifetime = Lifetime::new(sent, lifetime, &RefreshPolicy::default(), 0.0);
            let token = Cache::held(characters);
            cache
                .slot
                .succeed(Entry::new(&token, lifetime), sent.monotonic);
        }
        Answer::Down(window) => {
            let next = cache.now().monotonic + window;
            cache.slot.fail(TokenError::new(DOWN), next);
        }
    }
    cache.ended.fetch_add(1, Ordering::Relaxed);
}

struct Fetching<'a>(&'a AtomicU64);

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn fetch(cache: &Cache) -> Answer {
    let others = cache.fetching.fetch_add(1, Ordering::Relaxed);
    let _fetching = Fetching(&cache.fetching);
    assert_eq!(others, 0, "two fetches of one key at once");
    yield_now().await;
    cache.answer()
}
