//! Where a token endpoint is.

use idp_http::Discovery;
use url::Url;

use crate::error::EndpointError;
use crate::kind::TokenErrorKind;

/// Where a token endpoint is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Endpoint {
    /// At this address.
    Fixed(Url),
    /// Where the issuer's metadata say (RFC 8414 section 2).
    Discovered(Discovery),
}

impl Endpoint {
    /// Returns the address of the token endpoint.
    ///
    /// # Errors
    ///
    /// Fails when metadata that were not read yet cannot be read, and when they name none.
    pub async fn token_url(&self) -> Result<Url, EndpointError> {
        let discovery = match self {
            Self::Fixed(url) => return Ok(url.clone()),
            Self::Discovered(discovery) => discovery,
        };
        let metadata = discovery
            .metadata()
            .await
            .map_err(|error| EndpointError::from(&error))?;
        metadata.token_endpoint.clone().ok_or_else(|| {
            discovery.forget();
            EndpointError::new(TokenErrorKind::Discovery)
                .with_detail("the metadata names no token_endpoint")
        })
    }

    /// Has the metadata read again before the next request; what they said stays in use until then.
    pub fn forget(&self) {
        if let Self::Discovered(discovery) = self {
            discovery.forget();
        }
    }
}
