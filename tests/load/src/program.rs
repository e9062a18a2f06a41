//! The services as processes.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::record::Record;

const START_LIMIT: Duration = Duration::from_secs(10);

/// A running service. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    lines: Option<Lines<BufReader<ChildStderr>>>,
}

/// Builds the release binaries, as the ones that are meant to be run.
pub(crate) async fn build() -> Result<(), Failure> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--quiet", "--locked", "--bins"]);
    cargo.args(["--package", "public-data", "--package", "protected-data"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(target_folder()?);
    if cargo.status().await?.success() {
        Ok(())
    } else {
        Err("the services could not be built".into())
    }
}

/// The folder that this program was built into.
fn target_folder() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(2).ok_or("no target folder")?;
    Ok(folder.to_owned())
}

impl Program {
    pub(crate) fn start(
        name: &str,
        variables: impl Iterator<Item = (&'static str, String)>,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(target_folder()?.join("release").join(name));
        command.env_clear().envs(variables);
        Self::spawn(command)
    }

    /// Starts this very program.
    pub(crate) fn start_self(arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env_clear().args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Result<Self, Failure> {
        let mut child = command
            // Where no `.env` is.
            .current_dir(target_folder()?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        Ok(Self {
            child,
            lines: Some(BufReader::new(stderr).lines()),
        })
    }

    /// The address that it logs when it listens.
    pub(crate) async fn address(&mut self) -> Result<String, Failure> {
        let lines = self.lines.as_mut().ok_or("its log is being read")?;
        let search = async {
            while let Some(line) = lines.next_line().await? {
                let line: serde_json::Value = serde_json::from_str(&line)?;
                if line["message"] == "listening"
                    && let Some(address) = line["server.address"].as_str()
                {
                    return Ok(address.to_owned());
                }
            }
            Err("it ended".into())
        };
        timeout(START_LIMIT, search).await?
    }

    /// Reads the log from now on, for what must not be in it.
    pub(crate) fn watch_log(&mut self, secret: &str, record: Arc<Record>) -> Result<(), Failure> {
        let mut lines = self.lines.take().ok_or("its log is being read")?;
        let secret = secret.to_owned();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // Every JWT begins so: `{"` in base64url.
                if line.contains(&secret) || line.contains("eyJ") {
                    record.canary();
                }
            }
        });
        Ok(())
    }

    /// Reads the log from now on, so that its pipe does not fill.
    pub(crate) fn discard_log(&mut self) -> Result<(), Failure> {
        let mut lines = self.lines.take().ok_or("its log is being read")?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(())
    }

    /// Puts it on the first core, where `taskset` is to be had.
    pub(crate) async fn pin(&self) {
        if let Some(id) = self.child.id() {
            let mut taskset = Command::new("taskset");
            let pinned = taskset.args(["--all-tasks", "--cpu-list", "--pid", "0"]);
            let pinned = pinned.arg(id.to_string()).stdout(Stdio::null()).status();
            let _ = pinned.await;
        }
    }

    /// How long its threads were on a core so far, where the system tells.
    pub(crate) fn core_time(&self) -> Option<Duration> {
        let mut total = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()?)).ok()? {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            total += Duration::from_nanos(text.split(' ').next()?.parse().ok()?);
        }
        Some(total)
    }

    /// Resident memory, where the system tells.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Ends it as an orchestrator does.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        if let Some(id) = self.child.id() {
            Command::new("kill").arg(id.to_string()).status().await?;
        }
        let status = timeout(Duration::from_secs(15), self.child.wait()).await??;
        if status.success() {
            Ok(())
        } else {
            Err(format!("a service ended with {status}").into())
        }
    }
}

pub(crate) async fn ready(address: &str) -> Result<(), Failure> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()?;
    let url = format!("http://{address}/readyz");
    let ready = async {
        while !matches!(client.get(&url).send().await, Ok(response) if response.status() == 200) {
            // A load tool, not a test: readiness is asked for as a load balancer asks.
            sleep(Duration::from_millis(20)).await;
        }
    };
    Ok(timeout(START_LIMIT, ready).await?)
}
