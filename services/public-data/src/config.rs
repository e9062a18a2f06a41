//! The service's variables.

use std::net::SocketAddr;

use service_kit::config::{IdentityProvider, Reader, SecretSetting};
use token_cache::{ClientAuth, SecretSource, TokenRequest};
use url::Url;

/// What public-data is configured with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `PUBLIC_DATA_ADDR`: the listener.
    pub address: SocketAddr,
    /// Where tokens come from.
    pub provider: IdentityProvider,
    /// `CLIENT_ID`.
    pub client_id: String,
    /// `CLIENT_SECRET` or `CLIENT_SECRET_FILE`.
    pub client_secret: Option<SecretSetting>,
    /// `CLIENT_AUTH_METHOD`.
    pub client_auth: ClientAuth,
    /// `TOKEN_SCOPE`, `TOKEN_AUDIENCE` and `TOKEN_RESOURCE`.
    pub request: TokenRequest,
    /// `PROTECTED_DATA_URL`: where protected-data is.
    pub protected_data: Url,
}

const AUTH_METHODS: [(&str, ClientAuth); 3] = [
    ("client_secret_basic", ClientAuth::SecretBasic),
    ("client_secret_basic_raw", ClientAuth::SecretBasicRaw),
    ("client_secret_post", ClientAuth::SecretPost),
];

impl Config {
    /// Reads the variables. What comes back is usable only if the reader ends without problems.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let provider = IdentityProvider::read(reader);
        let mut request = TokenRequest::new();
        for scope in reader.list("TOKEN_SCOPE") {
            request = request.scope(&scope);
        }
        if let Some(audience) = reader.optional("TOKEN_AUDIENCE") {
            request = request.audience(&audience);
        }
        for resource in reader.list("TOKEN_RESOURCE") {
            request = request.resource(&resource);
        }
        if let Err(error) = request.check() {
            let name = if error.setting() == "resource" {
                "TOKEN_RESOURCE"
            } else {
                "TOKEN_SCOPE"
            };
            reader.problem(name, error.problem());
        }
        let protected_data = reader
            .endpoint("PROTECTED_DATA_URL", provider.allow_insecure_http)
            .unwrap_or_else(|| Url::parse("http://127.0.0.1:6002").expect("the default is a URL"));
        Self {
            address: reader.socket_addr("PUBLIC_DATA_ADDR", ([127, 0, 0, 1], 6001).into()),
            client_id: reader.required("CLIENT_ID"),
            client_secret: reader.required_secret("CLIENT_SECRET"),
            client_auth: reader.one_of("CLIENT_AUTH_METHOD", &AUTH_METHODS, ClientAuth::default()),
            request,
            protected_data,
            provider,
        }
    }

    pub(crate) fn secret(&self) -> Option<SecretSource> {
        Some(match self.client_secret.clone()? {
            SecretSetting::Value(secret) => SecretSource::Value(secret),
            SecretSetting::File(path) => SecretSource::File(path),
        })
    }
}
