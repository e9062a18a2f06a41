//! The cache: token requests, their slots and their tasks.

mod builder;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use idp_http::{SupervisedTask, Supervisor};
use tokio::time::Instant;
use tracing::warn;

use crate::error::{TokenError, TokenErrorKind};
use crate::freshness::Freshness;
use crate::health::Health;
use crate::metrics::{CacheMetrics, Read};
use crate::policy::StartupPolicy;
use crate::refresher::{RefreshContext, Refresher};
use crate::request::TokenRequest;
use crate::slot::{Patience, Slot};
use crate::source::TokenSource;
use crate::token::AccessToken;

pub use builder::TokenCacheBuilder;

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
    shared: Arc<RefreshContext>,
    own: Kept,
    others: ArcSwap<HashMap<TokenRequest, Arc<Kept>>>,
    /// Serialises changes of `others`.
    inserting: Mutex<()>,
    supervisor: Supervisor,
    started: Instant,
    /// Whether [`TokenCache::start`] was called, or the log has said that it was not.
    is_started: AtomicBool,
}

#[derive(Debug)]
struct Kept {
    slot: Arc<Slot>,
    refresher: SupervisedTask,
    /// The cache's own token is refreshed whether or not anybody reads it.
    always: bool,
    /// Milliseconds since the cache was built.
    last_used_ms: AtomicU64,
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
    /// Calling it is optional, since the first caller starts it too, but waits then, and a warning in the log says
    /// so. Calling it again starts nothing new, unless the runtime on which it was started is gone.
    ///
    /// # Errors
    ///
    /// Fails with [`StartupPolicy::Require`] when no token came in time, with the last failure: at once
    /// where the next attempt would come too late. The cache goes on asking all the same. Fails with
    /// [`TokenErrorKind::Cancelled`] when the cache or the runtime was shut down.
    pub async fn start(&self, policy: StartupPolicy) -> Result<(), TokenError> {
        let inner = &self.inner;
        inner.is_started.store(true, Ordering::Relaxed);
        match policy {
            StartupPolicy::Background => {
                if !inner.ensure_refresher(&inner.own) {
                    return Err(TokenError::new(TokenErrorKind::Cancelled));
                }
                let now = inner.shared.now();
                let jitter = inner.shared.policy.start_jitter;
                let slot = &inner.own.slot;
                slot.ask(now, now.monotonic + jitter.mul_f64(fastrand::f64()));
                Ok(())
            }
            StartupPolicy::Require(limit) => {
                let began = Instant::now();
                let mut last = TokenError::new(TokenErrorKind::Timeout);
                loop {
                    let left = limit.saturating_sub(began.elapsed());
                    let attempt = inner.wait(&inner.own, Patience::NextAttempt);
                    last = match tokio::time::timeout(left, attempt).await {
                        Ok(Ok(_)) => return Ok(()),
                        Ok(Err(error)) => error,
                        Err(_) => return Err(last),
                    };
                    let over = began.elapsed().saturating_add(last.retry_in()) >= limit;
                    if over || last.kind() == TokenErrorKind::Cancelled {
                        return Err(last);
                    }
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
            None => inner.wait(&inner.own, Patience::OneAttempt).await,
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
        if request == inner.own.slot.request() {
            return self.token().await;
        }
        loop {
            let kept = inner.kept(request)?;
            if let Some(token) = inner.ready(&kept) {
                return Ok(token);
            }
            match inner.wait(&kept, Patience::OneAttempt).await {
                // Another request took its place between the look and the wait. The kind alone does not
                // say so: a source can fail with it too.
                Err(error)
                    if error.kind() == TokenErrorKind::Cancelled
                        && kept.refresher.has_ended()
                        && !inner.supervisor.has_ended() => {}
                result => return result,
            }
        }
    }

    /// Returns the token for a request, or the cache's own, if nobody has to wait for it.
    #[cfg(feature = "tower")]
    pub(crate) fn ready_token(&self, request: Option<&TokenRequest>) -> Option<AccessToken> {
        let inner = &self.inner;
        let Some(request) = request.filter(|request| *request != inner.own.slot.request()) else {
            return inner.ready(&inner.own);
        };
        let others = inner.others.load();
        let kept = others.get(request)?;
        inner.touch(kept);
        inner.ready(kept)
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
        match request.filter(|request| *request != inner.own.slot.request()) {
            None => inner.own.slot.token_before(token, now),
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
        let mut dropped = self.inner.own.slot.invalidate(rejected, now);
        for kept in others.values() {
            dropped |= kept.slot.invalidate(rejected, now);
        }
        dropped
    }

    /// Returns the state of the cache's own token.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.own.slot.health(self.inner.shared.now())
    }

    /// Returns the state of another request's token, if the cache keeps it.
    #[must_use]
    pub fn health_for(&self, request: &TokenRequest) -> Option<Health> {
        if request == self.inner.own.slot.request() {
            return Some(self.health());
        }
        let others = self.inner.others.load();
        others
            .get(request)
            .map(|kept| kept.slot.health(self.inner.shared.now()))
    }

    /// Ends all fetching and joins the tasks, within 1 s. Unexpired tokens are still returned
    /// afterwards; a caller that would have to wait gets [`TokenErrorKind::Cancelled`].
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.supervisor.end();
        // The tasks would do it as they end, but theirs may be a runtime that does not run.
        inner.own.slot.wake_waiters();
        for kept in inner.others.load().values() {
            kept.slot.wake_waiters();
        }
        inner.supervisor.shutdown().await;
    }
}

impl Inner {
    /// The way of nearly every call: the token, unless its caller has to wait.
    fn ready(&self, kept: &Kept) -> Option<AccessToken> {
        match kept.slot.peek(self.shared.now()) {
            Some((token, Freshness::Fresh)) => {
                self.shared.metrics.read(Read::Fresh);
                Some(token)
            }
            Some((token, Freshness::Stale)) => {
                kept.slot.wake_refresher(|| self.ensure_refresher(kept));
                self.shared.metrics.read(Read::Stale);
                Some(token)
            }
            _ => None,
        }
    }

    async fn wait(&self, kept: &Kept, patience: Patience) -> Result<AccessToken, TokenError> {
        let now = || self.shared.now();
        let slot = &kept.slot;
        let (result, read) = match slot.peek(now()) {
            Some(_) => (self.wait_briefly(kept, patience).await, Read::Critical),
            None => (self.join(kept, patience).await, Read::Wait),
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
        kept: &Kept,
        patience: Patience,
    ) -> Result<AccessToken, TokenError> {
        let wait = self.shared.policy.critical_wait;
        let mut join = pin!(self.join(kept, patience));
        if let Ok(result) = tokio::time::timeout(wait, join.as_mut()).await {
            return result;
        }
        match kept.slot.peek(self.shared.now()) {
            Some((token, _)) => Ok(token),
            // It expired or was rejected during the wait: now this is a caller without a token.
            None => join.await,
        }
    }

    async fn join(&self, kept: &Kept, patience: Patience) -> Result<AccessToken, TokenError> {
        let (now, ensure) = (|| self.shared.now(), || self.ensure_refresher(kept));
        // Tokens for other requests cannot be asked for ahead of their first caller.
        if kept.always
            && !self.is_started.load(Ordering::Relaxed)
            && ensure()
            && !self.is_started.swap(true, Ordering::Relaxed)
        {
            warn!(
                token.cache = self.shared.name,
                "nobody has called `start`: the first callers wait for a token"
            );
        }
        kept.slot.join(now, patience, ensure).await
    }

    /// Starts a refresher unless there is one. Returns false when there can be none: this cache, or the
    /// caller's runtime, was shut down, or the place was given to another request.
    fn ensure_refresher(&self, kept: &Kept) -> bool {
        let (shared, slot, always) = (
            Arc::clone(&self.shared),
            Arc::clone(&kept.slot),
            kept.always,
        );
        let left = Arc::clone(&kept.slot);
        let refresh = move || Refresher::new(Arc::clone(&shared), Arc::clone(&slot), always).run();
        let refresher = kept
            .refresher
            .ensure(refresh, move || left.refresher_gone());
        refresher.is_ok()
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
        let kept = Arc::new(Kept::new(request.clone(), self.supervisor.task(), false));
        self.touch(&kept);
        others.insert(request.clone(), Arc::clone(&kept));
        self.others.store(Arc::new(others));
        // After the change is seen: who is turned away looks for a new place.
        for kept in evicted {
            kept.refresher.end();
            kept.slot.wake_waiters();
        }
        Ok(kept)
    }

    fn touch(&self, kept: &Kept) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        kept.last_used_ms.store(now_ms, Ordering::Relaxed);
    }
}

impl Kept {
    fn new(request: TokenRequest, refresher: SupervisedTask, always: bool) -> Self {
        Self {
            slot: Arc::new(Slot::new(request)),
            refresher,
            always,
            last_used_ms: AtomicU64::new(0),
        }
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
