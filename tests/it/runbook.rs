//! Each entry of the runbook, provoked with the real binaries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{Clock, SystemClock};
use dev_idp::{
    AuthMethod, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevClient, DevIdp, Endpoint, Fault,
};

use crate::program::Program;
use crate::tree;
use crate::world::{client, variables};

/// What the runbook says of one failure.
struct Entry {
    title: String,
    /// Of which service the log line is, and its text; `…` stands for what differs.
    log: (String, String),
    /// Of which service the metric is, and its name with labels; absent where the process has ended.
    metric: Option<(String, String)>,
}

/// The entries of the runbook: a title, then lines `- Log of SERVICE: `…`` and `- Metric of SERVICE: `…``.
fn entries() -> Vec<Entry> {
    let text = tree::read("docs/OPERATIONS.md");
    let runbook = text.split("\n## Runbook\n").nth(1).unwrap();
    let runbook = runbook.split("\n## ").next().unwrap();
    let quoted = |entry: &str, what: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(what))?;
        let (service, rest) = line.split_once(": `")?;
        let (text, _) = rest.split_once('`')?;
        Some((service.to_owned(), text.to_owned()))
    };
    runbook
        .split("\n### ")
        .skip(1)
        .map(|entry| Entry {
            title: entry.lines().next().unwrap().to_owned(),
            log: quoted(entry, "- Log of ").unwrap(),
            metric: quoted(entry, "- Metric of "),
        })
        .collect()
}

/// A failure, made as a person would make it.
struct Failure {
    variables: BTreeMap<String, String>,
    _providers: Vec<DevIdp>,
}

