//! What a request costs the services, beside the same service without the validator.
//!
//! `cargo run --release --package load -- bench` runs every case in turn, round after round, so that a
//! busy machine slows all of them. The cost is the time that the threads of a service were on a core, as
//! the scheduler counts it (Linux only): unlike requests per second it does not depend on who sends them.

mod bare;
mod cost;
mod generator;

use std::sync::Arc;
use std::time::Duration;

use dev_idp::{Algorithm, DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DevClient, DevIdp, TokenSpec};
use serde_json::json;

use crate::Failure;
use crate::program::{self, Program};
use cost::{Case, Cost};
use generator::Requests;

pub(crate) use bare::serve;

const SECRET: &str = "secret";
const CONNECTIONS: usize = 16;
const ROUNDS: u32 = 5;

/// How the chain behaves with these many clients at once.
const CLIENTS: [usize; 5] = [1, 8, 64, 512, 1_000];

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each case, in all rounds together
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Folder for `services.json` and `services.svg`
    #[arg(long, default_value = "target/bench")]
    out: std::path::PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    eprintln!("building the services");
    program::build().await?;
    let client = DevClient::new(DEFAULT_CLIENT_ID, SECRET).scopes(["data:read"]);
    let idp = DevIdp::builder()
        .client(client)
        .token_lifetime(Duration::from_secs(3_600))
        .start()
        .await?;
    let services = Services::start(&idp).await?;
    let turn = Duration::from_secs(u64::from(arguments.seconds)) / ROUNDS;
    let mut cases = services.cases(&idp, turn);
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for case in &mut cases {
            case.turn(turn).await?;
        }
    }
    let mut chain = Vec::new();
    for clients in CLIENTS {
        eprintln!("the chain with {clients} clients");
        let mut case = services.chain(clients);
        case.turn(turn * ROUNDS).await?;
        chain.push(case);
    }
    let rows: Vec<Cost> = cases.iter().chain(&chain).map(Case::cost).collect();
    cost::print(&rows);
    let reused = services.connections_of_the_chain().await?;
    println!(
        "\nconnections that public-data opened for {} requests of 64 clients: {}",
        reused.requests, reused.connections
    );
    std::fs::create_dir_all(&arguments.out)?;
    let document = json!({ "cases": cost::json(&rows), "chain_connections": {
        "requests": reused.requests, "connections": reused.connections,
    }});
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

/// Everything that is measured, running.
struct Services {
    bare: Program,
    protected: Program,
    public: Program,
    bare_address: String,
    protected_address: String,
    public_address: String,
    issuer: String,
}

struct Reused {
    requests: u64,
    connections: u64,
}

impl Services {
    async fn start(idp: &DevIdp) -> Result<Self, Failure> {
        let issuer = idp.issuer().to_owned();
        let mut bare = Program::start_self(&["bare"])?;
        let bare_address = bare.address().await?;
        let mut protected = Program::start("protected-data", protected_variables(&issuer))?;
        let protected_address = protected.address().await?;
        let url = format!("http://{protected_address}");
        let mut public = Program::start("public-data", public_variables(&issuer, url))?;
        let public_address = public.address().await?;
        for program in [&mut bare, &mut protected, &mut public] {
            program.discard_log()?;
            program.pin().await;
        }
        for address in [&protected_address, &public_address] {
            program::ready(address).await?;
        }
        Ok(Self {
            bare,
            protected,
            public,
            bare_address,
            protected_address,
            public_address,
            issuer,
        })
    }

    fn cases(&self, idp: &DevIdp, turn: Duration) -> Vec<Case<'_>> {
        let es256 = || TokenSpec::new().algorithm(Algorithm::Es256);
        let good = || idp.mint(es256());
        // More than are checked in all rounds: one takes 50 µs at the least.
        let fresh = u64::try_from(turn.as_micros()).unwrap_or(u64::MAX) * u64::from(ROUNDS) / 50;
        let bare = Requests::protected(&self.bare_address, [good()]);
        let repeated = Requests::protected(&self.protected_address, [good()]);
        let many = Requests::protected(&self.protected_address, (0..512).map(|_| good()));
        let new = Requests::protected(&self.protected_address, (0..fresh).map(|_| good()));
        // A good one and, after it, its claims under another token's signature.
        let half = (0..fresh / 8).flat_map(|_| {
            let (good, other) = (good(), good());
            let bad = match (good.rsplit_once('.'), other.rsplit_once('.')) {
                (Some((claims, _)), Some((_, signature))) => format!("{claims}.{signature}"),
                _ => String::new(),
            };
            [good, bad]
        });
        let half = Requests::protected(&self.protected_address, half).refused_too();
        let (bare_service, protected) = (&self.bare, &self.protected);
        vec![
            Case::new(
                "the same route without the layer",
                CONNECTIONS,
                bare,
                vec![bare_service],
            ),
            Case::new(
                "protected-data, one token",
                CONNECTIONS,
                repeated,
                vec![protected],
            ),
            Case::new(
                "protected-data, 512 tokens",
                CONNECTIONS,
                many,
                vec![protected],
            ),
            Case::new(
                "protected-data, new tokens (ES256)",
                CONNECTIONS,
                new,
                vec![protected],
            ),
            Case::new(
                "protected-data, half bad signatures",
                CONNECTIONS,
                half,
                vec![protected],
            ),
        ]
    }

    fn chain(&self, clients: usize) -> Case<'_> {
        let name = format!("public-data, {clients} clients");
        // Beyond what it works on at once it sheds, and says so.
        let requests = Requests::public(&self.public_address).shed_too();
        Case::new(
            &name,
            clients,
            requests,
            vec![&self.public, &self.protected],
        )
    }

    /// A second public-data, whose connections are counted on their way.
    async fn connections_of_the_chain(&self) -> Result<Reused, Failure> {
        let counted = Arc::new(generator::Forwarder::start(&self.protected_address).await?);
        let url = format!("http://{}", counted.address());
        let mut public = Program::start("public-data", public_variables(&self.issuer, url))?;
        let address = public.address().await?;
        public.discard_log()?;
        program::ready(&address).await?;
        let mut requests = Requests::public(&address);
        let sent = requests.send_count(64, 20_000).await?;
        public.stop().await?;
        Ok(Reused {
            requests: sent,
            connections: counted.connections(),
        })
    }

    async fn stop(self) -> Result<(), Failure> {
        for program in [self.public, self.protected, self.bare] {
            program.stop().await?;
        }
        Ok(())
    }
}

fn protected_variables(issuer: &str) -> impl Iterator<Item = (&'static str, String)> {
    [
        ("ISSUER", issuer.to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("API_AUDIENCE", DEFAULT_AUDIENCE.to_owned()),
        ("PROTECTED_DATA_ADDR", "127.0.0.1:0".to_owned()),
        ("PROTECTED_DATA_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
    ]
    .into_iter()
}

fn public_variables(
    issuer: &str,
    protected_data: String,
) -> impl Iterator<Item = (&'static str, String)> {
    [
        ("ISSUER", issuer.to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("CLIENT_ID", DEFAULT_CLIENT_ID.to_owned()),
        ("CLIENT_SECRET", SECRET.to_owned()),
        ("PUBLIC_DATA_ADDR", "127.0.0.1:0".to_owned()),
        ("PUBLIC_DATA_ADMIN_ADDR", "127.0.0.1:0".to_owned()),
        ("PROTECTED_DATA_URL", protected_data),
    ]
    .into_iter()
}
