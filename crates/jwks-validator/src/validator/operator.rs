//! What an operator can ask of a running validator.

use std::sync::Arc;
use std::time::Duration;

use super::JwtValidator;
use crate::claims::Claims;
use crate::explain::{Check, Explanation, Known};
use crate::issuer::Issuer;
use crate::reason::Reason;
use crate::source::SourceErrorKind;
use crate::validate::{Decoded, Refusal, Unverified, seconds};

impl JwtValidator {
    /// Fetches the keys of every issuer now, and returns when these fetches have ended.
    ///
    /// At most one per issuer and 10 s, and none before the end of a `Retry-After`; callers that come while
    /// one is under way wait for that one. A fetch that fails leaves the keys in use as they are. Starts what has
    /// not been started. Dropping the future cancels no fetch.
    pub async fn refresh(&self) -> Vec<IssuerRefresh> {
        // All are asked for before one is waited for, so that they run side by side.
        let requested: Vec<_> = self
            .all_issuers()
            .into_iter()
            .map(|issuer| {
                let is_running = self.start_refresher(&issuer);
                let request = is_running.then(|| issuer.request_manually());
                (issuer, request)
            })
            .collect();
        let mut refreshed = Vec::with_capacity(requested.len());
        for (issuer, request) in requested {
            let outcome = match request {
                None => RefreshOutcome::NotRunning,
                Some(Err(retry_after)) => RefreshOutcome::TooSoon { retry_after },
                Some(Ok(number)) => tokio::select! {
                    biased;
                    outcome = self.manual_outcome(&issuer, number) => outcome,
                    () = self.inner.supervisor.ended() => RefreshOutcome::NotRunning,
                },
            };
            refreshed.push(IssuerRefresh {
                issuer: issuer.name.to_string(),
                outcome,
            });
        }
        refreshed
    }

    async fn manual_outcome(&self, issuer: &Arc<Issuer>, number: u64) -> RefreshOutcome {
        let ensure = || self.ensure_refresher(issuer);
        // The one before it may end with a `Retry-After`, which holds for this one too.
        if !issuer.wait_for(number - 1, ensure).await {
            return RefreshOutcome::NotRunning;
        }
        if let Some(retry_after) = issuer.held_off(number) {
            return RefreshOutcome::TooSoon { retry_after };
        }
        if !issuer.wait_for(number, ensure).await {
            return RefreshOutcome::NotRunning;
        }
        match issuer.failure_of(number) {
            None => RefreshOutcome::Refreshed,
            Some(kind) => RefreshOutcome::Failed(kind),
        }
    }

    /// Makes the key with this id unusable, although the issuer may go on publishing it: for a key
    /// that is known to be in the wrong hands.
    ///
    /// From the return of the call on, tokens that name it are refused with
    /// [`Reason::KeyRevoked`], cached ones too, and no fetch is made for them. That lasts until
    /// [`unrevoke_kid`](Self::unrevoke_kid) or the end of the process. It goes by the id: the same key
    /// under another id is another key. Meant for a handful of ids; each token is compared with all of
    /// them.
    ///
    /// # Errors
    ///
    /// Fails when the validator has no issuer of this name, or has not admitted it yet.
    pub fn revoke_kid(&self, issuer: &str, kid: &str) -> Result<(), UnknownIssuer> {
        if self.named(issuer)?.set_revoked(kid, true) {
            let kid = idp_http::printable(kid);
            tracing::warn!(
                jwks.issuer = issuer,
                jwks.kid = kid,
                "a key has been revoked"
            );
        }
        Ok(())
    }

    /// Takes [`revoke_kid`](Self::revoke_kid) back. Returns whether the key was revoked.
    ///
    /// # Errors
    ///
    /// Fails when the validator has no issuer of this name.
    pub fn unrevoke_kid(&self, issuer: &str, kid: &str) -> Result<bool, UnknownIssuer> {
        let was_revoked = self.named(issuer)?.set_revoked(kid, false);
        if was_revoked {
            let kid = idp_http::printable(kid);
            tracing::warn!(
                jwks.issuer = issuer,
                jwks.kid = kid,
                "a revoked key is usable again"
            );
        }
        Ok(was_revoked)
    }

    /// Explains to an operator what becomes of a token, check by check.
    ///
    /// Decides as [`validate`](Self::validate) does with the keys that are there: it fetches none and
    /// waits for none, admits no issuer, and does not look into the cache of verified tokens. The revocation hook
    /// is asked if the token passes everything else. Nothing of it belongs in an answer to a caller.
    pub async fn explain(&self, token: &str) -> Explanation {
        let (explanation, claims) = self.explain_now(token);
        let (Some(claims), Some(revocation)) = (claims, &self.inner.revocation) else {
            return explanation;
        };
        match revocation.check(&claims).await {
            Ok(()) => explanation.with_detail(Check::Revocation, "the hook was asked"),
            Err(reason) => explanation.failed_at(Check::Revocation, reason),
        }
    }

    fn named(&self, issuer: &str) -> Result<Arc<Issuer>, UnknownIssuer> {
        let mut issuers = self.all_issuers().into_iter();
        let named = issuers.find(|known| *known.name == *issuer);
        named.ok_or(UnknownIssuer)
    }

    /// Explains everything but revocation, and returns the claims if all of that is passed.
    fn explain_now(&self, token: &str) -> (Explanation, Option<Claims>) {
        let policy = &self.inner.policy;
        let wall = self.inner.clock.now();
        let issuers = self.all_issuers();
        let names: Vec<&str> = issuers.iter().map(|issuer| &*issuer.name).collect();
        let (mut used, mut history) = (None, None);
        let mut judge = || {
            let now = seconds(wall)?;
            let mut decoded = Decoded::room();
            let token = Unverified::parse(token, policy, &mut decoded)?;
            // No issuer is admitted for an explanation.
            let name = token.issuer()?;
            let issuer = issuers.iter().find(|issuer| *issuer.name == *name);
            let issuer = issuer.ok_or(Reason::UnknownIssuer)?;
            history = Some(issuer.history());
            let keys = used.insert(issuer.keys(wall)?);
            let accepted = token.judge(keys, now, policy)?;
            issuer.check_claims(&accepted.claims)?;
            Ok(accepted.claims)
        };
        let result: Result<Claims, Refusal> = judge();
        let known = Known {
            keys: used.as_deref(),
            issuers: &names,
            history,
        };
        let reason = result.as_ref().err().map(Refusal::reason);
        (known.report(token, wall, policy, reason), result.ok())
    }
}

/// What [`JwtValidator::refresh`] did for one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerRefresh {
    /// The issuer.
    pub issuer: String,
    /// What came of it.
    pub outcome: RefreshOutcome,
}

/// What came of a fetch that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshOutcome {
    /// The keys are those that the issuer published after the call.
    Refreshed,
    /// The fetch failed; the keys are as they were.
    Failed(SourceErrorKind),
    /// The last fetch that was asked for is not long enough ago, or the `Retry-After` of
    /// the issuer has not passed. No fetch was made.
    TooSoon {
        /// When the next one will be made.
        retry_after: Duration,
    },
    /// The validator, or the runtime of the caller, is shut down.
    NotRunning,
}

/// The validator has no issuer of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an issuer of this validator")]
pub struct UnknownIssuer;
