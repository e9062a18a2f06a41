//! Settings of a provider.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::{Clock, SystemClock};
use idp_http::{Discovery, IdpClient, IdpClientBuilder, Reader};
use jwks_validator::{Algorithm, IssuerKeys, JwtValidator, Policy, RemoteJwks};
use token_endpoint::{Client, ClientAuth, ClientBuilder, ConfigError, SecretSource};
use url::Url;

use super::{Logout, Named, Provider, Template};

/// Settings of a [`Provider`]. The issuer has no default.
#[derive(Debug)]
pub struct ProviderBuilder {
    client_id: String,
    client: ClientBuilder,
    assertion_audience: Option<String>,
    issuer: Option<String>,
    metadata: Option<Url>,
    scopes: String,
    audience: Option<String>,
    resource: Option<String>,
    vanity: Option<VanityDomain>,
    authorization: Option<String>,
    token: Option<Url>,
    jwks: Option<Url>,
    userinfo: Option<Url>,
    revocation: Option<Url>,
    end_session: Option<String>,
    algorithms: Option<Vec<Algorithm>>,
    http: IdpClientBuilder,
    clock: Arc<dyn Clock>,
}

/// A provider all of whose addresses follow from one domain `D`: the issuer is `https://D`, and a tenant's host is
/// `T-D`, or `T.D` for a custom domain. Nothing is asked about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VanityDomain {
    /// The domain.
    pub domain: String,
    /// Whether it is a custom one.
    pub is_custom: bool,
}

impl ProviderBuilder {
    pub(super) fn new(client_id: &str, secret: SecretSource) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client: Client::builder(client_id, secret),
            assertion_audience: None,
            issuer: None,
            metadata: None,
            scopes: "openid offline_access profile email roles".to_owned(),
            audience: None,
            resource: None,
            vanity: None,
            authorization: None,
            token: None,
            jwks: None,
            userinfo: None,
            revocation: None,
            end_session: None,
            algorithms: None,
            http: IdpClient::builder(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the issuer, which ID tokens must name byte for byte, and whose metadata name the endpoints.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Sets where the metadata are. The issuer may then be any name. Default: below the issuer.
    #[must_use]
    pub fn metadata_url(mut self, url: Url) -> Self {
        self.metadata = Some(url);
        self
    }

    /// Derives issuer and endpoints from one domain instead of metadata.
    #[must_use]
    pub fn vanity_domain(mut self, vanity: VanityDomain) -> Self {
        self.vanity = Some(vanity);
        self
    }

    /// Sets how the client authenticates at the token endpoint. Default: [`ClientAuth::SecretBasic`].
    #[must_use]
    pub fn auth(mut self, auth: ClientAuth) -> Self {
        self.client = self.client.auth(auth);
        self
    }

    /// Sets whom an assertion of [`ClientAuth::PrivateKeyJwt`] is for. Default: the issuer.
    #[must_use]
    pub fn assertion_audience(mut self, audience: &str) -> Self {
        self.assertion_audience = Some(audience.to_owned());
        self
    }

    /// Sets what else there is to say about the client at the token endpoint. What this builder sets by itself goes
    /// before: clock, HTTP client, and the audience of assertions.
    #[must_use]
    pub fn client(mut self, set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = set(self.client);
        self
    }

    /// Sets the scopes of a login, separated by spaces; `openid` must be one. Without `offline_access` most
    /// providers give no refresh token, and people's access ends with their first token. Default: `openid
    /// offline_access profile email roles`.
    #[must_use]
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.scopes = scopes.to_owned();
        self
    }

