//! public-data, which calls protected-data for every answer.

use std::time::Duration;

use serde_json::{Value, json};

use super::PUBLIC;
use super::cost::{Case, Cost};
use super::forwarder::Forwarder;
use super::generator::Requests;
use super::services::Services;
use crate::Failure;

/// How it behaves with these many clients at once, each of which asks again when it is answered.
const CLIENTS: [usize; 5] = [1, 8, 64, 512, 4_096];
/// More than are worked on at once, and fewer than may be connected.
const OVERLOADING: usize = 1_000;
/// Files that are open beside the generator's connections.
const OTHER_FILES: usize = 96;

/// Measures every number of clients in turn, then twice the rate that was reached.
pub(crate) async fn measure(
    services: &Services,
    time: Duration,
    file_limit: usize,
) -> Result<Vec<Cost>, Failure> {
    let case = |name: &str, clients: usize, requests: Requests| {
        let name = format!("public-data, {name}");
        let programs = vec![&services.public, &services.protected];
        Case::new(&name, clients, requests, programs)
    };
    // Beyond what it works on at once it sheds, and says so.
    let requests = || Requests::new(&services.public_address, PUBLIC).overload();
    let mut costs: Vec<Cost> = Vec::new();
    for clients in CLIENTS {
        let possible = clients.min(file_limit.saturating_sub(OTHER_FILES));
        if possible < clients {
            eprintln!("{file_limit} open files allow no {clients} clients");
        }
        eprintln!("the chain with {possible} clients");
        let name = match possible {
            1 => "1 client".to_owned(),
            more => format!("{more} clients"),
        };
        let mut case = case(&name, possible, requests());
        case.turn(time).await?;
        costs.push(case.cost());
    }
    let reached = costs.iter().map(Cost::good_per_second).fold(1.0, f64::max);
    eprintln!("the chain at twice {reached:.0} requests per second");
    let clients = OVERLOADING.min(file_limit.saturating_sub(OTHER_FILES));
    let pace = f64::from(u32::try_from(clients)?) / (2.0 * reached);
    let requests = requests().pace(Duration::from_secs_f64(pace));
    let mut overload = case("twice what it can do", clients, requests);
    overload.turn(time).await?;
    costs.push(overload.cost());
    Ok(costs)
}

/// Counts the connections that public-data opens for many requests.
pub(crate) async fn connections(services: &Services) -> Result<Value, Failure> {
    let counted = Forwarder::start(&services.protected_address).await?;
    let (public, address) = services
        .another_public(&counted.address().to_string())
        .await?;
    let requests = Requests::new(&address, PUBLIC);
    let sent = requests.send_count(64, 100_000).await?;
    public.stop().await?;
    let opened = counted.connections();
    println!("\nconnections that public-data opened for {sent} requests of 64 clients: {opened}");
    Ok(json!({ "requests": sent, "connections": opened }))
}
