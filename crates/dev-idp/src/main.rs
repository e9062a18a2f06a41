//! The development identity provider as a program of its own.
//!
//! It is configured by environment variables, by `.env`, and by flags that override both; `--help`
//! lists them. It exits with 64 if the configuration is wrong, with 1 if it cannot start, and with
//! 0 when it is told to end.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use dev_idp::{DevClient, DevIdp, StartError, StartErrorKind};

mod config;

use config::{Config, Flags, LogFormat};

// `EX_USAGE` of BSD's sysexits.h.
const EXIT_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    // Before clap reads the environment, and while there is no other thread that might.
    let problems = config::load_dot_env();
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            let failed = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if failed { EXIT_CONFIGURATION } else { 0 });
        }
    };
    let config = match config::read(flags, problems) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                complain(&problem.to_string());
            }
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(config)),
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> ExitCode {
    // Before anything else is there to end: a signal during start-up ends the program cleanly too.
    let stopped = match stop_signal() {
        Ok(stopped) => stopped,
        Err(error) => {
            complain(&format!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(config.log_filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match config.log_format {
        LogFormat::Pretty => logs.init(),
        LogFormat::Json => logs.json().init(),
    }

    let client = DevClient::new(&config.client_id, &config.client_secret).scopes(config.scopes);
    let mut web =
        DevClient::web().with_credentials(&config.web_client_id, &config.web_client_secret);
    if let Some(origin) = &config.public_url {
        web = web.application_at(origin);
    }
    let mut builder = DevIdp::builder()
        .addr(config.addr)
        .client(client)
        .client(web)
        .default_audience(&config.audience);
    if let Some(addr) = config.control_addr {
        builder = builder.control_addr(addr);
    }
    let idp = match builder.start().await {
        Ok(idp) => idp,
        Err(error) => {
            complain(&explain(&error));
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(
        issuer = idp.issuer(),
        token_endpoint = idp.token_endpoint(),
        jwks_uri = idp.jwks_uri(),
        client_id = config.client_id,
        web_client_id = config.web_client_id,
        audience = config.audience,
        "dev-idp is ready"
    );
    if let Some(addr) = idp.control_addr() {
        tracing::warn!(%addr, "the control API is on: everyone who reaches it commands the provider");
    }

    stopped.await;
    idp.shutdown().await;
    tracing::info!("dev-idp has ended");
    ExitCode::SUCCESS
}

/// Returns a future that is ready at the first SIGTERM or Ctrl-C from now on.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Returns a future that is ready at the first Ctrl-C from now on.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

fn explain(error: &StartError) -> String {
    let variable = if error.is_control() {
        config::CONTROL_ADDR
    } else {
        config::ADDR
    };
    match (error.kind(), error.addr()) {
        (StartErrorKind::AddressInUse, Some(addr)) => format!(
            "{variable}: {addr} is in use by another program; end that one or set another address"
        ),
        (_, Some(addr)) => {
            let source = std::error::Error::source(error);
            let reason = source.map_or_else(|| error.to_string(), ToString::to_string);
            format!("{variable}: cannot listen on {addr}: {reason}")
        }
        _ => format!("cannot start: {error}"),
    }
}

fn complain(line: &str) {
    // Nothing is left to be done where even standard error is gone.
    let _ = writeln!(io::stderr(), "dev-idp: {line}");
}
