//! What stays bounded when there is much to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dev_idp::{Algorithm, DevIdp, Endpoint, Fault, TokenSpec};
use tokio::task::JoinSet;

use crate::program::Program;
use crate::world::{Pair, client, variables};

/// Threads that never wait, until dropped.
struct Busy {
    done: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Busy {
    /// Twice as many as there are processors, so that everything else has to share.
    fn start() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let count = 2 * thread::available_parallelism().unwrap().get();
        let spin = |done: Arc<AtomicBool>| {
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..count).map(|_| spin(Arc::clone(&done))).collect();
        Self { done, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// H17
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_processor_time_to_spare_health_answers_and_nobody_hangs() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Arc::new(Pair::ready(&variables(&idp)).await);
    let unreachable = DevIdp::builder().start().await.unwrap();
    unreachable.fault(Fault::on(Endpoint::Any).hang());
    let waiting = Arc::new(Pair::start(&variables(&unreachable)).await);
    let busy = Busy::start();
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let (ready, other) = (Arc::clone(&pair), Arc::clone(&waiting));
        callers.spawn(async move { (200, ready.public_data().await.status()) });
        callers.spawn(async move { (503, other.public_data().await.status()) });
    }
    for pair in [&pair, &waiting] {
        assert_eq!(pair.get_public("/livez").await.status(), 200);
        assert_eq!(pair.get_protected("/livez").await.status(), 200);
    }
    while let Some(answer) = callers.join_next().await {
        let (expected, status) = answer.unwrap();
        assert_eq!(status, expected);
    }
    drop(busy);
}

/// Open descriptors and resident kilobytes of a process, where the system tells.
fn footprint(program: &Program) -> Option<(usize, usize)> {
    let process = format!("/proc/{}", program.id());
    let descriptors = std::fs::read_dir(format!("{process}/fd")).ok()?.count();
    let status = std::fs::read_to_string(format!("{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((descriptors, kilobytes))
}

/// H20
#[tokio::test]
async fn a_thousand_good_and_forged_tokens_leave_memory_and_descriptors_flat() {
    const ROUNDS: usize = 12;
    let idp = DevIdp::builder()
        .signing_algorithm(Algorithm::Es256)
        .start()
        .await
        .unwrap();
    let mut variables = variables(&idp);
    variables.insert("LOG_FORMAT".to_owned(), "json".to_owned());
    variables.insert("RUST_LOG".to_owned(), "info,protected_data=warn".to_owned());
    variables.insert("VERIFIED_CACHE_ENTRIES".to_owned(), "64".to_owned());
    let mut protected = Program::start("protected-data", &[], &variables);
    let url = format!("http://{}/api/protected/data", protected.address().await);
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        // A client of its own, and so connections of its own, per round.
        let http = client();
        for n in 0..50 {
            // Each token is another one: it has a `jti`.
            let good = idp.mint(TokenSpec::new());
            let forged = idp.mint(TokenSpec::new().kid(format!("{round}-{n}")));
            for (token, expected) in [(good, 200), (forged, 401)] {
                let response = http.get(&url).bearer_auth(token).send().await.unwrap();
                assert_eq!(response.status(), expected);
            }
        }
        seen.extend(footprint(&protected));
    }
    protected.signal("TERM");
    assert_eq!(protected.ended().await.status.code(), Some(0));
    // The first half fills what is bounded.
    let (Some(middle), Some(last)) = (seen.get(ROUNDS / 2), seen.last()) else {
        return;
    };
    assert!(last.0 <= middle.0 + 2, "descriptors: {seen:?}");
    assert!(last.1 <= middle.1 + 1_024, "resident kilobytes: {seen:?}");
}
