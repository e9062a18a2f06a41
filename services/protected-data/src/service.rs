//! The service on a socket.

use std::net::SocketAddr;
use std::sync::Arc;

use jwks_validator::{JwtValidator, RemoteJwks, RequireScopes, TokenFrom};
use service_kit::admin::Admin;
use service_kit::server::{BindError, Server};
use service_kit::shutdown::Shutdown;
use tracing::info;

use crate::advice::Advised;
use crate::api::{AppState, app};
use crate::config::{Config, DEFAULT_ADMIN};
use crate::decisions::Decisions;
use crate::record::KeyFetches;
use crate::status::{ProtectedDataStatus, ShownSettings};

/// protected-data with its listener open and its validator built; nothing runs yet.
#[derive(Debug)]
pub struct Service {
    server: Server,
    admin: Admin,
    validator: JwtValidator,
    fetches: Arc<KeyFetches>,
    decisions: Arc<Decisions>,
    settings: ShownSettings,
    required_scopes: Option<RequireScopes>,
    token_from: TokenFrom,
}

/// Why the service could not start. The text names the variable to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The listener, or the one of the status address, could not be opened.
    #[error(transparent)]
    Bind(BindError),
    /// `IDP_CA_FILE` holds no usable certificate, or TLS cannot be set up.
    #[error("IDP_CA_FILE")]
    Provider(#[source] idp_http::BuildError),
    /// The issuer or the address of its keys may not be asked.
    #[error("{0}")]
    Url(&'static str, #[source] idp_http::UrlProblem),
    /// The validator cannot be built from the settings.
    #[error("the validator cannot be set up")]
    Validator(#[source] jwks_validator::BuildError),
}

impl Service {
    /// Opens the listeners and builds the parts. Sends no request.
    ///
    /// # Errors
    ///
    /// Fails when the address cannot be listened on, and when a setting that needs the TLS library or
    /// the system's root certificates to be checked cannot work.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let fetches = Arc::new(KeyFetches::default());
        let validator = validator(config, Arc::clone(&fetches))?;
        let server = Server::builder()
            .max_header_bytes(config.max_header_bytes())
            .bind(config.address)
            .await
            .map_err(|error| StartError::Bind(error.for_variable("PROTECTED_DATA_ADDR")))?;
        let admin = Admin::bind(
            config.admin_address,
            DEFAULT_ADMIN,
            "PROTECTED_DATA_ADMIN_ADDR",
        )
        .await
        .map_err(StartError::Bind)?;
        Ok(Self {
            server,
            admin: admin.allow_hosts(&config.admin_hosts),
            validator,
            fetches,
            decisions: Arc::new(Decisions::of_issuer(&config.provider.issuer)),
            settings: ShownSettings::new(config),
            required_scopes: config.required_scopes.clone(),
            token_from: config.token_from.clone(),
        })
    }

    /// Returns the listener's address, with the real port if the configured one was 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Returns the status address, with its real port, if there is one.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.local_addr()
    }

    /// Returns the validator.
    #[must_use]
    pub fn validator(&self) -> &JwtValidator {
        &self.validator
    }

    /// Serves until the drain is over, then ends the key refreshes.
    pub async fn run(self, shutdown: Shutdown) {
        self.validator.start();
        let decisions = self.decisions;
        let state = AppState {
            validator: self.validator.clone(),
            required_scopes: self.required_scopes,
            token_from: self.token_from,
            decisions: Arc::clone(&decisions),
            shutdown: shutdown.clone(),
        };
        let counters = self.server.counters();
        let serving = self.server.serve(app(state), shutdown.clone());
        let status = ProtectedDataStatus {
            validator: self.validator.clone(),
            fetches: self.fetches,
            decisions,
            settings: self.settings,
        };
        let (admin, nothing) = (self.admin, axum::Router::new());
        let watching = admin.serve("protected-data", counters, status, nothing, shutdown);
        tokio::join!(serving, watching);
        self.validator.shutdown().await;
        info!("stopped");
    }
}

fn validator(config: &Config, fetches: Arc<KeyFetches>) -> Result<JwtValidator, StartError> {
    let provider = &config.provider;
    let http = provider.http().build().map_err(StartError::Provider)?;
    let keys = match &provider.jwks_uri {
        Some(url) => {
            http.check_url(url)
                .map_err(|problem| StartError::Url("JWKS_URI", problem))?;
            RemoteJwks::new(http, url.clone())
        }
        None => {
            let discovery = provider
                .discovery(http.clone())
                .map_err(|(variable, problem)| StartError::Url(variable, problem))?;
            RemoteJwks::discover(http, discovery)
        }
    };
    let builder = config.validator(Advised {
        source: keys,
        issuer: provider.issuer.clone(),
        fetches,
    });
    builder.build().map_err(StartError::Validator)
}
