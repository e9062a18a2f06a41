//! The seam between the cache and the network.

use std::fmt;

use async_trait::async_trait;

use crate::error::TokenError;
use crate::request::TokenRequest;
use crate::token::IssuedToken;

/// Gets one token. Implemented by [`ClientCredentials`](crate::ClientCredentials), and by fakes in
/// tests.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Makes one network request for a token.
    ///
    /// The cache calls this from one task per [`TokenRequest`], never twice at once, and drops the
    /// future after 15 s, and at shutdown. That and a panic count as transient failures. Retries, waiting
    /// and sharing are the cache's work.
    ///
    /// # Errors
    ///
    /// Fails when no usable token came; [`TokenError::kind`] decides when the cache asks again.
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError>;

    /// Returns a number that changes when the credentials do.
    ///
    /// While the provider rejects the credentials, or they cannot be read
    /// ([`TokenErrorKind::Config`](crate::TokenErrorKind::Config)), and while TLS fails or a proxy refuses,
    /// the cache looks here once a second, so that a corrected secret, or a renewed file of root
    /// certificates, is used at once. A call that takes longer than 15 s or panics says
    /// nothing. The default says that they never change.
    async fn credentials_version(&self) -> u64 {
        0
    }
}
