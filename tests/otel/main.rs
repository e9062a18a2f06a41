//! One trace from a caller's request over both services to the token endpoint, as a collector gets it.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test panics where it breaks"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use dev_idp::{
    DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp, Rotation, TokenSpec,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use service_kit::config::{Reader, Runtime};
use service_kit::shutdown::{Shutdown, ShutdownKind};
use service_kit::telemetry;
use token_cache::StartupPolicy;
use tokio::net::TcpListener;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    /// Listens, and returns what to set `OTEL_EXPORTER_OTLP_ENDPOINT` to.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/v1/traces", post(export));
        let app = app.with_state(self.clone());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        endpoint
    }
}

async fn export(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for part in request.resource_spans {
        for attribute in part.resource.unwrap().attributes {
            let value = attribute.value.and_then(|value| value.value);
            if let ("service.name", Some(Value::StringValue(name))) = (&*attribute.key, value) {
                collector.services.lock().unwrap().push(name);
            }
        }
        let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.spans.lock().unwrap().extend(spans);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|found| found.key == name);
    match found.and_then(|found| found.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{name} of {}: {other:?}", span.name),
    }
}

fn variables(idp: &DevIdp, collector: &str) -> BTreeMap<String, String> {
    [
        ("ISSUER", idp.issuer()),
        ("CLIENT_ID", DEFAULT_CLIENT_ID),
        ("CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
        ("API_AUDIENCE", DEFAULT_AUDIENCE),
        ("PUBLIC_DATA_ADDR", "127.0.0.1:0"),
        ("PROTECTED_DATA_ADDR", "127.0.0.1:0"),
        ("PUBLIC_DATA_ADMIN_ADDR", "off"),
        ("PROTECTED_DATA_ADMIN_ADDR", "off"),
        ("RUST_LOG", "off"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ("OTEL_SERVICE_NAME", "the-pair"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    client.timeout(LIMIT).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_over_both_services_to_the_token_endpoint() {
    let collector = Collector::default();
    let idp = DevIdp::builder().start().await.unwrap();
    let variables = variables(&idp, &collector.start().await);
    let mut reader = Reader::new(&variables);
    let protected = protected_data::Config::read(&mut reader);
    let mut public = public_data::Config::read(&mut reader);
    let process = Runtime::read(&mut reader);
    reader.finish().unwrap();
    let traces = process.tracing.as_ref();
    let guard = telemetry::init(process.log_format, &process.log_filter, traces).unwrap();

    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let protected = protected_data::Service::bind(&protected).await.unwrap();
    let base = format!("http://{}", protected.local_addr());
    public.protected_data = base.parse().unwrap();
    let public = public_data::Service::bind(&public).await.unwrap();
    let url = format!("http://{}/api/public/data", public.local_addr());
    let (tokens, validator) = (public.tokens().clone(), protected.validator().clone());
    let tasks = [
        tokio::spawn(protected.run(shutdown.clone())),
        tokio::spawn(public.run(shutdown.clone())),
    ];
    tokens.start(StartupPolicy::Require(LIMIT)).await.unwrap();
    assert!(validator.wait_ready().await);

    // public-data's token is signed with a key that protected-data forgets here, so that the request below
    // needs another token.
    idp.rotate(Rotation::Hard).await.unwrap();
    let guarded = client().get(format!("{base}/api/protected/data"));
    let guarded = guarded.bearer_auth(idp.mint(TokenSpec::new()));
    assert_eq!(guarded.send().await.unwrap().status(), 200);

    let request = client()
        .get(url)
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("x-request-id", "from-the-test");
    assert_eq!(request.send().await.unwrap().status(), 200);

    shutdown.begin(ShutdownKind::Interrupt);
    for task in tasks {
        task.await.unwrap();
    }
    // Sends what has not been sent.
    tokio::task::spawn_blocking(move || drop(guard))
        .await
        .unwrap();

    let all = collector.spans.lock().unwrap().clone();
    let spans: Vec<&Span> = all
        .iter()
        .filter(|span| hex(&span.trace_id) == TRACE)
        .collect();
    let below = |parent: &str, name: &str| -> Vec<&Span> {
        let found = spans.iter().copied();
        let found = found.filter(|span| hex(&span.parent_span_id) == parent && span.name == name);
        found.collect()
    };
    let one = |parent: &str, name: &str| {
        let found = below(parent, name);
        let [span] = found[..] else {
            panic!("{} of {name} below {parent}: {spans:#?}", found.len());
        };
        (hex(&span.span_id), span)
    };
    let (inbound, span) = one(CALLER, "GET");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(attribute(span, "url.path"), "/api/public/data");
    assert_eq!(attribute(span, "http.response.status_code"), "200");
    assert_eq!(attribute(span, "request.id"), "from-the-test");
    let (call, span) = one(&inbound, "GET protected-data");
    assert_eq!(span.kind(), SpanKind::Client);
    // The old token is refused, the new one is not.
    let mut statuses: Vec<String> = below(&call, "GET")
        .into_iter()
        .map(|span| {
            assert_eq!(attribute(span, "url.path"), "/api/protected/data");
            assert_eq!(attribute(span, "request.id"), "from-the-test");
            attribute(span, "http.response.status_code")
        })
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["200", "401"]);
    let (exchange, _) = one(&call, "token_exchange");
    let (_, span) = one(&exchange, "POST token endpoint");
    assert_eq!(span.kind(), SpanKind::Client);
    assert_eq!(spans.len(), 6, "{spans:#?}");

    // The token of the start belongs to no request.
    let first = all
        .iter()
        .find(|span| span.name == "token_exchange")
        .unwrap();
    assert_ne!(hex(&first.trace_id), TRACE);
    assert!(first.parent_span_id.is_empty());
    let services = collector.services.lock().unwrap();
    assert!(!services.is_empty() && services.iter().all(|name| name == "the-pair"));
    let text = format!("{all:?}");
    assert!(
        !text.contains("eyJ") && !text.contains(DEFAULT_CLIENT_SECRET),
        "{text}"
    );
}
