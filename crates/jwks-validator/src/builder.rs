//! Settings of a validator.

mod error;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clock::{Clock, SystemClock};
use idp_http::{Outage, Supervisor};

use crate::admitted::{AdmissionPolicy, AdmittedIssuers};
use crate::algorithm::Algorithm;
use crate::issuer::{Issuer, IssuerSettings};
use crate::metrics::ValidatorMetrics;
use crate::policy::Policy;
use crate::required::{ClaimValue, RequiredClaim};
use crate::revocation::{Revocation, RevocationCheck, SETTLE};
use crate::source::IssuerKeys;
use crate::validator::{Inner, JwtValidator};
use crate::verified_cache::VerifiedCache;

pub use error::{BuildError, BuildErrorKind};

/// Settings of a [`JwtValidator`]. Issuer and audience have no default.
#[derive(Debug)]
pub struct JwtValidatorBuilder {
    issuers: Vec<(String, IssuerKeys)>,
    admission: Option<AdmissionPolicy>,
    policy: Policy,
    max_stale: Duration,
    verified_cache: usize,
    revocation: Option<Arc<dyn Revocation>>,
    accept_when_revocation_fails: bool,
    clock: Arc<dyn Clock>,
}

/// Caps the memory that a mistyped number can take.
const MAX_CACHED: usize = 1 << 22;
/// Each has a task and a connection, and the list of them is copied when one is added.
const MAX_ADMITTED: usize = 10_000;

impl JwtValidatorBuilder {
    pub(crate) fn new() -> Self {
        Self {
            issuers: Vec::new(),
            admission: None,
            policy: Policy::for_audiences::<String>([]),
            max_stale: Duration::from_secs(60 * 60),
            verified_cache: 0,
            revocation: None,
            accept_when_revocation_fails: false,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds an issuer and where its keys come from: a [`KeySource`](crate::KeySource), or
    /// [`IssuerKeys`] with what its tokens must say besides. `iss` must equal the name byte for byte.
    #[must_use]
    pub fn issuer(mut self, name: &str, keys: impl Into<IssuerKeys>) -> Self {
        self.issuers.push((name.to_owned(), keys.into()));
        self
    }

    /// Admits further issuers, `max` at the same time, as tokens name them: `policy` gives an issuer's
    /// keys, or `None` for one that is not trusted.
    ///
    /// The name comes from a token that nothing vouches for yet, so everybody who can send requests chooses
    /// it. The function must compare all of it with what it knows, quickly and without I/O. Of a name
    /// that it refuses it is not asked again for 60 s, for up to 1024 such names. An admitted one has
    /// its keys fetched like a configured one; its name must equal `iss` byte for byte.
    ///
    /// At most 16 issuers are admitted at once and one more per second. At the limit an issuer that
    /// has never had keys makes room; those that have had some do not, and further ones get 503. One that no
    /// token has named for an hour is not fetched any more and gives up its place, unless keys of it are
    /// revoked; the function is asked again about the next token that names it. The configured issuers are
    /// not affected by any of that.
    ///
    /// For keys found by discovery, let the metadata name no other host and resolve to no private
    /// address:
    ///
    /// ```
    /// use jwks_validator::{Discovery, IdpClient, IssuerKeys, JwtValidator, RemoteJwks};
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = IdpClient::builder().deny_private_addresses(true).build()?;
    /// let validator = JwtValidator::builder()
    ///     .admit_issuers(100, move |name| {
    ///         let tenant = name.strip_prefix("https://idp.example/tenants/")?;
    ///         if !["red", "blue"].contains(&tenant) {
    ///             return None;
    ///         }
    ///         let discovery = Discovery::new(client.clone(), name).ok()?.restrict_to_origins([]);
    ///         let keys = RemoteJwks::discover(client.clone(), discovery);
    ///         Some(IssuerKeys::new(keys).require_claim("tenant", tenant))
    ///     })
    ///     .audience("https://api.example")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn admit_issuers(
        mut self,
        max: usize,
        policy: impl Fn(&str) -> Option<IssuerKeys> + Send + Sync + 'static,
    ) -> Self {
        self.admission = Some(AdmissionPolicy {
            max,
            admit: Box::new(policy),
        });
        self
    }

    /// Replaces all rules for tokens, those that were set before included; rules that are set afterwards change this
    /// policy.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Adds an audience that this API is known by; a token must have one of them. There is no space in one:
    /// lists of them are separated by spaces.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.policy.audiences.push(audience.into().into_boxed_str());
        self
    }

