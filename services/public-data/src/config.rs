//! The service's variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use axum::http::StatusCode;
pub use client_settings::{AUTH_METHODS, ClientKeys, TokenSettings};
use service_kit::config::{IdentityProvider, Reader, SecretSetting};
use token_cache::{ClientAuth, ClientCredentials, SecretSource, TokenPlacement, TokenRequest};
use url::Url;

use crate::service::StartError;

/// The status address, unless another one is asked for.
pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6011);

/// What public-data is configured with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `PUBLIC_DATA_ADDR`: the listener.
    pub address: SocketAddr,
    /// `PUBLIC_DATA_ADMIN_ADDR`: the status address; `None` when it is `off`.
    pub admin_address: Option<SocketAddr>,
    /// `ADMIN_ALLOWED_HOSTS`: names by which the status address may be asked, beside its own.
    pub admin_hosts: Vec<String>,
    /// Where tokens come from.
    pub provider: IdentityProvider,
    /// `CLIENT_ID`, or what was in `CLIENT_ID_FILE` when the configuration was read.
    pub client_id: String,
    /// `CLIENT_ID_FILE`, which is read again with the secret.
    pub client_id_file: Option<PathBuf>,
    /// `CLIENT_SECRET` or `CLIENT_SECRET_FILE`, which not every method needs.
    pub client_secret: Option<SecretSetting>,
    /// `CLIENT_AUTH_METHOD`.
    pub client_auth: ClientAuth,
    /// What the methods without a shared secret need.
    pub client_keys: ClientKeys,
    /// `TOKEN_SCOPE`, `TOKEN_AUDIENCE`, `TOKEN_RESOURCE` and `TOKEN_PARAMETERS`.
    pub request: TokenRequest,
    /// What else there is to say about the token request and its answer.
    pub tokens: TokenSettings,
    /// `PROTECTED_DATA_URL`: where protected-data is.
    pub protected_data: Url,
    /// How the token goes there, and which answers reject it.
    pub attaching: Attaching,
}

/// How a token is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attaching {
    /// `TOKEN_PLACEMENT`. Default: `authorization:Bearer`.
    pub placement: TokenPlacement,
    /// `REJECTED_STATUSES`. Default: 401.
    pub rejected_statuses: Vec<StatusCode>,
}

impl Default for Attaching {
    fn default() -> Self {
        Self {
            placement: TokenPlacement::default(),
            rejected_statuses: vec![StatusCode::UNAUTHORIZED],
        }
    }
}

impl Attaching {
    fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let expected = "authorization:WORD, such as authorization:Token, or header:NAME with the name of a header \
                        that HTTP itself does not need";
        let placement = reader.parse("TOKEN_PLACEMENT", expected, placement);
        let expected = "statuses from 400 to 499, separated by commas";
        let statuses = reader.parse("REJECTED_STATUSES", expected, statuses);
        Self {
            placement: placement.unwrap_or(default.placement),
            rejected_statuses: statuses.unwrap_or(default.rejected_statuses),
        }
    }
}

fn placement(text: &str) -> Option<TokenPlacement> {
    let placement = match text.split_once(':')? {
        ("authorization", scheme) => TokenPlacement::authorization(scheme),
        ("header", name) => TokenPlacement::header(name),
        _ => return None,
    };
    placement.check().is_ok().then_some(placement)
}

fn statuses(text: &str) -> Option<Vec<StatusCode>> {
    let status = |text: &str| {
        let status: StatusCode = text.trim().parse().ok()?;
        status.is_client_error().then_some(status)
    };
    text.split(',').map(status).collect()
}

