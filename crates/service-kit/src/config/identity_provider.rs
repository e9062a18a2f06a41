//! The settings about the identity provider that all services share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::url::Url;
use idp_http::{BuildError, Discovery, IdpClient, IdpClientBuilder, Proxy, UrlProblem};
use secrecy::ExposeSecret as _;

use super::Reader;
use super::url::{ENDPOINT_FORM, endpoint};

/// Where tokens come from and which keys they are checked with.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// The issuer, byte for byte as it was given: it is compared with `iss` and with the discovery
    /// document as text (RFC 8414 section 3.3).
    pub issuer: String,
    /// The address of the metadata; `None` leaves it to discovery below the issuer.
    pub metadata_url: Option<Url>,
    /// The token endpoint; `None` leaves it to the metadata.
    pub token_endpoint: Option<Url>,
    /// The address of the key set; `None` leaves it to the metadata.
    pub jwks_uri: Option<Url>,
    /// PEM certificates that are trusted beside the system's when the provider is called. When the
    /// configuration was read, there was at least one in it, and each was usable.
    pub ca_file: Option<PathBuf>,
    /// The proxy that the provider is called through.
    pub proxy: Option<Proxy>,
    /// How long a whole exchange may take.
    pub timeout: Duration,
    /// How long TCP and TLS may take with each address of the provider.
    pub connect_timeout: Duration,
    /// `http` is taken for hosts that are not loopback.
    pub allow_insecure_http: bool,
}

const DOMAIN_FORM: &str = "a host or host:port and nothing else, such as login.example.com";
const NAME_FORM: &str = "text without spaces and control characters";
const PROXY_FORM: &str = "an http or https URL with a host and a port, and nothing else";

impl IdentityProvider {
    /// The variables that [`IdentityProvider::read`] reads.
    pub const VARIABLES: [&'static str; 11] = [
        "ISSUER",
        "APPLICATION_VANITY_DOMAIN",
        "METADATA_URL",
        "TOKEN_ENDPOINT",
        "JWKS_URI",
        "IDP_CA_FILE",
        "IDP_PROXY",
        "IDP_PROXY_CREDENTIALS_FILE",
        "IDP_TIMEOUT",
        "IDP_CONNECT_TIMEOUT",
        "ALLOW_INSECURE_HTTP",
    ];

    /// Reads [`IdentityProvider::VARIABLES`].
    ///
    /// `APPLICATION_VANITY_DOMAIN=D` stands for the issuer `https://D`, the token endpoint
    /// `https://D/api/v1/oauth2/token` and the keys `https://D/api/v1/oauth2/jwks`. `ISSUER`,
    /// `TOKEN_ENDPOINT` and `JWKS_URI` each override their part. An `ISSUER` on another host than D is
    /// a problem: the client's secret would go to one provider and trust to another.
    ///
    /// Where `METADATA_URL` or `JWKS_URI` says where the keys are, `ISSUER` may be any name, such as
    /// `urn:example:issuer`: it is compared and never called.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let allow_insecure_http = reader.bool("ALLOW_INSECURE_HTTP", false);
        if allow_insecure_http {
            reader.warning(
                "ALLOW_INSECURE_HTTP",
                "is on: over http everyone on the way can read and replace secrets, tokens and keys",
            );
        }
        let metadata_url = reader.endpoint_with_query("METADATA_URL", allow_insecure_http);
        let jwks_uri = reader.endpoint_with_query("JWKS_URI", allow_insecure_http);
        let token_endpoint = reader.endpoint_with_query("TOKEN_ENDPOINT", allow_insecure_http);
        let domain = reader.parse("APPLICATION_VANITY_DOMAIN", DOMAIN_FORM, origin);
        let issuer = if metadata_url.is_some() || jwks_uri.is_some() {
            reader.parse("ISSUER", NAME_FORM, |value| {
                is_name(value).then(|| (value.to_owned(), Url::parse(value).ok()))
            })
        } else {
            reader.parse("ISSUER", ENDPOINT_FORM, |value| {
                endpoint(value, allow_insecure_http).map(|url| (value.to_owned(), Some(url)))
            })
        };
        match (&issuer, &domain) {
            (Some((_, Some(issuer))), Some((_, domain))) if issuer.origin() != domain.origin() => {
                let text = "is on another host than APPLICATION_VANITY_DOMAIN; set one";
                reader.problem("ISSUER", text);
            }
            (None, None)
                if !["ISSUER", "APPLICATION_VANITY_DOMAIN"]
                    .into_iter()
                    .any(|name| reader.has_problem(name)) =>
            {
                reader.problem("ISSUER", "is required, or APPLICATION_VANITY_DOMAIN");
            }
            _ => {}
        }
        let below_domain = |path| domain.as_ref().and_then(|(_, url)| url.join(path).ok());
        let issuer = issuer
            .map(|(text, _)| text)
            .or_else(|| domain.as_ref().map(|(text, _)| text.clone()));
        let (timeout, connect_timeout) = read_timeouts(reader);
        let proxy = read_proxy(reader);
        if proxy.is_none()
            && let Some(Ok(url)) = issuer.as_deref().map(Url::parse)
        {
            reader.warn_of_proxy(&url);
        }
        Self {
            issuer: issuer.unwrap_or_default(),
            token_endpoint: token_endpoint.or_else(|| match &metadata_url {
                Some(_) => None,
                None => below_domain("/api/v1/oauth2/token"),
            }),
            jwks_uri: jwks_uri.or_else(|| match &metadata_url {
                Some(_) => None,
                None => below_domain("/api/v1/oauth2/jwks"),
            }),
            metadata_url,
            ca_file: read_ca(reader),
            proxy,
            timeout,
            connect_timeout,
            allow_insecure_http,
        }
    }

    /// Notes a problem where nothing says how to find the token endpoint: the issuer is a name that cannot be
    /// asked, and neither it nor the metadata have an address of their own.
    pub fn require_token_endpoint(&self, reader: &mut Reader<'_>) {
        let is_known = self.token_endpoint.is_some() || self.metadata_url.is_some();
        let is_address = endpoint(&self.issuer, self.allow_insecure_http).is_some();
        if !is_known && !is_address && !self.issuer.is_empty() {
            let text = "is required, or METADATA_URL: ISSUER is no https URL to find it by";
            reader.problem("TOKEN_ENDPOINT", text);
        }
    }

    /// Returns how the provider is called with these settings.
    #[must_use]
    pub fn http(&self) -> IdpClientBuilder {
        let mut http = IdpClient::builder()
            .timeout(self.timeout)
            .connect_timeout(self.connect_timeout)
            .dangerous_allow_http(self.allow_insecure_http);
        if let Some(path) = &self.ca_file {
            http = http.extra_roots_file(path);
        }
        if let Some(proxy) = &self.proxy {
            http = http.proxy(proxy.clone());
        }
        http
    }

    /// Returns what finds the provider's endpoints, and the name of the variable that decides where it
    /// looks.
    ///
    /// # Errors
    ///
    /// Fails when the client may not ask there.
    pub fn discovery(&self, http: IdpClient) -> Result<Discovery, (&'static str, UrlProblem)> {
        match &self.metadata_url {
            Some(url) => Discovery::at(http, &self.issuer, url.clone())
                .map_err(|problem| ("METADATA_URL", problem)),
            None => Discovery::new(http, &self.issuer).map_err(|problem| ("ISSUER", problem)),
        }
    }
}

