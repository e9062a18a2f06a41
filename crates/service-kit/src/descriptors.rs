//! How many files and sockets the process may have open.

/// Kept free of inbound connections: listeners, log, timers, and the process's own calls to others.
const RESERVE: u64 = 200;

/// Raises the limit on open files to the highest that this process may set itself, for all of it.
///
/// Shells and container runtimes start processes with 1024, for the sake of programs that use `select(2)`.
/// Nothing happens where the system refuses.
pub fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        // Refused: what there is has to do.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// Returns how many of `wanted` connections the limit leaves room for.
pub(crate) fn for_connections(wanted: usize) -> usize {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let limit = None;
    of_limit(wanted, limit)
}

/// `None` is no limit.
fn of_limit(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else {
        return wanted;
    };
    let room = limit - RESERVE.min(limit / 2);
    wanted
        .min(usize::try_from(room).unwrap_or(usize::MAX))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        for (wanted, limit, expected) in [
            (1024, None, 1024),
            (1024, Some(u64::MAX), 1024),
            (1024, Some(1224), 1024),
            (1024, Some(1024), 824),
            (1024, Some(300), 150),
            (1024, Some(40), 20),
            (1024, Some(0), 1),
            (16, Some(1024), 16),
        ] {
            assert_eq!(of_limit(wanted, limit), expected, "{limit:?}");
        }
    }
}
