//! The outermost part of a binary.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::{ConfigError, Environment, Reader, Runtime};
use crate::descriptors;
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Exit code of a configuration that cannot be used (`EX_USAGE` of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;

/// Exit code of a process that could not start or could not go on.
pub const EXIT_START: u8 = 1;

/// How long the end waits for blocking work, such as a name that is being resolved.
pub const RUNTIME_CLOSE: Duration = Duration::from_millis(100);

/// Runs a service from its configuration to its exit code.
///
/// Raises the limit on open files; reads the environment and `.env`, with `read` for the service's
/// own settings and [`Runtime::read`] for the process's; installs the log; starts a multi-thread
/// runtime; installs the signal handlers ([`Shutdown::on_signals`]) and runs `run`. `known` lists
/// the service's variables, for warning about names in `.env` that no program reads; those of
/// [`Runtime`] need not be in it.
///
/// The process ends when `run` does, and at the latest when the grace after a signal is over. The last spans and
/// log lines are written then, for at most 3 s more where the collector or the reader of the log has stopped.
///
/// | exit code | when |
/// |---|---|
/// | 0 | `run` returned `Ok`, or the grace is over |
/// | 1 ([`EXIT_START`]) | `run` returned an error, such as a port in use; it is printed with its sources |
/// | 64 ([`EXIT_CONFIG`]) | a configuration problem; all of them are printed, one per line, and the warnings too |
/// | 130, 143 | a second signal |
pub fn run_main<C, F>(
    known: &[&str],
    read: impl FnOnce(&mut Reader<'_>) -> C,
    run: impl FnOnce(C, Shutdown) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
{
    match try_main(known, read, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A closed standard error leaves the exit code to tell.
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn try_main<C, F>(
    known: &[&str],
    read: impl FnOnce(&mut Reader<'_>) -> C,
    run: impl FnOnce(C, Shutdown) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
{
    descriptors::raise_limit();
    let environment = Environment::load();
    let mut reader = Reader::new(&environment);
    let config = read(&mut reader);
    let process = Runtime::read(&mut reader);
    let known: Vec<&str> = known.iter().copied().chain(Runtime::VARIABLES).collect();
    let unknown = environment.unknown(&known);
    let warnings = reader.warnings().to_vec();
    reader
        .finish()
        // A value that is missing may be there under a name that is nearly right.
        .map_err(|error| Failure::Config(error.with_warnings(&unknown)))?;

    // Dropped after the runtime, so that the last lines of its tasks are flushed.
    let _guard = telemetry::init(
        process.log_format,
        &process.log_filter,
        process.tracing.as_ref(),
    )
    .map_err(|error| Failure::Start(error.into()))?;
    for warning in &warnings {
        tracing::warn!(config.variable = warning.name(), "{warning}");
    }
    for unknown in &unknown {
        tracing::warn!(config.variable = unknown.name(), "{unknown}");
    }

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Start(error.into()))?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::on_signals(process.shutdown_grace)
            .map_err(|error| Failure::Start(error.into()))?;
        tokio::select! {
            result = run(config, shutdown.clone()) => result.map_err(Failure::Start),
            () = grace_is_over(&shutdown) => {
                tracing::warn!("the grace is over; ending with work unfinished");
                Ok(())
            }
        }
    });
    // Dropping a runtime waits without bound for blocking calls.
    runtime.shutdown_timeout(RUNTIME_CLOSE);
    result
}

async fn grace_is_over(shutdown: &Shutdown) {
    shutdown.draining().await;
    match shutdown.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        // Cannot be: the deadline is set before the drain is announced.
        None => std::future::pending().await,
    }
}

/// Why a process ends with another code than 0.
///
/// `Display` is what goes to standard error: `configuration: NAME: …` for each problem and each warning, or
/// the error followed by its sources.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The configuration cannot be used.
    Config(ConfigError),
    /// The service could not start or could not go on.
    Start(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// Returns the process's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Start(_) => EXIT_START,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => {
                for (index, line) in error.lines().enumerate() {
                    let separator = if index == 0 { "" } else { "\n" };
                    write!(f, "{separator}configuration: {line}")?;
                }
                Ok(())
            }
            Self::Start(error) => write!(f, "error: {}", with_sources(&**error)),
        }
    }
}

/// Returns an error and what it stems from, in one line: `outer: inner: innermost`.
pub fn with_sources(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// H3
    #[test]
    fn configuration_problems_are_one_prefixed_line_each_and_code_64() {
        let empty: BTreeMap<&str, &str> = BTreeMap::new();
        let mut reader = Reader::new(&empty);
        let _ = (
            reader.required("CLIENT_ID"),
            reader.required("API_AUDIENCE"),
        );
        let failure = Failure::Config(reader.finish().unwrap_err());
        assert_eq!(failure.exit_code(), 64);
        assert_eq!(
            failure.to_string(),
            "configuration: CLIENT_ID: is required\nconfiguration: API_AUDIENCE: is required"
        );
    }

    #[test]
    fn a_start_failure_is_printed_with_its_sources_and_code_1() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::Start(Outer(std::io::Error::other("inner")).into());
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(failure.to_string(), "error: outer: inner");
    }

    #[tokio::test(start_paused = true)]
    async fn the_process_ends_with_the_grace_even_when_the_service_does_not() {
        let shutdown = Shutdown::manual(Duration::from_secs(10));
        shutdown.begin(crate::shutdown::ShutdownKind::Terminate);
        let begun = tokio::time::Instant::now();
        grace_is_over(&shutdown).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
    }
}