    /// Adds several audiences.
    #[must_use]
    pub fn audiences<A: Into<String>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        let audiences = audiences.into_iter().map(|it| it.into().into_boxed_str());
        self.policy.audiences.extend(audiences);
        self
    }

    /// Sets whether tokens for any audience are accepted, those that were issued for other APIs included, and
    /// those for none. Default: they are not.
    #[must_use]
    pub fn dangerous_skip_audience(mut self, skipped: bool) -> Self {
        self.policy.any_audience = skipped;
        self
    }

    /// Sets the claim that holds the audience ([`Policy::audience_claim`]). Default `aud`.
    #[must_use]
    pub fn audience_claim(mut self, name: impl Into<String>) -> Self {
        self.policy = self.policy.audience_claim(name);
        self
    }

    /// Requires a claim with this value of every token, whichever issuer's
    /// ([`Policy::require_claim`]). Default: none.
    #[must_use]
    pub fn require_claim(self, name: &str, value: impl Into<ClaimValue>) -> Self {
        self.require_claim_in(name, [value])
    }

    /// Requires a claim with one of these values.
    #[must_use]
    pub fn require_claim_in<V: Into<ClaimValue>>(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.policy = self.policy.require_claim_in(name, values);
        self
    }

    /// Sets the longest token that is looked at, in bytes ([`Policy::max_token_size`]). Default 12 KiB, at
    /// most 32 KiB.
    #[must_use]
    pub fn max_token_size(mut self, bytes: usize) -> Self {
        self.policy = self.policy.max_token_size(bytes);
        self
    }

    /// Sets the algorithms that are accepted ([`Policy::algorithms`]). Default: all of
    /// [`Algorithm::ALL`].
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.policy = self.policy.algorithms(algorithms);
        self
    }

    /// Sets how far the issuer's clock may differ from ours, in whole seconds. Default 60 s, at most
    /// 300 s.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.policy = self.policy.leeway(leeway);
        self
    }

    /// Sets whether to require the `typ` and the claims that RFC 9068 requires ([`Policy::rfc9068`]). Default:
    /// they may be absent.
    #[must_use]
    pub fn rfc9068(mut self, required: bool) -> Self {
        self.policy = self.policy.rfc9068(required);
        self
    }

    /// Sets whether the subject must be the client itself ([`Policy::clients_only`]). Default: it may be
    /// any.
    #[must_use]
    pub fn clients_only(mut self, required: bool) -> Self {
        self.policy = self.policy.clients_only(required);
        self
    }

    /// Sets the longest time from issue to expiry, in whole seconds. Default 24 h.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.policy = self.policy.max_lifetime(max_lifetime);
        self
    }

    /// Sets the claim that scopes are read from ([`Policy::scope_claim`]). Default `scope`.
    #[must_use]
    pub fn scope_claim(mut self, name: impl Into<String>) -> Self {
        self.policy = self.policy.scope_claim(name);
        self
    }

    /// Sets whether scopes may stand in an array of strings too ([`Policy::allow_scope_array`]). Default: a
    /// token with one is refused.
    #[must_use]
    pub fn allow_scope_array(mut self, allowed: bool) -> Self {
        self.policy = self.policy.allow_scope_array(allowed);
        self
    }

    /// Sets for how long keys serve after the issuer last confirmed them, by the monotonic and by the wall
    /// clock. Default 1 h.
    ///
    /// Below 5 min it also shortens the interval between fetches.
    #[must_use]
    pub fn max_stale(mut self, max_stale: Duration) -> Self {
        self.max_stale = max_stale;
        self
    }

    /// Sets how many accepted tokens are kept, rounded up to a multiple of eight, so that their signature is
    /// not checked again. Default 0: none.
    ///
    /// A cached token is refused as soon as it expires or its key leaves the key set. Each entry
    /// takes some 200 bytes and the token's payload.
    #[must_use]
    pub fn verified_cache(mut self, entries: usize) -> Self {
        self.verified_cache = entries;
        self
    }

    /// Sets the hook that is asked about every token that passes all checks; [`DenyList`](crate::DenyList) is one.
    /// Default: no hook.
    ///
    /// With one, tokens without a `jti` are refused, unless [`Revocation::needs_token_id`] says otherwise. What cannot be found out within 1 s gets 503.
    #[must_use]
    pub fn revocation(mut self, revocation: impl Revocation) -> Self {
        self.revocation = Some(Arc::new(revocation));
        self
    }

    /// Sets whether a token is accepted when it cannot be found out whether it is revoked. An attacker who keeps
    /// the [`revocation`](Self::revocation) from answering then makes revoked tokens good again. Default: such
    /// a token gets 503.
    #[must_use]
    pub fn dangerous_accept_when_revocation_fails(mut self, accepted: bool) -> Self {
        self.accept_when_revocation_fails = accepted;
        self
    }

    /// Sets the wall clock. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the validator. Spawns no task and sends no request.
    ///
    /// # Errors
    ///
    /// Fails on the first setting that is missing or makes no sense.
    pub fn build(self) -> Result<JwtValidator, BuildError> {
        self.check().map_err(BuildError)?;
        let settings = IssuerSettings {
            max_stale: self.max_stale,
            rsa_default: self.policy.rsa_default,
            clock: Arc::clone(&self.clock),
            idle_after: None,
        };
        let supervisor = Supervisor::new();
        let issuers: Vec<Arc<Issuer>> = self
            .issuers
            .into_iter()
            .map(|(name, keys)| {
                let refresher = supervisor.task();
                Arc::new(Issuer::new(&name, &name, keys, settings.clone(), refresher))
            })
            .collect();
        let admitted = self
            .admission
            .map(|policy| AdmittedIssuers::new(policy, issuers.len(), settings));
        let verified = match self.verified_cache {
            0 => None,
            entries => {
                Some(VerifiedCache::new(entries).map_err(|_| BuildError(BuildErrorKind::Random))?)
            }
        };
        let revocation = self.revocation.map(|hook| RevocationCheck {
            outage: Outage::settling(SETTLE),
            hook,
            accept_failures: self.accept_when_revocation_fails,
        });
        Ok(JwtValidator::new(Inner {
            issuers,
            admitted,
            policy: self.policy,
            clock: self.clock,
            verified,
            revocation,
            metrics: ValidatorMetrics::new(),
            published: Arc::default(),
            supervisor,
            is_started: AtomicBool::new(false),
        }))
    }

    fn check(&self) -> Result<(), BuildErrorKind> {
        let names = || self.issuers.iter().map(|(name, _)| name);
        let is_repeated = |name: &String| names().filter(|other| *other == name).count() > 1;
        if (self.issuers.is_empty() && self.admission.is_none()) || names().any(String::is_empty) {
            return Err(BuildErrorKind::Issuer);
        }
        let admission = self.admission.as_ref();
        if admission.is_some_and(|policy| !(1..=MAX_ADMITTED).contains(&policy.max)) {
            return Err(BuildErrorKind::AdmittedIssuers);
        }
        if names().any(is_repeated) {
            return Err(BuildErrorKind::RepeatedIssuer);
        }
        self.policy.check()?;
        let mut of_issuers = self
            .issuers
            .iter()
            .flat_map(|(_, keys)| &keys.required_claims);
        if !of_issuers.all(RequiredClaim::makes_sense) {
            return Err(BuildErrorKind::RequiredClaim);
        }
        if self.max_stale < Duration::from_secs(1) {
            return Err(BuildErrorKind::MaxStale);
        }
        if self.verified_cache > MAX_CACHED {
            return Err(BuildErrorKind::VerifiedCache);
        }
        Ok(())
    }
}
