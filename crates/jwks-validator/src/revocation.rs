//! Tokens that are refused although they have not expired.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use clock::{Clock, SystemClock};
use idp_http::Outage;
use tokio::time::timeout;

use crate::claims::Claims;
use crate::policy::MAX_LEEWAY;
use crate::reason::Reason;

/// Says which of the tokens that pass every other check are refused all the same.
///
/// Asked once per validation, for cached tokens too, and never about a token that is refused for
/// another reason. What it goes by must be in the claims: `iss` and `jti` name a token. Its bytes do
/// not: the holder of a token signed with ECDSA can write a second signature that is as good.
///
/// An answer that takes longer than 1 s counts as a failure. A call whose caller goes away is
/// dropped.
#[async_trait]
pub trait Revocation: fmt::Debug + Send + Sync + 'static {
    /// Tells whether the token with these claims has been revoked.
    ///
    /// # Errors
    ///
    /// Fails when it cannot tell. The request then gets 503, unless
    /// [`dangerous_accept_when_revocation_fails`](crate::JwtValidatorBuilder::dangerous_accept_when_revocation_fails)
    /// was chosen.
    async fn is_revoked(&self, claims: &Claims) -> Result<bool, RevocationError>;

    /// Tells whether a token without `jti` is refused unasked. Default: true, for such a token cannot
    /// be revoked by its name.
    ///
    /// False is for rules that go by other claims, as "all tokens of this client".
    fn needs_token_id(&self) -> bool {
        true
    }
}

/// The hook of a validator, and what its failures mean.
#[derive(Debug)]
pub(crate) struct RevocationCheck {
    pub(crate) hook: Arc<dyn Revocation>,
    pub(crate) accept_failures: bool,
    /// Which failures that are accepted are logged.
    pub(crate) outage: Outage,
}

/// Tokens are checked beside each other: where some answers come, the failures of the others go on for so long.
pub(crate) const SETTLE: Duration = Duration::from_secs(10);
/// As long as a caller waits for keys.
const MAX_WAIT: Duration = Duration::from_secs(1);

impl RevocationCheck {
    /// Decides on a token that has passed everything else.
    pub(crate) async fn check(&self, claims: &Claims) -> Result<(), Reason> {
        if self.hook.needs_token_id() && claims.id().is_none_or(str::is_empty) {
            return Err(Reason::TokenIdMissing);
        }
        let answer = timeout(MAX_WAIT, self.hook.is_revoked(claims)).await;
        match answer.unwrap_or(Err(RevocationError("no answer within 1 s"))) {
            Ok(false) => {
                if let Some(end) = self.outage.succeeded() {
                    tracing::warn!("tokens are checked for revocation again, {end}");
                }
                Ok(())
            }
            Ok(true) => Err(Reason::Revoked),
            Err(error) if self.accept_failures => {
                if let Some(left_out) = self.outage.failed(&error) {
                    tracing::warn!(error = %error, "accepted a token that may be revoked{left_out}");
                } else {
                    tracing::debug!(error = %error, "accepted a token that may be revoked");
                }
                Ok(())
            }
            Err(error) => {
                // The refused request is logged with its reason; this adds what that cannot hold.
                tracing::debug!(error = %error, "could not find out whether a token is revoked");
                Err(Reason::RevocationUnknown)
            }
        }
    }
}

/// Whether a token is revoked could not be found out. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RevocationError(&'static str);

impl RevocationError {
    /// Returns an error; `why` is a fixed text, so that no token or address gets into it.
    #[must_use]
    pub fn new(why: &'static str) -> Self {
        Self(why)
    }
}

/// A bounded deny-list in memory, of this process alone.
///
/// Clones share their entries. An entry is needed until its token has expired beyond any leeway; from
/// then on it makes room for others.
#[derive(Clone, Debug)]
pub struct DenyList {
    entries: Arc<RwLock<Entries>>,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

/// By issuer, then by token id, with the time up to which the entry is needed. An id alone is one
/// issuer's: another issuer may give the same.
#[derive(Default)]
struct Entries {
    by_issuer: HashMap<Box<str>, HashMap<Box<str>, SystemTime>>,
    count: usize,
}

impl DenyList {
    /// Returns an empty list for at most `capacity` tokens.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::with_clock(capacity, Arc::new(SystemClock))
    }

    /// Returns an empty list that goes by this clock.
    #[must_use]
    pub fn with_clock(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            entries: Arc::default(),
            capacity,
            clock,
        }
    }

    /// Revokes the token with this `iss`, `jti` and `exp` from now on.
    ///
    /// # Errors
    ///
    /// Fails when the list is full of tokens that have not expired; no entry is given up for another.
    pub fn revoke(
        &self,
        issuer: &str,
        token_id: &str,
        expires_at: SystemTime,
    ) -> Result<(), DenyListFull> {
        // A date that has no later one is far enough off by itself.
        let needed_until = expires_at.checked_add(MAX_LEEWAY).unwrap_or(expires_at);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains(issuer, token_id) && entries.count >= self.capacity {
            entries.drop_expired(self.clock.now());
            if entries.count >= self.capacity {
                return Err(DenyListFull);
            }
        }
        entries.insert(issuer, token_id, needed_until);
        Ok(())
    }

    /// Tells whether the token with this `iss` and `jti` is on the list.
    #[must_use]
    pub fn contains(&self, issuer: &str, token_id: &str) -> bool {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(issuer, token_id)
    }

    /// Returns how many entries there are, those of expired tokens included that still have room.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .count
    }

    /// Tells whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entries {
    fn contains(&self, issuer: &str, token_id: &str) -> bool {
        self.by_issuer
            .get(issuer)
            .is_some_and(|tokens| tokens.contains_key(token_id))
    }

    fn insert(&mut self, issuer: &str, token_id: &str, needed_until: SystemTime) {
        let tokens = match self.by_issuer.get_mut(issuer) {
            Some(tokens) => tokens,
            None => self.by_issuer.entry(issuer.into()).or_default(),
        };
        match tokens.get_mut(token_id) {
            // Two dates for one token: the later one is the safer.
            Some(known) => *known = needed_until.max(*known),
            None => {
                tokens.insert(token_id.into(), needed_until);
                self.count += 1;
            }
        }
    }

    fn drop_expired(&mut self, now: SystemTime) {
        self.by_issuer.retain(|_, tokens| {
            tokens.retain(|_, needed_until| *needed_until >= now);
            !tokens.is_empty()
        });
        self.count = self.by_issuer.values().map(HashMap::len).sum();
    }
}

/// Shows numbers, and no token's name.
impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries")
            .field("issuers", &self.by_issuer.len())
            .field("count", &self.count)
            .finish()
    }
}

#[async_trait]
impl Revocation for DenyList {
    async fn is_revoked(&self, claims: &Claims) -> Result<bool, RevocationError> {
        Ok(claims
            .id()
            .is_some_and(|token_id| self.contains(claims.issuer(), token_id)))
    }
}

/// A deny-list holds as many tokens as it may, and none of them has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deny-list is full of tokens that have not expired")]
pub struct DenyListFull;
