//! Distributed traces (feature `otel`): W3C Trace Context in and out, spans to an OTLP collector.
//!
//! Without the feature, or where no collector is configured, everything here does nothing: a request costs
//! no span, and `traceparent` goes through a service unchanged.
//!
//! | span | kind | parent |
//! |---|---|---|
//! | a request ([`Server`](crate::server::Server)) | server | the caller's, by `traceparent` and `tracestate` |
//! | a call of another service ([`client`]) | client | the request |
//! | `token_exchange` of `token-cache` | internal | the request that needed the token, if one did |
//!
//! Spans hold method, path without query, status and request id, and nothing of headers, bodies or tokens.
//! The OpenTelemetry SDK reads its other variables (`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_BSP_…`, `OTEL_EXPORTER_OTLP_HEADERS`) from the process's environment by itself, so those are not
//! found in `.env`.

use http::HeaderMap;
use url::Url;

pub(crate) use imp::{Exporter, RequestSpan};
#[cfg(feature = "otel")]
pub(crate) use imp::{is_exported, is_logged};

/// Where spans go.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tracing {
    /// The collector, as `OTEL_EXPORTER_OTLP_ENDPOINT` names it; spans are posted to `v1/traces` below.
    pub endpoint: Url,
    /// `OTEL_SERVICE_NAME`, or the name of the program.
    pub service_name: String,
}

impl Tracing {
    /// Returns the settings for a collector.
    #[must_use]
    pub const fn new(endpoint: Url, service_name: String) -> Self {
        Self {
            endpoint,
            service_name,
        }
    }
}

/// Runs `future` in a span for a call of another service. `name` is one of few, such as
/// `GET protected-data`.
pub fn client<F: Future>(name: &'static str, future: F) -> impl Future<Output = F::Output> {
    imp::client(name, future)
}

/// Puts the context of the current span on an outgoing request, in place of what `headers` hold of one.
/// Where there is no span the headers stay as they are.
pub fn inject(headers: &mut HeaderMap) {
    imp::inject(headers);
}

#[cfg(feature = "otel")]
mod imp;

#[cfg(not(feature = "otel"))]
mod imp {
    use axum::response::Response;
    use http::{HeaderMap, Request};

    use crate::request_id::RequestId;

    #[derive(Debug)]
    pub(crate) struct RequestSpan;

    impl RequestSpan {
        pub(crate) fn of<B>(_request: &Request<B>, _id: &RequestId) -> Self {
            Self
        }

        pub(crate) fn run(
            self,
            answer: impl Future<Output = Response>,
        ) -> impl Future<Output = Response> {
            answer
        }
    }

    #[derive(Debug)]
    pub(crate) enum Exporter {}

    pub(super) fn client<F: Future>(
        _name: &'static str,
        future: F,
    ) -> impl Future<Output = F::Output> {
        future
    }

    pub(super) fn inject(_headers: &mut HeaderMap) {}
}
