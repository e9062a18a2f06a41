//! The validator: policy, keys and memory put together.

mod decision;
mod issuers;
mod memory;
mod operator;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::admitted::AdmittedIssuers;
use crate::builder::JwtValidatorBuilder;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::issuer::{Issuer, IssuerHealth, KeyHealth};
use crate::metrics::ValidatorMetrics;
use crate::policy::Policy;
use crate::revocation::RevocationCheck;
use crate::verified::VerifiedTokens;

pub(crate) use decision::{Decision, Recall};
pub use operator::{IssuerRefresh, RefreshOutcome, UnknownIssuer};

/// Validates bearer tokens against the cached keys of one or several issuers.
///
/// Clones share keys and tasks. The tasks end with [`shutdown`](Self::shutdown), or with the last
/// clone.
#[derive(Clone)]
pub struct JwtValidator {
    inner: Arc<Inner>,
}

/// What a validator is built from.
pub(crate) struct Parts {
    pub(crate) issuers: Vec<Arc<Issuer>>,
    pub(crate) admitted: Option<AdmittedIssuers>,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) verified: Option<VerifiedTokens>,
    pub(crate) revocation: Option<RevocationCheck>,
}

struct Inner {
    issuers: Vec<Arc<Issuer>>,
    admitted: Option<AdmittedIssuers>,
    policy: Policy,
    clock: Arc<dyn Clock>,
    verified: Option<VerifiedTokens>,
    revocation: Option<RevocationCheck>,
    metrics: ValidatorMetrics,
    /// Where the tasks run; set once started.
    runtime: OnceLock<Handle>,
    /// Counts the key sets that any issuer has confirmed.
    published: Arc<watch::Sender<u64>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl JwtValidator {
    /// Returns the settings of a validator.
    #[must_use]
    pub fn builder() -> JwtValidatorBuilder {
        JwtValidatorBuilder::new()
    }

    pub(crate) fn new(parts: Parts) -> Self {
        let stop = CancellationToken::new();
        Self {
            inner: Arc::new(Inner {
                issuers: parts.issuers,
                admitted: parts.admitted,
                policy: parts.policy,
                clock: parts.clock,
                verified: parts.verified,
                revocation: parts.revocation,
                metrics: ValidatorMetrics::new(),
                runtime: OnceLock::new(),
                published: Arc::new(watch::Sender::new(0)),
                tasks: TaskTracker::new(),
                _stop_on_drop: stop.clone().drop_guard(),
                stop,
            }),
        }
    }

    /// Spawns the tasks that fetch the keys, one per issuer, on the current runtime.
    ///
    /// Only the first call does something. Until it comes, every token gets 503.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(&self) {
        if self.inner.runtime.set(Handle::current()).is_err() {
            return;
        }
        for issuer in &self.inner.issuers {
            issuer.expect_first_fetch();
            self.spawn(Arc::clone(issuer), self.inner.stop.clone());
        }
        self.inner.tasks.close();
        // Without configured issuers there is nothing to wait for any more.
        self.inner.published.send_modify(|count| *count += 1);
    }

    /// Decides on a token.
    ///
    /// With a known key it does not wait. It waits, for at most 1 s, for the very first keys, for newer
    /// ones where those that are there grew too old without a failed fetch (a process that was frozen), and
    /// for a fetch that an unknown key id or a bad signature caused. Nobody waits while fetches fail, and at
    /// most 64 callers of one issuer at a time. Then, with a revocation hook, it waits for at most 1 s more
    /// for its answer. Dropping the future cancels no fetch, but the call of the hook.
    ///
    /// # Errors
    ///
    /// Fails with the reason of the first check that the token does not pass, in the order given at
    /// [`validate`](crate::validate()), and with a reason of status 503 where nobody can tell: no
    /// keys, keys older than `max_stale`, or a new key id that could not be asked about.
    pub async fn validate(&self, token: &str) -> Result<Arc<Claims>, AuthError> {
        match self.decide(token) {
            Decision::Now(result) => result,
            Decision::UnlessRevoked(claims) => self.unless_revoked(claims).await,
            Decision::NeedsKeys { issuer, refusal } => {
                self.decide_with_other_keys(token, issuer, refusal).await
            }
        }
    }

    /// Tells whether tokens of at least one configured issuer can be decided on; without any, whether
    /// the validator has been started.
    #[must_use]
    pub fn ready(&self) -> bool {
        if self.inner.issuers.is_empty() {
            return self.inner.runtime.get().is_some();
        }
        let now = self.inner.clock.now();
        let mut issuers = self.inner.issuers.iter();
        issuers.any(|issuer| issuer.is_usable(now))
    }

    /// Waits until the validator is [`ready`](Self::ready) and returns true, or until it is shut
    /// down and returns false. Cancel-safe.
    pub async fn wait_ready(&self) -> bool {
        let mut published = self.inner.published.subscribe();
        loop {
            if self.ready() {
                return true;
            }
            tokio::select! {
                () = self.inner.stop.cancelled() => return false,
                // The sender lives as long as `self`.
                _ = published.changed() => {}
            }
        }
    }

    /// Waits until the validator is [`ready`](Self::ready), but no longer than `limit`, and tells
    /// whether it is. Cancel-safe.
    pub async fn ready_within(&self, limit: Duration) -> bool {
        timeout(limit, self.wait_ready()).await.unwrap_or(false)
    }

    /// Returns how each issuer's keys are doing: the configured issuers in the order in which they were
    /// added, then the admitted ones.
    #[must_use]
    pub fn health(&self) -> Vec<IssuerHealth> {
        let issuers = self.all_issuers();
        issuers.iter().map(|issuer| issuer.health()).collect()
    }

    /// Returns the published keys that are usable, issuer by issuer in the order of
    /// [`health`](Self::health).
    #[must_use]
    pub fn keys(&self) -> Vec<KeyHealth> {
        let issuers = self.all_issuers();
        issuers
            .iter()
            .flat_map(|issuer| issuer.key_health())
            .collect()
    }

    /// Ends the tasks, a running fetch included, and returns when they have ended, after 1 s at the
    /// latest. Keys that are there keep serving until `max_stale`.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        // What has not ended by then is a source that blocks its thread.
        let _ = timeout(Duration::from_secs(1), self.inner.tasks.wait()).await;
    }
}

/// Shows issuers and policy.
impl fmt::Debug for JwtValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = self.inner.issuers.iter().map(|issuer| &issuer.name);
        f.debug_struct("JwtValidator")
            .field("issuers", &issuers.collect::<Vec<_>>())
            .field("policy", &self.inner.policy)
            .finish_non_exhaustive()
    }
}
