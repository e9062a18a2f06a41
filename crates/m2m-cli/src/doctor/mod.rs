//! `m2m doctor`: every check from the configuration to a request through the running pair.
//!
//! The checks, in order; a report has a line for each, and more where there is more to say:
//!
//! | check | what it looks at |
//! |---|---|
//! | `configuration` | every variable, with the services' own readers |
//! | `names` | the host names of the provider resolve |
//! | `connection` | each origin of the provider answers; TLS, or plain http where it may be |
//! | `discovery` | the issuer's metadata, and that it names the issuer as ISSUER does |
//! | `token endpoint` | a token, with the configured authentication method or another one that is listed |
//! | `scope`, `lifetime` | what was granted, and for how long |
//! | `keys`, `signing key` | which published keys are usable, and whether the fresh token's is among them |
//! | `clock` | ours against the provider's `Date` and the fresh token's dates |
//! | `validation` | the fresh token, with protected-data's own validator and scopes |
//! | `protected-data`, `public-data` | the running pair, if it is up |
//! | `people` | what to register at the provider for logins; this and what follows only where `SESSION_SECRETS`, `SESSION_SECRETS_FILE` or `WEB_CLIENT_ID` is set |
//! | `session store` | it answers |
//! | `login endpoints` | authorization, userinfo, revocation and logout are there |
//! | `redirect URI` | the provider comes back to it from a login that asks for no page |
//! | `login client` | the provider knows the client and its secret: it refuses an invented code and nothing else |
//! | `invoices` | the running service, if it is up |
//!
//! A check that an earlier failure makes impossible says so and does not count as failed. Endless or
//! slow answers end after 3 s each, 6 s for the pair.

mod clocks;
mod connection;
mod credentials;
mod discovery;
mod granted;
pub(crate) mod keys;
mod pair;
mod people;
mod refusal;
mod validation;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use clock::Clock;
use idp_http::IdpClient;
use service_kit::config::{IdentityProvider, Problem, Reader, Runtime, Strings as _};
use service_kit::server::reachable;
use service_kit::with_sources;
use url::Url;

use self::pair::get;
use crate::report::{Finding, Report, Status};
use crate::settings::{Origins, Settings};

/// What the checks need.
#[derive(Debug)]
pub struct Doctor<'s> {
    settings: &'s Settings<'s>,
    remarks: Vec<String>,
    clock: Arc<dyn Clock>,
}

impl<'s> Doctor<'s> {
    /// Returns a doctor for this configuration. Asks nobody for anything.
    #[must_use]
    pub fn new(settings: &'s Settings<'s>) -> Self {
        Self {
            settings,
            remarks: Vec::new(),
            clock: Arc::new(clock::SystemClock),
        }
    }

    /// Adds something about the configuration that is worth a line, such as a misspelt variable.
    #[must_use]
    pub fn remark(mut self, remark: impl fmt::Display) -> Self {
        self.remarks.push(remark.to_string());
        self
    }

    /// Sets the clock that is compared with the provider's. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes every check, and hands out each finding when it is there.
    ///
    /// Asks the provider for one token, for more only where it refuses the first request; see
    /// [`doctor`](self). Cancelling it ends the request that is under way.
    pub async fn examine(&self, on_finding: &mut dyn FnMut(&Finding)) -> Report {
        let mut findings = Findings {
            all: Vec::new(),
            on_finding,
        };
        let Some(examination) = self.configuration(&mut findings) else {
            return Report::of_configuration(findings.all);
        };
        examination.run(&mut findings).await;
        Report::new(findings.all)
    }

    fn problem(&self, problem: &Problem, warnings: &[String]) -> Finding {
        let (name, text) = (problem.name(), problem.to_string());
        let (_, found) = text.split_once(": ").unwrap_or_default();
        let change = if let Some(cause) = about(&[name], warnings) {
            cause
        } else if *found == *"is required" || found.starts_with("is required,") {
            format!("set {name}")
        } else if found.contains("an absolute https URL") {
            let change = format!("write {name} as https://HOST/PATH");
            // Only where nothing but http is wrong with it.
            match Reader::new(self.settings).endpoint(name, true) {
                Some(_) => format!("{change}, or set ALLOW_INSECURE_HTTP=true"),
                None => change,
            }
        } else {
            format!("correct {name}")
        };
        Finding::failed(CHECK, text, change)
    }

