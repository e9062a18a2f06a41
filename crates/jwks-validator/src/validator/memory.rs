//! Tokens that passed before.

use std::sync::Arc;

use super::JwtValidator;
use crate::claims::Claims;
use crate::validate::{Accepted, seconds};
use crate::verified::{MemoryHealth, Slot, Verified, VerifiedTokens};

impl JwtValidator {
    /// Returns how the memory of accepted tokens is doing; `None` without one. Takes as long as it is
    /// large: some tens of microseconds per ten thousand entries.
    #[must_use]
    pub fn memory(&self) -> Option<MemoryHealth> {
        self.inner.verified.as_ref().map(VerifiedTokens::health)
    }

    pub(super) fn slot(&self, token: &[u8]) -> Option<Slot> {
        // Hashing what is refused for its length anyway would be an attacker's work done for free.
        let verified = self.inner.verified.as_ref()?;
        let is_looked_at = token.len() <= self.inner.policy.longest_token();
        is_looked_at.then(|| verified.slot(token))
    }

    /// Finds an accepted token and decides again about its dates and its key.
    pub(super) fn remembered(&self, slot: Slot) -> Option<Arc<Claims>> {
        let wall = self.inner.clock.now();
        // It stays where it is: a clock that is not set says nothing about it.
        let now = seconds(wall).ok()?;
        let verified = self.inner.verified.as_ref()?;
        let token = verified.get(slot)?;
        let keys = match self.inner.issuers.get(token.issuer) {
            Some(issuer) => issuer.keys(wall).ok()?,
            None => self.issuer(token.issuer)?.keys(wall).ok()?,
        };
        if !keys.would_use(token.named, &token.key)
            || token.claims.check_times(now, &self.inner.policy).is_err()
        {
            verified.remove(slot);
            return None;
        }
        self.inner.metrics.cache_hit();
        Some(token.claims)
    }

    pub(super) fn remember(
        &self,
        slot: Option<Slot>,
        issuer: usize,
        accepted: Accepted,
    ) -> Arc<Claims> {
        let claims = Arc::new(accepted.claims);
        if let (Some(slot), Some(verified)) = (slot, &self.inner.verified) {
            verified.insert(
                slot,
                Verified {
                    claims: Arc::clone(&claims),
                    issuer,
                    key: accepted.key,
                    named: accepted.named,
                },
            );
        }
        claims
    }
}
