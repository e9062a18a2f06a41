//! The settings about the process that all services share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Reader;
use super::url::endpoint;
use crate::telemetry::{LogFormat, is_filter};
use crate::trace::Tracing;

/// How the process logs and ends.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// `SHUTDOWN_GRACE`: time between SIGTERM and the end of the process; 10 s by default. The last spans and log
    /// lines may take up to 3 s more.
    pub shutdown_grace: Duration,
    /// `LOG_FORMAT`: `pretty` by default, or `json`.
    pub log_format: LogFormat,
    /// `RUST_LOG`: directives of `tracing-subscriber`; `info` by default.
    pub log_filter: String,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, with `OTEL_SERVICE_NAME`: where spans go, if anywhere.
    pub tracing: Option<Tracing>,
}

impl Runtime {
    /// The variables that [`Runtime::read`] reads.
    pub const VARIABLES: [&'static str; 5] = [
        "SHUTDOWN_GRACE",
        "LOG_FORMAT",
        "RUST_LOG",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_SERVICE_NAME",
    ];

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
            tracing: tracing(reader),
        }
    }
}

fn tracing(reader: &mut Reader<'_>) -> Option<Tracing> {
    // http is taken for any host: a collector stands nearby, and spans hold no secret.
    let endpoint = reader.parse(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "an http or https URL without user, query and fragment, such as http://127.0.0.1:4318",
        |value| endpoint(value, true),
    );
    let name = reader.optional("OTEL_SERVICE_NAME");
    Some(Tracing::new(endpoint?, name.unwrap_or_else(program)))
}

/// The name that the program was started by.
fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_stem);
    name.map_or_else(
        || "m2m".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
