//! The issuers of a validator, configured and admitted.

use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::JwtValidator;
use crate::claims::{Claims, UnverifiedClaims};
use crate::compact;
use crate::issuer::{CurrentKeys, Issuer};
use crate::reason::Reason;
use crate::refresh;

impl JwtValidator {
    /// Keeps an issuer's keys current until told to stop.
    pub(super) fn spawn(&self, issuer: Arc<Issuer>, stop: CancellationToken) {
        let task = refresh::run(issuer, Arc::clone(&self.inner.published), stop);
        if let Some(runtime) = self.inner.runtime.get() {
            self.inner.tasks.spawn_on(task, runtime);
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
            None if self.inner.runtime.get().is_none() || self.inner.stop.is_cancelled() => {
                return Err(Reason::KeysUnavailable);
            }
            None => admitted.admit(name, &self.inner.stop, worth, |issuer, stop| {
                self.spawn(issuer, stop);
            })?,
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
