//! The decision about one token: at once if the keys are there, else after a wait for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::JwtValidator;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::issuer::{Advice, Issuer};
use crate::reason::{Answer, Reason};
use crate::validate::{Decoded, Refusal, Unverified, seconds};
use crate::verified::Slot;

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

/// What the memory of accepted tokens says of what may be a token.
pub(crate) enum Recall {
    /// It is one, and can be decided on.
    Known(Decision),
    /// It is decided [anew](JwtValidator::decide_anew), and remembered in this place.
    Unknown(Option<Slot>),
}

impl JwtValidator {
    /// Decides as far as that needs no waiting.
    pub(crate) fn decide(&self, token: &str) -> Decision {
        match self.recall(token.as_bytes()) {
            Recall::Known(decision) => decision,
            Recall::Unknown(slot) => self.decide_anew(token, slot),
        }
    }

    /// Decides on what was accepted before, byte for byte.
    pub(crate) fn recall(&self, token: &[u8]) -> Recall {
        let slot = self.slot(token);
        match self.known(slot) {
            Some(decision) => Recall::Known(self.counted(decision)),
            None => Recall::Unknown(slot),
        }
    }

    /// Decides on a token that is not remembered.
    pub(crate) fn decide_anew(&self, token: &str, slot: Option<Slot>) -> Decision {
        self.counted(self.decide_by_keys(token, slot))
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

    fn decide_by_keys(&self, token: &str, slot: Option<Slot>) -> Decision {
        self.judge(token, slot)
            .unwrap_or_else(|reason| Decision::Now(Err(refused(reason))))
    }

    /// # Errors
    ///
    /// Fails with a reason that no keys would change.
    fn judge(&self, token: &str, slot: Option<Slot>) -> Result<Decision, Reason> {
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
                Ok(self.passed(self.remember(slot, id, accepted)))
            }
            Err(refusal) if needs_keys(&refusal) => Ok(Decision::NeedsKeys { issuer, refusal }),
            Err(refusal) => Err(refusal.reason()),
        }
    }

    fn known(&self, slot: Option<Slot>) -> Option<Decision> {
        let claims = self.remembered(slot?)?;
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
            revocation.check(&claims).await.map_err(refused)?;
        }
        Ok(claims)
    }

    /// Waits for other keys as long as that is worth it, and decides again.
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
        let slot = self.slot(token.as_bytes());
        let arrival = issuer.begun();
        let mut place = None;
        loop {
            let advice = match &refusal {
                Refusal::UnknownKey(kid) => issuer.advise_on_unknown_key(kid.as_deref(), arrival),
                Refusal::Signature => issuer.advise_on_bad_signature(arrival),
                Refusal::Final(reason) => issuer.advise_without_keys(*reason),
            };
            let (late, refused) = match advice {
                // Another look would check the signature once more, for everybody who forges one.
                Advice::Refuse(reason)
                    if matches!(refusal, Refusal::Signature) && !issuer.changed_lately() =>
                {
                    return Err(self.unavailable(issuer, reason));
                }
                // A fetch may have ended since the keys were looked at, and its success be the very reason.
                Advice::Refuse(reason) => (false, Some(reason)),
                Advice::WaitFor(number) => {
                    place = place.or_else(|| issuer.place());
                    if place.is_none() {
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
            let decision = match self.known(slot) {
                Some(decision) => decision,
                None => self.decide_by_keys(token, slot),
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
        if reason.answer() == Answer::Unavailable {
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

/// For refusals that no keys would change.
fn refused(reason: Reason) -> AuthError {
    match reason {
        // Setting a clock may take that long.
        Reason::ClockUnset => AuthError::with_retry_after(reason, Duration::from_secs(30)),
        _ if reason.answer() == Answer::Unavailable => {
            AuthError::with_retry_after(reason, Duration::from_secs(1))
        }
        _ => AuthError::from(reason),
    }
}
