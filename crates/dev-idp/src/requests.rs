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
    /// `/api/v1/oauth2/authorize`, and the same below `/tenants/T`.
    Authorize,
    /// The pages that people see, but those of [`Endpoint::Logout`], and their stylesheet.
    Pages,
    /// `/api/v1/oauth2/userinfo`.
    Userinfo,
    /// `/api/v1/oauth2/revoke`.
    Revocation,
    /// `/api/v1/logout`, and the same below `/tenants/T`.
    Logout,
    /// `/api/v1/oauth2/par`.
    PushedRequest,
    /// Every request, to unknown paths too.
    Any,
}

pub(crate) const TOKEN_PATH: &str = "/api/v1/oauth2/token";
pub(crate) const JWKS_PATH: &str = "/api/v1/oauth2/jwks";
pub(crate) const OPENID_PATH: &str = "/.well-known/openid-configuration";
pub(crate) const OAUTH_PATH: &str = "/.well-known/oauth-authorization-server";
pub(crate) const AUTHORIZE_PATH: &str = "/api/v1/oauth2/authorize";
pub(crate) const USERINFO_PATH: &str = "/api/v1/oauth2/userinfo";
pub(crate) const REVOCATION_PATH: &str = "/api/v1/oauth2/revoke";
pub(crate) const LOGOUT_PATH: &str = "/api/v1/logout";
pub(crate) const PAR_PATH: &str = "/api/v1/oauth2/par";
pub(crate) const SIGN_IN_PATH: &str = "/sign-in";
pub(crate) const LOGIN_PATH: &str = "/login";
pub(crate) const SIGN_UP_PATH: &str = "/signup";
pub(crate) const FORGOT_TENANT_PATH: &str = "/forgot-tenant";
pub(crate) const STYLE_PATH: &str = "/style.css";

impl Endpoint {
    /// Returns [`Endpoint::Any`] for a path that is none of ours.
    pub(crate) fn of_path(path: &str) -> Self {
        match path {
            TOKEN_PATH => Self::Token,
            JWKS_PATH => Self::Jwks,
            OPENID_PATH | OAUTH_PATH => Self::Metadata,
            USERINFO_PATH => Self::Userinfo,
            REVOCATION_PATH => Self::Revocation,
            PAR_PATH => Self::PushedRequest,
            SIGN_IN_PATH | SIGN_UP_PATH | FORGOT_TENANT_PATH | STYLE_PATH => Self::Pages,
            _ => match below_tenant(path) {
                AUTHORIZE_PATH => Self::Authorize,
                LOGIN_PATH => Self::Pages,
                LOGOUT_PATH => Self::Logout,
                _ => Self::Any,
            },
        }
    }
}

/// Returns what follows `/tenants/T` in a path, or the path.
fn below_tenant(path: &str) -> &str {
    let rest = path.strip_prefix("/tenants/");
    let rest = rest.and_then(|rest| Some(&rest[rest.find('/')?..]));
    rest.unwrap_or(path)
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
    /// Requests to the authorization endpoint.
    pub authorize: u64,
    /// Requests to pages.
    pub pages: u64,
    /// Requests for userinfo.
    pub userinfo: u64,
    /// Requests to the revocation endpoint.
    pub revocation: u64,
    /// Requests to the logout endpoint.
    pub logout: u64,
    /// Pushed authorization requests.
    pub pushed_request: u64,
    /// Requests to unknown paths.
    pub other: u64,
}

impl RequestCounts {
    /// Returns the count of `endpoint`; for [`Endpoint::Any`] the sum of all.
    #[must_use]
    pub fn of(&self, endpoint: Endpoint) -> u64 {
        match endpoint {
            Endpoint::Any => self.all().into_iter().sum(),
            _ => *{ *self }.count_mut(endpoint),
        }
    }

    pub(crate) fn add(&mut self, endpoint: Endpoint) {
        *self.count_mut(endpoint) += 1;
    }

    fn all(&self) -> [u64; 10] {
        [
            self.token,
            self.jwks,
            self.metadata,
            self.authorize,
            self.pages,
            self.userinfo,
            self.revocation,
            self.logout,
            self.pushed_request,
            self.other,
        ]
    }

    /// The count that a request is added to; [`Endpoint::Any`] is that of unknown paths.
    fn count_mut(&mut self, endpoint: Endpoint) -> &mut u64 {
        match endpoint {
            Endpoint::Token => &mut self.token,
            Endpoint::Jwks => &mut self.jwks,
            Endpoint::Metadata => &mut self.metadata,
            Endpoint::Authorize => &mut self.authorize,
            Endpoint::Pages => &mut self.pages,
            Endpoint::Userinfo => &mut self.userinfo,
            Endpoint::Revocation => &mut self.revocation,
            Endpoint::Logout => &mut self.logout,
            Endpoint::PushedRequest => &mut self.pushed_request,
            Endpoint::Any => &mut self.other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_tenant_is_that_of_its_endpoint() {
        for (path, expected) in [
            ("/api/v1/oauth2/authorize", Endpoint::Authorize),
            ("/tenants/acme/api/v1/oauth2/authorize", Endpoint::Authorize),
            ("/tenants/acme/login", Endpoint::Pages),
            ("/login", Endpoint::Pages),
            ("/tenants/acme/api/v1/logout", Endpoint::Logout),
            ("/tenants/acme/api/v1/oauth2/token", Endpoint::Any),
            ("/tenants//login", Endpoint::Pages),
            ("/tenants/login", Endpoint::Any),
            ("/tenants/", Endpoint::Any),
        ] {
            assert_eq!(Endpoint::of_path(path), expected, "{path}");
        }
    }
}
