//! The cache: token requests, their slots and their tasks.

mod builder;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::error::{TokenError, TokenErrorKind, Transient};
use crate::freshness::Freshness;
use crate::health::Health;
use crate::metrics::{CacheMetrics, Read};
use crate::policy::StartupPolicy;
use crate::refresher::{Refresher, Shared};
use crate::request::TokenRequest;
use crate::slot::Slot;
use crate::source::TokenSource;
use crate::token::AccessToken;

pub use builder::TokenCacheBuilder;

/// How long [`TokenCache::shutdown`] waits for its tasks. They end at their next await, so this is
/// reached only on a runtime that does not run.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

/// Keeps access tokens fresh in memory. Clones share everything.
///
/// A read of a fresh token is one atomic load. One task per [`TokenRequest`] fetches; callers that
/// need a token wait for its result and share it, success and failure alike. Dropping a caller's
/// future cancels nothing but the waiting. When the last clone is dropped the tasks end.
#[derive(Clone, Debug)]
pub struct TokenCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    own: Arc<Slot>,
    others: ArcSwap<HashMap<TokenRequest, Arc<Kept>>>,
    /// Serialises changes of `others`.
    inserting: Mutex<()>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    started: Instant,
    _end_tasks_on_drop: DropGuard,
}

#[derive(Debug)]
struct Kept {
    slot: Arc<Slot>,
    /// Milliseconds since the cache was built.
    last_used_ms: AtomicU64,
    cancel: CancellationToken,
}

impl TokenCache {
    /// Returns the settings with their defaults: an empty [`TokenRequest`], the default
    /// [`RefreshPolicy`](crate::RefreshPolicy) and the system clock.
    #[must_use]
    pub fn builder(source: impl TokenSource) -> TokenCacheBuilder {
        TokenCacheBuilder::new(source)
    }

