//! Calls as the person.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use idp_http::{is_loopback, says_invalid_token};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response};
use secrecy::ExposeSecret as _;
use token_endpoint::ConfigError;

use crate::public_url::url_of_origin;
use crate::user_token::{UserToken, UserTokenError};

/// A client for calls as the person: requests go out with their access token, to allowed origins only.
///
/// - A request to any other origin fails, and is not sent.
/// - Nothing of the inbound request goes along: what is sent is the request that is given here, with the token in
///   `Authorization`.
/// - After a 401 whose Bearer challenge says `invalid_token` the token is refreshed, as
///   [`UserToken::refresh`] does, and the request is sent once more, if its body can be cloned. 403 and other refusals
///   refresh nothing.
/// - Redirects are not followed, and no referrer is sent.
///
/// Clones share the connections.
///
/// ```
/// use web_session::{UserCalls, UserToken};
///
/// async fn handler(calls: UserCalls, token: UserToken) -> Result<String, Box<dyn std::error::Error>> {
///     let request = reqwest::Request::new(reqwest::Method::GET, "https://api.example/me".parse()?);
///     Ok(calls.send(&token, request).await?.text().await?)
/// }
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(3));
/// let calls = UserCalls::builder(client).allow_origin("https://api.example").build()?;
/// # let _ = calls;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UserCalls {
    http: Client,
    allowed: Arc<[url::Origin]>,
}

/// Settings of [`UserCalls`].
#[derive(Debug)]
pub struct UserCallsBuilder {
    http: ClientBuilder,
    /// With whether each may be http on any host.
    allowed: Vec<(String, bool)>,
}

/// Why a call as the person has no answer. Its texts have no token and no byte of an answer; the source of `Exchange`
/// names the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserCallError {
    /// The request is for an origin that may not receive the person's token.
    #[error("the origin is not allowed to receive a token of a person")]
    OriginNotAllowed,
    /// The token was refused, and the provider has ended the session with the refresh.
    #[error("the session has ended")]
    Ended,
    /// No whole answer came.
    #[error("the call failed")]
    Exchange(#[from] reqwest::Error),
}

impl UserCalls {
    /// Returns the settings; at least one origin has to be allowed. `client` has the time limits, which the default
    /// of reqwest lacks.
    #[must_use]
    pub fn builder(client: ClientBuilder) -> UserCallsBuilder {
        UserCallsBuilder {
            http: client,
            allowed: Vec::new(),
        }
    }

    /// Sends a request as the person. A second refusal of the token is the answer, and so is the first one where no
    /// newer token can be had.
    ///
    /// Takes twice what the client's time limits allow, and up to 5 s for the refresh. Cancelling it ends the call and no
    /// refresh.
    ///
    /// # Errors
    ///
    /// Fails where the origin is not allowed, where no answer comes, and where the session turns out to have ended.
    pub async fn send(
        &self,
        token: &UserToken,
        request: Request,
    ) -> Result<Response, UserCallError> {
        if !self.allowed.contains(&request.url().origin()) {
            return Err(UserCallError::OriginNotAllowed);
        }
        // A streamed body cannot be cloned, and is sent once.
        let copy = request.try_clone();
        let response = self.exchange(token, request).await?;
        let is_rejected =
            response.status() == StatusCode::UNAUTHORIZED && says_invalid_token(response.headers());
        let Some(copy) = copy.filter(|_| is_rejected) else {
            return Ok(response);
        };
        match token.refresh().await {
            Ok(newer) => {
                tracing::debug!("a person's token was not accepted, sending the request once more");
                // Unread, it would hold its connection.
                drop(response);
                self.exchange(&newer, copy).await
            }
            Err(UserTokenError::Ended) => Err(UserCallError::Ended),
            Err(error) => {
                tracing::debug!("a person's token was not accepted: {error}");
                Ok(response)
            }
        }
    }

    async fn exchange(
        &self,
        token: &UserToken,
        mut request: Request,
    ) -> Result<Response, UserCallError> {
        let value = format!("Bearer {}", token.secret().expose_secret());
        // Tokens are printable, or the provider's reply would have been refused.
        if let Ok(mut value) = HeaderValue::try_from(value) {
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(self.http.execute(request).await?)
    }
}

impl UserCallsBuilder {
    /// Allows an origin: scheme, host and, unless it is the default, port. https, or http on loopback.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        self.allowed.push((origin.to_owned(), false));
        self
    }

    /// Allows an origin that may be http on any host. Everybody on the way can then read people's tokens.
    #[must_use]
    pub fn dangerous_allow_http_origin(mut self, origin: &str) -> Self {
        self.allowed.push((origin.to_owned(), true));
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// Fails where no origin is allowed, where one is not scheme, host and port of an https URL (or http on
    /// loopback), and where TLS cannot be set up.
    pub fn build(self) -> Result<UserCalls, ConfigError> {
        let problem = |text: &str| ConfigError::new("allow_origin", text);
        if self.allowed.is_empty() {
            return Err(problem("at least one origin must be allowed"));
        }
        let allowed = self.allowed.iter().map(|(text, allows_http)| {
            let url = url_of_origin(text).ok_or_else(|| {
                problem("must be scheme, host and port only, such as https://api.example")
            })?;
            match url.scheme() {
                "https" => Ok(url.origin()),
                "http" if *allows_http || is_loopback(&url) => Ok(url.origin()),
                _ => Err(problem(
                    "must be https (http is accepted for loopback addresses only)",
                )),
            }
        });
        let allowed = allowed.collect::<Result<_, _>>()?;
        let http = self.http.redirect(Policy::none()).referer(false).build();
        Ok(UserCalls {
            http: http.map_err(|error| ConfigError::new("client", error))?,
            allowed,
        })
    }
}
