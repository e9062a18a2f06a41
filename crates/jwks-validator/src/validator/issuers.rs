//! The issuers of a validator, configured and admitted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::JwtValidator;
use crate::issuer::Issuer;
use crate::reason::Reason;
use crate::refresh;
use crate::validate::Unverified;

impl JwtValidator {
    /// Starts the task that keeps an issuer's keys current, unless it runs. Returns false when it cannot
    /// run: the validator, or the caller's runtime, was shut down, or the issuer made room for another.
    pub(super) fn ensure_refresher(&self, issuer: &Arc<Issuer>) -> bool {
        let (fetching, left) = (Arc::clone(issuer), Arc::clone(issuer));
        let published = Arc::clone(&self.inner.published);
        let refresh = {
            let published = Arc::clone(&published);
            move || refresh::run(Arc::clone(&fetching), Arc::clone(&published))
        };
        let gone = move || {
            left.refresher_gone();
            published.send_modify(|_| {});
        };
        issuer.refresher.ensure(refresh, gone).is_ok()
    }

    /// As [`ensure_refresher`](Self::ensure_refresher), for who does so ahead of the tokens.
    pub(super) fn start_refresher(&self, issuer: &Arc<Issuer>) -> bool {
        let is_running = self.ensure_refresher(issuer);
        if is_running {
            self.inner.is_started.store(true, Ordering::Relaxed);
        }
        is_running
    }

    /// As [`ensure_refresher`](Self::ensure_refresher), for a token that needs keys.
    pub(super) fn ensure_for_token(&self, issuer: &Arc<Issuer>) {
        let is_running = self.ensure_refresher(issuer);
        let is_started = &self.inner.is_started;
        // An admitted one cannot be started ahead of its first token.
        let is_configured = || self.inner.issuers.iter().any(|it| Arc::ptr_eq(it, issuer));
        if is_running
            && !is_started.load(Ordering::Relaxed)
            && is_configured()
            && !is_started.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                jwks.issuer = &*issuer.name,
                "`start` was not called: the first callers wait for the keys"
            );
        }
    }

    /// Returns the issuer that a token names, and its id. Admits it if the policy does.
    pub(super) fn issuer_of(
        &self,
        token: &Unverified<'_>,
        now: i64,
    ) -> Result<(usize, Arc<Issuer>), Reason> {
        let name = token.issuer()?;
        let mut configured = self.inner.issuers.iter();
        if let Some(id) = configured.position(|issuer| *issuer.name == *name) {
            return Ok((id, Arc::clone(&self.inner.issuers[id])));
        }
        let admitted = self.inner.admitted.as_ref();
        let admitted = admitted.ok_or(Reason::UnknownIssuer)?;
        match admitted.find(name) {
            Some(found) => Ok(found),
            None if self.inner.supervisor.has_ended() => Err(Reason::KeysUnavailable),
            None => admitted.admit(name, &self.inner.supervisor, || {
                token.check_claims(now, &self.inner.policy)
            }),
        }
    }

    /// Returns a configured or admitted issuer.
    pub(super) fn issuer(&self, id: usize) -> Option<Arc<Issuer>> {
        match self.inner.issuers.get(id) {
            Some(issuer) => Some(Arc::clone(issuer)),
            None => self.inner.admitted.as_ref()?.get(id),
        }
    }

    pub(super) fn all_issuers(&self) -> Vec<Arc<Issuer>> {
        let mut issuers = self.inner.issuers.clone();
        if let Some(admitted) = &self.inner.admitted {
            issuers.extend(admitted.all());
        }
        issuers
    }
}
