//! The issuers of a validator, configured and admitted.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::JwtValidator;
use crate::claims::{Claims, UnverifiedClaims};
use crate::compact;
use crate::issuer::{CurrentKeys, Issuer};
use crate::reason::Reason;
use crate::refresh;

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
        let is_late = || self.inner.issuers.iter().any(|it| Arc::ptr_eq(it, issuer));
        if is_running
            && !is_started.load(Ordering::Relaxed)
            && is_late()
            && !is_started.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                jwks.issuer = &*issuer.name,
                "nobody has called `start`: the first callers wait for the keys"
            );
        }
    }

    /// Returns the keys of the issuer of this name, and notes in `asked` which one it is. Admits it if
    /// the policy does.
    pub(super) fn keys_of(
        &self,
        name: &str,
        now: SystemTime,
        asked: &Cell<Option<usize>>,
        worth: impl FnOnce() -> Result<(), Reason>,
    ) -> Result<CurrentKeys, Reason> {
        let mut configured = self.inner.issuers.iter();
        if let Some(index) = configured.position(|issuer| *issuer.name == *name) {
            asked.set(Some(index));
            return self.inner.issuers[index].keys(now);
        }
        let admitted = self.inner.admitted.as_ref();
        let admitted = admitted.ok_or(Reason::UnknownIssuer)?;
        let (id, issuer) = match admitted.find(name) {
            Some(found) => found,
            None if self.inner.supervisor.has_ended() => return Err(Reason::KeysUnavailable),
            None => admitted.admit(name, &self.inner.supervisor, worth)?,
        };
        asked.set(Some(id));
        issuer.keys(now)
    }

    /// Tells whether a token would pass if its signature verified.
    pub(super) fn could_pass(&self, token: &str, now: i64) -> Result<(), Reason> {
        let policy = &self.inner.policy;
        let payload = compact::Parts::split(token, policy.max_token_size)?.payload()?;
        let claims = UnverifiedClaims::parse(&payload, policy)?;
        claims.check(now, policy).map(|_| ())
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

    pub(super) fn check_issuer_claims(&self, issuer: usize, claims: &Claims) -> Result<(), Reason> {
        match self.inner.issuers.get(issuer) {
            Some(issuer) => issuer.check_claims(claims),
            None => self
                .issuer(issuer)
                .ok_or(Reason::KeysUnavailable)?
                .check_claims(claims),
        }
    }
}
