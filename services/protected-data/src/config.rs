//! The service's variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use jwks_validator::{
    Algorithm, ClaimValue, DEFAULT_TOKEN_SIZE, IssuerKeys, JwtValidator, JwtValidatorBuilder,
    MAX_LEEWAY, MAX_TOKEN_SIZE, Policy, RequireScopes, TokenFrom,
};
use service_kit::config::{IdentityProvider, Reader};

mod claims;

/// The status address, unless another one is asked for.
pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6012);
/// Entra gives managed identities five minutes more.
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);
/// Tokens of projects and of appliances are issued for a year, and renewed in its last month.
const MAX_LIFETIMES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(400 * 24 * 60 * 60);
/// Room for the headers beside the token.
const OTHER_HEADERS: usize = 8 * 1024;

/// The settings of protected-data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `PROTECTED_DATA_ADDR`: the listener.
    pub address: SocketAddr,
    /// `PROTECTED_DATA_ADMIN_ADDR`: the status address; `None` when it is `off`.
    pub admin_address: Option<SocketAddr>,
    /// `ADMIN_ALLOWED_HOSTS`: names by which the status address may be asked, beside its own.
    pub admin_hosts: Vec<String>,
    /// The provider whose tokens are accepted.
    pub provider: IdentityProvider,
    /// `API_AUDIENCE`: this API's identifiers, of which a token must have one; none with
    /// `DANGEROUS_SKIP_AUDIENCE=true`.
    pub audiences: Vec<String>,
    /// `AUDIENCE_CLAIM`: the claim that holds the audience, `aud` by default.
    pub audience_claim: String,
    /// `REQUIRED_CLAIMS`: claims that a token must have, each with the values of which it must have one.
    pub required_claims: Vec<(String, Vec<ClaimValue>)>,
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
    /// `LEEWAY`: how far the provider's clock may differ from ours, 60 s by default.
    pub leeway: Duration,
    /// `MAX_TOKEN_SIZE`: the longest token that is looked at, in bytes, 12 KiB by default.
    pub max_token_size: usize,
    /// `TOKEN_FROM`: where a request's token stands.
    pub token_from: TokenFrom,
    /// `VERIFIED_CACHE_ENTRIES`: how many accepted tokens are cached.
    pub verified_cache_entries: usize,
}

impl Config {
    /// Reads the variables. The settings are usable only if the reader ends without problems.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let provider = IdentityProvider::read(reader);
        let skip_audience = reader.bool("DANGEROUS_SKIP_AUDIENCE", false);
        // Not `list`: a comma may be part of a name.
        let audiences: Vec<String> = reader
            .optional("API_AUDIENCE")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        match (audiences.is_empty(), skip_audience) {
            (true, false) => {
                reader.problem(
                    "API_AUDIENCE",
                    "is required, or DANGEROUS_SKIP_AUDIENCE=true",
                );
            }
            (false, true) => {
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
        let scope_claim = scope_claim(reader);
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
            audiences,
            audience_claim: audience_claim(reader, &scope_claim),
            required_claims: claims::required(reader),
            required_scopes,
            scope_claim,
            allow_scope_array: reader.bool("ALLOW_SCOPE_ARRAY", false),
            algorithms: algorithms(reader),
            max_lifetime: reader.duration(
                "MAX_TOKEN_LIFETIME",
                DEFAULT_MAX_LIFETIME,
                MAX_LIFETIMES,
            ),
            leeway: reader.duration("LEEWAY", DEFAULT_LEEWAY, Duration::ZERO..=MAX_LEEWAY),
            max_token_size: reader.size(
                "MAX_TOKEN_SIZE",
                DEFAULT_TOKEN_SIZE,
                1024..=MAX_TOKEN_SIZE,
            ),
            token_from: token_from(reader),
            verified_cache_entries: reader.usize("VERIFIED_CACHE_ENTRIES", 10_000, 0..=1_000_000),
            provider,
        }
    }

    /// Returns a validator's settings for keys from this source.
    #[must_use]
    pub fn validator(&self, keys: impl Into<IssuerKeys>) -> JwtValidatorBuilder {
        JwtValidator::builder()
            .issuer(&self.provider.issuer, keys)
            .policy(self.policy())
            .verified_cache(self.verified_cache_entries)
    }

    /// Returns how large a request's header block may be: the longest token, and 8 KiB for the rest.
    pub(crate) fn max_header_bytes(&self) -> usize {
        self.max_token_size + OTHER_HEADERS
    }

    /// Returns the rules of that validator, for a decision without one.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let policy = if self.audiences.is_empty() {
            Policy::dangerous_for_any_audience()
        } else {
            Policy::for_audiences(&self.audiences)
        };
        let mut policy = policy
            .algorithms(self.algorithms.iter().copied())
            .audience_claim(&self.audience_claim)
            .leeway(self.leeway)
            .max_lifetime(self.max_lifetime)
            .max_token_size(self.max_token_size)
            .scope_claim(&self.scope_claim)
            .allow_scope_array(self.allow_scope_array);
        for (name, values) in &self.required_claims {
            policy = policy.require_claim_in(name, values.iter().cloned());
        }
        policy
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

