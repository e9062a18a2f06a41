//! The provider that the environment names.

use std::collections::BTreeMap;
use std::io::Write as _;

use reqwest::{Certificate, Client, Response};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::world::{client, variables_for};

/// The secret of every client with a secret but one.
pub(crate) const SECRET: &str = "a-long-enough-client-secret-0123456789";
/// That one has every character that form-urlencoding changes (RFC 6749 section 2.3.1).
pub(crate) const ODD_ID: &str = "svc:odd id+%";
pub(crate) const ODD_SECRET: &str = r#"sp ace+plus/slash:colon%25=amp&~"q""#;

/// The provider, for one test at a time: its keys and faults are global.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    control: String,
    ca_file: Option<String>,
    client: Client,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

/// What the provider has been asked.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Requests {
    pub(crate) metadata: u64,
    pub(crate) token: u64,
    pub(crate) jwks: u64,
}

impl Provider {
    /// Returns the provider that the environment names, without faults and without retired keys.
    pub(crate) async fn named() -> Option<Self> {
        let issuer = variable("M2M_INTEROP_ISSUER")?;
        Self::with(issuer, None).await
    }

    /// Returns the same over TLS.
    pub(crate) async fn named_over_tls() -> Option<Self> {
        let issuer = variable("M2M_INTEROP_TLS_ISSUER")?;
        let ca_file = variable("M2M_INTEROP_CA")?;
        Self::with(issuer, Some(ca_file)).await
    }

    async fn with(issuer: String, ca_file: Option<String>) -> Option<Self> {
        let control = variable("M2M_INTEROP_CONTROL")?;
        let client = match &ca_file {
            None => client(),
            Some(path) => {
                let pem = std::fs::read(path).unwrap();
                Client::builder()
                    .no_proxy()
                    .tls_certs_only([Certificate::from_pem(&pem).unwrap()])
                    .build()
                    .unwrap()
            }
        };
        let provider = Self {
            issuer,
            control,
            ca_file,
            client,
            _turn: TURN.lock().await,
        };
        // At the beginning and not at the end: a test that failed has not tidied up.
        provider.no_fault().await;
        provider.control("/retire").await;
        Some(provider)
    }

    /// Variables of a pair that asks for this resource and expects it as audience.
    pub(crate) fn variables(&self, resource: &str) -> BTreeMap<String, String> {
        let mut variables = variables_for(&self.issuer);
        let resource = format!("https://api.example.test/{resource}");
        for (name, value) in [
            ("CLIENT_ID", "svc-basic"),
            ("CLIENT_SECRET", SECRET),
            ("TOKEN_RESOURCE", &resource),
            ("API_AUDIENCE", &resource),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        if let Some(path) = &self.ca_file {
            variables.insert("IDP_CA_FILE".to_owned(), path.clone());
        }
        variables
    }

    pub(crate) fn variables_of_client(
        &self,
        id: &str,
        secret: &str,
        method: &str,
    ) -> BTreeMap<String, String> {
        let mut variables = self.variables("es256");
        for (name, value) in [
            ("CLIENT_ID", id),
            ("CLIENT_SECRET", secret),
            ("CLIENT_AUTH_METHOD", method),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        variables
    }

    /// Asks for a token without any code of ours.
    pub(crate) async fn token(&self, resource: &str) -> String {
        let form = format!(
            "grant_type=client_credentials&scope=read:data&resource=https://api.example.test/{resource}"
        );
        let response = self
            .client
            .post(format!("{}/token", self.issuer))
            .basic_auth("svc-basic", Some(SECRET))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{resource}");
        let reply = json(response).await;
        reply["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn requests(&self) -> Requests {
        let response = client()
            .get(format!("{}/stats", self.control))
            .send()
            .await
            .unwrap();
        let stats = json(response).await;
        let count = |path: &str| stats[path].as_u64().unwrap_or(0);
        Requests {
            metadata: count("/.well-known/openid-configuration")
                + count("/.well-known/oauth-authorization-server"),
            token: count("/token"),
            jwks: count("/jwks"),
        }
    }

    /// Makes one request fail as the query says.
    pub(crate) async fn fault_once(&self, query: &str) {
        self.control(&format!("/fault?count=1&{query}")).await;
    }

    /// Makes requests fail as the query says until [`Provider::no_fault`].
    pub(crate) async fn fault(&self, query: &str) {
        self.control(&format!("/fault?count=1000000&{query}")).await;
    }

    pub(crate) async fn no_fault(&self) {
        self.control("/fault?count=0").await;
    }

    pub(crate) async fn control(&self, path_and_query: &str) {
        let response = client()
            .post(format!("{}{path_and_query}", self.control))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path_and_query}");
    }
}

impl Requests {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            metadata: self.metadata - before.metadata,
            token: self.token - before.token,
            jwks: self.jwks - before.jwks,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "names a server for tests; no service reads it"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test of interop");
        // Written past the harness, which shows what a test prints only when it fails.
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "{test} did not run: {name} is not set").unwrap();
    }
    value
}

async fn json(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}
