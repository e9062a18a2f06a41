//! Who runs on which core, and how many connections the generator may open.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::process::Command;

/// Puts the servers on the first core and everything else on the second, where there are two and
/// `taskset` is to be had (Linux).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) apart: bool,
}

impl Cores {
    /// Moves this process to the second core.
    pub(crate) async fn take() -> Self {
        let own = std::process::id().to_string();
        let two = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        let mut taskset = Command::new("taskset");
        taskset.args(["--all-tasks", "--cpu-list", "--pid", "1", &own]);
        Self {
            apart: two && succeeds(&mut taskset).await,
        }
    }

    /// Returns a command that starts a server. It begins on its core, so that a runtime that goes by the
    /// number of cores makes one thread.
    pub(crate) fn server(self, program: impl AsRef<OsStr>) -> Command {
        if self.apart {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", "0"]).arg(program);
            command
        } else {
            Command::new(program)
        }
    }
}

/// Runs a command to its end, without its output.
pub(crate) async fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}

/// Raises the limit of open files for this process and those that it starts; returns what it is then.
pub(crate) async fn file_limit() -> usize {
    let own = std::process::id().to_string();
    // To the hard limit, with a tool that is beside `taskset`: raising it from here takes unsafe code.
    let _ = succeeds(Command::new("sh").args([
        "-c",
        "prlimit --pid $0 --nofile=$(prlimit --pid $0 --nofile --output HARD --noheadings):",
        &own,
    ]))
    .await;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(1_024)
}
