//! Tokens that passed before, and are in the cache.

use std::sync::Arc;

use super::JwtValidator;
use crate::claims::Claims;
use crate::validate::{Accepted, seconds};
use crate::verified_cache::{TokenDigest, Verified, VerifiedCache, VerifiedCacheHealth};

impl JwtValidator {
    /// Returns how full and how useful the cache of verified tokens is; `None` without one. Takes some tens of
    /// microseconds per ten thousand entries.
    #[must_use]
    pub fn verified_cache(&self) -> Option<VerifiedCacheHealth> {
        self.inner.verified.as_ref().map(VerifiedCache::health)
    }

    pub(super) fn digest(&self, token: &[u8]) -> Option<TokenDigest> {
        // A token that is refused for its length anyway is not worth its hash.
        let verified = self.inner.verified.as_ref()?;
        let is_looked_at = token.len() <= self.inner.policy.longest_token();
        is_looked_at.then(|| verified.digest(token))
    }

    /// Finds an accepted token and decides again about its dates and its key.
    pub(super) fn cached(&self, digest: TokenDigest) -> Option<Arc<Claims>> {
        let wall = self.inner.clock.now();
        // It stays where it is: a clock that is not set says nothing about it.
        let now = seconds(wall).ok()?;
        let verified = self.inner.verified.as_ref()?;
        let token = verified.get(digest)?;
        let keys = match self.inner.issuers.get(token.issuer) {
            Some(issuer) => issuer.keys(wall).ok()?,
            None => self.issuer(token.issuer)?.keys(wall).ok()?,
        };
        if !keys.would_use(token.named, &token.key)
            || token.claims.check_times(now, &self.inner.policy).is_err()
        {
            verified.remove(digest);
            return None;
        }
        self.inner.metrics.cache_hit();
        Some(token.claims)
    }

    pub(super) fn cache(
        &self,
        digest: Option<TokenDigest>,
        issuer: usize,
        accepted: Accepted,
    ) -> Arc<Claims> {
        let claims = Arc::new(accepted.claims);
        if let (Some(digest), Some(verified)) = (digest, &self.inner.verified) {
            verified.insert(
                digest,
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
