//! Settings of a validator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, SystemClock};

use crate::algorithm::Algorithm;
use crate::issuer::Issuer;
use crate::policy::{DEFAULT_LEEWAY, DEFAULT_MAX_LIFETIME, MAX_LEEWAY, Policy};
use crate::source::KeySource;
use crate::validator::JwtValidator;
use crate::verified::VerifiedTokens;

/// Settings of a [`JwtValidator`]. Issuer and audience have no default.
#[derive(Debug)]
pub struct JwtValidatorBuilder {
    issuers: Vec<(String, Arc<dyn KeySource>)>,
    audiences: Vec<String>,
    skip_audience: bool,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    rfc9068: bool,
    max_lifetime: Duration,
    max_stale: Duration,
    remembered_tokens: usize,
    clock: Arc<dyn Clock>,
}

/// Caps the memory that a mistyped number can take.
const MAX_REMEMBERED: usize = 1 << 22;

impl JwtValidatorBuilder {
    pub(crate) fn new() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            skip_audience: false,
            algorithms: Algorithm::ALL.to_vec(),
            leeway: DEFAULT_LEEWAY,
            rfc9068: false,
            max_lifetime: DEFAULT_MAX_LIFETIME,
            max_stale: Duration::from_secs(60 * 60),
            remembered_tokens: 0,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds an issuer and where its keys come from. `iss` must equal the name byte for byte.
    #[must_use]
    pub fn issuer(mut self, name: &str, source: impl KeySource) -> Self {
        self.issuers.push((name.to_owned(), Arc::new(source)));
        self
    }

    /// Adds an audience that this API is known by; a token must have one of them.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Adds several audiences.
    #[must_use]
    pub fn audiences<A: Into<String>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.audiences.extend(audiences.into_iter().map(Into::into));
        self
    }

    /// Accepts tokens for any audience, those that were issued for other APIs included.
    #[must_use]
    pub fn dangerous_skip_audience(mut self) -> Self {
        self.skip_audience = true;
        self
    }

    /// Sets the algorithms that are accepted. Default: all of [`Algorithm::ALL`].
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets how far the issuer's clock may differ from ours, in whole seconds. Default 60 s, at most
    /// 300 s.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Requires the `typ` and the claims that RFC 9068 requires. Default: they may be absent.
    #[must_use]
    pub fn rfc9068(mut self) -> Self {
        self.rfc9068 = true;
        self
    }

    /// Sets the longest time from issue to expiry, in whole seconds. Default 24 h.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = max_lifetime;
        self
    }

    /// Sets for how long keys serve after the issuer last confirmed them. Default 1 h.
    ///
    /// Below 5 min it also shortens the interval between fetches.
    #[must_use]
    pub fn max_stale(mut self, max_stale: Duration) -> Self {
        self.max_stale = max_stale;
        self
    }

    /// Remembers this many accepted tokens, rounded up to a multiple of eight, so that their
    /// signature is not checked again. Default 0: none.
    ///
    /// A remembered token is refused as soon as it expires or its key leaves the key set. Each entry
    /// takes some 200 bytes and the token's payload.
    #[must_use]
    pub fn verified_token_cache(mut self, entries: usize) -> Self {
        self.remembered_tokens = entries;
        self
    }

    /// Sets the wall clock. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the validator. Spawns nothing and asks nobody.
    ///
    /// # Errors
    ///
    /// Fails on the first setting that is missing or makes no sense.
    pub fn build(self) -> Result<JwtValidator, BuildError> {
        self.check().map_err(BuildError)?;
        let policy = if self.skip_audience {
            Policy::dangerous_for_any_audience()
        } else {
            Policy::for_audiences(self.audiences)
        };
        let mut policy = policy
            .algorithms(self.algorithms)
            .leeway(self.leeway)
            .max_lifetime(self.max_lifetime);
        policy.rfc9068 = self.rfc9068;
        let issuers = self
            .issuers
            .into_iter()
            .map(|(name, source)| Arc::new(Issuer::new(&name, source, self.max_stale)))
            .collect();
        let verified = match self.remembered_tokens {
            0 => None,
            entries => {
                Some(VerifiedTokens::new(entries).map_err(|_| BuildError(BuildErrorKind::Random))?)
            }
        };
        Ok(JwtValidator::new(issuers, policy, self.clock, verified))
    }

    fn check(&self) -> Result<(), BuildErrorKind> {
        let names = || self.issuers.iter().map(|(name, _)| name);
        let is_repeated = |name: &String| names().filter(|other| *other == name).count() > 1;
        if self.issuers.is_empty() || names().any(String::is_empty) {
            return Err(BuildErrorKind::Issuer);
        }
        if names().any(is_repeated) {
            return Err(BuildErrorKind::RepeatedIssuer);
        }
        // Naming an audience and skipping it contradict each other; neither may win silently.
        if self.skip_audience != self.audiences.is_empty()
            || self.audiences.iter().any(String::is_empty)
        {
            return Err(BuildErrorKind::Audience);
        }
        if self.algorithms.is_empty() {
            return Err(BuildErrorKind::Algorithms);
        }
        if self.leeway > MAX_LEEWAY {
            return Err(BuildErrorKind::Leeway);
        }
        if self.max_lifetime.as_secs() == 0 {
            return Err(BuildErrorKind::MaxLifetime);
        }
        if self.max_stale < Duration::from_secs(1) {
            return Err(BuildErrorKind::MaxStale);
        }
        if self.remembered_tokens > MAX_REMEMBERED {
            return Err(BuildErrorKind::VerifiedTokenCache);
        }
        Ok(())
    }
}

/// A setting that is missing or makes no sense. Holds no value of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(pub(crate) BuildErrorKind);

/// Which setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// There is no issuer, or one with an empty name.
    Issuer,
    /// Two issuers have the same name.
    RepeatedIssuer,
    /// There is no audience, an empty one, or one although the check is to be skipped.
    Audience,
    /// There is no algorithm.
    Algorithms,
    /// The leeway is above 300 s.
    Leeway,
    /// The longest lifetime is below 1 s.
    MaxLifetime,
    /// The outage limit is below 1 s.
    MaxStale,
    /// More than 4 million tokens are to be remembered.
    VerifiedTokenCache,
    /// The realm is empty or holds something else than printable ASCII without quotes.
    Realm,
    /// There is no scope, or one that is no scope token (RFC 6749 section 3.3).
    Scope,
    /// The system gave no random bytes.
    Random,
}

impl BuildError {
    /// Returns which setting it is.
    #[must_use]
    pub fn kind(&self) -> BuildErrorKind {
        self.0
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            BuildErrorKind::Issuer => "no issuer, or one with an empty name",
            BuildErrorKind::RepeatedIssuer => "two issuers have the same name",
            BuildErrorKind::Audience => {
                "no audience, an empty one, or one although the check is to be skipped"
            }
            BuildErrorKind::Algorithms => "no algorithm is allowed",
            BuildErrorKind::Leeway => "leeway is above 300 s",
            BuildErrorKind::MaxLifetime => "longest lifetime is below 1 s",
            BuildErrorKind::MaxStale => "outage limit is below 1 s",
            BuildErrorKind::VerifiedTokenCache => {
                "verified-token cache has more than 4194304 entries"
            }
            BuildErrorKind::Realm => "realm is not printable ASCII without quotes",
            BuildErrorKind::Scope => "no scope, or one that is no scope token",
            BuildErrorKind::Random => "no random bytes from the system",
        })
    }
}

impl std::error::Error for BuildError {}
