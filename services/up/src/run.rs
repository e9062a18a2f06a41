//! Starts what the plan says, makes the request, and stops it all.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use dev_idp::{AuthMethod, DevClient, DevIdp, StartErrorKind};
use protected_data::Service as ProtectedData;
use public_data::Service as PublicData;
use secrecy::ExposeSecret as _;
use service_kit::config::SecretSetting;
use service_kit::server::reachable;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use service_kit::{telemetry, with_sources};
use token_cache::{AssertionKey, ClientAuth, StartupPolicy, TokenCache};
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "people")]
use crate::people;
use crate::plan::{Plan, Provider};
use crate::report::{advice_on_keys, advice_on_token, finding};
use crate::say;

type Failure = Box<dyn Error + Send + Sync>;

/// How long `--check` waits for a token and keys. A provider in the same container starts within it.
const READY_LIMIT: Duration = Duration::from_secs(15);

pub(crate) fn run(plan: Plan<'_>, check: bool) -> Result<ExitCode, Failure> {
    let guard = telemetry::init(
        plan.process.log_format,
        &plan.process.log_filter,
        plan.process.tracing.as_ref(),
    )?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    service_kit::descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::on_signals(plan.process.shutdown_grace)?;
        // With all services in it, it is too large for a stack.
        Box::pin(start(plan, check, shutdown)).await
    });
    // Dropping it would wait without bound for blocking calls.
    runtime.shutdown_timeout(service_kit::RUNTIME_CLOSE);
    // After the rest of the log, so that it is the last line.
    drop(guard);
    let (code, finding) = result?;
    if let Some(line) = finding {
        say(&format!("m2m doctor: {line}"));
    }
    Ok(code)
}

/// Returns what a check that fails found, too.
async fn start(
    mut plan: Plan<'_>,
    check: bool,
    shutdown: Shutdown,
) -> Result<(ExitCode, Option<String>), Failure> {
    let provider = match &plan.provider {
        Some(provider) => Some(start_provider(provider, &plan.public_data).await?),
        None => None,
    };
    if let Some(provider) = &provider {
        plan.protected_data.provider.issuer = provider.issuer().to_owned();
        plan.public_data.provider.issuer = provider.issuer().to_owned();
    }
    let admins = [
        plan.public_data.admin_address,
        plan.protected_data.admin_address,
        #[cfg(feature = "people")]
        plan.invoices.admin_address,
    ];
    if admins.iter().any(Option::is_some) {
        service_kit::metrics::install();
    }
    let protected = ProtectedData::bind(&plan.protected_data)
        .await
        .map_err(|error| with_sources(&error))?;
    if plan.follow_protected_data {
        plan.public_data.protected_data =
            format!("http://{}", reachable(protected.local_addr())).parse()?;
    }
    let public = PublicData::bind(&plan.public_data)
        .await
        .map_err(|error| with_sources(&error))?;
    #[cfg(feature = "people")]
    let people = {
        if let Some(idp) = &provider {
            people::follow(&mut plan.invoices, idp);
        }
        if plan.follow_protected_data {
            plan.invoices.protected_data = plan.public_data.protected_data.clone();
        }
        people::bind(&plan.invoices, provider.as_ref()).await?
    };

    let mut lines = Vec::new();
    match &provider {
        Some(idp) => lines.push(format!(
            "dev-idp         {}  (embedded, for development only)",
            idp.issuer()
        )),
        None => lines.push(format!(
            "provider        {}",
            plan.public_data.provider.issuer
        )),
    }
    lines.push(format!(
        "protected-data  http://{}",
        reachable(protected.local_addr())
    ));
    lines.push(format!(
        "public-data     http://{}",
        reachable(public.local_addr())
    ));
    #[cfg(feature = "people")]
    lines.extend(people::lines(&people, plan.provider.as_ref()));
    let admins = [
        ("public-data", public.admin_addr()),
        ("protected-data", protected.admin_addr()),
        #[cfg(feature = "people")]
        ("invoices", people.service.admin_addr()),
    ];
    for (name, address) in admins {
        if let Some(address) = address {
            let address = reachable(address);
            lines.push(format!("status          http://{address}  ({name})"));
        }
    }
    print(&lines)?;

    let url = format!("http://{}/api/public/data", reachable(public.local_addr()));
    let mut settings = plan.settings;
    settings.replace("PUBLIC_DATA_ADDR", public.local_addr().to_string());
    settings.replace(
        "PROTECTED_DATA_URL",
        plan.public_data.protected_data.as_str(),
    );
    if let Some(provider) = &provider {
        settings.replace("ISSUER", provider.issuer());
    }
    let parts = Parts {
        tokens: public.tokens().clone(),
        validator: protected.validator().clone(),
        provider: plan.public_data.provider.issuer.clone(),
    };
    // Begun when public-data is done: its last requests need it.
    let callee = Shutdown::manual(shutdown.grace());
    let protected = tokio::spawn(protected.run(callee.clone()));
    let public = tokio::spawn(public.run(shutdown.clone()));
    #[cfg(feature = "people")]
    let (invoices_url, invoices) = (
        people.url,
        tokio::spawn(people.service.run(shutdown.clone())),
    );
    let first_request = async {
        let answered = parts.first_request(&url, check).await;
        #[cfg(feature = "people")]
        let answered = match (answered, &provider) {
            (Ok(()), Some(idp)) if check => people::sign_in_and_out(&invoices_url, idp).await,
            (answered, _) => answered,
        };
        let Err(problem) = answered else {
            return Ok(());
        };
        say(&format!("error: {problem}"));
        Err(if check {
            finding(&settings).await
        } else {
            None
        })
    };
    let answered = tokio::select! {
        answered = first_request => answered,
        () = shutdown.draining() => if check {
            say("error: ended before the request was answered");
            Err(None)
        } else {
            Ok(())
        },
    };
    if check {
        shutdown.begin(ShutdownKind::Interrupt);
    }
    public.await?;
    #[cfg(feature = "people")]
    invoices.await?;
    callee.begin(ShutdownKind::Interrupt);
    // The grace is for all of it.
    let end = shutdown.deadline().unwrap_or_else(Instant::now);
    if let Ok(ended) = timeout_at(end, protected).await {
        ended?;
    }
    if let Some(provider) = provider {
        provider.shutdown().await;
    }
    Ok(match answered {
        Err(finding) if check => (ExitCode::from(service_kit::EXIT_START), finding),
        _ => (ExitCode::SUCCESS, None),
    })
}

