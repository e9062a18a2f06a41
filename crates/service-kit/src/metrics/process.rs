//! The process's use of the machine, under the names that Prometheus clients agree on. Read on demand from
//! `/proc`; where there is none, the gauges are absent.

use std::time::SystemTime;

use ::metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const CPU: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";
const THREADS: &str = "process_threads";
const START: &str = "process_start_time_seconds";

/// Clock ticks per second in `/proc/self/stat`: `USER_HZ`, a constant of Linux's interface on every
/// architecture that Rust's standard library is built for.
const USER_HZ: u64 = 100;

pub(super) fn describe(started: SystemTime) {
    describe_counter!(
        CPU,
        Unit::Seconds,
        "Processor time, to the last whole second"
    );
    describe_gauge!(MEMORY, Unit::Bytes, "Resident memory");
    describe_gauge!(FILES, Unit::Count, "Open file descriptors");
    describe_gauge!(THREADS, Unit::Count, "Threads");
    describe_gauge!(START, Unit::Seconds, "When the process began, since 1970");
    let since_1970 = started.duration_since(SystemTime::UNIX_EPOCH);
    gauge!(START).set(since_1970.unwrap_or_default().as_secs_f64());
}

pub(super) fn record() {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some((ticks, threads)) = ticks_and_threads(&stat) {
        counter!(CPU).absolute(ticks / USER_HZ);
        gauge!(THREADS).set(threads as f64);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = resident_kib(&status) {
        gauge!(MEMORY).set(kib as f64 * 1024.0);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        gauge!(FILES).set(files.count().saturating_sub(1) as f64);
    }
}

/// Fields 14, 15 and 20 of proc(5). Those after the command's name are counted from its closing
/// parenthesis, because the name may hold anything.
fn ticks_and_threads(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let threads = fields.nth(4)?.parse().ok()?;
    Some((user + system, threads))
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_found_behind_any_command_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 123 1 2";
        assert_eq!(ticks_and_threads(stat), Some((300, 9)));
        assert_eq!(ticks_and_threads("7 (a"), None);
        assert_eq!(
            resident_kib("VmPeak:\t 1 kB\nVmRSS:\t  2048 kB\n"),
            Some(2048)
        );
    }
}
