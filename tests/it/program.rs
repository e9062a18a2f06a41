//! The binaries, built once and run as a person or an orchestrator runs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

use crate::world::LIMIT;

/// A running binary. It is killed when dropped.
pub(crate) struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    lines: Lines<BufReader<ChildStderr>>,
    seen: Vec<String>,
    directory: tempfile::TempDir,
}

/// What a binary left behind.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Whether it left files in its folder.
    pub(crate) wrote_files: bool,
}

impl Program {
    /// Starts a binary with these variables and no others, in an empty folder.
    pub(crate) fn start(
        name: &str,
        arguments: &[&str],
        variables: &BTreeMap<String, String>,
    ) -> Self {
        Self::start_with_file(name, arguments, variables, None)
    }

    /// As [`start`](Self::start), with a `.env` in the folder.
    pub(crate) fn start_with_file(
        name: &str,
        arguments: &[&str],
        variables: &BTreeMap<String, String>,
        file: Option<&str>,
    ) -> Self {
        let mut command = tokio::process::Command::new(binary(name));
        command.args(arguments);
        Self::spawn(command, variables, file)
    }

    /// As [`start`](Self::start), after a line of shell in the same process.
    #[cfg(unix)]
    pub(crate) fn start_in_shell(
        line: &str,
        name: &str,
        variables: &BTreeMap<String, String>,
    ) -> Self {
        let mut command = tokio::process::Command::new("/bin/sh");
        command.args(["-c", &format!("{line} && exec \"$0\"")]);
        command.arg(binary(name));
        Self::spawn(command, variables, None)
    }

    fn spawn(
        mut command: tokio::process::Command,
        variables: &BTreeMap<String, String>,
        file: Option<&str>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if let Some(file) = file {
            std::fs::write(directory.path().join(".env"), file).unwrap();
        }
        let mut child = command
            .env_clear()
            .envs(variables)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            stdout,
            lines,
            seen: Vec::new(),
            directory,
        }
    }

    /// Reads standard error up to the first line for which `found` gives something.
    pub(crate) async fn line<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> T {
        let search = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if let Some(found) = found(&line) {
                    return Some(found);
                }
            }
            None
        };
        match timeout(LIMIT, search).await {
            Ok(Some(found)) => found,
            _ => panic!("the line did not come; there were: {:#?}", self.seen),
        }
    }

    /// As [`line`](Self::line), from the first line that was ever read.
    pub(crate) async fn seen<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> T {
        match self.seen.iter().find_map(|line| found(line)) {
            Some(found) => found,
            None => self.line(found).await,
        }
    }

    /// The address that a service logs when it listens, with `LOG_FORMAT=json`.
    pub(crate) async fn address(&mut self) -> String {
        self.line(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line.get("message")? == "listening").then_some(())?;
            Some(line.get("server.address")?.as_str()?.to_owned())
        })
        .await
    }

    /// The status address that a service logs, with `LOG_FORMAT=json`.
    pub(crate) async fn admin_address(&mut self) -> String {
        self.line(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(line.get("admin.address")?.as_str()?.to_owned())
        })
        .await
    }

    /// The next line of standard output that begins with `start`.
    pub(crate) async fn answer(&mut self, start: &str) -> String {
        let search = async {
            loop {
                let mut line = String::new();
                let read = self.stdout.read_line(&mut line).await.unwrap();
                assert_ne!(read, 0, "no line begins with {start:?}");
                if line.starts_with(start) {
                    return line.trim_end().to_owned();
                }
            }
        };
        timeout(LIMIT, search).await.unwrap()
    }

    /// The process id, while it runs.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal: `TERM`, `INT` or `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id();
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end and reads nothing.
    pub(crate) async fn ended_unread(mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    /// Waits for the end and returns all output.
    pub(crate) async fn ended(mut self) -> Ended {
        let rest = async {
            let mut stdout = String::new();
            let read_stdout = async {
                self.stdout.read_to_string(&mut stdout).await.unwrap();
            };
            let read_stderr = async {
                while let Some(line) = self.lines.next_line().await.unwrap() {
                    self.seen.push(line);
                }
            };
            tokio::join!(read_stdout, read_stderr);
            let status = self.child.wait().await.unwrap();
            Ended {
                status,
                stdout,
                stderr: self.seen.join("\n"),
                wrote_files: std::fs::read_dir(self.directory.path()).unwrap().count() > 0,
            }
        };
        timeout(LIMIT, rest).await.unwrap()
    }
}

/// The path of a binary of this workspace, built with the profile of this test.
pub(crate) fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            // A test has no claim on another package's binaries, so it asks cargo for them. The lock on
            // the build folder is free while tests run. With all packages and their tests, because the
            // packages alone would have their dependencies built anew, with fewer features.
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--workspace", "--bins", "--tests"]);
            if !cfg!(debug_assertions) {
                build.arg("--release");
            }
            let folder = std::env::current_exe().unwrap();
            let folder = folder.parent().and_then(Path::parent).unwrap();
            build.arg("--target-dir").arg(folder.parent().unwrap());
            build.current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(build.status().unwrap().success());
            folder.to_owned()
        })
        .join(name)
}
