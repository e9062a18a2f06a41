//! Log lines on standard error that never block a request.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::SubscriberInitExt;

use self::line::Line;
use crate::trace::{Exporter, Tracing};
#[cfg(feature = "otel")]
use crate::trace::{is_exported, is_logged};

mod line;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// One line for people; colours only when standard error is a terminal and `NO_COLOR` is not set.
    #[default]
    Pretty,
    /// One JSON object per line with the event's fields at its top level.
    Json,
}

/// Lines that wait for the writer. A reader of the log that has stopped costs at most these; a line is
/// a few hundred bytes, so this stays near 1 MiB.
const WAITING_LINES: usize = 4096;

/// How long the end of the process waits for the last lines.
const FLUSH_LIMIT: Duration = Duration::from_millis(1500);

/// Installs the process-wide subscriber and a panic hook, and returns the guard that flushes the log.
///
/// Lines go to standard error, because standard output belongs to a program's answers. They pass
/// through a bounded queue and a thread of their own: while the reader of the log stands still, lines are
/// dropped and counted, and the code that logs does not wait. A line about a request ends with its id
/// ([`request_id`](crate::request_id)). The panic hook logs where a panic happened and
/// never its message, which can hold the data that the code was working on.
///
/// With `tracing`, and the feature `otel`, spans go to a collector as well ([`trace`](crate::trace)).
///
/// # Errors
///
/// Fails when `filter` is not a `RUST_LOG` directive list, when a subscriber is already installed, and when
/// TLS cannot be set up for the collector.
pub fn init(
    format: LogFormat,
    filter: &str,
    tracing: Option<&Tracing>,
) -> Result<Guard, TelemetryError> {
    let filter = log_filter(filter).map_err(|_| TelemetryError(TelemetryErrorKind::Filter))?;
    let (writer, guard) = Guard::over(format, std::io::stderr());
    let guard = match tracing {
        Some(settings) => with_traces(format, filter, writer, guard, settings)?,
        None => {
            log_alone(format, filter, writer)?;
            guard
        }
    };
    std::panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

/// The caller of a server with a refused certificate logs it, with advice. The verifier's own line before that has no
/// advice, and times as Unix seconds; a directive for it by name shows it again.
fn log_filter(directives: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("rustls_platform_verifier=off,{directives}"))
}

fn log_alone(
    format: LogFormat,
    filter: EnvFilter,
    writer: NonBlocking,
) -> Result<(), TelemetryError> {
    let mut builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    if !std::io::stderr().is_terminal() {
        // Only ever switched off: the default already heeds `NO_COLOR`.
        builder = builder.with_ansi(false);
    }
    match format {
        LogFormat::Pretty => builder.event_format(Line(format)).finish().try_init(),
        // Spans' fields are formatted when they are made, so this is asked for too.
        LogFormat::Json => builder
            .json()
            .event_format(Line(format))
            .finish()
            .try_init(),
    }
    .map_err(|_| TelemetryError(TelemetryErrorKind::Installed))
}

/// The same log, whose filter is its own and not that of the spans.
#[cfg(feature = "otel")]
fn with_traces(
    format: LogFormat,
    filter: EnvFilter,
    writer: NonBlocking,
    mut guard: Guard,
    settings: &Tracing,
) -> Result<Guard, TelemetryError> {
    use tracing_subscriber::filter::{FilterExt as _, filter_fn};
    use tracing_subscriber::{Layer as _, layer::SubscriberExt as _};

    let exporter =
        Exporter::new(settings).map_err(|_| TelemetryError(TelemetryErrorKind::Collector))?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(exporter.tracer())
        // Where in the source a span was made, and on which thread, is of no use to who reads traces.
        .with_location(false)
        .with_threads(false)
        .with_filter(filter_fn(is_exported));
    let mut log = tracing_subscriber::fmt::layer().with_writer(writer);
    if !std::io::stderr().is_terminal() {
        log = log.with_ansi(false);
    }
    let log = match format {
        LogFormat::Pretty => log.event_format(Line(format)).boxed(),
        LogFormat::Json => log.json().event_format(Line(format)).boxed(),
    };
    let log = log.with_filter(filter.and(filter_fn(is_logged)));
    let subscriber = tracing_subscriber::registry().with(log).with(spans);
    let installed = subscriber.try_init();
    installed.map_err(|_| TelemetryError(TelemetryErrorKind::Installed))?;
    guard.exporter = Some(exporter);
    Ok(guard)
}