    /// Starts to get and refresh the cache's own token, on the current runtime.
    ///
    /// Calling it is optional, since the first caller starts it too, and calling it again starts
    /// nothing new.
    ///
    /// # Errors
    ///
    /// Fails with [`StartupPolicy::Require`] when no token came in time, with the last failure. The
    /// cache goes on asking all the same.
    pub async fn start(&self, policy: StartupPolicy) -> Result<(), TokenError> {
        let slot = &self.inner.own;
        self.inner.attend_own();
        match policy {
            StartupPolicy::Background => {
                let now = self.inner.shared.now();
                let jitter = self.inner.shared.policy.start_jitter;
                slot.ask(now, now.monotonic + jitter.mul_f64(fastrand::f64()));
                Ok(())
            }
            StartupPolicy::Require(limit) => {
                let began = Instant::now();
                loop {
                    let left = limit.saturating_sub(began.elapsed());
                    let error = match tokio::time::timeout(left, self.token()).await {
                        Ok(Ok(_)) => return Ok(()),
                        Ok(Err(error)) => error,
                        Err(_) => {
                            return Err(TokenError::new(TokenErrorKind::Transient(
                                Transient::Timeout,
                            )));
                        }
                    };
                    let wait = error.retry_in();
                    let over = began.elapsed().saturating_add(wait) >= limit;
                    if over || error.kind() == TokenErrorKind::Cancelled {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Returns a token for the cache's own request.
    ///
    /// Returns at once while the token is fresh, or stale with a refresh in the background. Inside
    /// the leeway it waits up to [`RefreshPolicy::critical_wait`] for a newer one. Without a token, and
    /// when the old one ended during that wait, it waits for the attempt that runs or starts; wrap it
    /// in a timeout to wait less. Cancelling it cancels no fetch.
    ///
    /// [`RefreshPolicy::critical_wait`]: crate::RefreshPolicy::critical_wait
    ///
    /// # Errors
    ///
    /// Fails only when there is no unexpired token: with the failure of the attempt that it waited
    /// for, or at once with the last failure until the cache has got a token again.
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        let inner = &self.inner;
        match inner.ready(&inner.own) {
            Some(token) => Ok(token),
            None => inner.wait(&inner.own, || inner.attend_own()).await,
        }
    }

    /// Returns a token for another request, kept and refreshed like the cache's own.
    ///
    /// A request that nobody asks for any more is not refreshed after
    /// [`RefreshPolicy::idle_after`], and beyond [`RefreshPolicy::max_keys`] the least recently used
    /// one is dropped.
    ///
    /// [`RefreshPolicy::idle_after`]: crate::RefreshPolicy::idle_after
    /// [`RefreshPolicy::max_keys`]: crate::RefreshPolicy::max_keys
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token), and with [`TokenErrorKind::Config`] when the request has a scope or
    /// resource that no provider can take.
    pub async fn token_for(&self, request: &TokenRequest) -> Result<AccessToken, TokenError> {
        let inner = &self.inner;
        if request == inner.own.request() {
            return self.token().await;
        }
        loop {
            let kept = inner.kept(request)?;
            if let Some(token) = inner.ready(&kept.slot) {
                return Ok(token);
            }
            let attend = || inner.attend(&kept.slot, false, &kept.cancel);
            match inner.wait(&kept.slot, attend).await {
                // Another request took its place between the look and the wait. The kind alone does not
                // say so: a source can fail with it too.
                Err(error)
                    if error.kind() == TokenErrorKind::Cancelled
                        && kept.slot.is_closed()
                        && !inner.cancel.is_cancelled() => {}
                result => return result,
            }
        }
    }

    /// Returns the token for a request, or the cache's own, if nobody has to wait for it.
    #[cfg(feature = "tower")]
    pub(crate) fn ready_token(&self, request: Option<&TokenRequest>) -> Option<AccessToken> {
        let inner = &self.inner;
        let Some(request) = request.filter(|request| *request != inner.own.request()) else {
            return inner.ready(&inner.own);
        };
        let others = inner.others.load();
        let kept = others.get(request)?;
        inner.touch(kept);
        inner.ready(&kept.slot)
    }

    /// Returns the token before `token` for a request, or for the cache's own, where that may be accepted although
    /// `token`, which is new, is not yet.
    pub(crate) fn token_before(
        &self,
        request: Option<&TokenRequest>,
        token: &AccessToken,
    ) -> Option<AccessToken> {
        let inner = &self.inner;
        let now = inner.shared.now();
        match request.filter(|request| *request != inner.own.request()) {
            None => inner.own.token_before(token, now),
            Some(request) => {
                let others = inner.others.load();
                others.get(request)?.slot.token_before(token, now)
            }
        }
    }

    pub(crate) fn metrics(&self) -> &CacheMetrics {
        &self.inner.shared.metrics
    }

    /// Drops a token that a resource server rejected, if it is still the current one, and fetches
    /// another. Returns whether it did.
    ///
    /// This is compare-and-swap: a late answer about an older token leaves the newer one alone. A
    /// fetch that began before is published only if it brought other characters. Tokens that are
    /// rejected soon after they were issued are dropped at most once per cool-down (1 s, doubling to
    /// 30 s): a resource server that rejects everything must not turn into load on the provider.
    pub fn invalidate(&self, rejected: &AccessToken) -> bool {
        let now = self.inner.shared.now();
        let others = self.inner.others.load();
        // Both sides are evaluated for each slot: a token belongs to one request only, but two
        // requests may have been answered with the same characters.
        let mut dropped = self.inner.own.invalidate(rejected, now);
        for kept in others.values() {
            dropped |= kept.slot.invalidate(rejected, now);
        }
        dropped
    }

    /// Returns the state of the cache's own token.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.own.health(self.inner.shared.now())
    }

    /// Returns the state of another request's token, if the cache keeps it.
    #[must_use]
    pub fn health_for(&self, request: &TokenRequest) -> Option<Health> {
        if request == self.inner.own.request() {
            return Some(self.health());
        }
        let others = self.inner.others.load();
        others
            .get(request)
            .map(|kept| kept.slot.health(self.inner.shared.now()))
    }

    /// Ends all fetching and joins the tasks, within 1 s. Unexpired tokens are still returned
    /// afterwards; whoever would have to wait gets [`TokenErrorKind::Cancelled`].
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.cancel.cancel();
        inner.own.close();
        for kept in inner.others.load().values() {
            kept.slot.close();
        }
        inner.tasks.close();
        let _ = tokio::time::timeout(SHUTDOWN_LIMIT, inner.tasks.wait()).await;
    }
}

impl Inner {
    /// The way of nearly every call: the token, unless its caller has to wait.
    fn ready(&self, slot: &Slot) -> Option<AccessToken> {
        match slot.peek(self.shared.now()) {
            Some((token, Freshness::Fresh)) => {
                self.shared.metrics.read(Read::Fresh);
                Some(token)
            }
            Some((token, Freshness::Stale)) => {
                slot.nudge();
                self.shared.metrics.read(Read::Stale);
                Some(token)
            }
            _ => None,
        }
    }

