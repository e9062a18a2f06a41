//! A development provider, protected-data and invoices, in one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dev_idp::{
    DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPE,
    DEFAULT_WEB_CLIENT_ID, DEFAULT_WEB_CLIENT_SECRET, DevClient, DevIdp,
};
use invoices::{Book, Config, Service};
use service_kit::config::Reader;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use tokio::task::JoinHandle;

use crate::browser::Browser;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct World {
    pub(crate) idp: DevIdp,
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) book: Arc<Book>,
    pub(crate) protected: Option<Protected>,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

pub(crate) struct Protected {
    pub(crate) address: SocketAddr,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

impl Protected {
    pub(crate) async fn start(idp: &DevIdp, audience: &str) -> Self {
        let variables = BTreeMap::from([
            ("ISSUER", idp.issuer().to_owned()),
            ("API_AUDIENCE", audience.to_owned()),
            ("PROTECTED_DATA_ADDR", "127.0.0.1:0".to_owned()),
            ("PROTECTED_DATA_ADMIN_ADDR", "off".to_owned()),
        ]);
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let mut reader = Reader::new(&variables);
        let config = protected_data::Config::read(&mut reader);
        reader.finish().unwrap();
        let service = protected_data::Service::bind(&config).await.unwrap();
        let shutdown = Shutdown::manual(Duration::from_secs(2));
        Self {
            address: service.local_addr(),
            running: tokio::spawn(service.run(shutdown.clone())),
            shutdown,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
        self.running.await.unwrap();
    }
}

/// The variables of invoices at this provider.
pub(crate) fn variables(idp: &DevIdp) -> BTreeMap<String, String> {
    [
        ("ISSUER", idp.issuer()),
        ("AUTHORIZATION_ENDPOINT", &idp.authorization_endpoint()),
        ("TENANTS", "required"),
        ("DEFAULT_TENANT_NAME", "acme"),
        ("CLIENT_ID", DEFAULT_CLIENT_ID),
        ("CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
        ("WEB_CLIENT_ID", DEFAULT_WEB_CLIENT_ID),
        ("WEB_CLIENT_SECRET", DEFAULT_WEB_CLIENT_SECRET),
        ("SESSION_SECRETS", SECRET),
        ("INVOICES_ADDR", "127.0.0.1:0"),
        ("INVOICES_ADMIN_ADDR", "off"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with these variables besides; an empty value takes one out.
    pub(crate) async fn with(more: &[(&str, &str)]) -> Self {
        let machine = DevClient::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
            .scopes(DEFAULT_SCOPE.split(' '));
        let idp = DevIdp::builder()
            .client(machine)
            .client(DevClient::web())
            .start()
            .await
            .unwrap();
        let protected = Protected::start(&idp, DEFAULT_AUDIENCE).await;
        let mut variables = variables(&idp);
        let url = format!("http://{}", protected.address);
        variables.insert("PROTECTED_DATA_URL".to_owned(), url);
        for (name, value) in more {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut reader = Reader::new(&variables);
        let config = Config::read(&mut reader);
        reader.finish().unwrap();
        let service = Service::bind(&config).await.unwrap();
        let address = service.local_addr();
        let origin = format!("http://localhost:{}", address.port());
        idp.set_client(DevClient::web().application_at(&origin));
        let shutdown = Shutdown::manual(Duration::from_secs(5));
        Self {
            address,
            admin: service.admin_addr(),
            book: Arc::clone(service.book()),
            protected: Some(protected),
            running: tokio::spawn(service.run(shutdown.clone())),
            shutdown,
            idp,
        }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// A browser in which this person is signed in.
    pub(crate) async fn signed_in(&self, email: &str, tenant: &str) -> Browser {
        let mut browser = self.browser();
        self.sign_in(&mut browser, email, tenant).await;
        browser
    }

    pub(crate) async fn sign_in(&self, browser: &mut Browser, email: &str, tenant: &str) {
        let login = browser
            .get(&format!("/api/auth/login?tenant_name={tenant}"))
            .await;
        assert_eq!(login.status, 302, "{}", login.body);
        let callback = self.idp.sign_in(login.header("location"), email);
        let entered = browser.get(&callback).await;
        assert_eq!(entered.status, 303, "{}", entered.body);
    }

    pub(crate) async fn owner(&self) -> Browser {
        self.signed_in("owner@acme.example", "acme").await
    }

    pub(crate) async fn viewer(&self) -> Browser {
        self.signed_in("viewer@acme.example", "acme").await
    }

    /// Begins the drain and waits for the end.
    pub(crate) async fn stop(self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
        self.running.await.unwrap();
    }

    pub(crate) fn begin_drain(&self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
    }
}
