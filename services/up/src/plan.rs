//! The plan of a launch, made from the variables before anything is started.

use std::net::SocketAddr;

use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_SCOPE};
use m2m_cli::settings::Settings;
use service_kit::config::{ConfigError, Environment, Reader, Runtime, VARIABLES};
use token_cache::ClientAuth;

/// Everything that will be started.
#[derive(Debug)]
pub(crate) struct Plan<'e> {
    pub(crate) process: Runtime,
    pub(crate) protected_data: protected_data::Config,
    pub(crate) public_data: public_data::Config,
    #[cfg(feature = "people")]
    pub(crate) invoices: invoices::Config,
    /// Whether public-data calls the address that protected-data gets.
    pub(crate) follow_protected_data: bool,
    pub(crate) provider: Option<Provider>,
    pub(crate) warnings: Vec<String>,
    /// The settings from which all of it was read.
    pub(crate) settings: Settings<'e>,
}

/// The embedded identity provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) control: Option<SocketAddr>,
    pub(crate) audience: String,
    pub(crate) scopes: Vec<String>,
}

impl<'e> Plan<'e> {
    pub(crate) fn read(environment: &'e Environment) -> Result<Self, ConfigError> {
        let unknown = environment.unknown(&VARIABLES);
        let embedded = !Settings::new(environment, false).names_provider();
        let mut settings = Settings::new(environment, embedded);
        // Here the answer matters, and the reason where it is a refusal; the services' other lines do not.
        settings.stand_in("RUST_LOG", "warn,protected_data::refusal=info");
        #[cfg(feature = "people")]
        let random = embedded
            .then(|| crate::people::stand_in(&mut settings))
            .flatten();
        #[cfg(not(feature = "people"))]
        let random = None;
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
        #[cfg(feature = "people")]
        let invoices = crate::people::read(&mut reader);
        let auth = public_data.client_auth;
        if embedded && !auth.has_shared_secret() && auth != ClientAuth::PrivateKeyJwt {
            reader.problem(
                "CLIENT_AUTH_METHOD",
                "the embedded provider knows client secrets and private_key_jwt only; set ISSUER too",
            );
        }
        let process = Runtime::read(&mut reader);
        let provider = embedded.then(|| Provider::read(&mut reader));
        let warnings = reader.warnings().iter().map(ToString::to_string);
        let warnings = warnings.chain(unknown.iter().map(ToString::to_string));
        let warnings = warnings.chain(random);
        let warnings = warnings.collect();
        reader
            .finish()
            .map_err(|error| error.with_warnings(&unknown))?;
        Ok(Self {
            process,
            protected_data,
            public_data,
            #[cfg(feature = "people")]
            invoices,
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
