//! The service on a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::SystemClock;
use jwks_validator::{IssuerKeys, JwtValidator, Policy, RemoteJwks};
use service_kit::admin::Admin;
use service_kit::server::{BindError, Server};
use service_kit::shutdown::Shutdown;
use token_cache::{ClientCredentials, StartupPolicy, TokenCache};
use tokio::sync::{Semaphore, watch};
use tracing::info;
use web_session::{MemoryStore, Provider, SessionSecrets, SessionStore, Unready, WebSessions};

use crate::api::{AppState, app};
use crate::book::Book;
use crate::config::{Config, DEFAULT_ADMIN};
use crate::downstream::{Downstream, DownstreamSetupError};
use crate::events::MAX_LISTENERS;
use crate::secrets_file::SecretsFile;
use crate::status::{InvoicesStatus, ShownSettings};

/// invoices with its listener open and its parts built; nothing runs yet.
#[derive(Debug)]
pub struct Service {
    server: Server,
    admin: Admin,
    sessions: WebSessions,
    book: Arc<Book>,
    downstream: Arc<Downstream>,
    tokens: Option<TokenCache>,
    bearers: Option<JwtValidator>,
    settings: ShownSettings,
    secrets: Option<SecretsFile>,
    signup: Option<url::Url>,
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
    /// A setting of logins cannot work.
    #[error("people cannot log in with these settings")]
    Login(#[source] web_session::ConfigError),
    /// A setting of sessions cannot work.
    #[error(transparent)]
    Sessions(web_session::BuildError),
    /// The session store cannot be opened: a file that cannot be written, say. A server is not asked.
    #[error("SESSION_STORE")]
    Store(#[source] stores::OpenError),
    /// The token client cannot be built from the settings.
    #[error("the token client cannot be set up")]
    Tokens(#[source] token_cache::ConfigError),
    /// The validator of bearer tokens cannot be built.
    #[error("the validator cannot be set up")]
    Validator(#[source] jwks_validator::BuildError),
    /// The client of protected-data cannot be built.
    #[error(transparent)]
    Downstream(DownstreamSetupError),
}

/// How often it is looked at whether people could log in: often until they can.
const UNREADY_EVERY: Duration = Duration::from_millis(200);
const READY_EVERY: Duration = Duration::from_secs(1);
/// What revocations and the like may take at the end; the grace is the process's.
const END: Duration = Duration::from_secs(1);

impl Config {
    /// Builds the sessions of an application whose listener has this port, and keeps them in memory, whatever
    /// `SESSION_STORE` says: to look at what the settings make. Asks nobody anything.
    ///
    /// # Errors
    ///
    /// Fails where settings do not fit together.
    pub fn sessions(&self, port: u16) -> Result<WebSessions, StartError> {
        self.sessions_in(Arc::new(MemoryStore::new(self.sessions.max)), port)
    }

    fn sessions_in(
        &self,
        store: Arc<dyn SessionStore>,
        port: u16,
    ) -> Result<WebSessions, StartError> {
        let (provider, login, people) = (&self.provider, &self.login, &self.people);
        let web = &self.clients.web;
        let mut builder = Provider::builder(&web.id, web.credential())
            .auth(web.auth)
            .issuer(&provider.issuer)
            .scopes(&people.scopes)
            .algorithms(self.algorithms.iter().copied())
            .http(provider.http());
        if let Some(keys) = &web.keys {
            builder = builder.client(|client| keys.apply(client));
        }
        if let Some(audience) = web.audience() {
            builder = builder.assertion_audience(audience);
        }
        if let Some(url) = &provider.metadata_url {
            builder = builder.metadata_url(url.clone());
        }
        if let Some(vanity) = &login.vanity {
            builder = builder.vanity_domain(vanity.clone());
        }
        if let Some(audience) = &people.audience {
            builder = builder.audience(audience);
        }
        if let Some(resource) = &people.resource {
            builder = builder.resource(resource);
        }
        if let Some(template) = &login.authorization {
            builder = builder.authorization_endpoint(template);
        }
        if let Some(template) = &login.end_session {
            builder = builder.end_session_endpoint(template);
        }
        if let Some(url) = &provider.token_endpoint {
            builder = builder.token_endpoint(url.clone());
        }
        if let Some(url) = &provider.jwks_uri {
            builder = builder.jwks_uri(url.clone());
        }
        if let Some(url) = &login.userinfo {
            builder = builder.userinfo_endpoint(url.clone());
        }
        if let Some(url) = &login.revocation {
            builder = builder.revocation_endpoint(url.clone());
        }
        let provider = builder.build().map_err(StartError::Login)?;
        let settings = &self.sessions;
        // Absent only where the configuration had problems.
        let secrets = match &settings.secrets {
            Some(secrets) => SessionSecrets::new(secrets.clone()),
            None => {
                let missing = web_session::ConfigError::new("SESSION_SECRETS", "is required");
                return Err(StartError::Login(missing));
            }
        };
        let mut sessions = WebSessions::builder(provider, secrets)
            .public_url(&people.public_url(port))
            .dangerous_allow_http(self.provider.allow_insecure_http)
            .dangerous_insecure_cookies(settings.insecure_cookies)
            .same_site(settings.same_site)
            .tenancy(people.tenancy.clone())
            .store(store)
            .idle_timeout(settings.idle)
            .lifetime(settings.lifetime)
            .max_stale(settings.max_stale)
            .sessions_per_person(settings.per_person)
            .notice_page(crate::page::of_sessions)
            .role_permissions(people.role_permissions.clone())
            .dangerous_token_endpoint(settings.token_endpoint);
        for origin in &settings.trusted_origins {
            sessions = sessions.trusted_origin(origin);
        }
        sessions.build().map_err(StartError::Sessions)
    }

    /// Returns the cache of the service's own token, if it has a client.
    fn tokens(&self) -> Result<Option<TokenCache>, StartError> {
        let Some(machine) = &self.clients.machine else {
            return Ok(None);
        };
        let http = self.provider.http().build().map_err(StartError::Provider)?;
        let issuer = &self.provider.issuer;
        let source = ClientCredentials::builder(&machine.id, machine.credential())
            .http_client(http)
            .auth(machine.auth)
            .assertion_audience(machine.audience().unwrap_or(issuer));
        let source = match &machine.keys {
            Some(keys) => source.client(|client| keys.apply(client)),
            None => source,
        };
        let source = match &machine.id_file {
            Some(path) => source.client_id_file(path),
            None => source,
        };
        let source = match &self.provider.token_endpoint {
            Some(url) => source.token_endpoint(url.as_str()),
            None => source.issuer(issuer),
        };
        let source = match &self.provider.metadata_url {
            Some(url) => source.metadata_url(url.as_str()),
            None => source,
        };
        let source = self.tokens.apply(source).build();
        let source = source.map_err(StartError::Tokens)?;
        let cache = TokenCache::builder(source).request(self.request.clone());
        cache.build().map(Some).map_err(StartError::Tokens)
    }

    /// Returns what judges bearer tokens, if any are taken.
    fn bearers(&self) -> Result<Option<JwtValidator>, StartError> {
        if self.audiences.is_empty() {
            return Ok(None);
        }
        let provider = &self.provider;
        let http = provider.http().build().map_err(StartError::Provider)?;
        let keys: IssuerKeys = match &provider.jwks_uri {
            Some(url) => {
                http.check_url(url)
                    .map_err(|problem| StartError::Url("JWKS_URI", problem))?;
                RemoteJwks::new(http, url.clone()).into()
            }
            None => {
                let discovery = provider
                    .discovery(http.clone())
                    .map_err(|(variable, problem)| StartError::Url(variable, problem))?;
                RemoteJwks::discover(http, discovery).into()
            }
        };
        let policy = Policy::for_audiences(&self.audiences);
        let policy = policy.algorithms(self.algorithms.iter().copied());
        let validator = JwtValidator::builder()
            .issuer(&provider.issuer, keys)
            .policy(policy);
        validator.build().map(Some).map_err(StartError::Validator)
    }
}

impl Service {
    /// Opens the listeners and builds the parts. Sends no request.
    ///
    /// # Errors
    ///
    /// Fails when an address cannot be listened on, and when a setting that needs the TLS library or the system's
    /// root certificates to be checked cannot work.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let tokens = config.tokens()?;
        let allow_http = config.provider.allow_insecure_http;
        let downstream = Downstream::new(&config.protected_data, allow_http, tokens.clone());
        let downstream = downstream.map_err(StartError::Downstream)?;
        let bearers = config.bearers()?;
        let server = Server::builder()
            .bind(config.address)
            .await
            .map_err(|error| StartError::Bind(error.for_variable("INVOICES_ADDR")))?;
        let settings = &config.sessions;
        let store = settings.store.open(settings.max);
        let store = store.map_err(StartError::Store)?;
        let sessions = config.sessions_in(store, server.local_addr().port())?;
        let admin = Admin::bind(config.admin_address, DEFAULT_ADMIN, "INVOICES_ADMIN_ADDR")
            .await
            .map_err(StartError::Bind)?;
        let mut signup = config.login.signup.clone();
        if let Some(url) = &mut signup {
            let id = &config.clients.web.id;
            url.query_pairs_mut().append_pair("client_id", id);
        }
        Ok(Self {
            settings: ShownSettings::new(config, server.local_addr().port()),
            secrets: SecretsFile::of(&config.sessions),
            server,
            admin: admin.allow_hosts(&config.admin_hosts),
            sessions,
            book: Arc::new(Book::new(config.has_samples())),
            downstream: Arc::new(downstream),
            tokens,
            bearers,
            signup,
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

    /// Returns the sessions.
    #[must_use]
    pub fn sessions(&self) -> &WebSessions {
        &self.sessions
    }

    /// Returns the invoices.
    #[must_use]
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Serves until the drain is over, then ends what runs beside.
    pub async fn run(self, shutdown: Shutdown) {
        self.sessions.start();
        if let Some(tokens) = &self.tokens {
            // With `Background` there is nothing to fail.
            let _ = tokens.start(StartupPolicy::Background).await;
        }
        if let Some(bearers) = &self.bearers {
            bearers.start();
        }
        // Until it was looked at for the first time.
        let (looked, ready) = watch::channel(Err(Unready::Keys));
        let state = AppState {
            sessions: self.sessions.clone(),
            book: Arc::clone(&self.book),
            downstream: Arc::clone(&self.downstream),
            bearers: self.bearers.clone(),
            signup: self.signup,
            clock: Arc::new(SystemClock),
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
            ready: ready.clone(),
            shutdown: shutdown.clone(),
        };
        let counters = self.server.counters();
        let serving = self.server.serve(app(state), shutdown.clone());
        let status = InvoicesStatus {
            sessions: self.sessions.clone(),
            book: self.book,
            downstream: self.downstream,
            tokens: self.tokens.clone(),
            ready,
            settings: self.settings,
        };
        let nothing = axum::Router::new();
        let watching = self
            .admin
            .serve("invoices", counters, status, nothing, shutdown);
        tokio::select! {
            _ = async { tokio::join!(serving, watching) } => {}
            () = look_after(&self.sessions, &looked) => {}
            () = SecretsFile::follow(self.secrets) => {}
        }
        self.sessions.shutdown(END).await;
        if let Some(bearers) = &self.bearers {
            bearers.shutdown().await;
        }
        // After the drain: the last requests may still need a token.
        if let Some(tokens) = &self.tokens {
            tokens.shutdown().await;
        }
        info!("stopped");
    }
}

/// Keeps up to date whether people could log in. Never ends.
async fn look_after(sessions: &WebSessions, looked: &watch::Sender<Result<(), Unready>>) {
    loop {
        let ready = sessions.ready().await;
        let _ = looked.send_replace(ready);
        let wait = match ready {
            // These ask the provider.
            Ok(()) | Err(Unready::Metadata) => READY_EVERY,
            Err(_) => UNREADY_EVERY,
        };
        tokio::time::sleep(wait).await;
    }
}
