//! What a token must be like, apart from its issuer and its key.

use std::borrow::Cow;
use std::time::Duration;

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::builder::BuildErrorKind;
use crate::required::{ClaimValue, RequiredClaim};

/// The rules that [`validate`](crate::validate()) applies to a token.
///
/// Defaults: every [`Algorithm`], 60 s leeway, 24 h longest lifetime, tokens of up to 12 KiB, `typ` of `JWT`
/// or `at+jwt` or none, the audience in `aud`, scopes in the string `scope`, no further claims. There is no
/// default for the audience itself.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) algorithms: AlgorithmSet,
    /// What RSA keys are for that do not say so.
    pub(crate) rsa_default: Algorithm,
    pub(crate) audiences: Vec<Box<str>>,
    /// Skips the check.
    pub(crate) any_audience: bool,
    /// `None` is `aud`.
    pub(crate) audience_claim: Option<Box<str>>,
    pub(crate) max_token_size: usize,
    pub(crate) required_claims: Vec<RequiredClaim>,
    pub(crate) leeway: i64,
    pub(crate) max_lifetime: i64,
    pub(crate) kind: TokenKind,
    pub(crate) clients_only: bool,
    pub(crate) scope_claim: Cow<'static, str>,
    pub(crate) scope_array: bool,
}

/// What a token is for; its `typ` and the claims that it must have follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An access token of any provider.
    Access,
    /// An access token as RFC 9068 has it.
    Rfc9068,
    /// An ID token (OpenID Connect Core 1.0 section 2).
    Id,
    /// A logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
    Logout,
}

/// How old an ID token or a logout token may be, in seconds: both are sent as soon as they are made.
pub(crate) const MAX_AGE: i64 = 600;

/// The longest leeway that is allowed.
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// The longest token that a policy may allow, in bytes: a header block holds no more for long.
pub const MAX_TOKEN_SIZE: usize = 32 * 1024;
/// The longest token that is looked at unless a policy says otherwise, in bytes. One of Entra with 200 groups
/// has some 10 KiB.
pub const DEFAULT_TOKEN_SIZE: usize = 12 * 1024;

impl Policy {
    /// The claims that are read as something else, and so can hold no scopes.
    pub const OTHER_CLAIMS: [&str; 9] = [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "client_id",
        "cnf",
    ];

    /// The claims that are dates, an issuer, an id or a key, and so can hold no audience.
    pub const FIXED_CLAIMS: [&str; 6] = ["iss", "exp", "nbf", "iat", "jti", "cnf"];

    /// Returns the default rules for an API that is known by these audiences; one of them must be in
    /// the token. With none, no token passes.
    #[must_use]
    pub fn for_audiences<A: Into<String>>(audiences: impl IntoIterator<Item = A>) -> Self {
        Self {
            audiences: audiences
                .into_iter()
                .map(|audience| audience.into().into_boxed_str())
                .collect(),
            any_audience: false,
            ..Self::dangerous_for_any_audience()
        }
    }

    /// Returns the default rules without a check of the audience: a token that was issued for any
    /// other API of the same issuer is accepted, and one for none, whether `aud` is absent or an empty
    /// array. An `aud` that is neither a string nor an array of strings is refused all the same.
    #[must_use]
    pub fn dangerous_for_any_audience() -> Self {
        Self {
            algorithms: Algorithm::ALL.into_iter().collect(),
            rsa_default: Algorithm::Rs256,
            audiences: Vec::new(),
            any_audience: true,
            audience_claim: None,
            max_token_size: DEFAULT_TOKEN_SIZE,
            required_claims: Vec::new(),
            leeway: 60,
            max_lifetime: 24 * 60 * 60,
            kind: TokenKind::Access,
            clients_only: false,
            scope_claim: Cow::Borrowed("scope"),
            scope_array: false,
        }
    }

    /// Returns the rules for ID tokens that were issued to this client (OpenID Connect Core 1.0 section 3.1.3.7,
    /// as far as the token alone can tell): `typ` of `JWT` or none, the client's id in `aud`, `sub` of at most 255
    /// bytes and `iat` are there, `iat` is less than 10 min ago, and a `kid` where several keys could have signed
    /// it. Up to 32 KiB, any lifetime. `nonce`, `azp` and `at_hash` are the caller's to check.
    #[must_use]
    pub fn for_id_tokens(client_id: &str) -> Self {
        Self::for_messages(client_id, TokenKind::Id)
    }

    /// Returns the rules for logout tokens to this client (OpenID Connect Back-Channel Logout 1.0 section 2.6, as
    /// far as the token's common claims tell): `typ` of `logout+jwt`, `JWT` or none, the client's id in `aud`,
    /// `iat` less than 10 min ago, `jti`, and a `kid` where several keys could have signed it. Up to 16 KiB.
    /// `events`, `nonce` and `sid` are the caller's to check.
    #[must_use]
    pub fn for_logout_tokens(client_id: &str) -> Self {
        Self::for_messages(client_id, TokenKind::Logout).max_token_size(16 * 1024)
    }

    fn for_messages(client_id: &str, kind: TokenKind) -> Self {
        Self {
            kind,
            max_token_size: MAX_TOKEN_SIZE,
            max_lifetime: i64::MAX / 4,
            ..Self::for_audiences([client_id])
        }
    }

