//! The seam between the cache and the network.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::TokenError;
use crate::need::Need;
use crate::request::TokenRequest;
use crate::token::IssuedToken;

/// Longer than metadata in three places and a token take with the HTTP client's 3 s for each.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Gets one token. Implemented by [`ClientCredentials`](crate::ClientCredentials), and by fakes in
/// tests.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Makes one network request for a token.
    ///
    /// The cache calls this from one task per [`TokenRequest`], never twice at once, and drops the
    /// future after its [`time_limit`](Self::time_limit), and at shutdown. That and a panic count as transient failures. Retries, waiting
    /// and sharing are the cache's work.
    ///
    /// # Errors
    ///
    /// Fails when no usable token came; [`TokenError::kind`] decides when the cache asks again.
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError>;

    /// Gets one token, knowing why. The cache calls this one.
    ///
    /// A source that finds tokens in more than one place overrides it: a token that others got may serve a caller
    /// who waits, and neither replaces itself nor a rejected one. The default calls [`fetch`](Self::fetch), which is
    /// enough where each request brings a new token. A source that wraps another one passes this call on.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    async fn fetch_for(
        &self,
        request: &TokenRequest,
        need: &Need,
    ) -> Result<IssuedToken, TokenError> {
        let _ = need;
        self.fetch(request).await
    }

    /// Returns how long a call of [`fetch_for`](Self::fetch_for) may take. Default: 15 s.
    fn time_limit(&self) -> Duration {
        TIME_LIMIT
    }

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
