use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};

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
        }
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