impl Config {
    /// Reads the variables. What comes back is usable only if the reader ends without problems.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let provider = IdentityProvider::read(reader);
        provider.require_token_endpoint(reader);
        let request = client_settings::token_request(reader);
        let (client_id, client_id_file) = reader.required_id("CLIENT_ID");
        if client_id.trim().contains(char::is_whitespace) {
            reader.warning(
                "CLIENT_ID",
                "has a space inside, which hardly any provider issues and is taken for a part of it",
            );
        }
        let client_auth = reader.one_of("CLIENT_AUTH_METHOD", &AUTH_METHODS, ClientAuth::default());
        let client_secret = match client_auth.has_shared_secret() {
            true => reader.required_secret("CLIENT_SECRET"),
            false => reader.optional_secret("CLIENT_SECRET"),
        };
        let protected_data = reader
            .endpoint("PROTECTED_DATA_URL", provider.allow_insecure_http)
            .unwrap_or_else(|| Url::parse("http://127.0.0.1:6002").expect("the default is a URL"));
        Self {
            address: reader.socket_addr("PUBLIC_DATA_ADDR", ([127, 0, 0, 1], 6001).into()),
            admin_address: reader.socket_addr_or_off("PUBLIC_DATA_ADMIN_ADDR", DEFAULT_ADMIN),
            admin_hosts: reader.host_names("ADMIN_ALLOWED_HOSTS"),
            client_id,
            client_id_file,
            client_secret,
            client_auth,
            client_keys: ClientKeys::read(reader, client_auth),
            request,
            tokens: TokenSettings::read(reader),
            protected_data,
            attaching: Attaching::read(reader),
            provider,
        }
    }

    /// Returns the token source of these settings. Sends no request.
    ///
    /// # Errors
    ///
    /// Fails when a setting that needs the TLS library or the system's root certificates to be checked
    /// cannot work.
    pub fn token_source(&self) -> Result<ClientCredentials, StartError> {
        let provider = &self.provider;
        let http = provider.http().build().map_err(StartError::Provider)?;
        // Absent only where the configuration had problems; then the provider will say so.
        let credential = self
            .client_keys
            .credential(self.client_auth, self.secret())
            .unwrap_or_else(|| secrecy::SecretString::default().into());
        let source = ClientCredentials::builder(&self.client_id, credential)
            .http_client(http)
            .auth(self.client_auth);
        let audience = self.client_keys.audience.as_ref();
        let source = source
            .assertion_audience(audience.unwrap_or(&provider.issuer))
            .client(|client| self.client_keys.apply(client));
        let source = match &provider.token_endpoint {
            Some(url) => source.token_endpoint(url.as_str()),
            None => source.issuer(&provider.issuer),
        };
        let source = match &provider.metadata_url {
            Some(url) => source.metadata_url(url.as_str()),
            None => source,
        };
        let source = match &self.client_id_file {
            Some(path) => source.client_id_file(path),
            None => source,
        };
        self.tokens
            .apply(source)
            .build()
            .map_err(StartError::Tokens)
    }

    /// Tells whether the method's credential is configured.
    #[must_use]
    pub fn has_credential(&self, auth: ClientAuth) -> bool {
        self.client_keys.credential(auth, self.secret()).is_some()
    }

    fn secret(&self) -> Option<SecretSource> {
        Some(match self.client_secret.clone()? {
            SecretSetting::Value(secret) => SecretSource::Value(secret),
            SecretSetting::File(path) => SecretSource::File(path),
        })
    }
}

/// Reads these variables, and returns the problems with them beside what came of them.
#[cfg(test)]
fn read_variables<T>(
    variables: &[(&str, &str)],
    read: impl FnOnce(&mut Reader<'_>) -> T,
) -> (T, Vec<String>) {
    let variables: std::collections::BTreeMap<&str, &str> = variables.iter().copied().collect();
    let mut reader = Reader::new(&variables);
    let value = read(&mut reader);
    let problems = match reader.finish() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    };
    (value, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Option<Attaching> {
        let (attaching, problems) = read_variables(&[(name, value)], Attaching::read);
        problems.is_empty().then_some(attaching)
    }

    /// N11
    #[test]
    fn a_token_is_placed_as_the_variable_says() {
        for (value, expected) in [
            ("", Some(TokenPlacement::default())),
            ("authorization:Bearer", Some(TokenPlacement::default())),
            (
                "authorization:Token",
                Some(TokenPlacement::authorization("Token")),
            ),
            (
                "header:X-Api-Token",
                Some(TokenPlacement::header("X-Api-Token")),
            ),
            ("Bearer", None),
            ("authorization:", None),
            ("authorization:My Token", None),
            ("header:", None),
            ("header:Host", None),
            ("cookie:token", None),
        ] {
            let read = read("TOKEN_PLACEMENT", value).map(|it| it.placement);
            assert_eq!(read, expected, "{value}");
        }
    }

    /// N14
    #[test]
    fn the_statuses_that_reject_a_token_are_client_errors() {
        for (value, expected) in [
            ("", Some(&[401][..])),
            ("401,403", Some(&[401, 403])),
            ("401, 403", Some(&[401, 403])),
            ("403", Some(&[403])),
            ("200", None),
            ("401,500", None),
            ("401,", None),
            ("any", None),
        ] {
            let read = read("REJECTED_STATUSES", value).map(|it| it.rejected_statuses);
            let read = read.map(|it| it.iter().map(StatusCode::as_u16).collect::<Vec<_>>());
            assert_eq!(read.as_deref(), expected, "{value}");
        }
    }
}
