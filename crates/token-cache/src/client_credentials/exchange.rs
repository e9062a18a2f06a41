//! One request and its answer.

use http::header;
use idp_http::{Reply, may_have_moved};
use secrecy::ExposeSecret as _;

use super::shown::Shown;
use super::{ClientCredentials, Endpoint};
use crate::error::TokenError;
use crate::reply::{Reading, asked_wait};
use crate::request::TokenRequest;
use crate::token::IssuedToken;

/// Token replies are under 20 KiB even with the largest token that is taken.
const MAX_BODY: usize = 64 * 1024;

/// An answer of a token endpoint has one of them.
const OWN_MEMBERS: [&str; 3] = ["access_token", "error", "errorCode"];

/// One token request and what came of it.
///
/// `Debug` shows neither the token nor the answer's body.
#[derive(Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// The token, or why there is none.
    pub result: Result<IssuedToken, TokenError>,
    /// The endpoint's answer, if a complete one came. Its body may hold a token, or what was sent.
    pub reply: Option<Reply>,
}

impl ClientCredentials {
    /// Makes one token request and returns the endpoint's whole answer with what it was read as: for a
    /// diagnosis, which looks at more than the token.
    ///
    /// It is the request that [`TokenSource::fetch`](crate::TokenSource::fetch) makes, without the
    /// retries of a cache. Cancelling it abandons the request.
    pub async fn exchange(&self, request: &TokenRequest) -> Exchange {
        self.ask(request).await.unwrap_or_else(|error| Exchange {
            result: Err(error),
            reply: None,
        })
    }

    /// Fails where nothing could be sent.
    async fn ask(&self, request: &TokenRequest) -> Result<Exchange, TokenError> {
        let url = self.endpoint().await?;
        let shown = self.shown().await?;
        let credential = self.credential(&shown)?;
        let (headers, form) = self.request(request, &shown, credential.expose_secret());
        let authorization = headers.get(header::AUTHORIZATION).cloned();
        let exchange = self
            .http(&shown.secret)?
            .post_form(&url, headers, form, MAX_BODY)
            .await;
        let reading = Reading {
            request,
            all_scopes: self.all_scopes,
            token_types: &self.token_types,
            max_token_size: self.max_token_size,
            secret: credential.expose_secret(),
            basic: authorization
                .as_ref()
                .and_then(|value| value.to_str().ok()?.strip_prefix("Basic ")),
            headers: &shown.headers,
        };
        let result = match &exchange {
            Ok(reply) => self
                .read(reply, &reading)
                .map_err(|error| self.with_oddity(error, &shown)),
            Err(error) => Err(TokenError::from_fetch(error)),
        };
        if result.is_err()
            && let Endpoint::Discovered(discovery) = &self.endpoint
            && may_have_moved(exchange.as_ref(), &OWN_MEMBERS)
        {
            discovery.forget();
        }
        Ok(Exchange {
            result,
            reply: exchange.ok(),
        })
    }

    fn read(&self, reply: &Reply, reading: &Reading<'_>) -> Result<IssuedToken, TokenError> {
        match reading.token(reply) {
            Ok(issued) => Ok(match reply.date() {
                Some(date) => issued.dated(date),
                None => issued,
            }),
            Err(error) => Err(error.with_retry_after(asked_wait(reply, self.clock.now()))),
        }
    }
    /// Credentials that were rejected may have been copied carelessly.
    fn with_oddity(&self, error: TokenError, shown: &Shown) -> TokenError {
        match shown.oddity(self.auth) {
            Some(odd) if error.is_about_credentials() => error.with_more_detail(&odd),
            _ => error,
        }
    }
}