    /// Reads the configuration and builds what needs no network.
    fn configuration(&self, findings: &mut Findings<'_>) -> Option<Examination> {
        let has_people = ["SESSION_SECRETS", "SESSION_SECRETS_FILE", "WEB_CLIENT_ID"]
            .into_iter()
            .any(|name| self.settings.has(name));
        let read = self.settings.read(|reader| {
            let protected = protected_data::Config::read(reader);
            let public = public_data::Config::read(reader);
            let people = has_people.then(|| invoices::Config::read(reader));
            let _ = Runtime::read(reader);
            (protected, public, people)
        });
        let ((protected, mut public, people), warnings) = match read {
            Ok(read) => read,
            Err(error) => {
                for problem in error.problems() {
                    findings.add(self.problem(problem, error.warnings()));
                }
                let is_told = |warning: &&String| {
                    let (name, _) = warning.split_once(": ").unwrap_or_default();
                    error
                        .problems()
                        .iter()
                        .any(|problem| problem.name() == name)
                };
                let warnings = error.warnings().iter().filter(|it| !is_told(it));
                for warning in warnings.chain(&self.remarks) {
                    findings.add(Finding::warning(CHECK, warning));
                }
                if !self.settings.names_provider() {
                    findings.add(
                        Finding::not_checked(CHECK, "no identity provider is named")
                            .change("set ISSUER (.env.example explains it), or run `m2m --dev doctor` beside `cargo up`"),
                    );
                }
                return None;
            }
        };
        // As `cargo up` does it.
        if !self.settings.has("PROTECTED_DATA_URL")
            && let Ok(url) = format!("http://{}", reachable(protected.address)).parse()
        {
            public.protected_data = url;
        }
        let origins = self.settings.origins();
        let http = match client(&protected.provider) {
            Ok(http) => http,
            Err(error) => {
                let found = with_sources(&error);
                findings.add(Finding::failed(CHECK, found, "correct IDP_CA_FILE"));
                return None;
            }
        };
        for warning in &warnings {
            findings.add(Finding::warning(CHECK, warning.to_string()));
        }
        for remark in &self.remarks {
            findings.add(Finding::warning(CHECK, remark));
        }
        let found = format!("the issuer is {}", public.provider.issuer);
        findings.add(Finding::passed(CHECK, found));
        Some(Examination {
            protected,
            public,
            people,
            tenant: self.settings.get("DEFAULT_TENANT_NAME"),
            origins,
            names_api: ["TOKEN_AUDIENCE", "TOKEN_RESOURCE"]
                .into_iter()
                .any(|name| self.settings.has(name)),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            http,
            clock: Arc::clone(&self.clock),
        })
    }
}

const CHECK: &str = "configuration";

/// A usable configuration.
struct Examination {
    protected: protected_data::Config,
    public: public_data::Config,
    /// Where people log in.
    people: Option<invoices::Config>,
    /// The tenant that a login is tried for.
    tenant: Option<String>,
    origins: Origins,
    /// The token is asked for with an audience or a resource.
    names_api: bool,
    /// Of the configuration, each `NAME: …`.
    warnings: Vec<String>,
    http: IdpClient,
    clock: Arc<dyn Clock>,
}

impl Examination {
    /// Returns what is odd about the value of one of these variables: a likelier cause than any other.
    fn oddity_of(&self, names: &[&str]) -> Option<String> {
        about(names, &self.warnings)
    }

    async fn run(&self, findings: &mut Findings<'_>) {
        let reach = self.connection(findings).await;
        let endpoints = self.discovery(&reach, findings).await;
        let obtained = self.credentials(&reach, &endpoints, findings).await;
        self.granted(obtained.as_ref(), findings);
        let keys = self
            .keys(&reach, &endpoints, obtained.as_ref(), findings)
            .await;
        let skew = self.clocks(obtained.as_ref(), keys.as_ref(), findings);
        let verdict = self
            .validation(obtained.as_ref(), keys.as_ref(), skew, findings)
            .await;
        self.pair(obtained.as_ref(), verdict, findings).await;
        self.people(findings).await;
    }
}

/// Finds the warning about the value of one of these variables, but for who may read a file.
fn about(names: &[&str], warnings: &[String]) -> Option<String> {
    let mut about = warnings.iter().filter(|warning| {
        let (name, text) = warning.split_once(": ").unwrap_or_default();
        names.contains(&name) && text.contains("taken for a part of it")
    });
    about
        .next()
        .map(|warning| format!("{warning}; take it off"))
}

/// Findings, which are handed out as they come.
struct Findings<'f> {
    all: Vec<Finding>,
    on_finding: &'f mut dyn FnMut(&Finding),
}

impl Findings<'_> {
    fn add(&mut self, finding: Finding) {
        (self.on_finding)(&finding);
        self.all.push(finding);
    }

    fn has_failed(&self, check: &str) -> bool {
        self.all
            .iter()
            .any(|finding| finding.check == check && finding.status == Status::Failed)
    }

    fn any_failed(&self) -> bool {
        self.all
            .iter()
            .any(|finding| finding.status == Status::Failed)
    }
}

/// Origins of the provider that could not be reached.
struct Reach {
    down: BTreeSet<String>,
}

impl Reach {
    /// Returns an address that can be asked, or why there is none.
    fn endpoint<'u>(&self, url: Option<&'u Url>, unknown: &str) -> Result<&'u Url, String> {
        match url {
            None => Err(unknown.to_owned()),
            Some(url) if self.is_down(url) => Err(format!("{url} cannot be reached")),
            Some(url) => Ok(url),
        }
    }

    fn is_down(&self, url: &Url) -> bool {
        self.down.contains(&url.origin().ascii_serialization())
    }
}

/// The client that the services ask the provider with.
pub(crate) fn client(provider: &IdentityProvider) -> Result<IdpClient, idp_http::BuildError> {
    provider.http().build()
}
