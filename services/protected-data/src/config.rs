//! The service's variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use jwks_validator::{
    Algorithm, IssuerKeys, JwtValidator, JwtValidatorBuilder, Policy, RequireScopes,
};
use service_kit::config::{IdentityProvider, Reader};

/// The status address, unless another one is asked for.
pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6012);
/// Entra gives managed identities five minutes more.
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that Auth0 lets an API choose is 30 days.
const MAX_LIFETIMES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 60 * 60);

/// What protected-data is configured with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `PROTECTED_DATA_ADDR`: the listener.
    pub address: SocketAddr,
    /// `PROTECTED_DATA_ADMIN_ADDR`: the status address; `None` when it is `off`.
    pub admin_address: Option<SocketAddr>,
    /// `ADMIN_ALLOWED_HOSTS`: names by which the status address may be asked, beside its own.
    pub admin_hosts: Vec<String>,
    /// Whose tokens are accepted.
    pub provider: IdentityProvider,
    /// `API_AUDIENCE`: this API's identifier; `None` with `DANGEROUS_SKIP_AUDIENCE=true`.
    pub audience: Option<String>,
    /// `REQUIRED_SCOPES`.
    pub required_scopes: Option<RequireScopes>,
    /// `SCOPE_CLAIM`: the claim that scopes are read from, `scope` by default.
    pub scope_claim: String,
    /// `ALLOW_SCOPE_ARRAY`: they may stand in an array of strings too.
    pub allow_scope_array: bool,
    /// `ALLOWED_ALGORITHMS`.
    pub algorithms: Vec<Algorithm>,
    /// `MAX_TOKEN_LIFETIME`: the longest time from issue to expiry of a token, 24 h by default.
    pub max_lifetime: Duration,
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
            admin_hosts: reader.host_names("ADMIN_ALLOWED_HOSTS"),
            audience,
            required_scopes,
            scope_claim: scope_claim(reader),
            allow_scope_array: reader.bool("ALLOW_SCOPE_ARRAY", false),
            algorithms: algorithms(reader),
            max_lifetime: reader.duration(
                "MAX_TOKEN_LIFETIME",
                DEFAULT_MAX_LIFETIME,
                MAX_LIFETIMES,
            ),
            token_cache_entries: reader.usize("TOKEN_CACHE_ENTRIES", 10_000, 0..=1_000_000),
            provider,
        }
    }

    /// Returns a validator's settings for keys from this source.
    #[must_use]
    pub fn validator(&self, keys: impl Into<IssuerKeys>) -> JwtValidatorBuilder {
        let mut builder = JwtValidator::builder()
            .issuer(&self.provider.issuer, keys)
            .algorithms(self.algorithms.iter().copied())
            .max_lifetime(self.max_lifetime)
            .scope_claim(&self.scope_claim)
            .verified_token_cache(self.token_cache_entries);
        if self.allow_scope_array {
            builder = builder.allow_scope_array();
        }
        match &self.audience {
            Some(audience) => builder.audience(audience),
            None => builder.dangerous_skip_audience(),
        }
    }

    /// Returns the rules of that validator, for a decision without one.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let policy = match &self.audience {
            Some(audience) => Policy::for_audiences([audience.as_str()]),
            None => Policy::dangerous_for_any_audience(),
        };
        let policy = policy
            .algorithms(self.algorithms.iter().copied())
            .max_lifetime(self.max_lifetime)
            .scope_claim(&self.scope_claim);
        if self.allow_scope_array {
            policy.allow_scope_array()
        } else {
            policy
        }
    }
}

fn scope_claim(reader: &mut Reader<'_>) -> String {
    let expected = "the name of a claim that holds scopes, such as scope or scp";
    let is_free = |name: &str| !Policy::OTHER_CLAIMS.contains(&name);
    reader
        .parse("SCOPE_CLAIM", expected, |name| {
            is_free(name).then(|| name.to_owned())
        })
        .unwrap_or_else(|| "scope".to_owned())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(name: &str, value: &str) -> Result<Config, String> {
        let variables = BTreeMap::from([
            ("ISSUER", "https://idp.example"),
            ("API_AUDIENCE", "https://api.example"),
            (name, value),
        ]);
        let mut reader = Reader::new(&variables);
        let config = Config::read(&mut reader);
        match reader.finish() {
            Ok(()) => Ok(config),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_longest_lifetime_is_one_second_to_thirty_days() {
        let hour = Duration::from_secs(60 * 60);
        for (value, expected) in [
            ("", 24 * hour),
            ("24h 5m", 24 * hour + hour / 12),
            ("1s", Duration::from_secs(1)),
            ("30days", 30 * 24 * hour),
        ] {
            let config = read("MAX_TOKEN_LIFETIME", value).unwrap();
            assert_eq!(config.max_lifetime, expected, "{value:?}");
        }
        for value in ["999ms", "30days 1s", "86400", "0"] {
            let error = read("MAX_TOKEN_LIFETIME", value).unwrap_err();
            let form = "MAX_TOKEN_LIFETIME: must be a duration with its unit, such as 10s, \
                        between 1s and 30days";
            assert!(error.contains(form), "{value}: {error}");
        }
    }

    #[test]
    fn scopes_stand_in_any_claim_that_is_not_read_as_something_else() {
        assert_eq!(read("SCOPE_CLAIM", "").unwrap().scope_claim, "scope");
        assert_eq!(read("SCOPE_CLAIM", "scp").unwrap().scope_claim, "scp");
        for name in Policy::OTHER_CLAIMS {
            let error = read("SCOPE_CLAIM", name).unwrap_err();
            let form = "SCOPE_CLAIM: must be the name of a claim that holds scopes";
            assert!(error.contains(form), "{name}: {error}");
        }
    }
}
