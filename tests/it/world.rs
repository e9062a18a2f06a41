//! An identity provider and the pair, on ports of their own in one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp};
use jwks_validator::JwtValidator;
use reqwest::{Client, Response};
use service_kit::config::Reader;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use token_cache::{StartupPolicy, TokenCache};
use tokio::task::JoinHandle;

pub(crate) const PUBLIC_BODY: &str = r#"{"publicData":"hello world","protectedData":"here I am"}"#;
pub(crate) const PROTECTED_BODY: &str = r#"{"protectedData":"here I am"}"#;
/// Longer than anything here takes; ends a test that would hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// public-data and protected-data, running.
pub(crate) struct Pair {
    pub(crate) public: SocketAddr,
    pub(crate) protected: SocketAddr,
    /// The status addresses, where the variables have one.
    pub(crate) public_admin: Option<SocketAddr>,
    pub(crate) protected_admin: Option<SocketAddr>,
    pub(crate) tokens: TokenCache,
    pub(crate) validator: JwtValidator,
    pub(crate) client: Client,
    shutdown: Shutdown,
    tasks: Vec<JoinHandle<()>>,
}

/// Variables for a pair that uses `idp`, on free ports.
pub(crate) fn variables(idp: &DevIdp) -> BTreeMap<String, String> {
    variables_for(idp.issuer())
}

pub(crate) fn variables_for(issuer: &str) -> BTreeMap<String, String> {
    [
        ("ISSUER", issuer),
        ("CLIENT_ID", DEFAULT_CLIENT_ID),
        ("CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
        ("API_AUDIENCE", DEFAULT_AUDIENCE),
        ("PUBLIC_DATA_ADDR", "127.0.0.1:0"),
        ("PROTECTED_DATA_ADDR", "127.0.0.1:0"),
        ("PUBLIC_DATA_ADMIN_ADDR", "off"),
        ("PROTECTED_DATA_ADMIN_ADDR", "off"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

impl Pair {
    /// Starts the pair without waiting for it to be ready.
    pub(crate) async fn start(variables: &BTreeMap<String, String>) -> Self {
        let mut reader = Reader::new(variables);
        let protected = protected_data::Config::read(&mut reader);
        let mut public = public_data::Config::read(&mut reader);
        reader.finish().unwrap();
        let shutdown = Shutdown::manual(Duration::from_secs(5));
        let protected = protected_data::Service::bind(&protected).await.unwrap();
        let protected_addr = protected.local_addr();
        if !variables.contains_key("PROTECTED_DATA_URL") {
            public.protected_data = format!("http://{protected_addr}").parse().unwrap();
        }
        let public = public_data::Service::bind(&public).await.unwrap();
        Self {
            public: public.local_addr(),
            protected: protected_addr,
            public_admin: public.admin_addr(),
            protected_admin: protected.admin_addr(),
            tokens: public.tokens().clone(),
            validator: protected.validator().clone(),
            client: client(),
            tasks: vec![
                tokio::spawn(protected.run(shutdown.clone())),
                tokio::spawn(public.run(shutdown.clone())),
            ],
            shutdown,
        }
    }

    /// Starts the pair and waits until it is ready.
    pub(crate) async fn ready(variables: &BTreeMap<String, String>) -> Self {
        let pair = Self::start(variables).await;
        pair.wait_ready().await;
        pair
    }

    pub(crate) async fn wait_ready(&self) {
        let ready = async {
            let token = StartupPolicy::Require(LIMIT);
            self.tokens.start(token).await.unwrap();
            assert!(self.validator.wait_ready().await);
        };
        tokio::time::timeout(LIMIT, ready).await.unwrap();
    }

    /// `GET /api/public/data`.
    pub(crate) async fn public_data(&self) -> Response {
        self.get_public("/api/public/data").await
    }

    pub(crate) async fn get_public(&self, path: &str) -> Response {
        self.client
            .get(format!("http://{}{path}", self.public))
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn get_protected(&self, path: &str) -> Response {
        self.client
            .get(format!("http://{}{path}", self.protected))
            .send()
            .await
            .unwrap()
    }

    /// `GET /api/protected/data` with a bearer token.
    pub(crate) async fn protected_data(&self, token: &str) -> Response {
        let url = format!("http://{}/api/protected/data", self.protected);
        self.client
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(LIMIT)
        .build()
        .unwrap()
}

pub(crate) fn challenge(response: &Response) -> &str {
    response
        .headers()
        .get("www-authenticate")
        .map_or("", |value| value.to_str().unwrap())
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}
