use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{Clock, SystemClock, unix_seconds};
use http::HeaderValue;
use http::header::DATE;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::client::{DevClient, SecretDigest};
use crate::control;
use crate::error::{KeyError, StartError, StartErrorKind};
use crate::faults::Faults;
use crate::grants::{Grants, RefreshTokens};
use crate::handle::DevIdp;
use crate::keyring::{KeyRing, generate_all};
use crate::keys::{Algorithm, random_id};
use crate::limiter::Limiter;
use crate::logins::Logins;
use crate::metadata::routes;
use crate::people::{self, DevPerson, Directory};
use crate::provider::{ExpiresIn, Guarded, Provider, Settings};
use crate::pushed::PushedRequests;
use crate::requests::RequestCounts;
use crate::server::{Handler, Server, listen};
use crate::tamper::Tampering;
use crate::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPE};

/// Configures a [`DevIdp`].
#[derive(Clone, Debug)]
#[must_use]
pub struct DevIdpBuilder {
    addr: SocketAddr,
    control_addr: Option<SocketAddr>,
    issuer: Option<String>,
    clients: Vec<DevClient>,
    people: Vec<DevPerson>,
    default_audience: String,
    lifetime: Duration,
    expires_in: ExpiresIn,
    algorithm: Algorithm,
    clock: Arc<dyn Clock>,
}

impl Default for DevIdpBuilder {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control_addr: None,
            issuer: None,
            clients: Vec::new(),
            people: Vec::new(),
            default_audience: DEFAULT_AUDIENCE.to_owned(),
            lifetime: Duration::from_secs(300),
            expires_in: ExpiresIn::Lifetime,
            algorithm: Algorithm::Rs256,
            clock: Arc::new(SystemClock),
        }
    }
}

impl DevIdpBuilder {
    /// Sets the address to listen on, 127.0.0.1 and any free port by default.
    pub fn addr(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Turns the control API on at this address. Off by default.
    pub fn control_addr(mut self, addr: SocketAddr) -> Self {
        self.control_addr = Some(addr);
        self
    }

    /// Sets the issuer to this text, byte for byte. `http://ADDR` by default. The endpoints stay
    /// where the provider listens.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Adds a client. Without any, the provider knows [`DEFAULT_CLIENT_ID`] with
    /// [`DEFAULT_CLIENT_SECRET`] and [`DEFAULT_SCOPE`], and [`DevClient::web`].
    pub fn client(mut self, client: DevClient) -> Self {
        self.clients.push(client);
        self
    }

    /// Adds a person, in the place of the one with their address. Without any, the provider knows those of its
    /// documentation.
    pub fn person(mut self, person: DevPerson) -> Self {
        self.people.push(person);
        self
    }

    /// Sets the audience of tokens for which none was requested and whose client lists none,
    /// [`DEFAULT_AUDIENCE`] by default.
    pub fn default_audience(mut self, audience: impl Into<String>) -> Self {
        self.default_audience = audience.into();
        self
    }

    /// Sets the lifetime of tokens, in whole seconds. 300 s by default.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the member `expires_in` of token replies, the real lifetime by default.
    pub fn expires_in(mut self, expires_in: ExpiresIn) -> Self {
        self.expires_in = expires_in;
        self
    }

    /// Sets the algorithm that tokens are signed with, RS256 by default.
    pub fn signing_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the clock that `iat`, `exp` and the `Date` of answers are read from, the system's by
    /// default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes keys, binds the address and answers requests from then on, on tasks of the current
    /// tokio runtime. It logs a warning that says what it is.
    ///
    /// # Errors
    ///
    /// Fails if an address is not loopback or cannot be bound, if two clients have the same id, or
    /// if keys cannot be made.
    pub async fn start(mut self) -> Result<DevIdp, StartError> {
        if self.clients.is_empty() {
            let client = DevClient::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
            self.clients.push(client.scopes(DEFAULT_SCOPE.split(' ')));
            self.clients.push(DevClient::web());
        }
        if self.people.is_empty() {
            self.people = people::defaults();
        }
        let mut clients = HashMap::new();
        for client in self.clients {
            if clients.insert(client.id().to_owned(), client).is_some() {
                return Err(StartError::new(StartErrorKind::DuplicateClient));
            }
        }
        let (listener, addr) = bind(self.addr)?;
        let control = self.control_addr.map(bind).transpose();
        let control = control.map_err(StartError::for_control)?;

        let made = tokio::task::spawn_blocking(generate_all).await;
        let keys = made.map_err(|_| KeyError)??;
        let nobodys_secret = random_id().map_err(|_| KeyError)?;
        let base = format!("http://{addr}");
        let provider = Arc::new(Provider {
            issuer: self.issuer.unwrap_or_else(|| base.clone()),
            base,
            default_audience: self.default_audience,
            clock: self.clock,
            faults: Faults::new(),
            tampering: Tampering::new(),
            requests: watch::Sender::new(RequestCounts::default()),
            nobodys_secret: SecretDigest::of(&nobodys_secret),
            clients: Guarded::new(clients),
            keys: Guarded::new(KeyRing::new(keys)),
            settings: Guarded::new(Settings {
                lifetime: self.lifetime,
                expires_in: self.expires_in,
                algorithm: self.algorithm,
                refresh_tokens: RefreshTokens::default(),
                pushed_requests_required: false,
            }),
            people: Guarded::new(Directory::new(self.people)),
            logins: Guarded::new(Logins::new()),
            grants: Guarded::new(Grants::new()),
            passwords: Guarded::new(Limiter::new()),
            pushed_requests: Guarded::new(PushedRequests::new()),
        });
        tracing::warn!(
            issuer = provider.issuer,
            "a DEVELOPMENT identity provider is running: it is for development and tests only, and \
             nothing real may trust the tokens it issues"
        );

        let control = control.map(|(listener, addr)| {
            let handler = control::handler(Arc::clone(&provider));
            (Server::start(listener, addr, handler), addr)
        });
        let server = Server::start(listener, addr, handler(Arc::clone(&provider)));
        Ok(DevIdp {
            provider,
            server,
            addr,
            control,
        })
    }
}

fn handler(provider: Arc<Provider>) -> Handler {
    let routes = routes(Arc::clone(&provider));
    Arc::new(move |request| {
        let (provider, routes) = (Arc::clone(&provider), routes.clone());
        Box::pin(async move {
            let date = date(provider.clock.now());
            let mut response = provider.answer(routes, request).await?;
            // Without it, hyper would answer with the system's time.
            if let Some(date) = date {
                response.headers_mut().entry(DATE).or_insert(date);
            }
            Ok(response)
        })
    })
}

/// An HTTP date, for the times that can be written as one.
fn date(now: SystemTime) -> Option<HeaderValue> {
    const YEAR_10000: i64 = 253_402_300_800;
    if !(0..YEAR_10000).contains(&unix_seconds(now)) {
        return None;
    }
    HeaderValue::from_str(&httpdate::fmt_http_date(now)).ok()
}

fn bind(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    if !addr.ip().is_loopback() {
        return Err(StartError::not_loopback(addr));
    }
    let bound = listen(addr).and_then(|listener| {
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    });
    bound.map_err(|error| StartError::bind(addr, error))
}
