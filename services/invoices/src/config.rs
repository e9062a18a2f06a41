//! The service's variables.

mod clients;
mod people;
mod provider;
mod sessions;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use client_settings::TokenSettings;
use jwks_validator::Algorithm;
use service_kit::config::{IdentityProvider, Reader, VARIABLES};
use token_cache::TokenRequest;
use url::{Host, Url};

pub use self::clients::{Client, Clients};
pub use self::people::{DomainFormat, PeopleSettings};
pub use self::provider::LoginEndpoints;
pub use self::sessions::{SessionSettings, StoreSetting};
use crate::service::StartError;

/// The status address, unless another one is asked for.
pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6014);

/// What invoices is configured with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `INVOICES_ADDR`: the listener.
    pub address: SocketAddr,
    /// `INVOICES_ADMIN_ADDR`: the status address; `None` when it is `off`.
    pub admin_address: Option<SocketAddr>,
    /// `ADMIN_ALLOWED_HOSTS`: names by which the status address may be asked, beside its own.
    pub admin_hosts: Vec<String>,
    /// Where people log in and tokens come from.
    pub provider: IdentityProvider,
    /// Its endpoints for logins, as far as they are set.
    pub login: LoginEndpoints,
    /// As whom the provider is asked.
    pub clients: Clients,
    /// What is asked for in a login.
    pub people: PeopleSettings,
    /// How sessions live.
    pub sessions: SessionSettings,
    /// `ALLOWED_ALGORITHMS`: what tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// `API_AUDIENCE`: what a bearer token must be for; without it none is taken.
    pub audiences: Vec<String>,
    /// `TOKEN_SCOPE`, `TOKEN_AUDIENCE`, `TOKEN_RESOURCE` and `TOKEN_PARAMETERS`: what the service's own token is for.
    pub request: TokenRequest,
    /// What else there is to say about that token request and its answer.
    pub tokens: TokenSettings,
    /// `PROTECTED_DATA_URL`: where protected-data is.
    pub protected_data: Url,
}

impl Config {
    /// Reads the variables. What comes back is usable only if the reader ends without problems.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let (provider, login) = provider::read(reader);
        let clients = Clients::read(reader);
        let address = reader.socket_addr("INVOICES_ADDR", ([127, 0, 0, 1], 6004).into());
        let people = PeopleSettings::read(reader, &provider, &login);
        let config = Self {
            address,
            admin_address: reader.socket_addr_or_off("INVOICES_ADMIN_ADDR", DEFAULT_ADMIN),
            admin_hosts: reader.host_names("ADMIN_ALLOWED_HOSTS"),
            clients,
            people,
            sessions: SessionSettings::read(reader),
            algorithms: algorithms(reader),
            audiences: words(reader, "API_AUDIENCE"),
            request: client_settings::token_request(reader),
            tokens: TokenSettings::read(reader),
            protected_data: reader
                .endpoint("PROTECTED_DATA_URL", provider.allow_insecure_http)
                .unwrap_or_else(|| {
                    Url::parse("http://127.0.0.1:6002").expect("the default is a URL")
                }),
            provider,
            login,
        };
        config.check(reader);
        config
    }

    /// The libraries have the last word on what fits together. They tell one problem at a time, so they are asked
    /// where everything else is right.
    fn check(&self, reader: &mut Reader<'_>) {
        if VARIABLES.iter().any(|name| reader.has_problem(name)) {
            return;
        }
        match self.sessions(self.address.port()) {
            Ok(_) => {}
            Err(StartError::Login(error)) => {
                reader.problem(error.setting(), error.problem().to_owned());
            }
            Err(StartError::Sessions(error)) => {
                reader.problem(error.setting(), error.problem());
            }
            // Told by the start.
            Err(_) => {}
        }
    }

    /// Tells whether tenants begin with samples: the provider is one of this machine, and so for development.
    #[must_use]
    pub fn has_samples(&self) -> bool {
        let issuer = Url::parse(&self.provider.issuer);
        issuer.is_ok_and(|issuer| is_loopback(&issuer))
    }
}

/// Tells whether a URL is of this machine: `localhost` and what is below it, 127/8 and `::1`.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Words that are separated by spaces: a comma may be part of one.
fn words(reader: &mut Reader<'_>, name: &str) -> Vec<String> {
    let value = reader.optional(name).unwrap_or_default();
    value.split_ascii_whitespace().map(str::to_owned).collect()
}

fn algorithms(reader: &mut Reader<'_>) -> Vec<Algorithm> {
    const NAME: &str = "ALLOWED_ALGORITHMS";
    let names = reader.list(NAME);
    if names.is_empty() {
        return Algorithm::ALL.to_vec();
    }
    let parsed: Result<Vec<Algorithm>, _> = names.iter().map(|name| name.parse()).collect();
    parsed.unwrap_or_else(|_| {
        let known: Vec<&str> = Algorithm::ALL.iter().map(|it| it.as_str()).collect();
        reader.problem(NAME, format!("must be some of {}", known.join(", ")));
        Vec::new()
    })
}

#[cfg(test)]
mod tests;
