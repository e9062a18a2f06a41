//! Puts the pair under load for a while and says what became of every request.
//!
//! `cargo run --release --package load -- --duration 2m` starts dev-idp in its own process and the
//! release binaries of public-data and protected-data beside it. Good requests arrive at a fixed rate
//! whether or not earlier ones were answered (an open loop), so a slow answer delays no request and
//! every latency counts from when the request was due. A fifth as many hostile ones go to
//! protected-data. Keys rotate every minute, and the provider is down for 30 s of every five minutes.
//!
//! It ends with 1 if a good request got no answer or a wrong one, a hostile one was let in, or a secret
//! was printed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool that prints its result and its progress"
)]

mod bench;
mod plot;
mod program;
mod provider;
mod record;
mod report;
mod traffic;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DevClient, DevIdp};
use tokio::time::{Instant, MissedTickBehavior, interval};

use program::Program;
use record::Record;

type Failure = Box<dyn Error + Send + Sync>;

/// Loads the pair with requests while keys rotate and the provider comes and goes
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: LoadArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures what a request costs the services
    Bench(bench::Arguments),
    /// Serves protected-data's route without the validator, to compare with
    #[command(hide = true)]
    Bare,
}

#[derive(Debug, clap::Args)]
struct LoadArguments {
    /// How long, such as 2m or 8h
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Good requests per second; a fifth as many hostile ones come on top
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Folder for `load.json` and `load.svg`
    #[arg(long, default_value = "target/load")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => unless_ended(run(arguments.load)).await,
        Some(Command::Bench(arguments)) => {
            unless_ended(async { bench::run(arguments).await.map(|()| true) }).await
        }
        // It drains by itself, and has then done what it was started for.
        Some(Command::Bare) => bench::serve().await.map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does the work to its end, or fails at a signal. What is dropped then takes the services along.
async fn unless_ended(work: impl Future<Output = Result<bool, Failure>>) -> Result<bool, Failure> {
    tokio::select! {
        result = work => result,
        () = ended() => Err("ended by a signal".into()),
    }
}

/// Waits for SIGTERM or Ctrl-C.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Returns whether every promise was kept.
async fn run(arguments: LoadArguments) -> Result<bool, Failure> {
    eprintln!("building the services");
    program::build().await?;
    let secret = format!("canary-{:016x}", fastrand::u64(..));
    let idp = DevIdp::builder()
        .client(DevClient::new(DEFAULT_CLIENT_ID, &secret).scopes(["data:read"]))
        // Short, so that many refreshes fall into the run and some into the outages.
        .token_lifetime(Duration::from_secs(120))
        .start()
        .await?;
    let idp = Arc::new(idp);
    let record = Arc::new(Record::new());
    let common = [
        ("ISSUER", idp.issuer().to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    let mut protected = Program::start(
        "protected-data",
        common.iter().cloned().chain([
            ("API_AUDIENCE", DEFAULT_AUDIENCE.to_owned()),
            ("PROTECTED_DATA_ADDR", "127.0.0.1:0".to_owned()),
            ("PROTECTED_DATA_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
        ]),
    )?;
    let protected_address = protected.address().await?;
    let mut public = Program::start(
        "public-data",
        common.iter().cloned().chain([
            ("CLIENT_ID", DEFAULT_CLIENT_ID.to_owned()),
            ("CLIENT_SECRET", secret.clone()),
            ("PUBLIC_DATA_ADDR", "127.0.0.1:0".to_owned()),
            ("PUBLIC_DATA_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("PROTECTED_DATA_URL", format!("http://{protected_address}")),
        ]),
    )?;
    let public_address = public.address().await?;
    for program in [&mut protected, &mut public] {
        program.watch_log(&secret, Arc::clone(&record))?;
    }
    for address in [&protected_address, &public_address] {
        program::ready(address).await?;
    }

    let end = Instant::now() + arguments.duration;
    let events = tokio::spawn(provider::rotate_and_fail(Arc::clone(&idp), end));
    let hostile = tokio::spawn(traffic::hostile(
        Arc::clone(&idp),
        format!("http://{protected_address}/api/protected/data"),
        f64::from(arguments.rate) / 5.0,
        end,
        Arc::clone(&record),
    ));
    let good = tokio::spawn(traffic::good(
        format!("http://{public_address}/api/public/data"),
        f64::from(arguments.rate),
        end,
        Arc::clone(&record),
    ));
    observe(&record, [&public, &protected], end).await;
    good.await?;
    hostile.await?;
    let events = events.await??;

    let fetches = idp.requests();
    for program in [public, protected] {
        program.stop().await?;
    }
    let summary = record.summary(arguments.duration);
    report::print(&summary, &fetches, &events);
    std::fs::create_dir_all(&arguments.out)?;
    let json = report::json(&summary, &fetches, &events);
    std::fs::write(arguments.out.join("load.json"), format!("{json:#}\n"))?;
    plot::draw(&arguments.out.join("load.svg"), &summary)?;
    println!(
        "\nwrote load.json and load.svg to {}",
        arguments.out.display()
    );
    Ok(summary.is_clean())
}

/// Once a second: memory of both services; every five seconds: a line on standard error.
async fn observe(record: &Record, programs: [&Program; 2], end: Instant) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = Instant::now();
    let mut second = 0_u64;
    while Instant::now() < end {
        ticks.tick().await;
        record.second(programs.map(Program::resident_kib));
        if second.is_multiple_of(5) {
            let elapsed =
                humantime::format_duration(Duration::from_secs(begun.elapsed().as_secs()));
            eprintln!("{elapsed:>8}  {}", record.progress());
        }
        second += 1;
    }
}
