//! The validator: policy, keys and memory put together.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clock::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::builder::JwtValidatorBuilder;
use crate::claims::Claims;
use crate::compact::MAX_TOKEN;
use crate::error::AuthError;
use crate::issuer::{Advice, Issuer, IssuerHealth};
use crate::policy::Policy;
use crate::reason::{Answer, Reason};
use crate::refresh;
use crate::validate::{Accepted, Refusal, decide};
use crate::verified::{Slot, Verified, VerifiedTokens};

/// Validates bearer tokens against the cached keys of one or several issuers.
///
/// Clones share keys and tasks. The tasks end with [`shutdown`](Self::shutdown), or with the last
/// clone.
#[derive(Clone)]
pub struct JwtValidator {
    inner: Arc<Inner>,
}

struct Inner {
    issuers: Vec<Arc<Issuer>>,
    policy: Policy,
    clock: Arc<dyn Clock>,
    verified: Option<VerifiedTokens>,
    started: AtomicBool,
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

    pub(crate) fn new(
        issuers: Vec<Arc<Issuer>>,
        policy: Policy,
        clock: Arc<dyn Clock>,
        verified: Option<VerifiedTokens>,
    ) -> Self {
        let stop = CancellationToken::new();
        Self {
            inner: Arc::new(Inner {
                issuers,
                policy,
                clock,
                verified,
                started: AtomicBool::new(false),
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
        if self.inner.started.swap(true, Ordering::Relaxed) {
            return;
        }
        for issuer in &self.inner.issuers {
            issuer.expect_first_fetch();
            self.inner.tasks.spawn(refresh::run(
                Arc::clone(issuer),
                Arc::clone(&self.inner.published),
                self.inner.stop.clone(),
            ));
        }
        self.inner.tasks.close();
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
            Decision::NeedsKeys { issuer, refusal } => {
                self.decide_with_other_keys(token, issuer, refusal).await
            }
        }
    }

    /// Tells whether tokens of at least one issuer can be decided on.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.inner
            .issuers
            .iter()
            .any(|issuer| issuer.keys().is_ok())
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

    /// Returns how each issuer's keys are doing, in the order in which the issuers were added.
    #[must_use]
    pub fn health(&self) -> Vec<IssuerHealth> {
        self.inner
            .issuers
            .iter()
            .map(|issuer| issuer.health())
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

    /// Decides as far as that needs no waiting.
    pub(crate) fn decide(&self, token: &str) -> Decision {
        let now = clock::unix_seconds(self.inner.clock.now());
        let slot = self.slot(token);
        if let Some(claims) = slot.and_then(|slot| self.remembered(slot, now)) {
            return Decision::Now(Ok(claims));
        }
        let asked = Cell::new(None);
        let keys = |name: &str| {
            let index = self
                .inner
                .issuers
                .iter()
                .position(|issuer| *issuer.name == *name)
                .ok_or(Reason::UnknownIssuer)?;
            asked.set(Some(index));
            self.inner.issuers[index].keys()
        };
        match (decide(token, now, keys, &self.inner.policy), asked.get()) {
            (Ok(accepted), Some(issuer)) => {
                Decision::Now(Ok(self.remember(slot, issuer, accepted)))
            }
            (Err(refusal), Some(issuer)) if needs_keys(&refusal) => {
                Decision::NeedsKeys { issuer, refusal }
            }
            // The first cannot be without an issuer that was asked.
            (Ok(_), None) => Decision::Now(Err(AuthError::new(Reason::UnknownIssuer))),
            (Err(refusal), _) => Decision::Now(Err(refused(refusal.reason()))),
        }
    }

    /// Waits for other keys as long as that is worth it, and decides again.
    pub(crate) async fn decide_with_other_keys(
        &self,
        token: &str,
        issuer: usize,
        mut refusal: Refusal,
    ) -> Result<Arc<Claims>, AuthError> {
        let issuer = &self.inner.issuers[issuer];
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
            refusal = match self.decide(token) {
                Decision::Now(result) => return result,
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
        let keys = self.inner.issuers[token.issuer].keys().ok()?;
        let named = token.key.kid.as_deref().filter(|_| token.names_key);
        if !keys.would_use(named, &token.key)
            || token.claims.check_times(now, &self.inner.policy).is_err()
        {
            verified.remove(slot);
            return None;
        }
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

/// Only a clock that is not set leads here with a 503; a minute is what setting it may take.
fn refused(reason: Reason) -> AuthError {
    if reason.answer() == Answer::Unavailable {
        AuthError::with_retry_after(reason, Duration::from_secs(30))
    } else {
        AuthError::new(reason)
    }
}
