use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};

use crate::redirect::{self, TENANT_NAME};
use crate::{DEFAULT_WEB_CLIENT_ID, DEFAULT_WEB_CLIENT_SECRET, DEFAULT_WEB_SCOPE};

/// How a client authenticates at the token endpoint (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// Id and secret, each form-urlencoded, in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// Id and secret as `client_id` and `client_secret` in the form.
    ClientSecretPost,
    /// A JWT for the issuer, signed with the client's own key, as `client_assertion` in the form (RFC 7523
    /// section 2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    pub(crate) const ALL: [Self; 3] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
    ];

    /// Returns the method's registered name, such as `client_secret_basic`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// A client that the provider knows. The secret is kept as its SHA-256 only.
#[derive(Clone)]
pub struct DevClient {
    id: String,
    secret: SecretDigest,
    public_key: Option<Vec<u8>>,
    scopes: Vec<String>,
    audiences: Vec<String>,
    methods: Vec<AuthMethod>,
    grant_allowed: bool,
    application: Option<String>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    login_url: Option<String>,
    back_channel_logout_uri: Option<String>,
}

impl DevClient {
    /// Returns a client without scopes, which may ask for any audience and authenticate by any
    /// [`AuthMethod`].
    #[must_use]
    pub fn new(id: impl Into<String>, secret: impl AsRef<str>) -> Self {
        Self {
            id: id.into(),
            secret: SecretDigest::of(secret.as_ref()),
            public_key: None,
            scopes: Vec::new(),
            audiences: Vec::new(),
            methods: AuthMethod::ALL.to_vec(),
            grant_allowed: true,
            application: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            login_url: None,
            back_channel_logout_uri: None,
        }
    }

    /// Returns the client that the provider knows when none was configured, for an application that people sign
    /// in to: [`DEFAULT_WEB_CLIENT_ID`] with [`DEFAULT_WEB_CLIENT_SECRET`] and [`DEFAULT_WEB_SCOPE`], at
    /// `http://localhost:6004` and `http://{tenant_name}.localhost:6004`.
    ///
    /// Another address is added with [`DevClient::application_at`].
    #[must_use]
    pub fn web() -> Self {
        Self::new(DEFAULT_WEB_CLIENT_ID, DEFAULT_WEB_CLIENT_SECRET)
            .scopes(DEFAULT_WEB_SCOPE.split(' '))
            .application_at("http://{tenant_name}.localhost:6004")
            .application_at("http://localhost:6004")
    }

    /// Gives the client another id and secret.
    #[must_use]
    pub fn with_credentials(mut self, id: impl Into<String>, secret: impl AsRef<str>) -> Self {
        self.id = id.into();
        self.secret = SecretDigest::of(secret.as_ref());
        self
    }

    /// Sets the key that the client's assertions are verified with ([`AuthMethod::PrivateKeyJwt`]): DER of a
    /// `SubjectPublicKeyInfo`, RSA, P-256, P-384 or Ed25519. Without it no assertion is taken.
    #[must_use]
    pub fn public_key(mut self, spki: impl Into<Vec<u8>>) -> Self {
        self.public_key = Some(spki.into());
        self
    }

