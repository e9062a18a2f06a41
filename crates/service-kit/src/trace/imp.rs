//! The spans and their exporter.

use std::fmt;
use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, Request};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::field::Empty;
use tracing::{Instrument as _, Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Tracing;
use crate::request_id::RequestId;

mod client;

/// Target of the spans made here. The log leaves them out, so that its lines are the same with the feature.
const TARGET: &str = "service_kit::trace";

/// Name of the span in which `token-cache` asks for a token.
const TOKEN_EXCHANGE: &str = "token_exchange";

/// How long the end of the process waits for the last spans.
const FLUSH_LIMIT: Duration = Duration::from_millis(1500);

/// The span of one request.
pub(crate) struct RequestSpan(Span);

impl RequestSpan {
    /// Starts the span, below the caller's if the request names one as the recommendation says; what is
    /// malformed counts as absent (W3C Trace Context section 3.2).
    pub(crate) fn of<B>(request: &Request<B>, id: &RequestId) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            "request",
            otel.kind = "server",
            // Without the path, of which there can be any number.
            otel.name = %request.method(),
            otel.status_code = Empty,
            http.request.method = %request.method(),
            http.response.status_code = Empty,
            // Without the query, which can hold credentials (RFC 6750 section 2.3).
            url.path = request.uri().path(),
            request.id = id.as_str(),
        );
        if !span.is_disabled() {
            let context =
                TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
            // Fails only where no exporter is installed.
            let _ = span.set_parent(context);
        }
        Self(span)
    }

    pub(crate) async fn run(self, answer: impl Future<Output = Response>) -> Response {
        let response = answer.instrument(self.0.clone()).await;
        let status = response.status();
        self.0.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.0.record("otel.status_code", "error");
        }
        response
    }
}

pub(super) fn client<F: Future>(name: &'static str, future: F) -> impl Future<Output = F::Output> {
    let span = tracing::info_span!(
        target: TARGET,
        "call",
        otel.kind = "client",
        otel.name = name,
    );
    future.instrument(span)
}

pub(super) fn inject(headers: &mut HeaderMap) {
    let context = Span::current().context();
    if context.span().span_context().is_valid() {
        TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    }
}

/// Tells whether a span goes to the collector.
pub(crate) fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && (metadata.target() == TARGET || metadata.name() == TOKEN_EXCHANGE)
}

/// Tells whether the log may show a span or event.
pub(crate) fn is_logged(metadata: &Metadata<'_>) -> bool {
    !(metadata.is_span() && metadata.target() == TARGET)
}

/// Sends spans in batches, on a thread of its own. The last ones are sent when it is dropped, for at most
/// 1.5 s.
pub(crate) struct Exporter(SdkTracerProvider);

impl Exporter {
    /// # Errors
    ///
    /// Fails when TLS cannot be set up.
    pub(crate) fn new(settings: &Tracing) -> Result<Self, SetupError> {
        let mut endpoint = settings.endpoint.clone();
        // The path of the OTLP specification, below that of the setting.
        let path = format!("{}/v1/traces", endpoint.path().trim_end_matches('/'));
        endpoint.set_path(&path);
        let client = client::Client::new(&endpoint).map_err(|_| SetupError)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()
            .map_err(|_| SetupError)?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    pub(crate) fn tracer(&self) -> Tracer {
        self.0.tracer("service-kit")
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Spans that could not be sent in time are lost.
        let _ = self.0.shutdown_with_timeout(FLUSH_LIMIT);
    }
}

/// The exporter could not be set up.
#[derive(Debug)]
pub(crate) struct SetupError;
