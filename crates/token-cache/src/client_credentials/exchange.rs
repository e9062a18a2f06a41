//! One request and its answer.

use http::header;
use idp_http::Reply;
use secrecy::ExposeSecret as _;

use super::ClientCredentials;
use crate::error::TokenError;
use crate::reply::{Reading, asked_wait};
use crate::request::TokenRequest;
use crate::token::IssuedToken;

/// Token replies are under 20 KiB even with the largest token that is taken.
const MAX_BODY: usize = 64 * 1024;

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
        match self.ask(request).await {
            Ok((reply, result)) => Exchange {
                result,
                reply: Some(reply),
            },
            Err(error) => Exchange {
                result: Err(error),
                reply: None,
            },
        }
    }

    async fn ask(
        &self,
        request: &TokenRequest,
    ) -> Result<(Reply, Result<IssuedToken, TokenError>), TokenError> {
        let url = self.endpoint().await?;
        let secret = self.secret.read().await?;
        let credential = self.credential(&secret)?;
        let (headers, form) = self.request(request, credential.expose_secret());
        let authorization = headers.get(header::AUTHORIZATION).cloned();
        let reply = self
            .http(&secret)?
            .post_form(&url, headers, form, MAX_BODY)
            .await
            .map_err(|error| TokenError::from_fetch(&error))?;
        let reading = Reading {
            request,
            all_scopes: self.all_scopes,
            secret: credential.expose_secret(),
            basic: authorization
                .as_ref()
                .and_then(|value| value.to_str().ok()?.strip_prefix("Basic ")),
        };
        let result = match reading.token(&reply) {
            Ok(issued) => Ok(match reply.date() {
                Some(date) => issued.dated(date),
                None => issued,
            }),
            Err(error) => Err(error.with_retry_after(asked_wait(&reply, self.clock.now()))),
        };
        Ok((reply, result))
    }
}
