//! A provider, the pair and a doctor, on ports of their own in one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::{Clock, SystemClock};
use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp};
use m2m_cli::doctor::Doctor;
use m2m_cli::report::{Finding, Report, Status};
use m2m_cli::settings::Settings;
use service_kit::config::Reader;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use token_cache::StartupPolicy;
use tokio::task::JoinHandle;

/// Longer than anything here takes; ends a test that would hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) type Variables = BTreeMap<String, String>;

/// Variables for a pair that uses this issuer, on ports where nothing listens.
pub(crate) fn variables(issuer: &str) -> Variables {
    with(
        Variables::new(),
        &[
            ("ISSUER", issuer),
            ("CLIENT_ID", DEFAULT_CLIENT_ID),
            ("CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
            ("API_AUDIENCE", DEFAULT_AUDIENCE),
            // Nothing can be bound to port 1 without being root.
            ("PUBLIC_DATA_ADDR", "127.0.0.1:1"),
            ("PUBLIC_DATA_ADMIN_ADDR", "off"),
            ("PROTECTED_DATA_ADMIN_ADDR", "off"),
            ("PROTECTED_DATA_URL", "http://127.0.0.1:1"),
        ],
    )
}

pub(crate) fn with(mut variables: Variables, more: &[(&str, &str)]) -> Variables {
    for (name, value) in more {
        variables.insert((*name).to_owned(), (*value).to_owned());
    }
    variables
}

/// public-data and protected-data, running.
pub(crate) struct Pair {
    /// The variables with the real addresses in them.
    pub(crate) variables: Variables,
    pub(crate) tokens: token_cache::TokenCache,
    pub(crate) validator: jwks_validator::JwtValidator,
    shutdown: Shutdown,
    tasks: Vec<JoinHandle<()>>,
}

impl Pair {
    /// Starts the pair with these variables, on free ports, and waits for nothing.
    pub(crate) async fn start(variables: &Variables) -> Self {
        let ports = [
            ("PUBLIC_DATA_ADDR", "127.0.0.1:0"),
            ("PROTECTED_DATA_ADDR", "127.0.0.1:0"),
        ];
        let mut variables = with(variables.clone(), &ports);
        let mut reader = Reader::new(&variables);
        let protected = protected_data::Config::read(&mut reader);
        let mut public = public_data::Config::read(&mut reader);
        reader.finish().unwrap();
        let shutdown = Shutdown::manual(Duration::from_secs(5));
        let protected = protected_data::Service::bind(&protected).await.unwrap();
        let url = format!("http://{}", protected.local_addr());
        public.protected_data = url.parse().unwrap();
        let public = public_data::Service::bind(&public).await.unwrap();
        let address = public.local_addr().to_string();
        variables = with(
            variables,
            &[("PUBLIC_DATA_ADDR", &address), ("PROTECTED_DATA_URL", &url)],
        );
        for (name, address) in [
            ("PUBLIC_DATA_ADMIN_ADDR", public.admin_addr()),
            ("PROTECTED_DATA_ADMIN_ADDR", protected.admin_addr()),
        ] {
            if let Some(address) = address {
                variables.insert(name.to_owned(), address.to_string());
            }
        }
        Self {
            variables,
            tokens: public.tokens().clone(),
            validator: protected.validator().clone(),
            tasks: vec![
                tokio::spawn(protected.run(shutdown.clone())),
                tokio::spawn(public.run(shutdown.clone())),
            ],
            shutdown,
        }
    }

    /// Waits until both services are ready.
    pub(crate) async fn wait_ready(&self) {
        let ready = async {
            let token = StartupPolicy::Require(LIMIT);
            self.tokens.start(token).await.unwrap();
            assert!(self.validator.wait_ready().await);
        };
        tokio::time::timeout(LIMIT, ready).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// A clock that differs from the system's.
#[derive(Debug)]
pub(crate) struct Off {
    pub(crate) by_s: i64,
}

impl Clock for Off {
    fn now(&self) -> SystemTime {
        let by = Duration::from_secs(self.by_s.unsigned_abs());
        let now = SystemClock.now();
        if self.by_s < 0 { now - by } else { now + by }
    }
}

/// What a doctor says with these variables.
pub(crate) async fn examine(variables: &Variables) -> Report {
    examine_with(variables, Arc::new(SystemClock)).await
}

pub(crate) async fn examine_with(variables: &Variables, clock: Arc<dyn Clock>) -> Report {
    let settings = Settings::new(variables, false);
    let mut seen = Vec::new();
    let mut on_finding = |finding: &Finding| seen.push(finding.clone());
    let doctor = Doctor::new(&settings).clock(clock);
    let report = tokio::time::timeout(LIMIT, doctor.examine(&mut on_finding));
    let report = report.await.unwrap();
    assert_eq!(
        seen,
        report.findings(),
        "each finding is handed out when it is there"
    );
    let text = lines(&report).join("\n");
    assert!(!text.contains("eyJ"), "a token is shown: {text}");
    for finding in report.findings() {
        assert!(!finding.line(false).contains('\n'), "{finding:?}");
        let has_change = finding.change.is_some();
        assert!(
            has_change || finding.status != Status::Failed,
            "{finding:?}"
        );
    }
    report
}

pub(crate) fn lines(report: &Report) -> Vec<String> {
    let findings = report.findings().iter();
    findings.map(|finding| finding.line(false)).collect()
}

/// The findings of one check.
pub(crate) fn of<'r>(report: &'r Report, check: &str) -> Vec<&'r Finding> {
    let findings = report.findings().iter();
    findings.filter(|finding| finding.check == check).collect()
}

#[track_caller]
pub(crate) fn status(report: &Report, check: &str) -> Status {
    let found = of(report, check);
    let [finding] = found[..] else {
        panic!(
            "{check} is there {} times: {:#?}",
            found.len(),
            lines(report)
        );
    };
    finding.status
}

pub(crate) async fn idp() -> DevIdp {
    DevIdp::builder().start().await.unwrap()
}
