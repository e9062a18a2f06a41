//! Two processes of one application.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;

use dev_idp::{DevClient, DevIdp};
use reqwest::header::{HOST, HeaderMap};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::browser::{Browser, LIMIT};
use crate::world::variables;

const PUBLIC: &str = "localhost:6004";

struct Process {
    address: SocketAddr,
    child: Child,
}

impl Process {
    async fn start(variables: &BTreeMap<String, String>, folder: &TempDir) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_invoices"))
            .current_dir(folder.path())
            .env_clear()
            .envs(variables)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                assert!(!line.contains("canary"), "{line}");
                if let Some((_, rest)) = line.split_once("127.0.0.1:")
                    && line.contains("listening")
                {
                    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    return ([127, 0, 0, 1], port.parse().unwrap()).into();
                }
            }
        };
        let address = timeout(LIMIT, address).await.unwrap();
        // A pipe that nobody reads would be full one day.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, child }
    }

    /// The same browser, sent to this process as a proxy in front would.
    fn seen_by(&self, browser: &Browser) -> Browser {
        let mut browser = browser.clone();
        browser.http = Browser::new(self.address).http;
        browser.origin = format!("http://{}", self.address);
        browser
    }

    /// Waits until people could log in.
    async fn is_ready(&self) {
        let http = Browser::new(self.address).http;
        let url = format!("http://{}/readyz", self.address);
        let ready = async {
            while http.get(&url).send().await.unwrap().status() != 200 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, ready).await.unwrap();
    }
}

async fn get(browser: &mut Browser, path: &str) -> crate::browser::Answer {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, PUBLIC.parse().unwrap());
    let request = browser.request(reqwest::Method::GET, path).headers(headers);
    browser.send(request).await
}

#[tokio::test]
async fn a_session_of_one_process_serves_at_another_and_after_both_on_one_sqlite_file() {
    let public_url = format!("http://{PUBLIC}");
    let client = DevClient::web().application_at(&public_url);
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut variables = variables(&idp);
    for (name, value) in [
        ("SESSION_STORE", "sqlite:sessions.db"),
        ("PUBLIC_URL", public_url.as_str()),
    ] {
        variables.insert(name.to_owned(), value.to_owned());
    }
    let one = Process::start(&variables, &folder).await;
    let two = Process::start(&variables, &folder).await;
    one.is_ready().await;
    two.is_ready().await;

    let mut browser = one.seen_by(&Browser::new(one.address));
    let login = get(&mut browser, "/api/auth/login?tenant_name=acme").await;
    assert_eq!(login.status, 302, "{}", login.body);
    let callback = idp.sign_in(login.header("location"), "owner@acme.example");
    let callback = callback.strip_prefix(&public_url).unwrap().to_owned();
    // The callback comes to the other one.
    let mut browser = two.seen_by(&browser);
    assert_eq!(get(&mut browser, &callback).await.status, 303);
    let mut there = one.seen_by(&browser);
    assert_eq!(get(&mut there, "/invoices").await.status, 200);
    let people = get(&mut there, "/people").await;
    assert!(people.body.contains("Olive Owner"), "{}", people.body);

    for mut process in [one, two] {
        process.child.kill().await.unwrap();
    }
    let later = Process::start(&variables, &folder).await;
    later.is_ready().await;
    let mut browser = later.seen_by(&browser);
    assert_eq!(get(&mut browser, "/invoices").await.status, 200);
}
