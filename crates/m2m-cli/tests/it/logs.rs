//! The log of the services names the same mistakes.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use idp_http::IdpClient;
use service_kit::config::Reader;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::scenario::all;
use crate::world::{LIMIT, Pair, idp, variables, with};

/// Lines of a log, with whoever waits for one.
type Lines = watch::Sender<Vec<String>>;

thread_local! {
    /// Where the lines of this thread go.
    static LINES: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// Writes a line to the log of the thread that it comes from.
///
/// One subscriber for all threads, and not one per test: what another thread logs first, without a
/// subscriber, would be switched off for all.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = String::from_utf8_lossy(&self.0).trim_end().to_owned();
        LINES.with_borrow(|lines| {
            if let Some(lines) = lines {
                lines.send_modify(|lines| lines.push(line));
            }
        });
    }
}

/// Captures the log of this thread from now on.
fn capture() -> Lines {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(|| Line(Vec::new()))
            .with_max_level(tracing::Level::INFO)
            .init();
    });
    let lines = watch::Sender::new(Vec::new());
    LINES.set(Some(lines.clone()));
    lines
}

async fn first(lines: &Lines, found: impl Fn(&str) -> bool) -> String {
    let mut changes = lines.subscribe();
    let search = changes.wait_for(|lines| lines.iter().any(|line| found(line)));
    let seen = match timeout(LIMIT, search).await {
        Ok(seen) => seen.unwrap().clone(),
        Err(_) => panic!("no such line: {:#?}", lines.borrow()),
    };
    seen.into_iter().find(|line| found(line)).unwrap()
}

/// H3
#[tokio::test]
async fn the_first_log_line_about_a_mistake_names_the_variable_and_the_fix() {
    for scenario in all().await {
        let name = scenario.name;
        if scenario.log_says.is_empty() {
            continue;
        }
        let first = if scenario.is_config {
            // The process ends before there is a log; this is what it prints.
            let mut reader = Reader::new(&scenario.variables);
            let _ = public_data::Config::read(&mut reader);
            reader.finish().unwrap_err().to_string()
        } else {
            first_complaint(&scenario.variables).await
        };
        for part in &scenario.log_says {
            assert!(first.contains(part), "{name}: no {part:?} in {first}");
        }
        assert!(
            !first.contains("hunter2") && !first.contains("eyJ"),
            "{name}: {first}"
        );
    }
}

/// N36, N70
#[tokio::test]
async fn credentials_that_were_copied_carelessly_are_named_where_they_are_rejected() {
    let idp = idp().await;
    for (name, value, expected) in [
        (
            "CLIENT_SECRET",
            "\"hunter2\"",
            "the client secret has quotes around it; invalid_client",
        ),
        (
            "CLIENT_SECRET",
            "hunter2 ",
            "the client secret has a space at an end; invalid_client",
        ),
        (
            "CLIENT_ID",
            "'dev-client'",
            "the client id has quotes around it; invalid_client",
        ),
        (
            "CLIENT_ID",
            "dev client",
            "the client id has a space inside; invalid_client",
        ),
    ] {
        let first = first_complaint(&with(variables(idp.issuer()), &[(name, value)])).await;
        assert!(first.contains(expected), "{first}");
        assert!(
            first.contains(name) && !first.contains("hunter2"),
            "{first}"
        );
    }
}

/// Runs the pair, makes a request through it, and returns the first line that is no good news.
async fn first_complaint(variables: &crate::world::Variables) -> String {
    // The runtime of the test has one thread, so that this is the log of every task.
    let lines = capture();
    let pair = Pair::start(variables).await;
    let http = IdpClient::builder().timeout(LIMIT).build().unwrap();
    let url = format!(
        "http://{}/api/public/data",
        pair.variables["PUBLIC_DATA_ADDR"]
    );
    let url = url.parse().unwrap();
    let headers = http::HeaderMap::new();
    http.get(&url, headers, 1 << 20).await.unwrap();
    let complaint = |line: &str| {
        !line.contains("DEVELOPMENT identity provider")
            && !line.contains("dev_idp")
            && (line.contains(" WARN ") || line.contains(" ERROR ") || line.contains("refused"))
    };
    let first = first(&lines, complaint).await;
    pair.stop().await;
    first
}
