//! The binary: command line, environment, output, exit code.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use clock::SystemClock;
use secrecy::{ExposeSecret as _, SecretString};
use service_kit::config::{ConfigError, Environment, Strings as _, VARIABLES};
use service_kit::{EXIT_CONFIG, EXIT_START};
use url::Url;

use crate::args::{Arguments, Command};
use crate::doctor::Doctor;
use crate::inspect::Inspector;
use crate::settings::Settings;
use crate::token::{self, Form};
use crate::watch::{self, Output};

/// More than any token, and a bound on what a wrong pipe can cost.
const MAX_INPUT: u64 = 64 * 1024;
const RUNTIME_CLOSE: Duration = Duration::from_millis(100);

/// Runs `m2m` with the process's command line and environment.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { EXIT_CONFIG } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(EXIT_START)
        }
    }
}

fn run(arguments: Arguments) -> io::Result<u8> {
    let environment = Environment::load();
    let settings = Settings::new(&environment, arguments.dev);
    // https://no-color.org: set to something, whatever it is.
    let no_colour = environment
        .get("NO_COLOR")
        .is_some_and(|value| !value.is_empty());
    let colour = io::stdout().is_terminal() && !no_colour;
    match arguments.command {
        Command::Doctor { json } => doctor(&environment, &settings, json, colour),
        Command::Token { header, json } => {
            let form = match (header, json) {
                (true, _) => Form::Header,
                (_, true) => Form::Json,
                _ => Form::Plain,
            };
            print_token(&settings, form)
        }
        Command::Inspect { token, offline } => inspect(settings, token, offline, colour),
        Command::Watch { url } => watch(&settings, url, colour),
        Command::Completions { shell } => {
            // Into memory first: the generator panics when it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "m2m", &mut script);
            io::stdout().write_all(&script)?;
            Ok(0)
        }
        Command::Man => {
            let mut page = Vec::new();
            man(&mut page)?;
            io::stdout().write_all(&page)?;
            Ok(0)
        }
    }
}

fn doctor(
    environment: &Environment,
    settings: &Settings<'_>,
    json: bool,
    colour: bool,
) -> io::Result<u8> {
    let mut doctor = Doctor::new(settings);
    for unknown in environment.unknown(&VARIABLES) {
        doctor = doctor.remark(unknown);
    }
    let mut failed_write = None;
    let mut on_finding = |finding: &crate::report::Finding| {
        if !json && failed_write.is_none() {
            failed_write = writeln!(io::stdout(), "{}", finding.line(colour)).err();
        }
    };
    let report = block_on(doctor.examine(&mut on_finding))?;
    if let Some(error) = failed_write {
        return Err(error);
    }
    if json {
        writeln!(io::stdout(), "{:#}", report.json())?;
    }
    Ok(report.exit_code())
}

fn print_token(settings: &Settings<'_>, form: Form) -> io::Result<u8> {
    let config = match settings.read(public_data::Config::read) {
        Ok((config, _)) => config,
        Err(error) => return Ok(refuse(settings, &error)),
    };
    match block_on(token::line(&config, form, &SystemClock))? {
        Ok(line) => {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{}", line.expose_secret())?;
            stdout.flush()?;
            Ok(0)
        }
        Err(error) => {
            say(&format!("error: {error}"));
            Ok(EXIT_START)
        }
    }
}

fn inspect(
    mut settings: Settings<'_>,
    token: Option<SecretString>,
    offline: bool,
    colour: bool,
) -> io::Result<u8> {
    let token = match token {
        Some(token) if token.expose_secret() != "-" => token,
        None if io::stdin().is_terminal() => {
            say("error: no token; pipe one in, such as `m2m token | m2m inspect`");
            return Ok(EXIT_CONFIG);
        }
        _ => {
            let mut text = String::new();
            io::stdin()
                .lock()
                .take(MAX_INPUT)
                .read_to_string(&mut text)?;
            SecretString::from(text)
        }
    };
    let inspector = match Inspector::new(&mut settings, offline, Arc::new(SystemClock)) {
        Ok(inspector) => inspector,
        Err(error) => return Ok(refuse(&settings, &error)),
    };
    let inspection = block_on(inspector.inspect(&token, colour))?;
    io::stdout().write_all(inspection.text.as_bytes())?;
    Ok(if inspection.is_accepted {
        0
    } else {
        EXIT_START
    })
}

fn watch(settings: &Settings<'_>, addresses: Vec<Url>, colour: bool) -> io::Result<u8> {
    let addresses = if addresses.is_empty() {
        match watch::addresses(settings) {
            Ok(addresses) => addresses,
            Err(error) => return Ok(refuse(settings, &error)),
        }
    } else {
        addresses
    };
    if addresses.is_empty() {
        say("error: PUBLIC_DATA_ADMIN_ADDR and PROTECTED_DATA_ADMIN_ADDR are off; name an address");
        return Ok(EXIT_CONFIG);
    }
    let output = if io::stdout().is_terminal() {
        Output::Screen { colour }
    } else {
        Output::Lines
    };
    block_on(watch::watch(addresses, output))?
}

/// The page of the command and, below it, what each subcommand takes.
fn man(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Arguments::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(page)?;
    for subcommand in command.get_subcommands() {
        if subcommand.get_name() == "help" {
            continue;
        }
        let man = clap_mangen::Man::new(subcommand.clone());
        writeln!(page, ".SH \"M2M {}\"", subcommand.get_name().to_uppercase())?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
    }
    Ok(())
}

fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let output = runtime.block_on(future);
    // Dropping a runtime waits without bound for a name that is being resolved.
    runtime.shutdown_timeout(RUNTIME_CLOSE);
    Ok(output)
}

/// Reports a configuration that cannot be used, in the words of the services.
fn refuse(settings: &Settings<'_>, error: &ConfigError) -> u8 {
    for line in error.lines() {
        say(&format!("configuration: {line}"));
    }
    if !settings.names_provider() {
        say("without a provider of your own: `m2m --dev …` beside `cargo up`");
    }
    EXIT_CONFIG
}

/// Writes a line for the person who started it. A closed standard error leaves the exit code to tell.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