/// Tells whether a value can be compared, and shown in one line.
fn is_name(value: &str) -> bool {
    !value
        .chars()
        .any(|char| char.is_whitespace() || char.is_control())
}

/// The issuer text and URL of a vanity domain.
fn origin(domain: &str) -> Option<(String, Url)> {
    let is_plain = domain
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    let text = format!("https://{domain}");
    let url = endpoint(&text, false)?;
    (is_plain && url.path() == "/" && !domain.ends_with(':')).then_some((text, url))
}

fn read_timeouts(reader: &mut Reader<'_>) -> (Duration, Duration) {
    const CONNECT: &str = "IDP_CONNECT_TIMEOUT";
    let seconds = Duration::from_secs;
    let timeout = reader.duration("IDP_TIMEOUT", seconds(3), seconds(1)..=seconds(30));
    let shortest = Duration::from_millis(100);
    let connect_timeout = reader.duration(CONNECT, seconds(1), shortest..=seconds(10));
    if connect_timeout > timeout {
        reader.warning(
            CONNECT,
            "is longer than IDP_TIMEOUT, which ends the exchange before",
        );
    }
    (timeout, connect_timeout)
}

/// Builds a client with it, since that is what decides: what it refuses would stop the start later.
fn read_ca(reader: &mut Reader<'_>) -> Option<PathBuf> {
    const NAME: &str = "IDP_CA_FILE";
    let path = reader.optional(NAME)?;
    let problem = match IdpClient::builder().extra_roots_file(&path).build() {
        Ok(_) => return Some(path.into()),
        Err(BuildError::RootsFile(problem)) => format!("names a file that {problem}"),
        Err(_) => "names a file without a usable PEM certificate".to_owned(),
    };
    reader.problem(NAME, problem);
    None
}

fn read_proxy(reader: &mut Reader<'_>) -> Option<Proxy> {
    const FILE: &str = "IDP_PROXY_CREDENTIALS_FILE";
    let proxy = reader.parse("IDP_PROXY", PROXY_FORM, |value| {
        Proxy::new(Url::parse(value).ok()?).ok()
    });
    let Some(path) = reader.optional(FILE) else {
        return proxy;
    };
    let credentials = reader.secret_file(FILE, Path::new(&path))?;
    let text = credentials.expose_secret();
    if !text.contains(':') || text.chars().any(char::is_control) {
        reader.problem(
            FILE,
            "names a file that does not hold one line user:password",
        );
        return None;
    }
    if proxy.is_none() && !reader.has_problem("IDP_PROXY") {
        reader.problem(FILE, "is of no use without IDP_PROXY");
    }
    proxy.map(|proxy| proxy.credentials_file(path))
}
