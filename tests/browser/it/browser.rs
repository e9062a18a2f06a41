//! A browser without a window, its driver, and what a person does in it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use url::Url;

/// Longer than anything here takes; ends a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How a browser differs from the usual one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Habits {
    pub(crate) blocks_cookies: bool,
    pub(crate) has_no_scripts: bool,
    pub(crate) is_dark: bool,
    /// `*.app.example` is this machine, and its certificate is not looked at.
    pub(crate) knows_app_example: bool,
}

/// A browser with a profile of its own. It is killed when dropped.
pub(crate) struct Browser {
    client: Client,
    _driver: Child,
    profile: tempfile::TempDir,
}

/// A test that fails ends its driver, and a driver that is killed leaves its browser behind.
impl Drop for Browser {
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

impl Browser {
    /// Starts a browser, if the environment names a driver.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(Habits::default()).await
    }

    pub(crate) async fn with(habits: Habits) -> Option<Self> {
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
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1100,900",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let scheme = if habits.is_dark { 0 } else { 1 };
        arguments.push(format!("--blink-settings=preferredColorScheme={scheme}"));
        if habits.knows_app_example {
            arguments.push("--host-resolver-rules=MAP *.app.example 127.0.0.1".to_owned());
            arguments.push("--ignore-certificate-errors".to_owned());
        }
        let mut preferences = serde_json::Map::new();
        for (name, is_off) in [
            ("cookies", habits.blocks_cookies),
            ("javascript", habits.has_no_scripts),
        ] {
            if is_off {
                let name = format!("profile.default_content_setting_values.{name}");
                preferences.insert(name, json!(2));
            }
        }
        let Value::Object(capabilities) = json!({
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
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

    pub(crate) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    pub(crate) async fn url(&self) -> Url {
        self.client.current_url().await.unwrap()
    }

    /// Waits until an expression is truthy in the page, through redirects and reloads, and returns its value.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        let found = timeout(LIMIT, async {
            loop {
                // A page that is about to go evaluates nothing.
                match self.client.execute(&script, vec![]).await {
                    Ok(value) if is_truthy(&value) => return value,
                    _ => sleep(LOOK_AGAIN).await,
                }
            }
        });
        match found.await {
            Ok(value) => value,
            Err(_) => panic!("never: {expression}; {}", self.describe().await),
        }
    }

    /// Waits until the browser has arrived at an address.
    pub(crate) async fn until_at(&self, url: &str) {
        let url = Value::from(url);
        self.until(&format!(
            "location.href === {url} && document.readyState === 'complete'"
        ))
        .await;
    }

    /// Waits until the page has this text, as a person sees it.
    pub(crate) async fn until_text(&self, text: &str) {
        let text = Value::from(text);
        self.until(&format!("document.body.innerText.includes({text})"))
            .await;
    }

    /// Loads the page again and again until it has this text.
    pub(crate) async fn reload_until(&self, text: &str) {
        let found = timeout(LIMIT, async {
            while !self.text().await.contains(text) {
                self.reload().await;
            }
        });
        if found.await.is_err() {
            panic!("never: {text}; {}", self.describe().await);
        }
    }

    async fn describe(&self) -> String {
        let page = "return location.href + ': ' + document.body.innerText";
        format!("{:?}", self.client.execute(page, vec![]).await)
    }

    /// What an expression is now.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        self.client.execute(&script, vec![]).await.unwrap()
    }

    pub(crate) async fn text(&self) -> String {
        let text = self.value("document.body.innerText").await;
        text.as_str().unwrap().to_owned()
    }

    pub(crate) async fn run(&self, script: &str) {
        self.client.execute(script, vec![]).await.unwrap();
    }

    /// Clicks on the button with this text.
    pub(crate) async fn press(&self, text: &str) {
        self.click(Locator::XPath(&format!(
            "//button[normalize-space()='{text}']"
        )))
        .await;
    }

    /// Follows the link with this text.
    pub(crate) async fn follow(&self, text: &str) {
        self.click(Locator::LinkText(text)).await;
    }

    async fn click(&self, what: Locator<'_>) {
        let clicked = timeout(LIMIT, async {
            loop {
                // It may be replaced by what others changed between the two.
                if let Ok(element) = self.client.find(what).await
                    && element.click().await.is_ok()
                {
                    return;
                }
                sleep(LOOK_AGAIN).await;
            }
        });
        if clicked.await.is_err() {
            panic!("nothing to click: {what:?}; {}", self.describe().await);
        }
    }

    /// Types into the field with this id, in the place of what stands there.
    pub(crate) async fn fill(&self, id: &str, text: &str) {
        let what = Locator::Id(id);
        let found = self.client.wait().at_most(LIMIT).for_element(what).await;
        let Ok(field) = found else {
            panic!("no field {id}; {}", self.describe().await);
        };
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses a value; what a person types into a date depends on where they live.
    pub(crate) async fn choose(&self, id: &str, value: &str) {
        self.run(&format!(
            "document.getElementById('{id}').value = '{value}';"
        ))
        .await;
    }

    /// Signs in on the provider's page, wherever that was reached from.
    pub(crate) async fn sign_in(&self, email: &str) {
        self.until("document.getElementById('password')").await;
        self.fill("email", email).await;
        self.fill("password", dev_idp::DEFAULT_PASSWORD).await;
        self.press("Sign in").await;
    }

    pub(crate) async fn tab(&self) -> WindowHandle {
        self.client.window().await.unwrap()
    }

    /// Opens another tab and goes there.
    pub(crate) async fn new_tab(&self) -> WindowHandle {
        let tab = self.client.new_window(true).await.unwrap().handle;
        self.switch(&tab).await;
        tab
    }

    pub(crate) async fn switch(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.unwrap();
    }

    pub(crate) async fn enter_frame(&self, at: u16) {
        self.client.enter_frame(at).await.unwrap();
    }

    /// Puts a cookie into the browser, as somebody else's script might have done.
    pub(crate) async fn plant(&self, url: &str, name: &str, value: &str) {
        let cookie =
            json!({ "url": url, "name": name, "value": value, "path": "/", "secure": true });
        let set = self.protocol("Network.setCookie", cookie).await;
        assert_eq!(set["success"], true, "{name} at {url}");
    }

    /// Every cookie of the browser, of whatever site, by host and name.
    pub(crate) async fn cookies(&self) -> BTreeMap<(String, String), String> {
        let found = self.protocol("Storage.getCookies", json!({})).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let cookies = found["cookies"].as_array().unwrap().iter();
        cookies
            .map(|it| ((text(&it["domain"]), text(&it["name"])), text(&it["value"])))
            .collect()
    }

    /// The session cookie of a host.
    pub(crate) async fn handle(&self, host: &str) -> Option<String> {
        let key = (host.to_owned(), "__Host-session".to_owned());
        self.cookies().await.remove(&key)
    }

    /// A command of the browser's own protocol.
    pub(crate) async fn protocol(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.vendor("goog/cdp/execute", body).await
    }

    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// What the browser wrote to its console since this was last asked.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.vendor("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().unwrap().iter();
        entries.map(Value::to_string).collect()
    }

    async fn vendor(&self, path: &'static str, body: Value) -> Value {
        let command = VendorCommand { path, body };
        self.client.issue_cmd(command).await.unwrap()
    }

    pub(crate) async fn end(self) {
        self.client.clone().close().await.unwrap();
    }
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// A command that only this driver knows.
#[derive(Debug)]
struct VendorCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for VendorCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
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
