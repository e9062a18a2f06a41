//! The two services, with their real routers and caches.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use clock::Clock;
use jwks_validator::JwtValidator;
use public_data::Downstream;
use service_kit::shutdown::Shutdown;
use token_cache::{StartupPolicy, TokenCache};
use url::Url;

use crate::faults::Issuer;
use crate::judge::Judge;
use crate::network::Network;
use crate::plan::Settings;
use crate::provider::AUDIENCE;
use crate::sources::{Keys, Tokens};
use crate::transport::Transport;
use crate::wall_clock::WallClock;

/// What a process is started with.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) network: Network,
    pub(crate) judge: Judge,
    pub(crate) settings: Settings,
    pub(crate) clock: WallClock,
    pub(crate) host: usize,
    /// How often this host was started before.
    pub(crate) restarts: u64,
}

/// So many fetches are enough for one life of a process.
const LIFE: u64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct PublicHost {
    pub(crate) tokens: TokenCache,
    router: Router,
}

#[derive(Debug)]
pub(crate) struct ProtectedHost {
    pub(crate) validator: JwtValidator,
    router: Router,
}

/// The issuers that a protected-data accepts.
pub(crate) fn issuers(host: usize) -> &'static [Issuer] {
    match host {
        0 => &[Issuer::A],
        _ => &[Issuer::A, Issuer::B],
    }
}

impl PublicHost {
    pub(crate) async fn start(start: &Start) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(start.clock.clone());
        let source = Tokens {
            network: start.network.clone(),
            judge: start.judge.clone(),
            host: start.host,
            first: start.restarts * LIFE,
            asked: AtomicU64::new(0),
        };
        let tokens = TokenCache::builder(source).clock(clock).build().unwrap();
        let transport = Transport {
            network: start.network.clone(),
            judge: start.judge.clone(),
            host: start.host,
        };
        let base = Url::parse("http://127.0.0.1:6002").unwrap();
        let downstream = Downstream::with_transport(&base, false, tokens.clone(), transport);
        tokens.start(StartupPolicy::Background).await.unwrap();
        let router = public_data::app(public_data::AppState {
            tokens: tokens.clone(),
            downstream: Arc::new(downstream.unwrap()),
            shutdown: Shutdown::manual(Duration::from_secs(10)),
        });
        Self { tokens, router }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }
}

impl ProtectedHost {
    pub(crate) fn start(start: &Start) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(start.clock.clone());
        let mut builder = JwtValidator::builder()
            .audience(AUDIENCE)
            .max_stale(start.settings.max_stale)
            .verified_cache(start.settings.verified_cache)
            .clock(clock);
        for issuer in issuers(start.host) {
            let keys = Keys {
                network: start.network.clone(),
                judge: start.judge.clone(),
                host: start.host,
                issuer: *issuer,
                first: start.restarts * LIFE,
                asked: AtomicU64::new(0),
            };
            builder = builder.issuer(issuer.name(), keys);
        }
        let validator = builder.build().unwrap();
        validator.start();
        let router = protected_data::app(protected_data::AppState {
            validator: validator.clone(),
            required_scopes: None,
            token_from: jwks_validator::TokenFrom::default(),
            decisions: Arc::default(),
            shutdown: Shutdown::manual(Duration::from_secs(10)),
        });
        Self { validator, router }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }
}
