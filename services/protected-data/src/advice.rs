//! Advice for missing keys and refused tokens, by the names of the variables.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jwks_validator::{
    EntityTag, Fetched, KeySource, Reason, RemoteJwks, SourceError, SourceErrorKind,
};
use service_kit::config::{advice_on_fetch, advice_on_issuer};
use tokio::time::Instant;

use crate::record::KeyFetches;

/// Returns the change that ends this failure, naming the variables of
/// [`Config`](crate::Config).
#[must_use]
pub fn advice_on_keys(kind: SourceErrorKind) -> &'static str {
    if let SourceErrorKind::Fetch(kind) = kind
        && let Some(advice) = advice_on_fetch(kind)
    {
        return advice;
    }
    match kind {
        SourceErrorKind::Fetch(_) | SourceErrorKind::TooSlow => {
            "is the provider running? check host and port of ISSUER, APPLICATION_VANITY_DOMAIN or \
             JWKS_URI"
        }
        SourceErrorKind::Status(401 | 403) => {
            "no credentials are sent for keys: let them be read without (in Kubernetes, bind the cluster role \
             system:service-account-issuer-discovery to the group system:unauthenticated), or set JWKS_URI \
             to where they can be"
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
        Reason::AudienceMismatch => {
            "if it should pass, API_AUDIENCE here or TOKEN_AUDIENCE at the caller is wrong"
        }
        Reason::AudienceMissing => {
            "if it should pass, set TOKEN_AUDIENCE at the caller, AUDIENCE_CLAIM to the claim that names this API \
             (client_id at Cognito), or DANGEROUS_SKIP_AUDIENCE=true instead of API_AUDIENCE"
        }
        Reason::Opaque => {
            "if it should pass, make its provider issue a JWT for this API: many do so once TOKEN_AUDIENCE or \
             TOKEN_RESOURCE at the caller names it; introspection is not built in"
        }
        Reason::Encrypted => {
            "if it should pass, turn the encryption of access tokens for this API off at the provider"
        }
        Reason::TooLarge => "if it should pass, raise MAX_TOKEN_SIZE",
        Reason::ClaimMismatch => {
            "if it should pass, REQUIRED_CLAIMS wants another value than the token has"
        }
        Reason::MalformedToken => {
            "TOKEN_FROM names a place that must hold the token and nothing else"
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

/// Returns the [`advice_on_refusal`], and another one for an issuer that has two kinds of tokens.
#[must_use]
pub(crate) fn advice_for_issuer(issuer: &str, reason: Reason) -> Option<&'static str> {
    let is_entra_v2 = issuer.starts_with("https://login.microsoftonline.com/")
        && issuer.trim_end_matches('/').ends_with("/v2.0");
    if is_entra_v2 && reason == Reason::UnknownIssuer {
        return Some(
            "if it should pass, ISSUER differs from the token's iss; one that begins with \
             https://sts.windows.net/ is that of a version 1 token: set requestedAccessTokenVersion to 2 in \
             the manifest of this API's application",
        );
    }
    advice_on_refusal(reason)
}

/// A key source whose failures say what to change, so that the validator's log lines do.
#[derive(Debug)]
pub(crate) struct Advised {
    pub(crate) source: RemoteJwks,
    /// The configured issuer.
    pub(crate) issuer: String,
    /// The outcome of each fetch is noted here.
    pub(crate) fetches: Arc<KeyFetches>,
}

#[async_trait]
impl KeySource for Advised {
    async fn fetch(&self, entity_tag: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        let begun = Instant::now();
        let result = self.source.fetch(entity_tag).await;
        self.fetches.note(begun.elapsed(), &result);
        result.map_err(|error| match error.published_issuer() {
            Some(published) => {
                let advice = advice_on_issuer(&self.issuer, published);
                error.with_advice(advice)
            }
            None => {
                let advice = advice_on_keys(error.kind());
                error.with_advice(advice)
            }
        })
    }

    fn time_limit(&self) -> Duration {
        self.source.time_limit()
    }

    async fn settings_version(&self) -> u64 {
        self.source.settings_version().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N58
    #[test]
    fn an_unknown_issuer_under_entra_names_the_version_of_its_tokens() {
        const V2: &str =
            "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0";
        let names_version = |issuer: &str, reason| {
            let advice = advice_for_issuer(issuer, reason).unwrap();
            advice.contains("requestedAccessTokenVersion")
        };
        assert!(names_version(V2, Reason::UnknownIssuer));
        assert!(!names_version(V2, Reason::AudienceMismatch));
        for issuer in [
            "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
            "https://idp.example/v2.0",
            "https://login.microsoftonline.com.example/x/v2.0",
        ] {
            assert!(!names_version(issuer, Reason::UnknownIssuer), "{issuer}");
        }
    }
}
