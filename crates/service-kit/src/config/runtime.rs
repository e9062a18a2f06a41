//! The settings about the process that all services share.

use std::time::Duration;

use super::Reader;
use crate::telemetry::{LogFormat, is_filter};

/// How the process logs and ends.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// `SHUTDOWN_GRACE`: time between SIGTERM and the end of the process; 10 s by default.
    pub shutdown_grace: Duration,
    /// `LOG_FORMAT`: `pretty` by default, or `json`.
    pub log_format: LogFormat,
    /// `RUST_LOG`: directives of `tracing-subscriber`; `info` by default.
    pub log_filter: String,
}

impl Runtime {
    /// The variables that [`Runtime::read`] reads.
    pub const VARIABLES: [&'static str; 3] = ["SHUTDOWN_GRACE", "LOG_FORMAT", "RUST_LOG"];

    /// Reads [`Runtime::VARIABLES`].
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            shutdown_grace: reader.duration(
                "SHUTDOWN_GRACE",
                Duration::from_secs(10),
                Duration::from_millis(100)..=Duration::from_secs(3600),
            ),
            log_format: reader.one_of(
                "LOG_FORMAT",
                &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
                LogFormat::Pretty,
            ),
            log_filter: reader
                .parse(
                    "RUST_LOG",
                    "directives such as info or info,service_kit=debug",
                    |value| is_filter(value).then(|| value.to_owned()),
                )
                .unwrap_or_else(|| "info".to_owned()),
        }
    }
}
