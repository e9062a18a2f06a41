//! The answers of this service, as an OpenAPI document.

use axum::http::{StatusCode, header};
use jwks_validator::TokenFrom;
use service_kit::openapi::{self, describe, json, problem, problem_for_now, with_text_header};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ComponentsBuilder, OpenApi, Response};

use crate::api::{DATA_PATH, ProtectedData};

const DESCRIPTION: &str = "The downstream service: answers callers with a valid bearer token (RFC 6750). \
    Everything but the health routes and this document is behind the token check: a path that is not here \
    is 404 and a method that a path does not have is 405 only for callers with a valid token, and 401 for all \
    others.";

/// Name of the security scheme.
const BEARER: &str = "bearer";

/// Returns the document that the service serves at `/openapi.json` where the token stands in `Authorization`.
#[must_use]
pub fn openapi() -> OpenApi {
    openapi_for(&TokenFrom::authorization())
}

/// Returns the document for a token that stands here.
pub(crate) fn openapi_for(token_from: &TokenFrom) -> OpenApi {
    let mut data = describe(
        "protectedData",
        "Returns this service's words",
        [
            (
                StatusCode::OK,
                guarded(json::<ProtectedData>("This service's words.")),
            ),
            (
                StatusCode::BAD_REQUEST,
                guarded(challenged(
                    problem(
                        "The credentials are malformed or stand there twice (`WWW-Authenticate` says so), \
                         or there is not exactly one `Host` header.",
                    ),
                    "invalid_request",
                )),
            ),
            (
                StatusCode::UNAUTHORIZED,
                guarded(with_text_header(
                    problem("There is no token, or it is not valid."),
                    &header::WWW_AUTHENTICATE,
                    "The challenge (RFC 6750 section 3), without an error code where there was no token.",
                    "^Bearer realm=\"[^\"]+\"(, error=\"invalid_token\", error_description=\"[^\"]+\")?$",
                )),
            ),
            (
                StatusCode::FORBIDDEN,
                guarded(challenged(
                    problem(
                        "The token lacks a scope of `REQUIRED_SCOPES`; the challenge names them.",
                    ),
                    "insufficient_scope",
                )),
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                guarded(problem_for_now(
                    "There are no usable keys to validate the token with, or too many requests are in \
                     progress.",
                )),
            ),
        ],
    );
    data.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(
        BEARER,
        [],
    )]);
    let description = "An access token of the configured issuer for this API's audience, as a JWT.";
    let bearer =
        match (token_from.header_name(), token_from.cookie_name()) {
            (Some(name), _) => SecurityScheme::ApiKey(ApiKey::Header(
                ApiKeyValue::with_description(name, description),
            )),
            (_, Some(name)) => SecurityScheme::ApiKey(ApiKey::Cookie(
                ApiKeyValue::with_description(name, description),
            )),
            _ => SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .bearer_format("JWT")
                    .description(Some(description))
                    .build(),
            ),
        };
    let components = ComponentsBuilder::new()
        .schema_from::<ProtectedData>()
        .security_scheme(BEARER, bearer);
    openapi::document(
        "protected-data",
        DESCRIPTION,
        [(DATA_PATH, data)],
        components,
    )
}

/// Answers that depend on the token say so to caches.
fn guarded(response: Response) -> Response {
    let description = "The answer is for the holder of this token.";
    with_text_header(
        response,
        &header::VARY,
        description,
        "^(authorization|cookie|\\*)$",
    )
}

fn challenged(response: Response, code: &str) -> Response {
    with_text_header(
        response,
        &header::WWW_AUTHENTICATE,
        "The challenge (RFC 6750 section 3).",
        &format!(
            "^Bearer realm=\"[^\"]+\", error=\"{code}\", error_description=\"[^\"]+\"(, scope=\"[^\"]+\")?$"
        ),
    )
}