#[cfg(not(feature = "otel"))]
fn with_traces(
    format: LogFormat,
    filter: EnvFilter,
    writer: NonBlocking,
    guard: Guard,
    _settings: &Tracing,
) -> Result<Guard, TelemetryError> {
    log_alone(format, filter, writer)?;
    tracing::warn!(
        config.variable = "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT: is set, but this program was built without the feature otel"
    );
    Ok(guard)
}

/// Flushes the log when dropped; keep it until the process ends.
///
/// Dropping it sends the last spans, then waits at most 1.5 s for the writer, then leaves the rest unwritten. When lines
/// had to be dropped, the last line says how many.
#[derive(Debug)]
#[must_use = "the log is flushed when the guard is dropped"]
pub struct Guard {
    format: LogFormat,
    writer: NonBlocking,
    dropped: ErrorCounter,
    worker: Option<WorkerGuard>,
    exporter: Option<Exporter>,
}

impl Guard {
    fn over(format: LogFormat, output: impl Write + Send + 'static) -> (NonBlocking, Self) {
        let (writer, worker) = NonBlockingBuilder::default()
            .buffered_lines_limit(WAITING_LINES)
            .lossy(true)
            .thread_name("log")
            .finish(output);
        let dropped = writer.error_counter();
        (
            writer.clone(),
            Self {
                format,
                writer,
                dropped,
                worker: Some(worker),
                exporter: None,
            },
        )
    }

    /// Returns how many lines were dropped so far because the queue was full.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Spans first: what they have to say about themselves goes to the log.
        self.exporter = None;
        let dropped = self.dropped_lines();
        if dropped > 0 {
            // Through the queue, not directly: if standard error is still blocked, so would we be.
            let line = match self.format {
                LogFormat::Pretty => format!("WARN log lines were dropped log.dropped={dropped}\n"),
                LogFormat::Json => format!(
                    "{{\"level\":\"WARN\",\"message\":\"log lines were dropped\",\"log.dropped\":{dropped}}}\n"
                ),
            };
            // The queue never fails; a full one drops this line like any other.
            let _ = self.writer.write_all(line.as_bytes());
        }
        let worker = self.worker.take();
        let (done, wait) = mpsc::channel::<()>();
        // On a thread of its own because the worker guard prints to standard output when the queue
        // stays full, and that may be a pipe without a reader.
        let flush = std::thread::Builder::new()
            .name("log-flush".into())
            .spawn(move || {
                drop(worker);
                drop(done);
            });
        if flush.is_ok() {
            // Either outcome ends the wait: the sender was dropped, or the time is up.
            let _ = wait.recv_timeout(FLUSH_LIMIT);
        }
    }
}

/// Why the log could not be set up.
#[derive(Debug)]
pub struct TelemetryError(TelemetryErrorKind);

#[derive(Debug)]
enum TelemetryErrorKind {
    Filter,
    Installed,
    #[cfg(feature = "otel")]
    Collector,
}

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            TelemetryErrorKind::Filter => "the log filter is not a list of directives",
            TelemetryErrorKind::Installed => "a log subscriber is already installed",
            #[cfg(feature = "otel")]
            TelemetryErrorKind::Collector => "OTEL_EXPORTER_OTLP_ENDPOINT: TLS cannot be set up",
        })
    }
}

impl std::error::Error for TelemetryError {}

/// Tells whether `filter` is a list of directives that [`init`] takes.
pub(crate) fn is_filter(filter: &str) -> bool {
    log_filter(filter).is_ok()
}

fn log_panic(info: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let location = info.location();
    tracing::error!(
        panic.file = location.map_or("unknown", std::panic::Location::file),
        panic.line = location.map_or(0, std::panic::Location::line),
        thread = thread.name().unwrap_or("unnamed"),
        "a task panicked"
    );
}

#[cfg(test)]
mod tests;
