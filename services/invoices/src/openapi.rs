//! The API of this service, as an OpenAPI document.

use axum::http::{StatusCode, header};
use service_kit::openapi::{self, describe, json, problem, problem_for_now, with_text_header};
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, ObjectBuilder, OpenApi, PathItem, Ref, RefOr,
    Required, Response, ResponseBuilder, Type, path::Operation,
};
use utoipa::{PartialSchema as _, ToSchema};

use crate::calls::ProtectedData;
use crate::documents::{InvoiceDocument, ListDocument};
use crate::hello::Hello;
use crate::invoice::{Status, Terms};

const DESCRIPTION: &str = "Invoices of a person's tenant. A session cookie says who asks (a browser gets one at \
    `/api/auth/login`); requests that change something need the token of the cookie `__Host-CSRF-TOKEN` in the header \
    `X-CSRF-TOKEN` besides. The tenant is always the session's. Pages are not described here.";

const SESSION: &str = "session";
const BEARER: &str = "bearer";

/// What a new invoice is made of.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; bodies are read by hand")]
#[schema(as = NewInvoice, rename_all = "camelCase")]
struct NewInvoice {
    #[schema(min_length = 1, max_length = 100)]
    customer_name: String,
    #[schema(min_length = 3, max_length = 100)]
    customer_email: String,
    terms: Terms,
    #[schema(format = Date)]
    due_date: String,
    #[schema(min_length = 1, max_length = 500)]
    message: String,
    /// `5`, `5.0` or `5.00`: from 0.01 to 1000000.00.
    #[schema(pattern = "^[0-9]{1,7}(\\.[0-9]{1,2})?$", example = "250.00")]
    total_due: String,
}

/// A change of an invoice: `PAID` or `CANCELLED`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; bodies are read by hand")]
#[schema(as = Change)]
struct Change {
    status: Status,
}

/// What to say.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used; bodies are read by hand")]
#[schema(as = Say)]
struct Say {
    #[schema(min_length = 1, max_length = 500)]
    message: String,
}

/// Returns the document that the service serves at `/openapi.json`.
#[must_use]
pub fn openapi() -> OpenApi {
    let list = guarded(describe(
        "listInvoices",
        "Returns the invoices of the tenant, the newest first",
        [(StatusCode::OK, json::<ListDocument>("The invoices."))],
    ));
    let show = with_id(guarded(describe(
        "getInvoice",
        "Returns an invoice",
        [
            (StatusCode::OK, json::<InvoiceDocument>("The invoice.")),
            (StatusCode::NOT_FOUND, problem("There is no such invoice.")),
        ],
    )));
    let events = guarded(describe(
        "invoiceEvents",
        "Streams what happens to the tenant's invoices",
        [
            (StatusCode::OK, stream()),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                problem_for_now("There are too many listeners, or the session cannot be read."),
            ),
        ],
    ));
    let calls = [
        (
            "/api/v1/protected",
            "protectedAsPerson",
            "Calls protected-data as the person",
        ),
        (
            "/api/v1/machine",
            "protectedAsService",
            "Calls protected-data as the service",
        ),
    ]
    .map(|(path, id, summary)| (path, guarded(call(id, summary))));
    let [protected, machine] = calls;
    let components = ComponentsBuilder::new()
        .schema_from::<InvoiceDocument>()
        .schema_from::<ListDocument>()
        .schema_from::<ProtectedData>()
        .schema_from::<Hello>()
        .schema_from::<NewInvoice>()
        .schema_from::<Change>()
        .schema_from::<Say>()
        .schema("Status", Status::schema())
        .schema("Terms", Terms::schema())
        .security_scheme(SESSION, session())
        .security_scheme(BEARER, bearer());
    let gets = [
        ("/api/v1/invoices", list),
        ("/api/v1/invoices/{id}", show),
        ("/api/v1/events", events),
        protected,
        machine,
    ];
    let mut document = openapi::document("invoices", DESCRIPTION, gets, components);
    let mut hello = body::<Say>(guarded(describe(
        "hello",
        "Says what was said",
        [
            (StatusCode::OK, json::<Hello>("What was said, and when.")),
            (
                StatusCode::BAD_REQUEST,
                problem("The body cannot be taken."),
            ),
        ],
    )));
    if let Some(security) = &mut hello.security {
        security.push(SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, []));
    }
    let paths = &mut document.paths.paths;
    paths.insert(
        "/api/v1/hello".to_owned(),
        PathItem::new(HttpMethod::Post, hello),
    );
    if let Some(item) = paths.get_mut("/api/v1/invoices") {
        item.post = Some(body::<NewInvoice>(guarded(describe(
            "createInvoice",
            "Adds an invoice",
            [
                (StatusCode::CREATED, created()),
                (
                    StatusCode::BAD_REQUEST,
                    problem("The body cannot be taken; `errors` says why, by member."),
                ),
                (
                    StatusCode::CONFLICT,
                    problem("The tenant has 1,000 invoices."),
                ),
            ],
        ))));
    }
    if let Some(item) = paths.get_mut("/api/v1/invoices/{id}") {
        item.put = Some(body::<Change>(with_id(guarded(describe(
            "changeInvoice",
            "Changes the status of an invoice",
            [
                (
                    StatusCode::OK,
                    json::<InvoiceDocument>("The invoice as it is now."),
                ),
                (
                    StatusCode::BAD_REQUEST,
                    problem("The body cannot be taken; `errors` says why, by member."),
                ),
                (StatusCode::NOT_FOUND, problem("There is no such invoice.")),
                (
                    StatusCode::CONFLICT,
                    problem("It is paid or cancelled already."),
                ),
            ],
        )))));
    }
    document
}

