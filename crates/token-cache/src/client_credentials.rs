//! The token source that speaks to a token endpoint (RFC 6749 section 4.4).

mod builder;
mod exchange;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use token_endpoint::{Client, ConfigError, Endpoint, SecretSource};

use crate::error::TokenError;
use crate::request::TokenRequest;
use crate::source::{TIME_LIMIT, TokenSource};
use crate::token::IssuedToken;

pub use builder::ClientCredentialsBuilder;
pub use exchange::Exchange;

/// Gets tokens from a token endpoint with the client credentials grant.
pub struct ClientCredentials {
    client: Client,
    endpoint: Endpoint,
    all_scopes: bool,
    token_types: Vec<String>,
    max_token_size: usize,
}

impl ClientCredentials {
    /// Returns the settings for a client with this id and secret, or what else
    /// [`ClientAuth`](crate::ClientAuth) takes from the secret's source.
    #[must_use]
    pub fn builder(client_id: &str, secret: impl Into<SecretSource>) -> ClientCredentialsBuilder {
        ClientCredentialsBuilder::new(client_id, secret.into())
    }

    /// Checks the text of a file for [`headers_file`](ClientCredentialsBuilder::headers_file), for a program
    /// that does so when it starts.
    ///
    /// # Errors
    ///
    /// Fails at the first line that is not `Name: value`, or with a name that the request owns. The error has
    /// the number of the line and nothing of its text.
    pub fn check_headers(lines: &str) -> Result<(), ConfigError> {
        Client::check_headers(lines)
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        self.exchange(request).await.result
    }

    /// At least 15 s, and what four exchanges may take: metadata in three places, and the token.
    fn time_limit(&self) -> Duration {
        TIME_LIMIT.max(self.client.http().timeout().saturating_mul(4))
    }

    async fn credentials_version(&self) -> u64 {
        self.client.credentials_version().await
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
