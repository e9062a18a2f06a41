//! The validator: policy, keys and memory put together.

mod operator;

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::admitted::AdmittedIssuers;
use crate::builder::JwtValidatorBuilder;
use crate::claims::{Claims, UnverifiedClaims};
use crate::compact::{self, MAX_TOKEN};
use crate::error::AuthError;
use crate::issuer::{Advice, CurrentKeys, Issuer, IssuerHealth};
use crate::metrics::ValidatorMetrics;
use crate::policy::Policy;
use crate::reason::{Answer, Reason};
use crate::refresh;
use crate::revocation::RevocationCheck;
use crate::validate::{Accepted, Refusal, decide};
use crate::verified::{Slot, Verified, VerifiedTokens};

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

/// The longest that a caller waits for keys.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// What can be said about a token without waiting.
pub(crate) enum Decision {
    Now(Result<Arc<Claims>, AuthError>),
    /// Everything is right, unless the token is revoked.
    UnlessRevoked(Arc<Claims>),
    /// Other keys of this issuer may change the refusal.
    NeedsKeys {
        issuer: usize,
        refusal: Refusal,
    },
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

    fn spawn(&self, issuer: Arc<Issuer>, stop: CancellationToken) {
        let task = refresh::run(issuer, Arc::clone(&self.inner.published), stop);
        if let Some(runtime) = self.inner.runtime.get() {
            self.inner.tasks.spawn_on(task, runtime);
        }
    }

    /// Decides on a token.
    ///
    /// With a known key it does not wait. It waits, for at most 1 s, for the very first keys and for
    /// a fetch that an unknown key id caused. Dropping the future cancels no fetch.
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
        let mut issuers = self.inner.issuers.iter();
        issuers.any(|issuer| issuer.keys().is_ok())
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