    /// Sets the algorithms that a header may name.
    ///
    /// The keys of a [`JwtValidator`](crate::JwtValidator) that are RSA keys and published without `alg` are
    /// good for the first RSA algorithm among these, and for that one only: by default RS256.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let algorithms: Vec<Algorithm> = algorithms.into_iter().collect();
        let mut rsa = algorithms.iter().filter(|it| it.rsa().is_some());
        self.rsa_default = rsa.next().copied().unwrap_or(Algorithm::Rs256);
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets the claim that holds the audience, such as `client_id` for the access tokens of Amazon Cognito. It
    /// must then be a string; `aud` may be anything. [`FIXED_CLAIMS`](Self::FIXED_CLAIMS) and the claim of
    /// scopes give no token an audience.
    #[must_use]
    pub fn audience_claim(mut self, name: impl Into<String>) -> Self {
        let name: String = name.into();
        self.audience_claim = (name != "aud").then(|| name.into_boxed_str());
        self
    }

    /// Requires a claim with this value: `token_use` of `access`, so that an ID token is none
    /// ([`Reason::ClaimMismatch`](crate::Reason::ClaimMismatch)). An array never has a value.
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
        self.required_claims.push(RequiredClaim::new(name, values));
        self
    }

    /// Sets the longest token that is looked at, in bytes and at most [`MAX_TOKEN_SIZE`]. The server in front
    /// must let a header block of that size, and what else it holds, through.
    #[must_use]
    pub fn max_token_size(mut self, bytes: usize) -> Self {
        self.max_token_size = bytes;
        self
    }

    /// Sets how far the issuer's clock may differ from ours, in whole seconds and at most
    /// [`MAX_LEEWAY`].
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = seconds(leeway);
        self
    }

    /// Sets the longest time from issue to expiry, in whole seconds.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = seconds(max_lifetime);
        self
    }

    /// Sets whether to require what RFC 9068 requires: `typ` `at+jwt`, and the claims `sub`, `client_id`, `iat`
    /// and `jti`. Default: they may be absent. It changes nothing about ID tokens and logout tokens.
    #[must_use]
    pub fn rfc9068(mut self, required: bool) -> Self {
        self.kind = match (self.kind, required) {
            (TokenKind::Access | TokenKind::Rfc9068, true) => TokenKind::Rfc9068,
            (TokenKind::Access | TokenKind::Rfc9068, false) => TokenKind::Access,
            (other, _) => other,
        };
        self
    }

    /// Sets whether the subject must be the client itself: `client_id` and `sub` are there and equal, as in
    /// tokens of the client credentials grant (RFC 9068 section 2.2). Default: it may be any; an API that
    /// knows callers by `sub` should then know that a client may be named like a user (RFC 9700 section 4.15).
    #[must_use]
    pub fn clients_only(mut self, required: bool) -> Self {
        self.clients_only = required;
        self
    }

    /// Sets the claim that scopes are read from, such as `scp`. No other is looked at then: `scope`
    /// may be anything. One of [`OTHER_CLAIMS`](Self::OTHER_CLAIMS) gives no token any scope.
    #[must_use]
    pub fn scope_claim(mut self, name: impl Into<String>) -> Self {
        self.scope_claim = Cow::Owned(name.into());
        self
    }

    /// Sets whether scopes may stand in an array of strings too, one scope token (RFC 6749 section 3.3) in
    /// each. A token with any other array is refused. Default: it must be a string.
    #[must_use]
    pub fn allow_scope_array(mut self, allowed: bool) -> Self {
        self.scope_array = allowed;
        self
    }

    /// Returns the longest token that is looked at. The limit holds here too: a policy without a validator is not
    /// checked.
    pub(crate) fn longest_token(&self) -> usize {
        self.max_token_size.min(MAX_TOKEN_SIZE)
    }

    /// Returns the leeway in seconds, at most [`MAX_LEEWAY`].
    pub(crate) fn leeway_s(&self) -> i64 {
        self.leeway.min(seconds(MAX_LEEWAY))
    }

    /// Finds the first setting that makes no sense.
    pub(crate) fn check(&self) -> Result<(), BuildErrorKind> {
        let mut audiences = self.audiences.iter();
        // Naming an audience and skipping the check contradict each other; neither may win silently.
        if self.any_audience != self.audiences.is_empty()
            || audiences.any(|it| it.is_empty() || it.contains(' '))
        {
            return Err(BuildErrorKind::Audience);
        }
        let claim = self.audience_claim.as_deref();
        if claim.is_some_and(|name| {
            name.is_empty() || Self::FIXED_CLAIMS.contains(&name) || name == self.scope_claim
        }) {
            return Err(BuildErrorKind::AudienceClaim);
        }
        if !self.required_claims.iter().all(RequiredClaim::makes_sense) {
            return Err(BuildErrorKind::RequiredClaim);
        }
        if !(1..=MAX_TOKEN_SIZE).contains(&self.max_token_size) {
            return Err(BuildErrorKind::MaxTokenSize);
        }
        if self.algorithms.is_empty() {
            return Err(BuildErrorKind::Algorithms);
        }
        if self.leeway > seconds(MAX_LEEWAY) {
            return Err(BuildErrorKind::Leeway);
        }
        if self.max_lifetime == 0 {
            return Err(BuildErrorKind::MaxLifetime);
        }
        if self.scope_claim.is_empty() || Self::OTHER_CLAIMS.contains(&&*self.scope_claim) {
            return Err(BuildErrorKind::ScopeClaim);
        }
        Ok(())
    }
}

/// Clamped so that adding it to a date of the year 9999 cannot overflow.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).map_or(i64::MAX / 4, |seconds| seconds.min(i64::MAX / 4))
}