fn audience_claim(reader: &mut Reader<'_>, scope_claim: &str) -> String {
    let expected = "the name of a claim that holds the audience, such as aud or client_id, and not SCOPE_CLAIM";
    let is_free = |name: &str| !Policy::FIXED_CLAIMS.contains(&name) && name != scope_claim;
    reader
        .parse("AUDIENCE_CLAIM", expected, |name| {
            is_free(name).then(|| name.to_owned())
        })
        .unwrap_or_else(|| "aud".to_owned())
}

fn token_from(reader: &mut Reader<'_>) -> TokenFrom {
    let expected = "authorization, header:NAME or cookie:NAME";
    let read = |value: &str| match value.split_once(':') {
        None if value == "authorization" => Some(TokenFrom::authorization()),
        Some(("header", name)) => TokenFrom::header(name).ok(),
        Some(("cookie", name)) => TokenFrom::cookie(name).ok(),
        _ => None,
    };
    reader
        .parse("TOKEN_FROM", expected, read)
        .unwrap_or_default()
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
    fn the_longest_lifetime_is_one_second_to_four_hundred_days() {
        let hour = Duration::from_secs(60 * 60);
        for (value, expected) in [
            ("", 24 * hour),
            ("24h 5m", 24 * hour + hour / 12),
            ("1s", Duration::from_secs(1)),
            ("400days", 400 * 24 * hour),
        ] {
            let config = read("MAX_TOKEN_LIFETIME", value).unwrap();
            assert_eq!(config.max_lifetime, expected, "{value:?}");
        }
        for value in ["999ms", "400days 1s", "86400", "0"] {
            let error = read("MAX_TOKEN_LIFETIME", value).unwrap_err();
            let form = "MAX_TOKEN_LIFETIME: must be a duration with its unit, such as 10s, \
                        between 1s and 400days";
            assert!(error.contains(form), "{value}: {error}");
        }
    }

    /// N50
    #[test]
    fn several_audiences_are_separated_by_spaces() {
        let config = read("API_AUDIENCE", "https://a.example  api://b,c").unwrap();
        assert_eq!(config.audiences, ["https://a.example", "api://b,c"]);
        for value in ["", "  "] {
            let error = read("API_AUDIENCE", value).unwrap_err();
            assert!(error.contains("API_AUDIENCE: is required"), "{error}");
        }
    }

    /// N51
    #[test]
    fn the_audience_stands_in_any_claim_that_is_not_read_as_something_else() {
        assert_eq!(read("AUDIENCE_CLAIM", "").unwrap().audience_claim, "aud");
        for name in ["aud", "client_id", "azp", "sub"] {
            assert_eq!(read("AUDIENCE_CLAIM", name).unwrap().audience_claim, name);
        }
        for name in Policy::FIXED_CLAIMS.into_iter().chain(["scope"]) {
            let error = read("AUDIENCE_CLAIM", name).unwrap_err();
            let form = "AUDIENCE_CLAIM: must be the name of a claim that holds the audience";
            assert!(error.contains(form), "{name}: {error}");
        }
    }

    #[test]
    fn the_leeway_is_nothing_to_five_minutes() {
        for (value, seconds) in [("", 60), ("0s", 0), ("90s", 90), ("5m", 300)] {
            let config = read("LEEWAY", value).unwrap();
            assert_eq!(config.leeway, Duration::from_secs(seconds), "{value:?}");
        }
        for value in ["301s", "60", "-1s"] {
            let error = read("LEEWAY", value).unwrap_err();
            assert!(error.contains("between 0s and 5m"), "{value}: {error}");
        }
    }

    /// E22
    #[test]
    fn the_token_size_is_bytes_or_kibibytes_and_the_header_block_follows_it() {
        for (value, bytes) in [("", 12 << 10), ("32KiB", 32 << 10), ("1024", 1024)] {
            let config = read("MAX_TOKEN_SIZE", value).unwrap();
            assert_eq!(config.max_token_size, bytes, "{value:?}");
            assert_eq!(config.max_header_bytes(), bytes + (8 << 10), "{value:?}");
        }
        for value in [
            "33KiB", "32769", "1023", "0", "12kb", "12 KiB", "-1", "1MiB", "0x800",
        ] {
            let error = read("MAX_TOKEN_SIZE", value).unwrap_err();
            let form = "MAX_TOKEN_SIZE: must be a size such as 12KiB, or a number of bytes, \
                        between 1KiB and 32KiB";
            assert!(error.contains(form), "{value}: {error}");
        }
    }

    /// N53
    #[test]
    fn the_token_is_read_from_one_named_place() {
        let header = TokenFrom::header("cf-access-jwt-assertion").unwrap();
        for (value, expected) in [
            ("", TokenFrom::authorization()),
            ("authorization", TokenFrom::authorization()),
            ("header:Cf-Access-Jwt-Assertion", header),
            ("cookie:session", TokenFrom::cookie("session").unwrap()),
        ] {
            assert_eq!(read("TOKEN_FROM", value).unwrap().token_from, expected);
        }
        for value in [
            "header",
            "header:",
            "cookie:a b",
            "query:token",
            "header:authorization",
        ] {
            let error = read("TOKEN_FROM", value).unwrap_err();
            let form = "TOKEN_FROM: must be authorization, header:NAME or cookie:NAME";
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
