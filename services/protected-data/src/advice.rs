//! What to change when there are no keys or a token is refused, by the names of the variables.

use std::sync::Arc;

use async_trait::async_trait;
use jwks_validator::{
    Fetched, KeySource, Reason, RemoteJwks, SourceError, SourceErrorKind, Validators,
};
use tokio::time::Instant;

use crate::record::KeyFetches;

/// Returns what to change for this failure to go away, naming the variables of
/// [`Config`](crate::Config).
#[must_use]
pub fn advice_on_keys(kind: SourceErrorKind) -> &'static str {
    match kind {
        SourceErrorKind::Fetch(kind) if kind.as_str() == "tls" => {
            "set IDP_CA_FILE to the authority that signed the provider's certificate, and check scheme \
             and host of ISSUER, APPLICATION_VANITY_DOMAIN or JWKS_URI"
        }
        SourceErrorKind::Fetch(_) | SourceErrorKind::TooSlow => {
            "is the provider running? check host and port of ISSUER, APPLICATION_VANITY_DOMAIN or \
             JWKS_URI"
        }
        SourceErrorKind::IssuerMismatch => {
            "set ISSUER to the issuer exactly as its metadata names it, letter case and slash at the \
             end included"
        }
        SourceErrorKind::Discovery | SourceErrorKind::NoJwksUri => {
            "check the path of ISSUER, or set JWKS_URI"
        }
        _ => {
            "JWKS_URI, ISSUER or APPLICATION_VANITY_DOMAIN leads to something else than usable keys"
        }
    }
}

/// Returns which variables of [`Config`](crate::Config) decide about such a refusal, for those that a
/// mistake in the configuration can cause.
#[must_use]
pub fn advice_on_refusal(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::AudienceMismatch | Reason::AudienceMissing => {
            "if it should pass, API_AUDIENCE here or TOKEN_AUDIENCE at the caller is wrong"
        }
        Reason::UnknownIssuer => "if it should pass, ISSUER differs from the token's iss",
        Reason::UnknownKey | Reason::KeyAlgorithm | Reason::Signature => {
            "if it should pass, JWKS_URI or ISSUER leads to the keys of another provider"
        }
        Reason::AlgorithmNotAllowed => "if it should pass, add the algorithm to ALLOWED_ALGORITHMS",
        Reason::LifetimeTooLong => "if it should pass, raise MAX_TOKEN_LIFETIME",
        Reason::ScopeType => {
            "if it should pass, set ALLOW_SCOPE_ARRAY=true, or SCOPE_CLAIM to the claim that holds the \
             token's scopes"
        }
        Reason::InsufficientScope => {
            "if it should pass, the caller's TOKEN_SCOPE lacks a scope of REQUIRED_SCOPES, or SCOPE_CLAIM \
             is not the claim that holds the token's"
        }
        Reason::Expired | Reason::NotYetValid | Reason::IssuedInFuture => {
            "if it is fresh, set the clock of this machine or of the provider"
        }
        Reason::KeysUnavailable | Reason::KeysStale | Reason::KeyUndetermined => {
            "is the provider running? check ISSUER, APPLICATION_VANITY_DOMAIN or JWKS_URI"
        }
        Reason::ClockUnset => "set the clock of this machine",
        _ => return None,
    })
}

/// A key source whose failures say what to change, so that the validator's log lines do.
#[derive(Debug)]
pub(crate) struct Advised {
    pub(crate) source: RemoteJwks,
    /// What became of each fetch is noted here.
    pub(crate) fetches: Arc<KeyFetches>,
}

#[async_trait]
impl KeySource for Advised {
    async fn fetch(&self, validators: Option<&Validators>) -> Result<Fetched, SourceError> {
        let begun = Instant::now();
        let result = self.source.fetch(validators).await;
        self.fetches.note(begun.elapsed(), &result);
        result.map_err(|error| {
            let advice = advice_on_keys(error.kind());
            error.with_advice(advice)
        })
    }
}
