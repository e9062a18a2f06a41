//! The binaries under what simulation cannot show: signals in the middle of everything, and sockets,
//! descriptors and pipes that run out.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use dev_idp::{DevIdp, Endpoint, Fault};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::launcher::FREE_PORTS;
use crate::processes::just;
use crate::program::Program;
use crate::world::{LIMIT, PUBLIC_BODY, client, variables};

fn json_logs(idp: &DevIdp, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut variables = variables(idp);
    variables.insert("LOG_FORMAT".to_owned(), "json".to_owned());
    for (name, value) in more {
        variables.insert((*name).to_owned(), (*value).to_owned());
    }
    variables
}

async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(LIMIT, future).await.unwrap()
}

const LANES: usize = 10;

/// Twenty in all, and a hundred where `M2M_LONG` is set.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests chooses how long they take"
)]
fn trials_per_lane() -> usize {
    std::env::var_os("M2M_LONG").map_or(2, |_| 10)
}

/// H6, H7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterms_with_requests_in_flight_and_tokens_under_way_lose_nothing() {
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        lanes.spawn(async {
            let idp = DevIdp::builder()
                // Refreshed at half of it, so half is left while the refresh hangs.
                .token_lifetime(Duration::from_secs(4))
                .start()
                .await
                .unwrap();
            let protected = protected_data().await;
            for trial in 0..trials_per_lane() {
                sigterm(&idp, &protected, trial % 2 == 0).await;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
}

/// A protected-data that takes its time, so that requests are in flight.
async fn protected_data() -> String {
    let app = axum::Router::new().fallback(|| async {
        // Not a wait for anything: how long a request is in flight.
        tokio::time::sleep(Duration::from_millis(20)).await;
        r#"{"protectedData":"here I am"}"#
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    url
}

async fn sigterm(idp: &DevIdp, protected: &str, while_refreshing: bool) {
    let more = [("PROTECTED_DATA_URL", protected), ("SHUTDOWN_GRACE", "3s")];
    let mut public = Program::start("public-data", &[], &json_logs(idp, &more));
    let address = public.address().await;
    let callers = Callers::start(&address).await;
    if while_refreshing {
        idp.fault(Fault::on(Endpoint::Token).hold());
        let next = idp.requests().token + 1;
        in_time(idp.wait_for_requests(Endpoint::Token, next)).await;
    }
    public.signal("TERM");
    let ended = public.ended().await;
    idp.clear_faults();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    callers.join().await;
}

/// H6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_ends_protected_data_after_the_requests_that_need_it() {
    for signal in ["INT", "TERM", "INT", "TERM"] {
        let mut up = Program::start("up", &[], &just(&FREE_PORTS));
        let line = up.answer("Repeat it:").await;
        let url: Url = line.split_whitespace().last().unwrap().parse().unwrap();
        let address = url.socket_addrs(|| None).unwrap()[0].to_string();
        let callers = Callers::start(&address).await;
        up.signal(signal);
        let ended = up.ended().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        callers.join().await;
    }
}

/// Tasks that send requests, some on kept connections, until a connection is refused.
struct Callers(JoinSet<()>);

impl Callers {
    /// Returns when requests are being answered.
    async fn start(address: &str) -> Self {
        let answered = watch::Sender::new(0);
        let mut callers = JoinSet::new();
        for keep_alive in [true, false].repeat(4) {
            let (address, answered) = (address.to_owned(), answered.clone());
            callers.spawn(async move { call_until_refused(&address, keep_alive, &answered).await });
        }
        let mut answers = answered.subscribe();
        in_time(answers.wait_for(|answers| *answers >= 20))
            .await
            .unwrap();
        Self(callers)
    }

    async fn join(mut self) {
        while let Some(caller) = self.0.join_next().await {
            caller.unwrap();
        }
    }
}

/// Every request that was sent has to be answered with what it asked for. The end is a connection that
/// is refused.
async fn call_until_refused(address: &str, keep_alive: bool, answered: &watch::Sender<u64>) {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let request = format!(
        "GET /api/public/data HTTP/1.1\r\nHost: {address}\r\nConnection: {connection}\r\n\r\n"
    );
    while let Ok(mut stream) = TcpStream::connect(address).await {
        loop {
            stream.write_all(request.as_bytes()).await.unwrap();
            let answer = in_time(read_answer(&mut stream)).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            assert!(head.starts_with("HTTP/1.1 200 "), "{head:?}");
            assert_eq!(body, PUBLIC_BODY);
            answered.send_modify(|answers| *answers += 1);
            if head.to_ascii_lowercase().contains("\r\nconnection: close") {
                break;
            }
        }
    }
}

/// Reads up to the end of the one body that is right, or of the stream.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(PUBLIC_BODY.as_bytes()) {
        let mut chunk = [0; 1_024];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// How many files this process may open, where the system tells.
fn open_files_limit() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// G13, G14
#[expect(clippy::print_stdout, reason = "a person is told what does not run")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_peers_that_never_end_their_headers_are_closed_and_disturb_nobody() {
    let peers_wanted = if open_files_limit() < 4_096 {
        println!("200 peers instead of 1,000: this machine allows too few open files");
        200
    } else {
        1_000
    };
    let idp = DevIdp::builder().start().await.unwrap();
    let mut protected = Program::start("protected-data", &[], &json_logs(&idp, &[]));
    let address = protected.address().await;
    let mut peers = JoinSet::new();
    for _ in 0..peers_wanted {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            .await
            .unwrap();
        peers.spawn(async move {
            let mut answer = Vec::new();
            // Closed, with or without a last word.
            let _ = stream.read_to_end(&mut answer).await;
        });
    }
    let client = client();
    let good = async {
        loop {
            let response = client.get(format!("http://{address}/livez")).send().await;
            assert_eq!(response.unwrap().status(), StatusCode::OK);
        }
    };
    let all_closed = async { while peers.join_next().await.is_some() {} };
    tokio::select! {
        () = in_time(all_closed) => {}
        () = good => {}
    }
    let response = client.get(format!("http://{address}/livez")).send().await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

/// H11
#[cfg(unix)]
#[tokio::test]
async fn a_service_with_few_descriptors_answers_beside_peers_that_only_connect() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut protected =
        Program::start_in_shell("ulimit -n 40", "protected-data", &json_logs(&idp, &[]));
    let address = protected.address().await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(TcpStream::connect(&address).await.unwrap());
    }
    let token = idp.mint(dev_idp::TokenSpec::new());
    let request = client().get(format!("http://{address}/api/protected/data"));
    let response = in_time(request.bearer_auth(token).send()).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    drop(open);
}

/// H12
#[tokio::test]
async fn a_service_whose_log_nobody_reads_serves_and_ends() {
    let idp = DevIdp::builder().start().await.unwrap();
    let variables = json_logs(&idp, &[("RUST_LOG", "trace")]);
    let mut protected = Program::start("protected-data", &[], &variables);
    let address = protected.address().await;
    let client = client();
    // Several lines each, in all far more than a pipe holds.
    for _ in 0..2_000 {
        let request = client.get(format!("http://{address}/api/protected/data"));
        let response = in_time(request.bearer_auth("a.b.c").send()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    protected.signal("TERM");
    let status = in_time(protected.ended_unread()).await;
    assert_eq!(status.code(), Some(0));
}
