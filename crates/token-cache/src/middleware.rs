//! Puts the token on outgoing calls.

use async_trait::async_trait;
use http::{Extensions, StatusCode, header};
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next};
use tracing::debug;

use crate::cache::TokenCache;
use crate::challenge::rejects_token;
use crate::error::{ConfigError, TokenError, TokenErrorKind};
use crate::origin::Origin;
use crate::request::TokenRequest;
use crate::token::AccessToken;

/// Attaches the cache's token to requests for the allowed origins.
///
/// - A request to any other origin fails before a token is asked for, and is not sent.
/// - A request that has an `Authorization` header already is passed on untouched.
/// - A [`TokenRequest`] in the request's extensions is used instead of the cache's own.
/// - After a 401 that speaks of the token (a Bearer challenge with `invalid_token`, or no challenge),
///   the token is invalidated by compare-and-swap and the request is sent once more with a new one,
///   if its body can be cloned and the new token differs. 403 is never repeated.
///
/// Without a token the request fails with a [`TokenError`], which
/// [`reqwest_middleware::Error::Middleware`] carries. Cancelling a request cancels no fetch.
///
/// Put it below retrying and tracing middleware, next to the client: every retry then asks for the
/// token anew. Redirects are followed underneath it, so turn them off
/// ([`reqwest::redirect::Policy::none`]) or keep in mind that reqwest drops the header when the host
/// changes.
#[derive(Clone, Debug)]
pub struct BearerTokenMiddleware {
    cache: TokenCache,
    origins: Vec<Origin>,
}

/// Settings of a [`BearerTokenMiddleware`].
#[derive(Clone, Debug)]
pub struct BearerTokenMiddlewareBuilder {
    cache: TokenCache,
    origins: Vec<(String, bool)>,
}

impl BearerTokenMiddleware {
    /// Returns the settings; at least one origin has to be allowed.
    #[must_use]
    pub fn builder(cache: TokenCache) -> BearerTokenMiddlewareBuilder {
        BearerTokenMiddlewareBuilder {
            cache,
            origins: Vec::new(),
        }
    }

    async fn token(&self, extensions: &Extensions) -> Result<AccessToken, TokenError> {
        match extensions.get::<TokenRequest>() {
            Some(request) => self.cache.token_for(request).await,
            None => self.cache.token().await,
        }
    }
}

impl BearerTokenMiddlewareBuilder {
    /// Allows an origin: scheme, host and, unless it is the default, port. https, or http on
    /// loopback.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        self.origins.push((origin.to_owned(), false));
        self
    }

    /// Allows an origin that may be http on any host. The token then crosses the network in the
    /// clear.
    #[must_use]
    pub fn dangerous_allow_http_origin(mut self, origin: &str) -> Self {
        self.origins.push((origin.to_owned(), true));
        self
    }

    /// Builds the middleware.
    ///
    /// # Errors
    ///
    /// Fails when no origin is allowed, or when one is not scheme, host and port of an https URL (or
    /// http on loopback).
    pub fn build(self) -> Result<BearerTokenMiddleware, ConfigError> {
        if self.origins.is_empty() {
            return Err(ConfigError::new(
                "allow_origin",
                "at least one origin must be allowed",
            ));
        }
        let origins = self
            .origins
            .iter()
            .map(|(text, allow_http)| Origin::parse(text, *allow_http))
            .collect::<Result<_, _>>()?;
        Ok(BearerTokenMiddleware {
            cache: self.cache,
            origins,
        })
    }
}

#[async_trait]
impl Middleware for BearerTokenMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        if request.headers().contains_key(header::AUTHORIZATION) {
            return next.run(request, extensions).await;
        }
        if !self
            .origins
            .iter()
            .any(|origin| origin.covers(request.url()))
        {
            return Err(Error::middleware(TokenError::new(
                TokenErrorKind::OriginNotAllowed,
            )));
        }
        let token = self.token(extensions).await.map_err(Error::middleware)?;
        // Cloned before the token is on it. A streamed body cannot be, and is sent once.
        let again = request.try_clone();
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, token.authorization().clone());
        let response = next.clone().run(request, extensions).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !rejects_token(response.headers()) {
            return Ok(response);
        }
        self.cache.invalidate(&token);
        let Some(mut again) = again else {
            return Ok(response);
        };
        match self.token(extensions).await {
            Ok(newer) if !newer.is_same(&token) => {
                debug!("the token was rejected, sending the request once more with a new one");
                again
                    .headers_mut()
                    .insert(header::AUTHORIZATION, newer.authorization().clone());
                next.run(again, extensions).await
            }
            // The answer at hand says more than the failure to get another token.
            _ => Ok(response),
        }
    }
}
