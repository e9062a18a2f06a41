//! Settings of a cache.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use clock::{Clock, SystemClock};
use idp_http::Supervisor;
use tokio::time::Instant;

use super::{Inner, Kept, TokenCache};
use crate::error::ConfigError;
use crate::metrics::CacheMetrics;
use crate::policy::RefreshPolicy;
use crate::refresher::RefreshContext;
use crate::request::TokenRequest;
use crate::source::TokenSource;

/// Settings of a [`TokenCache`].
#[derive(Debug)]
pub struct TokenCacheBuilder {
    source: Arc<dyn TokenSource>,
    request: TokenRequest,
    policy: RefreshPolicy,
    clock: Arc<dyn Clock>,
    name: String,
}

impl TokenCacheBuilder {
    pub(super) fn new(source: impl TokenSource) -> Self {
        Self {
            source: Arc::new(source),
            request: TokenRequest::new(),
            policy: RefreshPolicy::default(),
            clock: Arc::new(SystemClock),
            name: "default".to_owned(),
        }
    }

    /// Sets what the cache's own token is asked for. Default: nothing in particular, the provider
    /// decides.
    #[must_use]
    pub fn request(mut self, request: TokenRequest) -> Self {
        self.request = request;
        self
    }

    /// Sets when tokens are refreshed.
    #[must_use]
    pub fn refresh_policy(mut self, policy: RefreshPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the wall clock. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the name under which this cache appears in logs and metrics, to tell several apart.
    /// Default: `default`.
    ///
    /// It becomes a label of every metric, so it should come from a short list that never grows: the
    /// provider or the client id, say.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Builds the cache. It asks for nothing before [`TokenCache::start`] or the first caller.
    ///
    /// # Errors
    ///
    /// Fails on a scope or resource that no provider can take, and on a refresh margin that is not
    /// between 0 and 1.
    pub fn build(self) -> Result<TokenCache, ConfigError> {
        self.request.check()?;
        if !(0.0..1.0).contains(&self.policy.margin) {
            return Err(ConfigError::new(
                "margin",
                "must be at least 0 and less than 1",
            ));
        }
        let supervisor = Supervisor::new();
        Ok(TokenCache {
            inner: Arc::new(Inner {
                shared: Arc::new(RefreshContext {
                    source: self.source,
                    clock: self.clock,
                    policy: self.policy.bounded(),
                    metrics: CacheMetrics::new(&self.name),
                    name: self.name,
                }),
                own: Kept::new(self.request, supervisor.task(), true),
                others: ArcSwap::default(),
                inserting: Mutex::new(()),
                supervisor,
                started: Instant::now(),
                is_started: AtomicBool::new(false),
            }),
        })
    }
}
