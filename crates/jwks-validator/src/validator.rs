//! The validator: policy, keys and the cache of verified tokens put together.

mod cached;
mod decision;
mod issuers;
mod operator;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use clock::Clock;
use idp_http::Supervisor;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::admitted::AdmittedIssuers;
use crate::builder::JwtValidatorBuilder;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::http::{RequestContext, TokenScheme};
use crate::issuer::{Issuer, IssuerHealth, KeyHealth};
use crate::metrics::ValidatorMetrics;
use crate::policy::Policy;
use crate::revocation::RevocationCheck;
use crate::verified_cache::VerifiedCache;

pub(crate) use decision::{Decision, Recall};
pub use operator::{IssuerRefresh, RefreshOutcome, UnknownIssuer};

/// Validates bearer tokens against the cached keys of one or several issuers.
///
/// Clones share keys and tasks. One task per issuer fetches; it starts with [`start`](Self::start) or when
/// it is first needed, on the runtime of its first caller, and again, when it is next needed, after the end
/// of that runtime. The tasks end with [`shutdown`](Self::shutdown), or with the last
/// clone.
#[derive(Clone)]
pub struct JwtValidator {
    inner: Arc<Inner>,
}

/// What the clones of a validator share.
pub(crate) struct Inner {
    pub(crate) issuers: Vec<Arc<Issuer>>,
    pub(crate) admitted: Option<AdmittedIssuers>,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) verified: Option<VerifiedCache>,
    pub(crate) revocation: Option<RevocationCheck>,
    pub(crate) metrics: ValidatorMetrics,
    /// Counts the key sets that any issuer has confirmed; sends when a refresher is gone too.
    pub(crate) published: Arc<watch::Sender<u64>>,
    /// Of the issuers' refreshers.
    pub(crate) supervisor: Supervisor,
    /// Whether the refreshers were started ahead of the tokens, or the log has said that they were not.
    pub(crate) is_started: AtomicBool,
}

impl JwtValidator {
    /// Returns the settings of a validator.
    #[must_use]
    pub fn builder() -> JwtValidatorBuilder {
        JwtValidatorBuilder::new()
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Spawns the tasks that fetch the keys, one per issuer, on the current runtime.
    ///
    /// Calling it is optional, since the first token of an issuer, [`ready`](Self::ready),
    /// [`wait_ready`](Self::wait_ready) and [`refresh`](Self::refresh) start its task too. Where it is the first
    /// token, the first callers wait for the keys, and a warning in the log says so. Calling it again starts
    /// nothing new, unless the runtime on which a task was started is gone. After
    /// [`shutdown`](Self::shutdown) it does nothing.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime, and on one without timers.
    pub fn start(&self) {
        let _runtime = Handle::current();
        for issuer in &self.inner.issuers {
            self.start_refresher(issuer);
        }
    }

    /// Decides on a token that a request presents, as a [`JwtLayer`](crate::JwtLayer) does. Waits, and may be
    /// dropped, as [`validate`](Self::validate). [`TokenFrom::token`](crate::TokenFrom::token) finds token and
    /// scheme.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use jwks_validator::{AuthError, Claims, JwtValidator, Reason, RequestContext, TokenFrom};
    ///
    /// async fn caller<B>(
    ///     validator: &JwtValidator,
    ///     request: &http::Request<B>,
    /// ) -> Result<Option<Arc<Claims>>, AuthError> {
    ///     let context = RequestContext::from(request);
    ///     match TokenFrom::authorization().token(context) {
    ///         Ok((scheme, token)) => validator.authenticate(token, scheme, &context).await.map(Some),
    ///         Err(Reason::NoCredentials) => Ok(None),
    ///         Err(reason) => Err(reason.into()),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate): nothing in a request proves yet that a token bound to a key or a
    /// certificate is its sender's, so every token with `cnf` is refused. As a response, the error has the form
    /// that the sender of the request reads: gRPC's, if the request is gRPC.
    pub async fn authenticate(
        &self,
        token: &str,
        scheme: TokenScheme,
        request: &RequestContext<'_>,
    ) -> Result<Arc<Claims>, AuthError> {
        let decided = match scheme {
            TokenScheme::Bearer => self.validate(token).await,
        };
        decided.map_err(|error| error.in_answer_to(*request))
    }

    /// Decides on a token of which nothing is known but its text: as a bearer token. One that is bound to a key
    /// or a certificate of its sender (`cnf`, RFC 7800) is refused.
    ///
    /// With a known key it does not wait. It waits, for at most 1 s, for the very first keys, for newer
    /// ones where those that are there grew too old without a failed fetch (a process that was frozen), and
    /// for a fetch that an unknown key id or a bad signature caused. No caller waits while fetches fail, and at
    /// most 64 callers of one issuer at a time. Then, with a revocation hook, it waits for at most 1 s more
    /// for its answer. Dropping the future cancels no fetch, but the call of the hook.
    ///
    /// # Errors
    ///
    /// Fails with the reason of the first check that the token does not pass, in the order given at
    /// [`validate`](crate::validate()), and with a reason of status 503 where the validator cannot tell: no
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

    /// Tells whether tokens of at least one configured issuer can be decided on. Without any, nothing has
    /// to be there: always.
    ///
    /// Where it returns false, it has the keys fetched, if a runtime is there: a service that is not ready may get
    /// no token that would cause a fetch.
    #[must_use]
    pub fn ready(&self) -> bool {
        let (issuers, now) = (&self.inner.issuers, self.inner.clock.now());
        issuers.is_empty() || issuers.iter().any(|issuer| self.is_usable(issuer, now))
    }

    fn is_usable(&self, issuer: &Arc<Issuer>, now: SystemTime) -> bool {
        let Err(why) = issuer.keys(now) else {
            return true;
        };
        // A process that was frozen asks for a fetch here.
        issuer.without_keys(why);
        self.start_refresher(issuer);
        false
    }

    /// Waits until the validator is [`ready`](Self::ready) and returns true, or until it, or the runtime of
    /// the caller, is shut down and returns false. Starts what has not been started. Cancel-safe.
    pub async fn wait_ready(&self) -> bool {
        let mut published = self.inner.published.subscribe();
        loop {
            if self.ready() {
                return true;
            }
            for issuer in &self.inner.issuers {
                if !self.start_refresher(issuer) {
                    return false;
                }
            }
            tokio::select! {
                () = self.inner.supervisor.ended() => return false,
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
        self.inner.supervisor.shutdown().await;
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
