//! An OpenAPI 3.1 document of a service, at `/openapi.json`.
//!
//! A service describes its own operations with `utoipa`; [`describe`] adds what
//! [`Server`](crate::server::Server) answers by itself, and [`document`] the health routes. HEAD is
//! described beside each GET, because axum answers it.
//!
//! Some answers have no place in such a document: 404 and 405 (with `Allow`) for paths and methods that
//! are not in it, and the answers without a body that hyper gives to bytes which are no HTTP/1.1 request.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, StatusCode};
use utoipa::ToSchema;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathsBuilder,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, HttpMethod, Info, ObjectBuilder, OpenApi,
    OpenApiBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, ServerBuilder, Type,
};

use crate::health::{HealthDocument, LIVE_PATH, READY_PATH, UnreadyReason};
use crate::problem::method_not_allowed;
use crate::request_id::{MAX_REQUEST_ID, REQUEST_ID};

/// Path of the document.
pub const OPENAPI_PATH: &str = "/openapi.json";

/// How long a cache may keep the document. It changes with a deployment only.
const CACHED: &str = "public, max-age=300";

/// A problem document (RFC 9457).
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "only its schema is used; answers are made of `ProblemDetails`"
)]
#[schema(as = Problem)]
struct ProblemDocument {
    /// `about:blank`: the status says which kind of problem it is.
    #[schema(pattern = "^about:blank$")]
    r#type: String,
    /// The status phrase.
    title: String,
    /// The status code, once more.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong with this request, in words.
    detail: String,
    /// The id under which the log speaks of this request.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:/+=-]+$")]
    request_id: String,
}

/// Returns an answer with JSON of this schema, which no cache may keep. The schema has to be among the
/// document's components.
#[must_use]
pub fn json<T: ToSchema>(description: &str) -> Response {
    response(description, "application/json", &T::name())
}

/// Returns a problem document.
#[must_use]
pub fn problem(description: &str) -> Response {
    response(description, "application/problem+json", "Problem")
}

/// Returns a problem document with `Retry-After`.
#[must_use]
pub fn problem_for_now(description: &str) -> Response {
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1));
    let header = HeaderBuilder::new()
        .schema(Some(seconds))
        .description(Some("Seconds after which to try again."))
        .build();
    with_header(problem(description), &RETRY_AFTER, header)
}

/// Adds a header whose value is text.
#[must_use]
pub fn with_text_header(
    response: Response,
    name: &HeaderName,
    description: &str,
    pattern: &str,
) -> Response {
    with_header(response, name, text_header(description, pattern))
}

fn response(description: &str, media_type: &str, schema: &str) -> Response {
    let schema = Ref::from_schema_name(schema);
    let response = ResponseBuilder::new()
        .description(description)
        .content(
            media_type,
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build();
    let cache = text_header("Not to be kept.", "^no-store$");
    let response = with_header(response, &CACHE_CONTROL, cache);
    with_header(response, &REQUEST_ID, request_id_header())
}

fn with_header(mut response: Response, name: &HeaderName, header: Header) -> Response {
    // Names compare without case; this is how people write them.
    let words: Vec<String> = name.as_str().split('-').map(capital).collect();
    response.headers.insert(words.join("-"), RefOr::T(header));
    response
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    let first = first.to_ascii_uppercase();
    if word == "www" {
        word.to_ascii_uppercase()
    } else {
        first + rest
    }
}

fn text_header(description: &str, pattern: &str) -> Header {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern));
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some(description))
        .build()
}

fn request_id_header() -> Header {
    let pattern = format!("^[A-Za-z0-9._:/+=-]{{1,{MAX_REQUEST_ID}}}$");
    text_header(
        "The request's id, the caller's own if it sent a usable one.",
        &pattern,
    )
}

