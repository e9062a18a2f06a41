//! The service's variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use jwks_validator::{Algorithm, IssuerKeys, JwtValidator, JwtValidatorBuilder, RequireScopes};
use service_kit::config::{IdentityProvider, Reader};

/// The status address, unless another one is asked for.
pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6012);

/// What protected-data is configured with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `PROTECTED_DATA_ADDR`: the listener.
    pub address: SocketAddr,
    /// `PROTECTED_DATA_ADMIN_ADDR`: the status address; `None` when it is `off`.
    pub admin_address: Option<SocketAddr>,
    /// Whose tokens are accepted.
    pub provider: IdentityProvider,
    /// `API_AUDIENCE`: this API's identifier; `None` with `DANGEROUS_SKIP_AUDIENCE=true`.
    pub audience: Option<String>,
    /// `REQUIRED_SCOPES`.
    pub required_scopes: Option<RequireScopes>,
    /// `ALLOWED_ALGORITHMS`.
    pub algorithms: Vec<Algorithm>,
    /// `TOKEN_CACHE_ENTRIES`: how many accepted tokens are remembered.
    pub token_cache_entries: usize,
}

impl Config {
    /// Reads the variables. What comes back is usable only if the reader ends without problems.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let provider = IdentityProvider::read(reader);
        let skip_audience = reader.bool("DANGEROUS_SKIP_AUDIENCE", false);
        let audience = reader.optional("API_AUDIENCE");
        match (&audience, skip_audience) {
            (None, false) => {
                reader.problem(
                    "API_AUDIENCE",
                    "is required, or DANGEROUS_SKIP_AUDIENCE=true",
                );
            }
            (Some(_), true) => {
                reader.problem(
                    "DANGEROUS_SKIP_AUDIENCE",
                    "and API_AUDIENCE exclude each other; set one",
                );
            }
            _ => {}
        }
        if skip_audience {
            reader.warning(
                "DANGEROUS_SKIP_AUDIENCE",
                "is on: tokens that were issued for other APIs are accepted here",
            );
        }
        let scopes = reader.list("REQUIRED_SCOPES");
        let required_scopes = if scopes.is_empty() {
            None
        } else {
            let layer = RequireScopes::all(scopes);
            if layer.is_err() {
                reader.problem("REQUIRED_SCOPES", "must be scope names separated by spaces");
            }
            layer.ok()
        };
        Self {
            address: reader.socket_addr("PROTECTED_DATA_ADDR", ([127, 0, 0, 1], 6002).into()),
            admin_address: reader.socket_addr_or_off("PROTECTED_DATA_ADMIN_ADDR", DEFAULT_ADMIN),
            audience,
            required_scopes,
            algorithms: algorithms(reader),
            token_cache_entries: reader.usize("TOKEN_CACHE_ENTRIES", 10_000, 0..=1_000_000),
            provider,
        }
    }

    /// Returns a validator's settings for keys from this source.
    #[must_use]
    pub fn validator(&self, keys: impl Into<IssuerKeys>) -> JwtValidatorBuilder {
        let builder = JwtValidator::builder()
            .issuer(&self.provider.issuer, keys)
            .algorithms(self.algorithms.iter().copied())
            .verified_token_cache(self.token_cache_entries);
        match &self.audience {
            Some(audience) => builder.audience(audience),
            None => builder.dangerous_skip_audience(),
        }
    }
}

fn algorithms(reader: &mut Reader<'_>) -> Vec<Algorithm> {
    const NAME: &str = "ALLOWED_ALGORITHMS";
    let names = reader.list(NAME);
    if names.is_empty() {
        return Algorithm::ALL.to_vec();
    }
    let parsed: Result<Vec<Algorithm>, _> = names.iter().map(|name| name.parse()).collect();
    parsed.unwrap_or_else(|_| {
        let known: Vec<&str> = Algorithm::ALL
            .iter()
            .map(|algorithm| algorithm.as_str())
            .collect();
        reader.problem(NAME, format!("must be some of {}", known.join(", ")));
        Vec::new()
    })
}
