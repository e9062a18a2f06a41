//! The decision about one token: at once if the keys are there, else after a wait for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::JwtValidator;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::issuer::{Issuer, NextStep};
use crate::reason::{ErrorResponse, Reason};
use crate::validate::{Decoded, Refusal, Unverified, seconds};
use crate::verified_cache::TokenDigest;

/// The longest that a caller waits for keys.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// What can be said about a token without waiting.
pub(crate) enum Decision {
    Now(Result<Arc<Claims>, AuthError>),
    /// Everything is right, unless the token is revoked.
    UnlessRevoked(Arc<Claims>),
    /// Other keys of this issuer may change the refusal.
    NeedsKeys {
        issuer: Arc<Issuer>,
        refusal: Refusal,
    },
}

/// What the cache of verified tokens says of what may be a token.
pub(crate) enum Recall {
    /// It is one, and can be decided on.
    Known(Decision),
    /// It is decided [anew](JwtValidator::decide_anew), and put into the cache under this digest.
    Unknown(Option<TokenDigest>),
}

impl JwtValidator {
    /// Decides as far as that needs no waiting.
    pub(crate) fn decide(&self, token: &str) -> Decision {
        match self.recall(token.as_bytes()) {
            Recall::Known(decision) => decision,
            Recall::Unknown(digest) => self.decide_anew(token, digest),
        }
    }

    /// Decides on what was accepted before, byte for byte.
    pub(crate) fn recall(&self, token: &[u8]) -> Recall {
        let digest = self.digest(token);
        match self.known(digest) {
            Some(decision) => Recall::Known(self.counted(decision)),
            None => Recall::Unknown(digest),
        }
    }

    /// Decides on a token that is not in the cache.
    pub(crate) fn decide_anew(&self, token: &str, digest: Option<TokenDigest>) -> Decision {
        self.counted(self.decide_by_keys(token, digest))
    }

    fn counted(&self, decision: Decision) -> Decision {
        if let Decision::Now(result) = &decision {
            self.count(result);
        }
        decision
    }

    fn count(&self, result: &Result<Arc<Claims>, AuthError>) {
        let refused = result.as_ref().err().map(AuthError::reason);
        self.inner.metrics.decided(refused);
    }

    fn decide_by_keys(&self, token: &str, digest: Option<TokenDigest>) -> Decision {
        self.judge(token, digest)
            .unwrap_or_else(|reason| Decision::Now(Err(reason.into())))
    }

    /// # Errors
    ///
    /// Fails with a reason that no keys would change.
    fn judge(&self, token: &str, digest: Option<TokenDigest>) -> Result<Decision, Reason> {
        let policy = &self.inner.policy;
        let wall = self.inner.clock.now();
        let now = seconds(wall)?;
        let mut decoded = Decoded::room();
        let token = Unverified::parse(token, policy, &mut decoded)?;
        let (id, issuer) = self.issuer_of(&token, now)?;
        let judged = match issuer.keys(wall) {
            Ok(keys) => token.judge(&keys, now, policy),
            Err(reason) => Err(Refusal::Final(reason)),
        };
        match judged {
            Ok(accepted) => {
                issuer.check_claims(&accepted.claims)?;
                Ok(self.passed(self.cache(digest, id, accepted)))
            }
            Err(refusal) if needs_keys(&refusal) => Ok(Decision::NeedsKeys { issuer, refusal }),
            Err(refusal) => Err(refusal.reason()),
        }
    }

    fn known(&self, digest: Option<TokenDigest>) -> Option<Decision> {
        let claims = self.cached(digest?)?;
        Some(self.passed(claims))
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
            revocation.check(&claims).await.map_err(AuthError::from)?;
        }
        Ok(claims)
    }

    /// Waits for other keys while they may come, at most 1 s, and decides again.
    pub(crate) async fn decide_with_other_keys(
        &self,
        token: &str,
        issuer: Arc<Issuer>,
        refusal: Refusal,
    ) -> Result<Arc<Claims>, AuthError> {
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
        issuer: &Arc<Issuer>,
        mut refusal: Refusal,
    ) -> Result<Arc<Claims>, AuthError> {
        self.ensure_for_token(issuer);
        let deadline = Instant::now() + MAX_WAIT;
        let digest = self.digest(token.as_bytes());
        let arrival = issuer.begun();
        let mut permit = None;
        loop {
            let next_step = match &refusal {
                Refusal::UnknownKey(kid) => issuer.after_unknown_key(kid.as_deref(), arrival),
                Refusal::Signature => issuer.after_bad_signature(arrival),
                Refusal::Final(reason) => issuer.without_keys(*reason),
            };
            let (late, refused) = match next_step {
                // Another look would check the signature once more, for everybody who forges one.
                NextStep::Refuse(reason)
                    if matches!(refusal, Refusal::Signature) && !issuer.changed_lately() =>
                {
                    return Err(self.unavailable(issuer, reason));
                }
                // A fetch may have ended since the keys were looked at, and its success be the very reason.
                NextStep::Refuse(reason) => (false, Some(reason)),
                NextStep::WaitFor(number) => {
                    permit = permit.or_else(|| issuer.permit_to_wait());
                    if permit.is_none() {
                        let reason = match refusal {
                            Refusal::Final(reason) => reason,
                            Refusal::UnknownKey(_) | Refusal::Signature => Reason::KeyUndetermined,
                        };
                        return Err(self.unavailable(issuer, reason));
                    }
                    let ended = issuer.wait_for(number, || self.ensure_refresher(issuer));
                    let ended = timeout_at(deadline, ended).await;
                    (ended != Ok(true), None)
                }
            };
            // Others who waited with the same token may have checked its signature by now.
            let decision = match self.known(digest) {
                Some(decision) => decision,
                None => self.decide_by_keys(token, digest),
            };
            refusal = match decision {
                Decision::Now(result) => return result,
                Decision::UnlessRevoked(claims) => return self.ask_revocation(claims).await,
                Decision::NeedsKeys { refusal, .. } => refusal,
            };
            if let Some(reason) = refused {
                return Err(self.unavailable(issuer, reason));
            }
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
        if reason.response() == ErrorResponse::Unavailable {
            AuthError::with_retry_after(reason, issuer.retry_after())
        } else {
            AuthError::from(reason)
        }
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
