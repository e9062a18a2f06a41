//! The mistakes that are made most often, each set up as a person would make it.

use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, SystemClock};
use dev_idp::{
    AuthMethod, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevClient, DevIdp, Endpoint, Fault,
};

use crate::world::{Off, Variables, idp, variables, with};

/// A mistake, and a provider to make it with.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) variables: Variables,
    /// What whoever runs the services looks at the clock with.
    pub(crate) clock: Arc<dyn Clock>,
    /// What the first line about it must contain: the variable, and what to do with it.
    pub(crate) doctor_says: Vec<String>,
    /// The same in the log of the services.
    pub(crate) log_says: Vec<String>,
    /// The configuration itself cannot be used.
    pub(crate) is_config: bool,
    _providers: Vec<DevIdp>,
}

impl Scenario {
    fn new(name: &'static str, variables: Variables, providers: Vec<DevIdp>) -> Self {
        Self {
            name,
            variables,
            clock: Arc::new(SystemClock),
            doctor_says: Vec::new(),
            log_says: Vec::new(),
            is_config: false,
            _providers: providers,
        }
    }

    fn config(self) -> Self {
        Self {
            is_config: true,
            ..self
        }
    }

    fn doctor(self, says: &[&str]) -> Self {
        let doctor_says = says.iter().map(|text| (*text).to_owned()).collect();
        Self {
            doctor_says,
            ..self
        }
    }

    fn log(self, says: &[&str]) -> Self {
        let log_says = says.iter().map(|text| (*text).to_owned()).collect();
        Self { log_says, ..self }
    }

    fn clock(self, by_s: i64) -> Self {
        Self {
            clock: Arc::new(Off { by_s }),
            ..self
        }
    }
}

/// One or more of each.
pub(crate) async fn all() -> Vec<Scenario> {
    let mut all = vec![
        wrong_secret().await,
        wrong_audience().await,
        slash_too_many().await,
        provider_down().await,
        scope_not_granted().await,
        method_not_allowed().await,
        foreign_downstream().await,
    ];
    all.extend(http_instead_of_https().await);
    all.extend(clock_off().await);
    all.extend(signing_key_missing().await);
    all
}

async fn wrong_secret() -> Scenario {
    let idp = idp().await;
    let variables = with(variables(idp.issuer()), &[("CLIENT_SECRET", "hunter2")]);
    Scenario::new("wrong secret", variables, vec![idp])
        .doctor(&["invalid_client", "correct CLIENT_SECRET"])
        .log(&["invalid_client", "correct CLIENT_SECRET"])
}

async fn wrong_audience() -> Scenario {
    let idp = idp().await;
    let other = [("API_AUDIENCE", "https://other.example")];
    let variables = with(variables(idp.issuer()), &other);
    Scenario::new("wrong audience", variables, vec![idp])
        .doctor(&[
            "audience",
            "https://other.example",
            "set API_AUDIENCE to what",
        ])
        .log(&["audience", "API_AUDIENCE here or TOKEN_AUDIENCE"])
}

async fn slash_too_many() -> Scenario {
    let idp = idp().await;
    let variables = variables(&format!("{}/", idp.issuer()));
    let fix = format!("the slash at the end: set ISSUER={}", idp.issuer());
    let theirs = format!("the metadata say ISSUER={}: set that", idp.issuer());
    Scenario::new("issuer with a slash too many", variables, vec![idp])
        .doctor(&["discovery", &fix])
        .log(&["byte for byte", &theirs])
}

