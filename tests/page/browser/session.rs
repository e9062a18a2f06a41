//! A browser without a window, and its driver.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longer than anything here takes; ends a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Light,
    Dark,
}

/// A browser with a profile of its own. It is killed when dropped.
pub(crate) struct Session {
    client: Client,
    _driver: Child,
    profile: tempfile::TempDir,
}

/// A test that fails ends its driver, and a driver that is killed leaves its browser behind.
impl Drop for Session {
    fn drop(&mut self) {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let is_ours = |argument: &[u8]| argument == profile.as_bytes();
            if arguments.split(|byte| *byte == 0).any(is_ours) {
                let mut kill = std::process::Command::new("kill");
                let _ = kill.arg("-KILL").arg(process.file_name()).status();
            }
        }
    }
}

impl Session {
    /// Starts a driver and a browser, if the environment names a driver.
    pub(crate) async fn start(look: Look) -> Option<Self> {
        let Ok(driver) = std::env::var("M2M_CHROMEDRIVER") else {
            eprintln!("did not run: M2M_CHROMEDRIVER names no chromedriver");
            return None;
        };
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let port = timeout(LIMIT, port(&mut driver)).await.unwrap();
        let profile = tempfile::tempdir().unwrap();
        let scheme = if look == Look::Dark { 0 } else { 1 };
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--window-size=1100,1400".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--blink-settings=preferredColorScheme={scheme}"),
        ];
        let Value::Object(capabilities) = json!({
            "goog:chromeOptions": { "args": arguments },
            "timeouts": { "script": u64::try_from(LIMIT.as_millis()).unwrap() },
        }) else {
            unreachable!("an object was written");
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Some(Self {
            client,
            _driver: driver,
            profile,
        })
    }

    pub(crate) async fn open(&self, admin: SocketAddr) {
        self.client.goto(&format!("http://{admin}/")).await.unwrap();
    }

    /// Waits in the page until an expression is truthy and returns its value.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const look = () => {{ const value = {expression}; value ? done(value) : setTimeout(look, 20); }};
             look();"
        );
        match self.client.execute_async(&script, vec![]).await {
            Ok(value) => value,
            Err(error) => {
                let text = "return document.body.innerText";
                let text = self.client.execute(text, vec![]).await;
                panic!("never: {expression} ({error}); the page says {text:?}");
            }
        }
    }

    /// Tells whether an expression is true now.
    pub(crate) async fn is(&self, expression: &str) -> bool {
        let script = format!("return {expression};");
        let value = self.client.execute(&script, vec![]).await.unwrap();
        value.as_bool().unwrap()
    }

    pub(crate) async fn press(&self, key: char) {
        let press = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        self.client.perform_actions(press).await.unwrap();
    }

    /// 390 CSS pixels, whatever a window without a window may be.
    pub(crate) async fn be_as_wide_as_a_phone(&self) {
        self.client.set_window_size(390, 1400).await.unwrap();
    }

    /// Takes a picture, if the environment names a folder for it.
    pub(crate) async fn picture(&self, name: &str) {
        if let Ok(folder) = std::env::var("M2M_SCREENSHOTS") {
            let png = self.client.screenshot().await.unwrap();
            std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
        }
    }

    pub(crate) async fn end(self) {
        self.client.clone().close().await.unwrap();
    }
}

/// The port that the driver says it listens on.
async fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap();
        let line = line.expect("the driver says where it listens");
        if let Some((_, port)) = line.rsplit_once("successfully on port ") {
            // Read on, so that the driver never writes into a closed pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port.trim_end_matches('.').parse().unwrap();
        }
    }
}
