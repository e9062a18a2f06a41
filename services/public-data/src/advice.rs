//! What to change when there is no token, by the names of the variables.

use std::sync::Arc;

use async_trait::async_trait;
use service_kit::config::advice_on_fetch;
use service_kit::trace;
use token_cache::{
    ClientCredentials, Invalid, IssuedToken, Permanent, TokenError, TokenErrorKind, TokenRequest,
    TokenSource, Transient,
};
use tokio::time::Instant;

use crate::record::TokenRequests;

/// Returns what to change for this failure to go away, naming the variables of
/// [`Config`](crate::Config).
#[must_use]
pub fn advice(error: &TokenError) -> &'static str {
    if let Some(advice) = error.fetch_error_kind().and_then(advice_on_fetch) {
        return advice;
    }
    match error.kind() {
        TokenErrorKind::Permanent(Permanent::InvalidClient) => {
            "correct CLIENT_SECRET (or CLIENT_SECRET_FILE) and CLIENT_ID; if these are right, the \
             provider wants another CLIENT_AUTH_METHOD"
        }
        TokenErrorKind::Permanent(Permanent::ScopeNotGranted) => {
            "allow the client this scope at the provider, take it out of TOKEN_SCOPE, or set \
             ACCEPT_NARROWER_SCOPE=true"
        }
        TokenErrorKind::Permanent(Permanent::OAuth) => on_code(error.oauth_code()),
        TokenErrorKind::Permanent(Permanent::Discovery) => {
            "set ISSUER to the issuer exactly as its metadata names it, or set TOKEN_ENDPOINT"
        }
        TokenErrorKind::Invalid(Invalid::TokenType) => {
            "if that is the provider's name for bearer tokens, add it to TOKEN_TYPE_NAMES"
        }
        TokenErrorKind::Invalid(Invalid::TooLarge) => {
            "raise MAX_TOKEN_SIZE, here and at protected-data; 32KiB is the most"
        }
        TokenErrorKind::Invalid(
            Invalid::MissingToken | Invalid::TokenSyntax | Invalid::ExpiresIn | Invalid::Json,
        ) => {
            "the provider's answer is at fault, and no setting here: tell whoever runs the provider"
        }
        TokenErrorKind::Permanent(Permanent::Redirect | Permanent::Status)
        | TokenErrorKind::Invalid(_) => {
            "TOKEN_ENDPOINT, ISSUER or APPLICATION_VANITY_DOMAIN leads to something else than a token \
             endpoint, or a firewall in front of it refuses this machine"
        }
        TokenErrorKind::Transient(Transient::Status) => {
            "the provider behind ISSUER, APPLICATION_VANITY_DOMAIN or TOKEN_ENDPOINT is overloaded or \
             broken; try again later"
        }
        TokenErrorKind::Transient(Transient::Throttled) => {
            "the provider limits how often CLIENT_ID may ask; run fewer instances, or have the limit raised"
        }
        TokenErrorKind::Transient(_) => {
            "is the provider running? check host and port of ISSUER, APPLICATION_VANITY_DOMAIN or \
             TOKEN_ENDPOINT"
        }
        _ => {
            "check CLIENT_SECRET_FILE, CLIENT_ID_FILE and TOKEN_HEADERS_FILE, and the scheme of ISSUER or TOKEN_ENDPOINT"
        }
    }
}

/// The codes of RFC 6749 section 5.2 and RFC 8707 section 2, and those that providers add.
fn on_code(code: Option<&str>) -> &'static str {
    match code {
        Some("invalid_scope") => {
            "take out of TOKEN_SCOPE what the client may not have, or allow it at the provider"
        }
        Some("invalid_target") => {
            "set TOKEN_AUDIENCE or TOKEN_RESOURCE to an API that the provider knows, or take them out"
        }
        Some("unauthorized_client") => {
            "allow CLIENT_ID the client credentials grant at the provider, and check CLIENT_SECRET and \
             CLIENT_AUTH_METHOD"
        }
        Some("access_denied") => {
            "name the API in TOKEN_AUDIENCE, and allow CLIENT_ID that API at the provider"
        }
        _ => "check TOKEN_SCOPE, TOKEN_AUDIENCE and TOKEN_RESOURCE",
    }
}

/// A token source whose failures say what to change, so that the cache's log lines do.
#[derive(Debug)]
pub(crate) struct Advised {
    pub(crate) source: ClientCredentials,
    /// What became of each request is noted here.
    pub(crate) requests: Arc<TokenRequests>,
}

#[async_trait]
impl TokenSource for Advised {
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        let begun = Instant::now();
        let fetch = self.source.fetch(request);
        let result = trace::client("POST token endpoint", fetch).await;
        self.requests.note(begun.elapsed(), &result);
        result.map_err(|error| {
            let advice = advice(&error);
            error.with_advice(advice)
        })
    }

    async fn credentials_version(&self) -> u64 {
        self.source.credentials_version().await
    }
}