    /// Sets whom the person's access token is for, by the parameter `audience`. Default: the provider decides.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.to_owned());
        self
    }

    /// Sets whom the person's access token is for, by the parameter `resource` (RFC 8707).
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Sets where people are sent; `{tenant_name}` may stand in the first label of the host or as a segment of the
    /// path. Default: as the metadata say.
    #[must_use]
    pub fn authorization_endpoint(mut self, template: &str) -> Self {
        self.authorization = Some(template.to_owned());
        self
    }

    /// Sets where tokens are asked for. Default: as the metadata say.
    #[must_use]
    pub fn token_endpoint(mut self, url: Url) -> Self {
        self.token = Some(url);
        self
    }

    /// Sets where the keys are. Default: as the metadata say.
    #[must_use]
    pub fn jwks_uri(mut self, url: Url) -> Self {
        self.jwks = Some(url);
        self
    }

    /// Sets where a person's data are asked for. Default: as the metadata say.
    #[must_use]
    pub fn userinfo_endpoint(mut self, url: Url) -> Self {
        self.userinfo = Some(url);
        self
    }

    /// Sets where refresh tokens are revoked. Default: as the metadata say.
    #[must_use]
    pub fn revocation_endpoint(mut self, url: Url) -> Self {
        self.revocation = Some(url);
        self
    }

    /// Sets where people are sent to log out (OpenID Connect RP-Initiated Logout 1.0), with `{tenant_name}` as for
    /// the authorization endpoint. Default: as the metadata say.
    #[must_use]
    pub fn end_session_endpoint(mut self, template: &str) -> Self {
        self.end_session = Some(template.to_owned());
        self
    }

    /// Sets the algorithms that ID tokens and logout tokens may be signed with. Default: all that the validator
    /// knows.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Sets how the provider is asked: timeouts, root certificates, a proxy. Default: [`IdpClient::builder`] as it
    /// is.
    #[must_use]
    pub fn http(mut self, settings: IdpClientBuilder) -> Self {
        self.http = settings;
        self
    }

    /// Sets the clock that tokens are judged by. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the provider. Asks it nothing.
    ///
    /// # Errors
    ///
    /// Fails with the first setting that cannot work. The error names the variable that such a setting usually
    /// comes from, and quotes no secret.
    pub fn build(self) -> Result<Provider, ConfigError> {
        let problem = |setting: &'static str, text: &str| ConfigError::new(setting, text);
        let error = |setting: &'static str| {
            move |error: &dyn std::fmt::Display| ConfigError::new(setting, error)
        };
        let scopes: Vec<&str> = self.scopes.split_whitespace().collect();
        if !scopes.contains(&"openid") {
            return Err(problem("LOGIN_SCOPES", "must hold openid"));
        }
        let http = self.http.build().map_err(|it| error("IDP_CA_FILE")(&it))?;
        let (derived, derived_keys) = match &self.vanity {
            Some(vanity) => vanity
                .endpoints()
                .map_err(|text| problem("APPLICATION_VANITY_DOMAIN", text))?,
            None => (Named::default(), None),
        };
        let issuer = match (&self.issuer, &self.vanity) {
            (Some(issuer), _) => issuer.clone(),
            (None, Some(vanity)) => format!("https://{}", vanity.domain),
            (None, None) => return Err(problem("ISSUER", "is missing")),
        };
        let template = |setting: &'static str, text: Option<&String>| {
            let parsed = text.map(|text| Template::parse(text)).transpose();
            let parsed = parsed.map_err(|text| problem(setting, text))?;
            if let Some(url) = parsed.as_ref().and_then(Template::example) {
                http.check_url(&url).map_err(|it| error(setting)(&it))?;
            }
            Ok(parsed)
        };
        let end_session = template("END_SESSION_ENDPOINT", self.end_session.as_ref())?;
        let authorization = template("AUTHORIZATION_ENDPOINT", self.authorization.as_ref())?;
        for (setting, url) in [
            ("TOKEN_ENDPOINT", &self.token),
            ("JWKS_URI", &self.jwks),
            ("USERINFO_ENDPOINT", &self.userinfo),
            ("REVOCATION_ENDPOINT", &self.revocation),
        ] {
            if let Some(url) = url {
                http.check_url(url).map_err(|it| error(setting)(&it))?;
            }
        }
        let named = Named {
            authorization: authorization.or(derived.authorization),
            token: self.token.or(derived.token),
            userinfo: self.userinfo.or(derived.userinfo),
            revocation: self.revocation.or(derived.revocation),
            logout: end_session.map(Logout::OpenIdConnect).or(derived.logout),
        };
        if self.metadata.is_some() && self.vanity.is_some() {
            let text = "is of no use beside APPLICATION_VANITY_DOMAIN";
            return Err(problem("METADATA_URL", text));
        }
        let discover = |issuer: &str| match &self.metadata {
            Some(url) => Discovery::at(http.clone(), issuer, url.clone())
                .map_err(|it| error("METADATA_URL")(&it)),
            None => Discovery::new(http.clone(), issuer).map_err(|it| error("ISSUER")(&it)),
        };
        let keys = |jwks: Option<&Url>| {
            Ok::<IssuerKeys, ConfigError>(match jwks {
                Some(url) => RemoteJwks::new(http.clone(), url.clone()).into(),
                None => RemoteJwks::discover(http.clone(), discover(&issuer)?).into(),
            })
        };
        let jwks = self.jwks.or(derived_keys);
        let validator = |policy: Policy| {
            let policy = match &self.algorithms {
                Some(algorithms) => policy.algorithms(algorithms.clone()),
                None => policy,
            };
            let validator = JwtValidator::builder()
                .issuer(&issuer, keys(jwks.as_ref())?)
                .policy(policy.leeway(Duration::from_secs(60)))
                .clock(Arc::clone(&self.clock));
            validator.build().map_err(|it| error("ISSUER")(&it))
        };
        let id_tokens = validator(Policy::for_id_tokens(&self.client_id))?;
        let logout_tokens = validator(Policy::for_logout_tokens(&self.client_id))?;
        let audience = self.assertion_audience.as_ref();
        let client = self
            .client
            .assertion_audience(audience.unwrap_or(&issuer))
            .clock(self.clock)
            .http_client(http.clone())
            .build()?;
        // Where a certificate proves the client, tokens may be asked for elsewhere (RFC 8705 section 5).
        let has_certificate = client.auth() == ClientAuth::TlsClientCertificate;
        let tokens = has_certificate && self.vanity.is_none() && named.token.is_none();
        Ok(Provider {
            token_discovery: match tokens {
                true => Some(discover(&issuer)?.for_reader(Reader::MutualTlsClient)),
                false => None,
            },
            discovery: match self.vanity {
                Some(_) => None,
                None => Some(discover(&issuer)?.for_reader(Reader::Login)),
            },
            client,
            client_id: self.client_id,
            scopes: scopes.join(" "),
            audience: self.audience,
            resource: self.resource,
            named,
            id_tokens,
            logout_tokens,
            issuer,
            known: Mutex::default(),
        })
    }
}

impl VanityDomain {
    /// Returns the endpoints and the address of the keys.
    fn endpoints(&self) -> Result<(Named, Option<Url>), &'static str> {
        let domain = &self.domain;
        let is_host = |url: &Url| url.host_str() == Some(domain.as_str()) && url.path() == "/";
        let base = Url::parse(&format!("https://{domain}"))
            .ok()
            .filter(is_host);
        let base = base.ok_or("expected a domain")?;
        let below = |path: &str| base.join(&format!("/api/v1/oauth2/{path}")).ok();
        let separator = if self.is_custom { '.' } else { '-' };
        let tenant = |path: &str| {
            Template::parse(&format!("https://{{tenant_name}}{separator}{domain}{path}"))
        };
        let named = Named {
            authorization: Some(tenant(super::template::AUTHORIZE_PATH)?),
            token: below("token"),
            userinfo: below("userinfo"),
            revocation: below("revoke"),
            logout: Some(Logout::RedirectUrl(tenant(super::template::LOGOUT_PATH)?)),
        };
        Ok((named, below("jwks")))
    }
}