    /// Ends the tasks, a running fetch included, and returns when they have ended, after 1 s at the
    /// latest. Keys that are there keep serving until `max_stale`.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        // What has not ended by then is a source that blocks its thread.
        let _ = timeout(Duration::from_secs(1), self.inner.tasks.wait()).await;
    }

    /// Decides as far as that needs no waiting.
    pub(crate) fn decide(&self, token: &str) -> Decision {
        let decision = self.decide_now(token);
        if let Decision::Now(result) = &decision {
            self.count(result);
        }
        decision
    }

    fn count(&self, result: &Result<Arc<Claims>, AuthError>) {
        let refused = result.as_ref().err().map(AuthError::reason);
        self.inner.metrics.decided(refused);
    }

    fn decide_now(&self, token: &str) -> Decision {
        let now = clock::unix_seconds(self.inner.clock.now());
        let slot = self.slot(token);
        if let Some(claims) = slot.and_then(|slot| self.remembered(slot, now)) {
            return self.passed(claims);
        }
        let asked = Cell::new(None);
        let keys = |name: &str| self.keys_of(name, &asked, || self.could_pass(token, now));
        match (decide(token, now, keys, &self.inner.policy), asked.get()) {
            (Ok(accepted), Some(issuer)) => {
                match self.check_issuer_claims(issuer, &accepted.claims) {
                    Ok(()) => self.passed(self.remember(slot, issuer, accepted)),
                    Err(reason) => Decision::Now(Err(refused(reason))),
                }
            }
            (Err(refusal), Some(issuer)) if needs_keys(&refusal) => {
                Decision::NeedsKeys { issuer, refusal }
            }
            // The first cannot be without an issuer that was asked.
            (Ok(_), None) => Decision::Now(Err(AuthError::new(Reason::UnknownIssuer))),
            (Err(refusal), _) => Decision::Now(Err(refused(refusal.reason()))),
        }
    }

    /// Returns the keys of the issuer of this name, and notes in `asked` which one it is. Admits it if
    /// the policy does.
    fn keys_of(
        &self,
        name: &str,
        asked: &Cell<Option<usize>>,
        worth: impl FnOnce() -> Result<(), Reason>,
    ) -> Result<CurrentKeys, Reason> {
        let mut configured = self.inner.issuers.iter();
        if let Some(index) = configured.position(|issuer| *issuer.name == *name) {
            asked.set(Some(index));
            return self.inner.issuers[index].keys();
        }
        let admitted = self.inner.admitted.as_ref();
        let admitted = admitted.ok_or(Reason::UnknownIssuer)?;
        let (id, issuer) = match admitted.find(name) {
            Some(found) => found,
            None if self.inner.runtime.get().is_none() || self.inner.stop.is_cancelled() => {
                return Err(Reason::KeysUnavailable);
            }
            None => admitted.admit(name, &self.inner.stop, worth, |issuer, stop| {
                self.spawn(issuer, stop);
            })?,
        };
        asked.set(Some(id));
        issuer.keys()
    }

    /// Tells whether a token would pass if its signature verified.
    fn could_pass(&self, token: &str, now: i64) -> Result<(), Reason> {
        let payload = compact::Parts::split(token)?.payload()?;
        let claims = UnverifiedClaims::parse(&payload)?;
        claims.check(now, &self.inner.policy).map(|_| ())
    }

    /// Returns a configured or admitted issuer.
    fn issuer(&self, id: usize) -> Option<Arc<Issuer>> {
        match self.inner.issuers.get(id) {
            Some(issuer) => Some(Arc::clone(issuer)),
            None => self.inner.admitted.as_ref()?.get(id),
        }
    }

    fn all_issuers(&self) -> Vec<Arc<Issuer>> {
        let mut issuers = self.inner.issuers.clone();
        if let Some(admitted) = &self.inner.admitted {
            issuers.extend(admitted.all());
        }
        issuers
    }

    fn check_issuer_claims(&self, issuer: usize, claims: &Claims) -> Result<(), Reason> {
        match self.inner.issuers.get(issuer) {
            Some(issuer) => issuer.check_claims(claims),
            None => self
                .issuer(issuer)
                .ok_or(Reason::KeysUnavailable)?
                .check_claims(claims),
        }
    }

    fn passed(&self, claims: Arc<Claims>) -> Decision {
        match self.inner.revocation {
            None => Decision::Now(Ok(claims)),
            Some(_) => Decision::UnlessRevoked(claims),
        }
    }

    /// Asks the revocation hook, if there is one.
    pub(crate) async fn unless_revoked(
        &self,
        claims: Arc<Claims>,
    ) -> Result<Arc<Claims>, AuthError> {
        let result = self.ask_revocation(claims).await;
        self.count(&result);
        result
    }

    async fn ask_revocation(&self, claims: Arc<Claims>) -> Result<Arc<Claims>, AuthError> {
        if let Some(revocation) = &self.inner.revocation {
            revocation.check(&claims).await.map_err(refused)?;
        }
        Ok(claims)
    }

    /// Waits for other keys as long as that is worth it, and decides again.
    pub(crate) async fn decide_with_other_keys(
        &self,
        token: &str,
        issuer: usize,
        refusal: Refusal,
    ) -> Result<Arc<Claims>, AuthError> {
        let Some(issuer) = self.issuer(issuer) else {
            // It made room for another one a moment ago.
            let result = Err(refused(Reason::KeysUnavailable));
            self.count(&result);
            return result;
        };
        if matches!(refusal, Refusal::UnknownKey(_)) {
            issuer.metrics.unknown_key_id();
        }
        let result = self.await_other_keys(token, &issuer, refusal).await;
        self.count(&result);
        result
    }

    async fn await_other_keys(
        &self,
        token: &str,
        issuer: &Issuer,
        mut refusal: Refusal,
    ) -> Result<Arc<Claims>, AuthError> {
        let deadline = Instant::now() + MAX_WAIT;
        let arrival = issuer.begun();
        loop {
            let advice = match &refusal {
                Refusal::UnknownKey(kid) => issuer.advise_on_unknown_key(kid.as_deref(), arrival),
                Refusal::Signature => issuer.advise_on_bad_signature(arrival),
                Refusal::Final(reason) => issuer.advise_without_keys(*reason),
            };
            let late = match advice {
                Advice::Refuse(reason) => return Err(self.unavailable(issuer, reason)),
                Advice::WaitFor(number) => {
                    timeout_at(deadline, issuer.wait_for(number)).await.is_err()
                }
            };
            refusal = match self.decide_now(token) {
                Decision::Now(result) => return result,
                Decision::UnlessRevoked(claims) => return self.ask_revocation(claims).await,
                Decision::NeedsKeys { refusal, .. } => refusal,
            };
            if late {
                let reason = match refusal {
                    Refusal::UnknownKey(_) => Reason::KeyUndetermined,
                    other => other.reason(),
                };
                return Err(self.unavailable(issuer, reason));
            }
        }
    }

    fn unavailable(&self, issuer: &Issuer, reason: Reason) -> AuthError {
        if reason.answer() == Answer::Unavailable {
            AuthError::with_retry_after(reason, issuer.retry_after())
        } else {
            AuthError::new(reason)
        }
    }

    fn slot(&self, token: &str) -> Option<Slot> {
        // Hashing what is refused for its length anyway would be an attacker's work done for free.
        let verified = self.inner.verified.as_ref()?;
        (token.len() <= MAX_TOKEN).then(|| verified.slot(token))
    }

    /// Finds an accepted token and decides again about its dates and its key.
    fn remembered(&self, slot: Slot, now: i64) -> Option<Arc<Claims>> {
        let verified = self.inner.verified.as_ref()?;
        let token = verified.get(slot)?;
        let keys = match self.inner.issuers.get(token.issuer) {
            Some(issuer) => issuer.keys().ok()?,
            None => self.issuer(token.issuer)?.keys().ok()?,
        };
        let named = token.key.kid.as_deref().filter(|_| token.names_key);
        if !keys.would_use(named, &token.key)
            || token.claims.check_times(now, &self.inner.policy).is_err()
        {
            verified.remove(slot);
            return None;
        }
        self.inner.metrics.cache_hit();
        Some(token.claims)
    }

    fn remember(&self, slot: Option<Slot>, issuer: usize, accepted: Accepted) -> Arc<Claims> {
        let claims = Arc::new(accepted.claims);
        if let (Some(slot), Some(verified)) = (slot, &self.inner.verified) {
            verified.insert(
                slot,
                Verified {
                    claims: Arc::clone(&claims),
                    issuer,
                    key: accepted.key,
                    names_key: accepted.names_key,
                },
            );
        }
        claims
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

fn needs_keys(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::UnknownKey(_)
            | Refusal::Signature
            | Refusal::Final(Reason::KeysUnavailable | Reason::KeysStale)
    )
}

/// For refusals that no keys would change.
fn refused(reason: Reason) -> AuthError {
    match reason {
        // Setting a clock may take that long.
        Reason::ClockUnset => AuthError::with_retry_after(reason, Duration::from_secs(30)),
        _ if reason.answer() == Answer::Unavailable => {
            AuthError::with_retry_after(reason, Duration::from_secs(1))
        }
        _ => AuthError::new(reason),
    }
}
