//! Starts the pair, and an identity provider when none is named; makes one request through it.

#[cfg(feature = "people")]
mod people;
mod plan;
mod report;
mod run;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use service_kit::EXIT_CONFIG;
use service_kit::config::Environment;

use crate::plan::Plan;

/// Starts protected-data and public-data, and the embedded identity provider unless ISSUER or
/// APPLICATION_VANITY_DOMAIN names another; makes one request through the pair and prints it.
///
/// The configuration is that of the services: the environment, then `.env`. `.env.example` explains
/// every variable. Ctrl-C stops everything.
#[derive(Debug, Parser)]
#[command(name = "up", version)]
struct Arguments {
    /// Ends after the request, with 0 if it was answered and 1 if not.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { EXIT_CONFIG } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let environment = Environment::load();
    let plan = match Plan::read(&environment) {
        Ok(plan) => plan,
        Err(error) => {
            for line in error.lines() {
                say(&format!("configuration: {line}"));
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match run::run(plan, arguments.check) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(service_kit::EXIT_START)
        }
    }
}

/// Writes a line for the person who started it. A closed standard error leaves the exit code to tell.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