/// Returns the description of a route that answers GET and HEAD in these ways, and in those of
/// [`Server`](crate::server::Server) that it does not mention.
#[must_use]
pub fn describe<const N: usize>(
    id: &str,
    summary: &str,
    answers: [(StatusCode, Response); N],
) -> Operation {
    let servers_own = [
        (
            StatusCode::BAD_REQUEST,
            problem("There is not exactly one `Host` header."),
        ),
        (
            StatusCode::REQUEST_TIMEOUT,
            problem("The body that was announced did not come."),
        ),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            problem("The body is larger than 64 KiB."),
        ),
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            problem("A defect of the service."),
        ),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            problem_for_now("Too many requests are in progress."),
        ),
        (
            StatusCode::GATEWAY_TIMEOUT,
            problem("The answer took too long."),
        ),
    ];
    let too_long = "The header block is larger than 16 KiB (or than 8 KiB beside the longest token, where tokens are \
         validated), or has more than 100 fields.";
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .parameter(
            ParameterBuilder::new()
                .name("X-Request-Id")
                .parameter_in(ParameterIn::Header)
                .description(Some(
                    "An id for logs and answers; a malformed one is replaced.",
                ))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String))),
        )
        .response("431", ResponseBuilder::new().description(too_long))
        .build();
    for (status, response) in servers_own.into_iter().chain(answers) {
        let responses = &mut operation.responses.responses;
        responses.insert(status.as_str().to_owned(), RefOr::T(response));
    }
    operation
}

/// Starts the document of a service with these operations; the health routes and the document's own
/// are added.
///
/// `components` holds the schemas and security schemes that the operations refer to.
#[must_use]
pub fn document<const N: usize>(
    title: &str,
    description: &str,
    operations: [(&str, Operation); N],
    components: ComponentsBuilder,
) -> OpenApi {
    let live = describe(
        "live",
        "Says that the process answers",
        [(StatusCode::OK, json::<HealthDocument<'_>>("It is alive."))],
    );
    let ready = describe(
        "ready",
        "Says whether the service can do its work, and if not, what it lacks",
        [
            (StatusCode::OK, json::<HealthDocument<'_>>("It is ready.")),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                json::<HealthDocument<'_>>("It is not ready."),
            ),
        ],
    );
    let itself = describe(
        "openapi",
        "Returns this document",
        [(StatusCode::OK, own_response())],
    );
    let own = [
        (LIVE_PATH, without(live, StatusCode::SERVICE_UNAVAILABLE)),
        (READY_PATH, ready),
        (OPENAPI_PATH, itself),
    ];
    let mut paths = PathsBuilder::new();
    for (path, operation) in operations.into_iter().chain(own) {
        paths = paths.path(path, get_and_head(operation));
    }
    let components: Components = components
        .schema_from::<ProblemDocument>()
        .schema_from::<HealthDocument<'_>>()
        .schema_from::<UnreadyReason>()
        .build();
    OpenApiBuilder::new()
        .info({
            let mut info = Info::new(title, env!("CARGO_PKG_VERSION"));
            info.description = Some(description.to_owned());
            info
        })
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .paths(paths)
        .components(Some(components))
        .build()
}

/// The liveness route is never shed.
fn without(mut operation: Operation, status: StatusCode) -> Operation {
    operation.responses.responses.remove(status.as_str());
    operation
}

fn own_response() -> Response {
    let any = ObjectBuilder::new().schema_type(Type::Object).build();
    let response = ResponseBuilder::new()
        .description("An OpenAPI 3.1 document.")
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(any)).build(),
        )
        .build();
    let cache = text_header("May be kept for a while.", "^public, max-age=[0-9]+$");
    let response = with_header(response, &CACHE_CONTROL, cache);
    with_header(response, &REQUEST_ID, request_id_header())
}

fn get_and_head(get: Operation) -> PathItem {
    let mut head = get.clone();
    head.operation_id = get.operation_id.as_ref().map(|id| format!("{id}Head"));
    head.summary = get
        .summary
        .as_ref()
        .map(|text| format!("{text}, without the body"));
    for response in head.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.clear();
        }
    }
    let mut item = PathItem::new(HttpMethod::Get, get);
    item.head = Some(head);
    item
}

/// Returns a router with `GET` (and `HEAD`) [`OPENAPI_PATH`].
///
/// The document holds no secret, so merge it outside of any authentication layer: a caller without a token
/// learns here how to get in.
pub fn routes<S>(document: &OpenApi) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    // Built once; a document of strings and numbers always serializes.
    let body = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, CACHED)];
    Router::new()
        .route(OPENAPI_PATH, get(move || async move { (headers, body) }))
        .method_not_allowed_fallback(method_not_allowed)
}
