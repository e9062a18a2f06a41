//! One request and its answer.

use std::mem;

use idp_http::{Reply, may_have_moved};
use token_endpoint::{Expected, Response, TokenErrorKind};
use tracing::warn;
use url::form_urlencoded;

use super::ClientCredentials;
use crate::error::TokenError;
use crate::request::TokenRequest;
use crate::token::IssuedToken;

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
        let url = match self.endpoint.token_url().await {
            Ok(url) => url,
            Err(error) => {
                return Exchange {
                    result: Err(error.into()),
                    reply: None,
                };
            }
        };
        let response = self.client.post(&url, form(request)).await;
        let result = match &response {
            Ok(response) => self.read(response, request),
            Err(error) => Err(error.clone().into()),
        };
        let came = match &response {
            Ok(response) => Some(Ok(response.reply())),
            // Without one nothing was sent.
            Err(error) => error.fetch_error().map(Err),
        };
        if result.is_err() && came.is_some_and(|came| may_have_moved(came, &OWN_MEMBERS)) {
            self.endpoint.forget();
        }
        Exchange {
            result,
            reply: response.ok().map(Response::into_reply),
        }
    }

    fn read(&self, response: &Response, request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        let scopes: Vec<&str> = request.scopes().collect();
        let mut reply = response.token(&Expected {
            token_types: &self.token_types,
            max_token_size: self.max_token_size,
            scopes: &scopes,
        })?;
        if let Some(scope) = &reply.missing_scope {
            let what = format!("\"{scope}\" was not granted");
            if self.all_scopes {
                let kind = TokenErrorKind::ScopeNotGranted;
                return Err(TokenError::new(kind).with_detail(&what));
            }
            warn!("a token with less scope than was asked for: {what}");
        }
        let issued = IssuedToken::new(mem::take(&mut *reply.access_token), reply.lifetime)?;
        Ok(match reply.date {
            Some(date) => issued.dated(date),
            None => issued,
        })
    }
}

fn form(request: &TokenRequest) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    request.append_to(&mut form);
    form.finish()
}
