//! The service on a socket.

use std::net::SocketAddr;
use std::sync::Arc;

use service_kit::admin::Admin;
use service_kit::server::{BindError, Server};
use service_kit::shutdown::Shutdown;
use token_cache::{StartupPolicy, TokenCache};
use tracing::info;

use crate::advice::Advised;
use crate::api::{AppState, app};
use crate::config::{Config, DEFAULT_ADMIN};
use crate::downstream::{Downstream, DownstreamSetupError};
use crate::record::TokenRequests;
use crate::status::{PublicDataStatus, ShownSettings};
use crate::test_request;

/// public-data with its listener open and its token cache built; nothing runs yet.
#[derive(Debug)]
pub struct Service {
    server: Server,
    admin: Admin,
    tokens: TokenCache,
    downstream: Arc<Downstream>,
    requests: Arc<TokenRequests>,
    settings: ShownSettings,
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
    /// The token client cannot be built from the settings.
    #[error("the token client cannot be set up")]
    Tokens(#[source] token_cache::ConfigError),
    /// The client of protected-data cannot be built.
    #[error(transparent)]
    Downstream(DownstreamSetupError),
}

impl Service {
    /// Opens the listeners and builds the parts. Sends no request.
    ///
    /// # Errors
    ///
    /// Fails when the address cannot be listened on, and when a setting that needs the TLS library or
    /// the system's root certificates to be checked cannot work.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let requests = Arc::new(TokenRequests::default());
        let tokens = token_cache(config, Arc::clone(&requests))?;
        let downstream = Downstream::new(config, tokens.clone()).map_err(StartError::Downstream)?;
        let server = Server::builder()
            .bind(config.address)
            .await
            .map_err(|error| StartError::Bind(error.for_variable("PUBLIC_DATA_ADDR")))?;
        let admin = Admin::bind(
            config.admin_address,
            DEFAULT_ADMIN,
            "PUBLIC_DATA_ADMIN_ADDR",
        )
        .await
        .map_err(StartError::Bind)?;
        Ok(Self {
            server,
            admin: admin.allow_hosts(&config.admin_hosts),
            tokens,
            downstream: Arc::new(downstream),
            requests,
            settings: ShownSettings::new(config),
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

    /// Returns the token cache.
    #[must_use]
    pub fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    /// Serves until the drain is over, then ends the token cache's tasks.
    pub async fn run(self, shutdown: Shutdown) {
        // With `Background` there is nothing to fail.
        let _ = self.tokens.start(StartupPolicy::Background).await;
        let state = AppState {
            tokens: self.tokens.clone(),
            downstream: Arc::clone(&self.downstream),
            shutdown: shutdown.clone(),
        };
        let app = app(state);
        let counters = self.server.counters();
        let serving = self.server.serve(app.clone(), shutdown.clone());
        let status = PublicDataStatus {
            tokens: self.tokens.clone(),
            requests: self.requests,
            downstream: self.downstream,
            settings: self.settings,
        };
        let test_request = test_request::routes(app);
        let admin = self.admin;
        let watching = admin.serve("public-data", counters, status, test_request, shutdown);
        tokio::join!(serving, watching);
        // After the drain: the last requests may still need a token.
        self.tokens.shutdown().await;
        info!("stopped");
    }
}

fn token_cache(config: &Config, requests: Arc<TokenRequests>) -> Result<TokenCache, StartError> {
    let source = config.token_source()?;
    let advised = Advised {
        source,
        issuer: config.provider.issuer.clone(),
        requests,
    };
    TokenCache::builder(advised)
        .request(config.request.clone())
        .build()
        .map_err(StartError::Tokens)
}
