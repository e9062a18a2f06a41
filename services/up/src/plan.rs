//! The plan of a launch, made from the variables before anything is started.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPE};
use service_kit::config::{ConfigError, Environment, Problem, Reader, Runtime, Strings, VARIABLES};

/// Everything that will be started.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) process: Runtime,
    pub(crate) protected_data: protected_data::Config,
    pub(crate) public_data: public_data::Config,
    /// Whether public-data calls the address that protected-data gets.
    pub(crate) follow_protected_data: bool,
    pub(crate) provider: Option<Provider>,
    pub(crate) warnings: Vec<String>,
    /// The settings from which all of it was read.
    pub(crate) settings: Settings,
}

/// The embedded identity provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) control: Option<SocketAddr>,
    pub(crate) audience: String,
    pub(crate) scopes: Vec<String>,
}

impl Plan {
    pub(crate) fn read() -> Result<Self, ConfigError> {
        Self::from_environment(Environment::load())
    }

    fn from_environment(environment: Environment) -> Result<Self, ConfigError> {
        let unknown = environment.unknown(&VARIABLES);
        let mut settings = Settings {
            environment,
            defaults: BTreeMap::new(),
        };
        // Here the answer matters, and the reason where it is a refusal; the services' other lines do not.
        let filter = "warn,protected_data::refusal=info";
        settings.defaults.insert("RUST_LOG", filter.to_owned());
        let embedded = !settings.has("ISSUER") && !settings.has("APPLICATION_VANITY_DOMAIN");
        if embedded {
            settings.add_provider_defaults();
        }
        let mut reader = Reader::new(&settings);
        if embedded {
            // The development secret must not go to a provider that others run.
            for name in ["TOKEN_ENDPOINT", "JWKS_URI"] {
                if settings.has(name) {
                    reader.problem(
                        name,
                        "is of no use to the embedded provider; set ISSUER too",
                    );
                }
            }
        }
        let protected_data = protected_data::Config::read(&mut reader);
        let public_data = public_data::Config::read(&mut reader);
        if embedded && !public_data.client_auth.has_shared_secret() {
            reader.problem(
                "CLIENT_AUTH_METHOD",
                "the embedded provider knows client secrets only; set ISSUER too",
            );
        }
        let process = Runtime::read(&mut reader);
        let provider = embedded.then(|| Provider::read(&mut reader));
        let warnings = reader.warnings().iter().map(ToString::to_string);
        let warnings = warnings.chain(unknown.iter().map(ToString::to_string));
        let warnings = warnings.collect();
        reader
            .finish()
            .map_err(|error| error.with_warnings(&unknown))?;
        Ok(Self {
            process,
            protected_data,
            public_data,
            follow_protected_data: !settings.has("PROTECTED_DATA_URL"),
            provider,
            warnings,
            settings,
        })
    }
}

impl Provider {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut scopes = reader.list("TOKEN_SCOPE");
        scopes.extend(reader.list("REQUIRED_SCOPES"));
        scopes.push(DEFAULT_SCOPE.to_owned());
        Self {
            address: reader
                .optional_loopback_addr("DEV_IDP_ADDR")
                .unwrap_or(([127, 0, 0, 1], 6003).into()),
            control: reader.optional_loopback_addr("DEV_IDP_CONTROL_ADDR"),
            // Of several, the first is what tokens are issued for unless another is asked for.
            audience: reader
                .optional("API_AUDIENCE")
                .and_then(|names| Some(names.split_ascii_whitespace().next()?.to_owned()))
                .unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned()),
            scopes,
        }
    }
}

/// The environment and `.env`, with defaults behind them.
#[derive(Debug)]
pub(crate) struct Settings {
    environment: Environment,
    defaults: BTreeMap<&'static str, String>,
}

impl Settings {
    fn has(&self, name: &str) -> bool {
        self.environment
            .get(name)
            .is_some_and(|value| !value.is_empty())
    }

    fn add_provider_defaults(&mut self) {
        // Stands in until the provider has its address.
        self.defaults
            .insert("ISSUER", "http://127.0.0.1:6003".to_owned());
        self.defaults
            .insert("CLIENT_ID", DEFAULT_CLIENT_ID.to_owned());
        if !self.has("CLIENT_SECRET_FILE") {
            self.defaults
                .insert("CLIENT_SECRET", DEFAULT_CLIENT_SECRET.to_owned());
        }
        if self.environment.get("DANGEROUS_SKIP_AUDIENCE").as_deref() != Some("true") {
            self.defaults
                .insert("API_AUDIENCE", DEFAULT_AUDIENCE.to_owned());
        }
    }
}

impl Strings for Settings {
    fn get(&self, name: &str) -> Option<String> {
        let value = self.environment.get(name).filter(|value| !value.is_empty());
        value.or_else(|| self.defaults.get(name).cloned())
    }

    fn problems(&self) -> &[Problem] {
        self.environment.problems()
    }

    fn warnings(&self) -> &[Problem] {
        self.environment.warnings()
    }

    fn is_malformed(&self, name: &str) -> bool {
        self.environment.is_malformed(name)
    }
}

/// The same where the pair runs: with the addresses that it has.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) settings: Settings,
    pub(crate) known: BTreeMap<&'static str, String>,
}

impl Strings for Running {
    fn get(&self, name: &str) -> Option<String> {
        let known = self.known.get(name).cloned();
        known.or_else(|| self.settings.get(name))
    }

    fn problems(&self) -> &[Problem] {
        self.settings.problems()
    }

    fn is_malformed(&self, name: &str) -> bool {
        self.settings.is_malformed(name)
    }
}
