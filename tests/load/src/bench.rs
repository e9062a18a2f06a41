//! What a request costs the services, beside the same service without the validator and beside others.
//!
//! `cargo run --release --package load -- bench` runs every case in turn, round after round, so that a
//! busy machine slows all of them. The cost is the time that the threads of a service were on a core, as
//! the scheduler counts it (Linux only): unlike requests per second it does not depend on who sends them.
//! Where the machine has two cores, the servers have the first one for themselves.

mod bare;
mod chain;
mod cores;
mod cost;
mod forwarder;
mod generator;
mod peers;
mod services;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::Failure;
use crate::program;
use cores::Cores;
use cost::{Case, Cost};
use services::Services;

pub(crate) use bare::serve;

const CONNECTIONS: usize = 16;
const ROUNDS: u32 = 5;
const PROTECTED: &str = "/api/protected/data";
const PUBLIC: &str = "/api/public/data";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each case, in all rounds together
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Folder with `node` and `haproxy`, servers that do the same job; a copy of it is installed and run
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Leave the chain out
    #[arg(long)]
    no_chain: bool,
    /// Folder for `services.json` and `services.svg`
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    eprintln!("building the services");
    program::build().await?;
    std::fs::create_dir_all(&arguments.out)?;
    let file_limit = cores::file_limit().await;
    let cores = Cores::take().await;
    let idp = services::provider().await?;
    let services = Services::start(&idp, cores).await?;
    let copy = arguments.out.join("peers");
    let peers = match &arguments.peers {
        Some(folder) => peers::start(folder, &copy, &idp, cores).await?,
        None => Vec::new(),
    };
    let turn = Duration::from_secs(u64::from(arguments.seconds)) / ROUNDS;
    let mut cases = services.cases(&idp, turn);
    cases.extend(peers.iter().flat_map(|peer| peer.cases(&idp)));
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for case in &mut cases {
            case.turn(turn).await?;
        }
    }
    let mut rows: Vec<Cost> = cases.iter().map(Case::cost).collect();
    drop(cases);
    drop(peers);
    let mut connections = serde_json::Value::Null;
    if !arguments.no_chain {
        rows.extend(chain::measure(&services, turn * ROUNDS, file_limit).await?);
    }
    cost::print(&rows);
    if !arguments.no_chain {
        connections = chain::connections(&services).await?;
    }
    let starts = services.start_times();
    for (name, ms) in &starts {
        println!("{name} listened {ms:.1} ms after it was started");
    }
    if !cores.apart {
        println!("servers and generator shared their cores");
    }
    let document = json!({
        "cases": cost::json(&rows),
        "chain_connections": connections,
        "start_ms": serde_json::Map::from_iter(
            starts.into_iter().map(|(name, ms)| (name.to_owned(), json!(ms))),
        ),
        "cores_apart": cores.apart,
        "file_limit": file_limit,
    });
    std::fs::write(
        arguments.out.join("services.json"),
        format!("{document:#}\n"),
    )?;
    cost::draw(&arguments.out.join("services.svg"), &rows)?;
    println!(
        "wrote services.json and services.svg to {}",
        arguments.out.display()
    );
    services.stop().await
}
