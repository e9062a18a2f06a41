//! As whom the provider is asked: for people, and for the service itself.

use std::path::PathBuf;

use client_settings::{AUTH_METHODS, ClientKeys};
use service_kit::config::{Reader, SecretSetting};
use token_cache::{ClientAuth, SecretSource};

/// A client at the provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Client {
    /// Its id.
    pub id: String,
    /// `CLIENT_ID_FILE`, which is read again with the secret for the service's own token. What people log in with is
    /// the id that was there at the start.
    pub id_file: Option<PathBuf>,
    /// Its secret, which not every method needs.
    pub secret: Option<SecretSetting>,
    /// How it authenticates.
    pub auth: ClientAuth,
    /// What the methods without a shared secret need.
    pub keys: Option<ClientKeys>,
}

/// The clients.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Clients {
    /// Logs people in: `WEB_CLIENT_*`, or `CLIENT_*`.
    pub web: Client,
    /// Asks for the service's own token: `CLIENT_*`.
    pub machine: Option<Client>,
}

const WEB_VARIABLES: [&str; 4] = [
    "WEB_CLIENT_ID",
    "WEB_CLIENT_SECRET",
    "WEB_CLIENT_SECRET_FILE",
    "WEB_CLIENT_AUTH_METHOD",
];
const VARIABLES: [&str; 5] = [
    "CLIENT_ID",
    "CLIENT_ID_FILE",
    "CLIENT_SECRET",
    "CLIENT_SECRET_FILE",
    "CLIENT_AUTH_METHOD",
];

impl Clients {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let web = is_set(reader, &WEB_VARIABLES).then(|| web_client(reader));
        let machine = match web {
            // Where people have a client of their own, the service may have none.
            Some(_) if !is_set(reader, &VARIABLES) => None,
            _ => Some(client(reader)),
        };
        let web = web.or_else(|| machine.clone());
        Self {
            // One of them is there.
            web: web.unwrap_or(Client {
                id: String::new(),
                id_file: None,
                secret: None,
                auth: ClientAuth::default(),
                keys: None,
            }),
            machine,
        }
    }
}

impl Client {
    /// Returns where the credential comes from. Without one, the configuration had a problem.
    pub(crate) fn credential(&self) -> SecretSource {
        let secret = self.secret.clone().map(|secret| match secret {
            SecretSetting::Value(secret) => SecretSource::Value(secret),
            SecretSetting::File(path) => SecretSource::File(path),
        });
        let credential = match &self.keys {
            Some(keys) => keys.credential(self.auth, secret),
            None => secret,
        };
        credential.unwrap_or_else(|| SecretSource::Value(secrecy::SecretString::default()))
    }

    /// Returns whom its assertions are for, if not for the issuer.
    pub(crate) fn audience(&self) -> Option<&str> {
        self.keys.as_ref()?.audience.as_deref()
    }
}

/// A client of which nothing is set is none; one of which something is set must be whole.
fn is_set(reader: &mut Reader<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| reader.optional(name).is_some())
}

fn client(reader: &mut Reader<'_>) -> Client {
    let (id, id_file) = reader.required_id("CLIENT_ID");
    let auth = reader.one_of("CLIENT_AUTH_METHOD", &AUTH_METHODS, ClientAuth::default());
    let secret = match auth.has_shared_secret() {
        true => reader.required_secret("CLIENT_SECRET"),
        false => reader.optional_secret("CLIENT_SECRET"),
    };
    Client {
        id,
        id_file,
        secret,
        auth,
        keys: Some(ClientKeys::read(reader, auth)),
    }
}

/// The files of keys are those of `CLIENT_*`, so a client for people alone has a shared secret.
fn web_client(reader: &mut Reader<'_>) -> Client {
    let methods: Vec<(&str, ClientAuth)> = AUTH_METHODS
        .into_iter()
        .filter(|(_, auth)| auth.has_shared_secret())
        .collect();
    Client {
        id: reader.required("WEB_CLIENT_ID"),
        id_file: None,
        auth: reader.one_of("WEB_CLIENT_AUTH_METHOD", &methods, ClientAuth::default()),
        secret: reader.required_secret("WEB_CLIENT_SECRET"),
        keys: None,
    }
}
