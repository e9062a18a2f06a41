//! As whom the provider is asked: for people, and for the service itself.

use service_kit::config::{Reader, SecretSetting};
use token_cache::{ClientAuth, SecretSource};

/// What `CLIENT_AUTH_METHOD` and `WEB_CLIENT_AUTH_METHOD` can name here.
pub const AUTH_METHODS: [(&str, ClientAuth); 3] = [
    ("client_secret_basic", ClientAuth::SecretBasic),
    ("client_secret_basic_raw", ClientAuth::SecretBasicRaw),
    ("client_secret_post", ClientAuth::SecretPost),
];

/// A client at the provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Option<SecretSetting>,
    /// How it authenticates.
    pub auth: ClientAuth,
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

impl Clients {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let web = optional(reader, "WEB_CLIENT");
        let machine = match web {
            // Where people have a client of their own, the service may have none.
            Some(_) => optional(reader, "CLIENT"),
            None => Some(required(reader, "CLIENT")),
        };
        let web = web.or_else(|| machine.clone());
        Self {
            // One of them is there.
            web: web.unwrap_or(Client {
                id: String::new(),
                secret: None,
                auth: ClientAuth::default(),
            }),
            machine,
        }
    }
}

impl Client {
    /// Returns where the secret comes from. Without one, the configuration had a problem.
    pub(crate) fn secret(&self) -> SecretSource {
        match self.secret.clone() {
            Some(SecretSetting::Value(secret)) => SecretSource::Value(secret),
            Some(SecretSetting::File(path)) => SecretSource::File(path),
            None => SecretSource::Value(secrecy::SecretString::default()),
        }
    }
}

fn required(reader: &mut Reader<'_>, prefix: &str) -> Client {
    let id = reader.required(&format!("{prefix}_ID"));
    let auth = auth(reader, prefix);
    let secret = reader.required_secret(&format!("{prefix}_SECRET"));
    Client { id, secret, auth }
}

/// A client of which nothing is set is none; one of which something is set must be whole.
fn optional(reader: &mut Reader<'_>, prefix: &str) -> Option<Client> {
    let names = ["ID", "SECRET", "SECRET_FILE", "AUTH_METHOD"].map(|it| format!("{prefix}_{it}"));
    let is_set = names.iter().any(|name| reader.optional(name).is_some());
    is_set.then(|| required(reader, prefix))
}

fn auth(reader: &mut Reader<'_>, prefix: &str) -> ClientAuth {
    let name = format!("{prefix}_AUTH_METHOD");
    reader.one_of(&name, &AUTH_METHODS, ClientAuth::default())
}
