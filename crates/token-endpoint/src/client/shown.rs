//! What one exchange shows of the client.

use http::HeaderMap;
use idp_http::copying_slip;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Client, HAS_CONTROL, headers};
use crate::assertion::About;
use crate::client_auth::ClientAuth;
use crate::error::EndpointError;
use crate::kind::TokenErrorKind;
use crate::secret::SecretSource;

/// Read anew for every exchange, as far as it comes from files.
pub(super) struct Shown {
    pub(super) id: String,
    /// The secret, the assertion, or the certificate with its key.
    pub(super) credential: SecretString,
    pub(super) headers: HeaderMap,
}

impl Client {
    pub(super) async fn shown(&self) -> Result<Shown, EndpointError> {
        let id = match &self.id_file {
            Some(file) => read(file, "client id").await?.expose_secret().to_owned(),
            None => self.id.clone(),
        };
        if id.contains(char::is_control) {
            return Err(unusable(&format!("the client id {HAS_CONTROL}")));
        }
        let mut headers = self.headers.clone();
        if let Some(file) = &self.headers_file {
            let lines = read(file, "headers").await?;
            let more = headers::parse(lines.expose_secret())
                .map_err(|problem| unusable(&format!("the file with the {problem}")))?;
            headers.extend(more);
        }
        let credential = self.credential(&id).await?;
        Ok(Shown {
            id,
            credential,
            headers,
        })
    }

    async fn credential(&self, id: &str) -> Result<SecretString, EndpointError> {
        if self.auth == ClientAuth::PrivateKeyJwt {
            let about = About {
                client_id: id,
                now: self.clock.now(),
            };
            let assertion = self.assertion.sign(&self.secret, &about).await?;
            return Ok(SecretString::from(assertion));
        }
        let secret = self.secret.read().await?;
        if self.auth.has_shared_secret() && secret.expose_secret().contains(char::is_control) {
            return Err(unusable(&format!("the client secret {HAS_CONTROL}")));
        }
        Ok(secret)
    }

    /// A number that changes when a file does that [`shown`](Self::shown) reads.
    pub(super) async fn version(&self) -> u64 {
        let mut version = self.secret.version().await;
        let certificate = self.assertion.certificate.as_ref();
        let files = [
            self.id_file.as_ref(),
            self.headers_file.as_ref(),
            certificate.map(|(source, _)| source),
        ];
        for file in files.into_iter().flatten() {
            version = version.rotate_left(1) ^ file.version().await;
        }
        version
    }
}

impl Shown {
    /// Says what is odd about credentials that were rejected.
    pub(super) fn oddity(&self, auth: ClientAuth) -> Option<String> {
        let secret = auth
            .has_shared_secret()
            .then(|| self.credential.expose_secret());
        let of_id = copying_slip(&self.id).or_else(|| {
            let has_space = self.id.contains(char::is_whitespace);
            has_space.then_some("has a space inside")
        });
        let of_secret = || copying_slip(secret?);
        match of_id {
            Some(odd) => Some(format!("the client id {odd}")),
            None => Some(format!("the client secret {}", of_secret()?)),
        }
    }
}

async fn read(file: &SecretSource, what: &str) -> Result<SecretString, EndpointError> {
    file.read().await.map_err(|error| match error.kind() {
        TokenErrorKind::Config => unusable(&format!(
            "the file with the {what} is missing, empty, larger than 64 KiB or not UTF-8 text"
        )),
        _ => error,
    })
}

fn unusable(what: &str) -> EndpointError {
    EndpointError::new(TokenErrorKind::Config).with_detail(what)
}
