//! The services as processes.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::Failure;
use crate::record::Record;

const START_LIMIT: Duration = Duration::from_secs(10);

/// A running service. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    begun: Instant,
    start_time: Option<Duration>,
    lines: Option<Lines<BufReader<ChildStderr>>>,
}

/// Builds the release binaries, as the ones that are meant to be run.
pub(crate) async fn build() -> Result<(), Failure> {
    // By its name: the one that built this program is of a toolchain, and the compilers that it starts would take the
    // toolchain that a dependency's folder asks for.
    let mut cargo = Command::new("cargo");
    // All of them: two packages alone would have what they depend on built anew, with fewer features.
    cargo.args([
        "build",
        "--release",
        "--quiet",
        "--locked",
        "--workspace",
        "--bins",
    ]);
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

/// Where the release binary of this name is.
pub(crate) fn path(name: &str) -> Result<PathBuf, Failure> {
    Ok(target_folder()?.join("release").join(name))
}

impl Program {
    pub(crate) fn start(
        name: &str,
        variables: impl Iterator<Item = (&'static str, String)>,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(path(name)?);
        command.env_clear().envs(variables);
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Result<Self, Failure> {
        if command.as_std().get_current_dir().is_none() {
            // Where no `.env` is.
            command.current_dir(target_folder()?);
        }
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        Ok(Self {
            child,
            begun,
            start_time: None,
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
            Err(Failure::from("it ended"))
        };
        let address = timeout(START_LIMIT, search).await??;
        self.start_time = Some(self.begun.elapsed());
        Ok(address)
    }

    /// The time from its execution to its listening, once its [`address`](Self::address) is known.
    pub(crate) fn start_time(&self) -> Option<Duration> {
        self.start_time
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
    answers(&format!("http://{address}/readyz")).await
}

/// Waits until a GET is answered with 200.
pub(crate) async fn answers(url: &str) -> Result<(), Failure> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()?;
    let answers = async {
        while !matches!(client.get(url).send().await, Ok(response) if response.status() == 200) {
            // A load tool, not a test: readiness is asked for as a load balancer asks.
            sleep(Duration::from_millis(20)).await;
        }
    };
    Ok(timeout(START_LIMIT, answers).await?)
}
