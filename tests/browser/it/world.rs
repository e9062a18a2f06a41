//! A development provider, protected-data and invoices, each tenant on a host of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dev_idp::{
    DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPE,
    DEFAULT_WEB_CLIENT_ID, DEFAULT_WEB_CLIENT_SECRET, DevClient, DevIdp,
};
use invoices::{Config, Service};
use service_kit::config::Reader;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::browser::Browser;
use crate::front::Front;

pub(crate) const OWNER: &str = "owner@acme.example";
pub(crate) const VIEWER: &str = "viewer@acme.example";

pub(crate) struct World {
    pub(crate) idp: DevIdp,
    /// What people see of the application, with `{tenant_name}` in the tenant's place.
    public: String,
    application: SocketAddr,
    shutdown: Shutdown,
    tasks: Vec<JoinHandle<()>>,
}

/// How a world differs from the usual one.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    /// Variables of invoices besides the usual ones.
    pub(crate) variables: &'a [(&'a str, &'a str)],
    /// Stands before the application, with its origin.
    pub(crate) front: Option<(&'a Front, String)>,
    pub(crate) token_lifetime: Option<Duration>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    /// A world whose application is seen through a front.
    pub(crate) async fn behind(front: &Front) -> Self {
        let public = format!("http://{{tenant_name}}.localhost:{}", front.port);
        Self::with(Plan {
            front: Some((front, public)),
            ..Plan::default()
        })
        .await
    }

    pub(crate) async fn with(plan: Plan<'_>) -> Self {
        let machine = DevClient::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
            .scopes(DEFAULT_SCOPE.split(' '));
        let mut idp = DevIdp::builder().client(machine).client(DevClient::web());
        if let Some(lifetime) = plan.token_lifetime {
            idp = idp.token_lifetime(lifetime);
        }
        let idp = idp.start().await.unwrap();
        let shutdown = Shutdown::manual(Duration::from_secs(5));

        let any = "127.0.0.1:0";
        let (issuer, page) = (idp.issuer(), |path: &str| format!("{}{path}", idp.issuer()));
        let mut variables: BTreeMap<String, String> = [
            ("ISSUER", issuer),
            ("AUTHORIZATION_ENDPOINT", &idp.authorization_endpoint()),
            ("END_SESSION_ENDPOINT", &idp.end_session_endpoint()),
            ("APPLICATION_LOGIN_URL", &page("/login")),
            ("SIGNUP_URL", &page("/signup")),
            ("TENANTS", "required"),
            ("DOMAIN_FORMAT", "VANITY_DOMAIN"),
            ("CLIENT_ID", DEFAULT_CLIENT_ID),
            ("CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
            ("WEB_CLIENT_ID", DEFAULT_WEB_CLIENT_ID),
            ("WEB_CLIENT_SECRET", DEFAULT_WEB_CLIENT_SECRET),
            ("LOGIN_AUDIENCE", DEFAULT_AUDIENCE),
            ("API_AUDIENCE", DEFAULT_AUDIENCE),
            ("SESSION_SECRETS", "0123456789abcdef0123456789abcdef"),
            ("INVOICES_ADDR", any),
            ("INVOICES_ADMIN_ADDR", "off"),
            ("PROTECTED_DATA_ADDR", any),
            ("PROTECTED_DATA_ADMIN_ADDR", "off"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some((_, public)) = &plan.front {
            variables.insert("PUBLIC_URL".to_owned(), public.clone());
        }
        for (name, value) in plan.variables {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut reader = Reader::new(&variables);
        let protected = protected_data::Config::read(&mut reader);
        let mut config = Config::read(&mut reader);
        reader.finish().unwrap();
        let protected = protected_data::Service::bind(&protected).await.unwrap();
        let url = format!("http://{}", protected.local_addr());
        config.protected_data = url.parse().unwrap();
        let service = Service::bind(&config).await.unwrap();
        let application = service.local_addr();
        let public = config.people.public_url(application.port());
        if let Some((front, _)) = &plan.front {
            front.lead_to(application);
        }
        idp.set_client(DevClient::web().application_at(&public));
        let tasks = vec![
            tokio::spawn(protected.run(shutdown.clone())),
            tokio::spawn(service.run(shutdown.clone())),
        ];
        Self {
            idp,
            public,
            application,
            shutdown,
            tasks,
        }
    }

    /// The address of a page of a tenant.
    pub(crate) fn at(&self, tenant: &str, path: &str) -> String {
        format!("{}{path}", self.public.replace("{tenant_name}", tenant))
    }

    /// The address of a page of acme.
    pub(crate) fn acme(&self, path: &str) -> String {
        self.at("acme", path)
    }

    /// The address of a page of no tenant.
    pub(crate) fn apex(&self, path: &str) -> String {
        format!("{}{path}", self.public.replace("{tenant_name}.", ""))
    }

    /// Goes to a page of acme and signs in on the way.
    pub(crate) async fn sign_in(&self, browser: &Browser, email: &str, path: &str) {
        browser.go(&self.acme(path)).await;
        browser.sign_in(email).await;
        browser.until_at(&self.acme(path)).await;
    }

    /// The head of the answer to a GET by something that is no browser and has this session cookie.
    pub(crate) async fn answer(&self, path: &str, handle: &str) -> String {
        let acme = self.acme("");
        let (_, host) = acme.split_once("://").unwrap();
        let mut stream = TcpStream::connect(self.application).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: __Host-session={handle}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split("\r\n\r\n").next().unwrap().to_owned()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}
