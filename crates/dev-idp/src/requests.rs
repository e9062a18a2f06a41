/// A part of the provider that is counted and can be made to fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/api/v1/oauth2/token`.
    Token,
    /// `/api/v1/oauth2/jwks`.
    Jwks,
    /// The two `/.well-known` documents.
    Metadata,
    /// Every request, to unknown paths too.
    Any,
}

pub(crate) const TOKEN_PATH: &str = "/api/v1/oauth2/token";
pub(crate) const JWKS_PATH: &str = "/api/v1/oauth2/jwks";
pub(crate) const OPENID_PATH: &str = "/.well-known/openid-configuration";
pub(crate) const OAUTH_PATH: &str = "/.well-known/oauth-authorization-server";

impl Endpoint {
    /// Returns [`Endpoint::Any`] for a path that is none of ours.
    pub(crate) fn of_path(path: &str) -> Self {
        match path {
            TOKEN_PATH => Self::Token,
            JWKS_PATH => Self::Jwks,
            OPENID_PATH | OAUTH_PATH => Self::Metadata,
            _ => Self::Any,
        }
    }
}

/// The number of requests since the provider started, whatever their answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Requests to the token endpoint.
    pub token: u64,
    /// Requests for the keys.
    pub jwks: u64,
    /// Requests for either metadata document.
    pub metadata: u64,
    /// Requests to unknown paths.
    pub other: u64,
}

impl RequestCounts {
    /// Returns the count of `endpoint`; for [`Endpoint::Any`] the sum of all.
    #[must_use]
    pub fn of(&self, endpoint: Endpoint) -> u64 {
        match endpoint {
            Endpoint::Token => self.token,
            Endpoint::Jwks => self.jwks,
            Endpoint::Metadata => self.metadata,
            Endpoint::Any => self.token + self.jwks + self.metadata + self.other,
        }
    }

    pub(crate) fn add(&mut self, endpoint: Endpoint) {
        *match endpoint {
            Endpoint::Token => &mut self.token,
            Endpoint::Jwks => &mut self.jwks,
            Endpoint::Metadata => &mut self.metadata,
            Endpoint::Any => &mut self.other,
        } += 1;
    }
}