    /// Sets the scopes that the client may have. It gets all of them when it asks for none.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the audiences and resources that the client may ask for; it gets the first when it asks
    /// for none. Without any, it may ask for every audience.
    #[must_use]
    pub fn audiences<S: Into<String>>(mut self, audiences: impl IntoIterator<Item = S>) -> Self {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the authentication methods that the client may use; another is `invalid_client`.
    #[must_use]
    pub fn allow(mut self, methods: impl IntoIterator<Item = AuthMethod>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Makes the provider answer `unauthorized_client` after the client has authenticated.
    #[must_use]
    pub fn deny_grant(mut self) -> Self {
        self.grant_allowed = false;
        self
    }

    /// Registers the addresses of an application at this origin, without a slash at its end: `/api/auth/callback`
    /// and, for after the logout, `/api/auth/logged-out` beside those that are registered, and in the place of
    /// others `/api/auth/login` and, unless the origin has a placeholder, `/api/auth/backchannel-logout`.
    #[must_use]
    pub fn application_at(self, origin: &str) -> Self {
        let client = self
            .redirect_uri(format!("{origin}/api/auth/callback"))
            .post_logout_redirect_uri(format!("{origin}/api/auth/logged-out"))
            .login_url(format!("{origin}/api/auth/login"));
        if origin.contains(TENANT_NAME) {
            return client;
        }
        client.back_channel_logout_uri(format!("{origin}/api/auth/backchannel-logout"))
    }

    /// Adds an address that people are sent back to after they signed in. A request must name it exactly, but
    /// that `{tenant_name}` as the first label of its host stands for the name of the request's tenant.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Adds an address that people may be sent to after they signed out, as [`DevClient::redirect_uri`] does.
    #[must_use]
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uris.push(uri.into());
        self
    }

    /// Sets the address at which the application begins a login. Pages that find out a person's tenant send the
    /// browser there, with the parameters `tenant_name` and `login_hint`.
    #[must_use]
    pub fn login_url(mut self, url: impl Into<String>) -> Self {
        self.login_url = Some(url.into());
        self
    }

    /// Sets the address that logout tokens are posted to (OpenID Connect Back-Channel Logout 1.0). It must be
    /// plain HTTP on loopback.
    #[must_use]
    pub fn back_channel_logout_uri(mut self, uri: impl Into<String>) -> Self {
        self.back_channel_logout_uri = Some(uri.into());
        self
    }

    /// Sets the application's id, which the names of roles contain and userinfo tells. The client's id by default.
    #[must_use]
    pub fn application_id(mut self, id: impl Into<String>) -> Self {
        self.application = Some(id.into());
        self
    }

    pub(crate) fn application(&self) -> &str {
        self.application.as_deref().unwrap_or(&self.id)
    }

    /// Tells whether people may be sent back to `asked` after they signed in at `tenant`.
    pub(crate) fn redirects_to(&self, asked: &str, tenant: Option<&str>) -> bool {
        let mut registered = self.redirect_uris.iter();
        registered.any(|registered| redirect::matches(registered, asked, tenant))
    }

    /// Tells whether people may be sent to `asked` after they signed out at `tenant`.
    pub(crate) fn redirects_after_logout_to(&self, asked: &str, tenant: Option<&str>) -> bool {
        let mut registered = self.post_logout_redirect_uris.iter();
        registered.any(|registered| redirect::matches(registered, asked, tenant))
    }

    /// Returns the address at which the application begins a login at a tenant.
    pub(crate) fn login_at(&self, tenant: &str, email: Option<&str>) -> Option<String> {
        let url = self.login_url.as_deref()?.replace(TENANT_NAME, tenant);
        let hint = email.map(|email| ("login_hint", email));
        let parameters = [("tenant_name", tenant)].into_iter().chain(hint);
        Some(redirect::with_parameters(&url, parameters))
    }

    pub(crate) fn back_channel(&self) -> Option<&str> {
        self.back_channel_logout_uri.as_deref()
    }

    /// Returns the origins that the client's pages are at, as sources of a content security policy.
    pub(crate) fn csp_sources(&self) -> Vec<String> {
        let addresses = self
            .redirect_uris
            .iter()
            .chain(&self.post_logout_redirect_uris)
            .chain(&self.login_url);
        let mut sources: Vec<String> = addresses
            .filter_map(|address| redirect::csp_source(address))
            .collect();
        sources.sort();
        sources.dedup();
        sources
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn set_secret(&mut self, secret: &str) {
        self.secret = SecretDigest::of(secret);
    }

    pub(crate) fn secret(&self) -> &SecretDigest {
        &self.secret
    }

    pub(crate) fn assertion_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    pub(crate) fn granted_scopes(&self) -> &[String] {
        &self.scopes
    }

    pub(crate) fn listed_audiences(&self) -> &[String] {
        &self.audiences
    }

    pub(crate) fn allows(&self, method: AuthMethod) -> bool {
        self.methods.contains(&method)
    }

    pub(crate) fn grant_allowed(&self) -> bool {
        self.grant_allowed
    }
}

impl fmt::Debug for DevClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevClient")
            .field("id", &self.id)
            .field("scopes", &self.scopes)
            .field("audiences", &self.audiences)
            .field("methods", &self.methods)
            .field("redirect_uris", &self.redirect_uris)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a secret. Digests have one length, so that comparing them does not tell the length
/// of the secret either.
#[derive(Clone)]
pub(crate) struct SecretDigest(Digest);

impl SecretDigest {
    pub(crate) fn of(secret: &str) -> Self {
        Self(digest(&SHA256, secret.as_bytes()))
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_ref(), other.0.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// J11
    #[test]
    fn secrets_are_compared_as_digests_of_one_length() {
        let secret = SecretDigest::of("secret");
        for other in ["", "s", "secre", "Secret", "secret ", "secretsecret"] {
            let other_digest = SecretDigest::of(other);
            assert_eq!(other_digest.0.as_ref().len(), secret.0.as_ref().len());
            assert!(!secret.matches(&other_digest), "{other}");
        }
        assert!(secret.matches(&SecretDigest::of("secret")));
    }
}