async fn start_provider(
    provider: &Provider,
    client: &public_data::Config,
) -> Result<DevIdp, Failure> {
    let secret = client.client_secret.as_ref().map(SecretSetting::read);
    let secret = secret
        .transpose()
        .map_err(|problem| format!("CLIENT_SECRET_FILE: names a file that {problem}"))?
        .unwrap_or_default();
    let mut known =
        DevClient::new(&client.client_id, secret.expose_secret()).scopes(&provider.scopes);
    let keys = &client.client_keys;
    if let Some(path) = &keys.key_file {
        let pem = SecretSetting::File(path.clone()).read();
        let pem = pem.map_err(|problem| format!("CLIENT_KEY_FILE: names a file that {problem}"))?;
        let public_key = AssertionKey::from_pem(pem.expose_secret(), keys.algorithm)
            .and_then(|key| key.public_key())
            .map_err(|problem| format!("CLIENT_KEY_FILE: {problem}"))?;
        known = known.public_key(public_key);
    }
    if client.client_auth == ClientAuth::PrivateKeyJwt {
        // No secret is configured then, and an empty one is none.
        known = known.allow([AuthMethod::PrivateKeyJwt]);
    }
    let mut builder = DevIdp::builder()
        .addr(provider.address)
        .default_audience(&provider.audience)
        .client(known);
    if let Some(control) = provider.control {
        builder = builder.control_addr(control);
    }
    builder.start().await.map_err(|error| {
        let variable = if error.is_control() {
            "DEV_IDP_CONTROL_ADDR"
        } else {
            "DEV_IDP_ADDR"
        };
        match error.addr() {
            Some(address) if error.kind() == StartErrorKind::AddressInUse => {
                format!("{variable}: {address} is in use").into()
            }
            _ => format!("{variable}: {}", with_sources(&error)).into(),
        }
    })
}

/// The parts that have to be ready before the request.
struct Parts {
    tokens: TokenCache,
    validator: jwks_validator::JwtValidator,
    provider: String,
}

impl Parts {
    /// Waits until both services are ready, makes the request and prints it. Without `check` it waits
    /// as long as it takes, and tells once which part is missing.
    async fn first_request(&self, url: &str, check: bool) -> Result<(), String> {
        let limit = Instant::now() + READY_LIMIT;
        if let Err(problem) = self.ready(limit).await {
            if check {
                return Err(problem);
            }
            say(&format!("error: {problem}"));
            say("waiting; the services recover by themselves");
            self.ready_at_last().await;
        }
        let (status, body) = get(url).await?;
        let lines = [
            String::new(),
            body.clone(),
            String::new(),
            format!("Repeat it:  curl {url}"),
        ];
        if status == 200 {
            return print(&lines).map_err(|error| error.to_string());
        }
        Err(format!(
            "{url} answered {status}: {body}; the log has the reason (RUST_LOG=info shows it)"
        ))
    }

    async fn ready(&self, limit: Instant) -> Result<(), String> {
        // public-data does the same in a task of its own, and may come to it later. What fails, fails below.
        let _ = self.tokens.start(StartupPolicy::Background).await;
        loop {
            let error = match timeout_at(limit, self.tokens.token()).await {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => error,
                Err(_) => {
                    return Err(format!(
                        "no token from {} in time; check ISSUER",
                        self.provider
                    ));
                }
            };
            let next = Instant::now() + error.retry_after();
            if !error.is_transient() || next >= limit {
                return Err(advice_on_token(&self.provider, &error));
            }
            tokio::time::sleep_until(next).await;
        }
        match timeout_at(limit, self.validator.wait_ready()).await {
            Ok(true) => Ok(()),
            _ => Err(advice_on_keys(&self.provider, &self.validator)),
        }
    }

    async fn ready_at_last(&self) {
        while let Err(error) = self.tokens.token().await {
            tokio::time::sleep(error.retry_after()).await;
        }
        self.validator.wait_ready().await;
    }
}

async fn get(url: &str) -> Result<(u16, String), String> {
    let exchange = async {
        // No proxy stands between a machine and its own loopback, and no certificate is looked at.
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()?;
        let response = client
            .get(url)
            .timeout(Duration::from_secs(10))
            .send()
            .await?;
        Ok((response.status().as_u16(), response.text().await?))
    };
    exchange
        .await
        .map_err(|error: reqwest::Error| format!("{url}: {}", error.without_url()))
}

fn print(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}