fn call(id: &str, summary: &str) -> Operation {
    describe(
        id,
        summary,
        [
            (StatusCode::OK, json::<ProtectedData>("Its words.")),
            (
                StatusCode::NOT_FOUND,
                problem("The service has no client of its own."),
            ),
            (
                StatusCode::BAD_GATEWAY,
                problem("protected-data refused the call or gave no usable answer."),
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                problem_for_now(
                    "There is no token to call protected-data with, or it is away or overloaded.",
                ),
            ),
            (
                StatusCode::GATEWAY_TIMEOUT,
                problem("protected-data did not answer in time."),
            ),
        ],
    )
}

/// Adds what the guard answers.
fn guarded(mut operation: Operation) -> Operation {
    let challenge = with_text_header(
        problem("There is no session."),
        &header::WWW_AUTHENTICATE,
        "The challenge.",
        "^Session realm=\"[^\"]+\"$",
    );
    for (status, response) in [
        (StatusCode::UNAUTHORIZED, challenge),
        (
            StatusCode::FORBIDDEN,
            problem("The person's role does not permit this, or the CSRF token is missing."),
        ),
        (
            StatusCode::MISDIRECTED_REQUEST,
            problem("The host is not that of `PUBLIC_URL`."),
        ),
    ] {
        let responses = &mut operation.responses.responses;
        responses.insert(status.as_str().to_owned(), response.into());
    }
    operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(
        SESSION,
        [],
    )]);
    operation
}

fn with_id(operation: Operation) -> Operation {
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    OperationBuilder::from(operation).parameter(id).build()
}

fn body<T: ToSchema>(mut operation: Operation) -> Operation {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .build();
    let body = RequestBodyBuilder::new()
        .content("application/json", content)
        .required(Some(Required::True));
    operation.request_body = Some(RefOr::T(body.build()));
    operation.responses.responses.insert(
        StatusCode::UNSUPPORTED_MEDIA_TYPE.as_str().to_owned(),
        problem("The body is not application/json.").into(),
    );
    operation
}

fn created() -> Response {
    with_text_header(
        json::<InvoiceDocument>("The new invoice."),
        &header::LOCATION,
        "Where it is.",
        "^/api/v1/invoices/[0-9a-z]{26}$",
    )
}

fn stream() -> Response {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ResponseBuilder::new()
        .description(
            "Server-sent events `invoice.created` and `invoice.changed` with the invoice as data. It ends with the \
             session.",
        )
        .content(
            "text/event-stream",
            ContentBuilder::new().schema(Some(text)).build(),
        )
        .build()
}

fn session() -> SecurityScheme {
    let description = "The session cookie; `session` with DANGEROUS_INSECURE_COOKIES=true.";
    let value = ApiKeyValue::with_description("__Host-session", description);
    SecurityScheme::ApiKey(ApiKey::Cookie(value))
}

fn bearer() -> SecurityScheme {
    let description = "An access token of the issuer for API_AUDIENCE, where that is set.";
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(description));
    SecurityScheme::Http(bearer.build())
}
