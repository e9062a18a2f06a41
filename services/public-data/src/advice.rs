//! Advice where there is no token, by the names of the variables.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use service_kit::config::{advice_on_fetch, advice_on_issuer};
use service_kit::trace;
use token_cache::{
    ClientCredentials, IssuedToken, Need, TokenError, TokenErrorKind, TokenRequest, TokenSource,
};
use tokio::time::Instant;

use crate::record::TokenRequests;

/// Returns the change that ends this failure, naming the variables of
/// [`Config`](crate::Config).
#[must_use]
pub fn advice(error: &TokenError) -> &'static str {
    if let Some(advice) = error.fetch_error_kind().and_then(advice_on_fetch) {
        return advice;
    }
    match error.kind() {
        TokenErrorKind::InvalidClient => {
            "correct CLIENT_SECRET (or CLIENT_SECRET_FILE) and CLIENT_ID, or the file that \
             CLIENT_AUTH_METHOD uses in place of a secret; if these are right, the provider wants another \
             CLIENT_AUTH_METHOD"
        }
        TokenErrorKind::ScopeNotGranted => {
            "allow the client this scope at the provider, take it out of TOKEN_SCOPE, or set \
             ACCEPT_NARROWER_SCOPE=true"
        }
        TokenErrorKind::OAuth => on_code(error.oauth_code()),
        TokenErrorKind::Discovery => {
            "set ISSUER to the issuer exactly as its metadata names it, or set TOKEN_ENDPOINT"
        }
        TokenErrorKind::TokenType => {
            "if that is the provider's name for bearer tokens, add it to TOKEN_TYPE_NAMES"
        }
        TokenErrorKind::TooLarge => {
            "raise MAX_TOKEN_SIZE, here and at protected-data; 32KiB is the most"
        }
        TokenErrorKind::MissingToken
        | TokenErrorKind::TokenSyntax
        | TokenErrorKind::ExpiresIn
        | TokenErrorKind::Json => {
            "the provider's answer is at fault, and no setting here: tell the provider's operators"
        }
        TokenErrorKind::Redirect
        | TokenErrorKind::Status4xx
        | TokenErrorKind::ContentType
        | TokenErrorKind::NotHttp
        | TokenErrorKind::UnexpectedStatus => {
            "TOKEN_ENDPOINT, ISSUER or APPLICATION_VANITY_DOMAIN leads to something else than a token \
             endpoint, or a firewall in front of it refuses this machine"
        }
        TokenErrorKind::Status5xx => {
            "the provider behind ISSUER, APPLICATION_VANITY_DOMAIN or TOKEN_ENDPOINT is overloaded or \
             broken; try again later"
        }
        TokenErrorKind::Throttled => {
            "the provider limits how often CLIENT_ID, or this machine, may ask; run fewer instances, or have \
             the limit raised"
        }
        kind if kind.is_transient() => {
            "is the provider running? check host and port of ISSUER, APPLICATION_VANITY_DOMAIN or \
             TOKEN_ENDPOINT"
        }
        _ => {
            "check CLIENT_SECRET_FILE, CLIENT_KEY_FILE, CLIENT_CERTIFICATE_FILE, CLIENT_ASSERTION_FILE, CLIENT_ID_FILE \
             and TOKEN_HEADERS_FILE, and the scheme of ISSUER or TOKEN_ENDPOINT"
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
    /// The configured issuer.
    pub(crate) issuer: String,
    /// The outcome of each request is noted here.
    pub(crate) requests: Arc<TokenRequests>,
}

impl Advised {
    /// Notes the outcome of a fetch, and gives its error the advice.
    async fn advise(
        &self,
        fetch: impl Future<Output = Result<IssuedToken, TokenError>>,
    ) -> Result<IssuedToken, TokenError> {
        let begun = Instant::now();
        let result = trace::client("POST token endpoint", fetch).await;
        self.requests.note(begun.elapsed(), &result);
        result.map_err(|error| match error.published_issuer() {
            Some(published) => {
                let advice = advice_on_issuer(&self.issuer, published);
                error.with_advice(advice)
            }
            None => {
                let advice = advice(&error);
                error.with_advice(advice)
            }
        })
    }
}

#[async_trait]
impl TokenSource for Advised {
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        self.advise(self.source.fetch(request)).await
    }

    async fn fetch_for(
        &self,
        request: &TokenRequest,
        need: &Need,
    ) -> Result<IssuedToken, TokenError> {
        self.advise(self.source.fetch_for(request, need)).await
    }

    fn time_limit(&self) -> Duration {
        self.source.time_limit()
    }

    async fn credentials_version(&self) -> u64 {
        self.source.credentials_version().await
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use secrecy::SecretString;

    use super::*;

    /// N24, N77
    #[tokio::test]
    async fn the_issuer_of_foreign_metadata_is_the_line_to_set_and_tamed() {
        let canary = "canary".repeat(100);
        let published = format!("https://idp.example/\\u001b[31m\\nERROR {canary}");
        let metadata = format!(r#"{{"issuer":"{published}"}}"#);
        let app = Router::new().route("/metadata", get(async move || metadata));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metadata", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        let source = ClientCredentials::builder("id", SecretString::from("secret"))
            .issuer("urn:example:ours")
            .metadata_url(&url)
            .http(idp_http::IdpClient::builder().timeout(Duration::from_secs(30)))
            .build()
            .unwrap();
        let advised = Advised {
            source,
            issuer: "urn:example:ours".to_owned(),
            requests: Arc::default(),
        };
        assert_eq!(advised.time_limit(), Duration::from_secs(120));
        let error = advised.fetch(&TokenRequest::new()).await.unwrap_err();
        let text = error.to_string();
        let (_, lines) = text.split_once("configured is ").unwrap();
        let expected = "ISSUER=urn:example:ours, the metadata say ISSUER=https://idp.example/?[31m?ERROR canary";
        assert!(lines.starts_with(expected), "{text}");
        assert!(!text.contains(char::is_control), "{text}");
        assert!(text.len() < 700 && !text.contains(&canary), "{text}");
        assert_eq!(error.published_issuer().unwrap().len(), 200);
    }
}