async fn http_instead_of_https() -> Vec<Scenario> {
    let plain = variables("http://idp.example");
    let refused = Scenario::new("http to another host", plain, vec![])
        .config()
        .doctor(&[
            "ISSUER: must be an absolute https URL",
            "write ISSUER as https://",
        ])
        .log(&["ISSUER: must be an absolute https URL"]);

    // The provider stands behind a proxy that speaks TLS, and is asked directly.
    let idp = idp().await;
    let metadata = format!(r#"{{"issuer":"https://{}"}}"#, idp.addr());
    idp.fault(Fault::on(Endpoint::Metadata).body(metadata));
    let fix = format!(
        "they differ in http and https: \"https://{}\" was asked too and publishes nothing",
        idp.addr()
    );
    let theirs = format!("the metadata say ISSUER=https://{}: set that", idp.addr());
    let variables_behind = variables(idp.issuer());
    let behind = Scenario::new(
        "http, and the issuer says https",
        variables_behind,
        vec![idp],
    )
    .doctor(&["discovery", &fix])
    .log(&[&theirs]);

    let idp = crate::world::idp().await;
    let variables = variables(&format!("https://{}", idp.addr()));
    let reverse = Scenario::new("https, and the provider speaks http", variables, vec![idp])
        .doctor(&["TLS", "write http:// in ISSUER"])
        .log(&["TLS", "check the port in ISSUER"]);
    vec![refused, behind, reverse]
}

async fn provider_down() -> Scenario {
    let idp = idp().await;
    idp.pause().await;
    let variables = variables(idp.issuer());
    Scenario::new("provider down", variables, vec![idp])
        .doctor(&[
            "could not connect",
            "is the provider running? check host and port in ISSUER",
        ])
        .log(&["is the provider running? check host and port of ISSUER"])
}

async fn clock_off() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (name, by_s, way) in [
        ("our clock is fast", 300, "is 300 s ahead of the provider's"),
        ("our clock is slow", -300, "is 300 s behind the provider's"),
    ] {
        let idp = idp().await;
        let variables = variables(idp.issuer());
        // The services have no other clock than the test's; theirs is the next one.
        all.push(
            Scenario::new(name, variables, vec![idp])
                .clock(by_s)
                .doctor(&["clock", way, "set the clock of this machine"]),
        );
    }
    for (name, by_s, way) in [
        (
            "the provider's clock is fast",
            300,
            "s behind the provider's",
        ),
        (
            "the provider's clock is slow",
            -300,
            "s ahead of the provider's",
        ),
    ] {
        let idp = DevIdp::builder()
            .clock(Arc::new(Off { by_s }))
            .token_lifetime(Duration::from_secs(120))
            .start()
            .await
            .unwrap();
        let variables = variables(idp.issuer());
        all.push(
            Scenario::new(name, variables, vec![idp])
                .doctor(&[
                    "clock",
                    way,
                    "set the clock of this machine (or the provider's",
                ])
                .log(&["set the clock of this machine or of the provider"]),
        );
    }
    all
}

async fn signing_key_missing() -> Vec<Scenario> {
    let (idp, other) = (idp().await, idp().await);
    let elsewhere = [("JWKS_URI", &*other.jwks_uri())];
    let configured = with(variables(idp.issuer()), &elsewhere);
    let kid = idp.current_kid();
    let configured = Scenario::new("keys of another provider", configured, vec![idp, other])
        .doctor(&["signing key", &kid, "not published", "JWKS_URI leads to"])
        .log(&["no usable key of this id", "JWKS_URI or ISSUER leads to"]);

    let (idp, other) = (crate::world::idp().await, crate::world::idp().await);
    let jwks = key_set(&other).await;
    idp.fault(Fault::on(Endpoint::Jwks).body(jwks));
    let variables = variables(idp.issuer());
    let discovered = Scenario::new(
        "a key set without the signing key",
        variables,
        vec![idp, other],
    )
    .doctor(&[
        "signing key",
        "not published",
        "the provider at ISSUER has to publish",
    ])
    .log(&["no usable key of this id", "JWKS_URI or ISSUER leads to"]);
    vec![configured, discovered]
}

/// What a provider publishes.
async fn key_set(idp: &DevIdp) -> Vec<u8> {
    let http = idp_http::IdpClient::builder().build().unwrap();
    let url = idp.jwks_uri().parse().unwrap();
    let reply = http.get(&url, http::HeaderMap::new(), 1 << 20).await;
    reply.unwrap().body.to_vec()
}

async fn scope_not_granted() -> Scenario {
    let idp = idp().await;
    let wanted = [("TOKEN_SCOPE", "data:read data:admin")];
    let variables = with(variables(idp.issuer()), &wanted);
    Scenario::new("scope not granted", variables, vec![idp])
        .doctor(&[
            "scope",
            "invalid_scope",
            "take data:admin out of TOKEN_SCOPE",
        ])
        .log(&["invalid_scope", "take out of TOKEN_SCOPE"])
}

async fn method_not_allowed() -> Scenario {
    let client = DevClient::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
    let client = client.allow([AuthMethod::ClientSecretPost]);
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    let variables = variables(idp.issuer());
    Scenario::new("client method not allowed", variables, vec![idp])
        .doctor(&[
            "refuses this client with client_secret_basic and takes client_secret_post",
            "set CLIENT_AUTH_METHOD=client_secret_post",
        ])
        .log(&["invalid_client", "another CLIENT_AUTH_METHOD"])
}

async fn foreign_downstream() -> Scenario {
    let idp = idp().await;
    let elsewhere = [("PROTECTED_DATA_URL", "http://protected.example")];
    let variables = with(variables(idp.issuer()), &elsewhere);
    Scenario::new("downstream URL not in the allow-list", variables, vec![idp])
        .config()
        .doctor(&[
            "PROTECTED_DATA_URL: must be",
            "write PROTECTED_DATA_URL as https://",
            "or set ALLOW_INSECURE_HTTP=true",
        ])
        .log(&["PROTECTED_DATA_URL: must be", "ALLOW_INSECURE_HTTP=true"])
}
