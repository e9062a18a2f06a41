//! A log line, with the id of the request that it is about.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Writer, format};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use crate::request_id::RequestId;

/// Formats an event and, on the task of a request, ends its line with `request.id`.
///
/// A span per request would do the same, at its price for each request that logs nothing.
pub(super) struct Line(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let is_ansi = writer.has_ansi_escapes();
        let mut line = String::new();
        let inner = Writer::new(&mut line);
        match self.0 {
            LogFormat::Pretty => {
                let format = format().compact().with_ansi(is_ansi);
                format.format_event(context, inner, event)?;
            }
            LogFormat::Json => {
                let format = format().json().flatten_event(true).with_span_list(false);
                format.format_event(context, inner, event)?;
            }
        }
        let line = line.trim_end_matches('\n');
        // An id needs no escape in either form.
        RequestId::with_current(|id| match (self.0, line.strip_suffix('}')) {
            (LogFormat::Json, Some(open)) => {
                writeln!(writer, "{open},\"request.id\":\"{}\"}}", id.as_str())
            }
            _ => writeln!(writer, "{line} request.id={}", id.as_str()),
        })
        .unwrap_or_else(|| writeln!(writer, "{line}"))
    }
}