    async fn wait(
        &self,
        slot: &Slot,
        attend: impl Fn() -> bool,
    ) -> Result<AccessToken, TokenError> {
        let now = || self.shared.now();
        let (result, read) = match slot.peek(now()) {
            Some(_) => (self.wait_briefly(slot, attend).await, Read::Critical),
            None => (slot.join(now, attend).await, Read::Wait),
        };
        // Waiting took time: the old token may have expired meanwhile, or a wall clock was stepped back
        // to where it has not.
        let result = result.or_else(|error| match slot.peek(now()) {
            Some((token, _)) => Ok(token),
            None => Err(error),
        });
        let read = if result.is_ok() { read } else { Read::Failed };
        self.shared.metrics.read(read);
        result
    }

    /// Waits for a newer token, and no longer than briefly while there is one to settle for.
    async fn wait_briefly(
        &self,
        slot: &Slot,
        attend: impl Fn() -> bool,
    ) -> Result<AccessToken, TokenError> {
        let now = || self.shared.now();
        let wait = self.shared.policy.critical_wait;
        let mut join = pin!(slot.join(now, attend));
        if let Ok(result) = tokio::time::timeout(wait, join.as_mut()).await {
            return result;
        }
        match slot.peek(now()) {
            Some((token, _)) => Ok(token),
            // It expired or was rejected during the wait: now this is a caller without a token.
            None => join.await,
        }
    }

    fn attend_own(&self) -> bool {
        self.attend(&self.own, true, &self.cancel)
    }

    /// Starts a refresher unless there is one. Returns false when the cache was shut down.
    fn attend(&self, slot: &Arc<Slot>, always: bool, cancel: &CancellationToken) -> bool {
        if cancel.is_cancelled() {
            return false;
        }
        if slot.attend() {
            let refresher = Refresher::new(Arc::clone(&self.shared), Arc::clone(slot), always);
            self.tasks.spawn(refresher.run(cancel.clone()));
        }
        true
    }

    fn kept(&self, request: &TokenRequest) -> Result<Arc<Kept>, TokenError> {
        if let Some(kept) = self.others.load().get(request) {
            self.touch(kept);
            return Ok(Arc::clone(kept));
        }
        request.check().map_err(|error| {
            TokenError::new(TokenErrorKind::Config).with_detail(&error.to_string())
        })?;
        let _inserting = self
            .inserting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let others = self.others.load();
        if let Some(kept) = others.get(request) {
            return Ok(Arc::clone(kept));
        }
        let mut others = HashMap::clone(&others);
        let mut evicted = Vec::new();
        // One place is the cache's own.
        while others.len() + 1 >= self.shared.policy.max_keys.max(2) {
            let Some(oldest) = least_recently_used(&others) else {
                // An attempt runs for every one of them: over the bound for now rather than failing callers.
                break;
            };
            evicted.extend(others.remove(&oldest));
        }
        let kept = Arc::new(Kept {
            slot: Arc::new(Slot::new(request.clone())),
            last_used_ms: AtomicU64::new(0),
            cancel: self.cancel.child_token(),
        });
        self.touch(&kept);
        others.insert(request.clone(), Arc::clone(&kept));
        self.others.store(Arc::new(others));
        // After the change is seen: who is turned away looks for a new place.
        for kept in evicted {
            kept.slot.close();
            kept.cancel.cancel();
        }
        Ok(kept)
    }

    fn touch(&self, kept: &Kept) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        kept.last_used_ms.store(now_ms, Ordering::Relaxed);
    }
}

fn least_recently_used(others: &HashMap<TokenRequest, Arc<Kept>>) -> Option<TokenRequest> {
    others
        .iter()
        .filter(|(_, kept)| kept.slot.is_idle())
        .min_by_key(|(_, kept)| kept.last_used_ms.load(Ordering::Relaxed))
        .map(|(request, _)| request.clone())
}

// Callers on many threads share one cache.
const _: fn() = || {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<TokenCache>();
};