impl Failure {
    fn new(providers: Vec<DevIdp>, changes: &[(&str, &str)]) -> Self {
        let mut variables = variables(&providers[0]);
        for (name, value) in changes {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        Self {
            variables,
            _providers: providers,
        }
    }
}

/// A clock five minutes behind the system's.
#[derive(Debug)]
struct Slow;

impl Clock for Slow {
    fn now(&self) -> SystemTime {
        SystemClock.now() - Duration::from_secs(300)
    }
}

async fn idp() -> DevIdp {
    DevIdp::builder().start().await.unwrap()
}

async fn provoke(title: &str) -> Failure {
    let idp = idp().await;
    match title {
        "Wrong secret" => Failure::new(vec![idp], &[("CLIENT_SECRET", "hunter2")]),
        "Wrong audience" => Failure::new(vec![idp], &[("API_AUDIENCE", "https://other.example")]),
        "Issuer with a slash too many" => {
            let issuer = format!("{}/", idp.issuer());
            Failure::new(vec![idp], &[("ISSUER", &issuer)])
        }
        "http instead of https" => Failure::new(vec![idp], &[("ISSUER", "http://idp.example")]),
        "Provider down" => {
            idp.pause().await;
            Failure::new(vec![idp], &[])
        }
        "Clock five minutes off" => {
            let slow = DevIdp::builder()
                .clock(Arc::new(Slow))
                .token_lifetime(Duration::from_secs(120));
            Failure::new(vec![slow.start().await.unwrap()], &[])
        }
        "JWKS without the signing key" => {
            let other = self::idp().await;
            let keys = other.jwks_uri();
            Failure::new(vec![idp, other], &[("JWKS_URI", &keys)])
        }
        "Scope not granted" => Failure::new(vec![idp], &[("TOKEN_SCOPE", "data:read data:admin")]),
        "Client method not allowed" => {
            let client = DevClient::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
            let client = client.allow([AuthMethod::ClientSecretPost]);
            let idp = DevIdp::builder().client(client).start().await.unwrap();
            Failure::new(vec![idp], &[])
        }
        "Opaque token" => {
            let reply = r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer","expires_in":300}"#;
            idp.fault(Fault::on(Endpoint::Token).body(reply));
            Failure::new(vec![idp], &[])
        }
        "Downstream URL not in the allow-list" => {
            let elsewhere = [("PROTECTED_DATA_URL", "http://protected-data.example")];
            Failure::new(vec![idp], &elsewhere)
        }
        other => panic!("the runbook speaks of {other:?}, and no test provokes it"),
    }
}

/// The service that an entry speaks of: started, or already ended.
struct Running {
    programs: BTreeMap<&'static str, Program>,
    /// What the services printed that ended at once.
    ended: BTreeMap<&'static str, String>,
}

impl Running {
    /// Starts the pair with the failure and, if it runs, sends one request through it.
    async fn start(failure: &Failure) -> Self {
        let mut variables = failure.variables.clone();
        variables.extend(
            [
                ("PUBLIC_DATA_ADMIN_ADDR", "127.0.0.1:0"),
                ("PROTECTED_DATA_ADMIN_ADDR", "127.0.0.1:0"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut running = Self {
            programs: BTreeMap::new(),
            ended: BTreeMap::new(),
        };
        let is_elsewhere = variables.contains_key("PROTECTED_DATA_URL");
        if let Some(address) = running.add("protected-data", &variables).await
            && !is_elsewhere
        {
            let url = format!("http://{address}");
            variables.insert("PROTECTED_DATA_URL".to_owned(), url);
        }
        if let Some(address) = running.add("public-data", &variables).await {
            let url = format!("http://{address}/api/public/data");
            let response = client().get(url).send().await.unwrap();
            assert!(response.status().is_server_error(), "{}", response.status());
        }
        running
    }

    /// Returns the address that it listens on, or nothing if it ended.
    async fn add(
        &mut self,
        name: &'static str,
        variables: &BTreeMap<String, String>,
    ) -> Option<String> {
        let mut program = Program::start(name, &[], variables);
        let first = program.line(|line| Some(line.to_owned())).await;
        if first.starts_with("configuration: ") {
            let ended = program.ended().await;
            assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
            self.ended.insert(name, ended.stderr);
            return None;
        }
        // The first lines may be about the provider already, so all that was seen is searched.
        let listening = program.seen(|line| {
            let (_, address) = line.split_once("listening server.address=")?;
            Some(address.to_owned())
        });
        let address = listening.await;
        self.programs.insert(name, program);
        Some(address)
    }

    /// Waits for a line with these texts in this order.
    async fn logs(&mut self, service: &str, text: &str) {
        let fits = |line: &str| {
            let mut rest = line;
            let mut parts = text.split('…').map(str::trim);
            parts.all(|part| match rest.split_once(part) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        };
        if let Some(printed) = self.ended.get(service) {
            assert!(printed.lines().any(fits), "{text}: {printed}");
            return;
        }
        let program = self.programs.get_mut(service).unwrap();
        program.seen(|line| fits(line).then_some(())).await;
    }

    /// What the service's status address says of a metric; `…` is any text.
    async fn metric(&mut self, service: &str, name: &str) -> Option<f64> {
        let program = self.programs.get_mut(service).unwrap();
        let address = program.seen(|line| {
            let (_, address) = line.split_once("the status address is http://")?;
            Some(address.split('/').next()?.to_owned())
        });
        let url = format!("http://{}/metrics", address.await);
        let text = client().get(url).send().await.unwrap();
        let text = text.text().await.unwrap();
        let (start, end) = name.split_once('…').unwrap_or((name, ""));
        text.lines().find_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let fits = sample.starts_with(start) && sample.ends_with(end);
            fits.then(|| value.parse().ok())?
        })
    }
}

/// H3
#[tokio::test]
async fn every_entry_of_the_runbook_is_what_happens() {
    let entries = entries();
    assert_eq!(entries.len(), 11);
    for entry in entries {
        let title = &entry.title;
        let failure = provoke(title).await;
        let mut running = Running::start(&failure).await;
        let (service, text) = &entry.log;
        running.logs(service, text).await;
        match &entry.metric {
            Some((service, name)) => {
                let value = running.metric(service, name).await;
                assert!(value.is_some_and(|value| value != 0.0), "{title}: {name}");
            }
            None => assert!(running.ended.contains_key(&**service), "{title}"),
        }
    }
}
