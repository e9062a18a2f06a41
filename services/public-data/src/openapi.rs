//! The answers of this service, as an OpenAPI document.

use axum::http::StatusCode;
use service_kit::openapi::{self, describe, json, problem, problem_for_now};
use utoipa::openapi::{ComponentsBuilder, OpenApi};

use crate::api::{DATA_PATH, PublicData};

const DESCRIPTION: &str = "The upstream service: answers with its own words and those of protected-data, \
    which it calls with a token of its own. Callers need no token. A path that is not here is 404, a \
    method that a path does not have is 405 with `Allow`, both as problem documents.";

/// Returns the document that the service serves at `/openapi.json`.
#[must_use]
pub fn openapi() -> OpenApi {
    let data = describe(
        "publicData",
        "Returns both services' words",
        [
            (StatusCode::OK, json::<PublicData>("Both services' words.")),
            (
                StatusCode::BAD_GATEWAY,
                problem("protected-data refused the call or gave no usable answer."),
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                problem_for_now(
                    "There is no token to call protected-data with, or it is away or overloaded, or too \
                     many requests are in progress.",
                ),
            ),
            (
                StatusCode::GATEWAY_TIMEOUT,
                problem("protected-data did not answer in time."),
            ),
        ],
    );
    let components = ComponentsBuilder::new().schema_from::<PublicData>();
    openapi::document("public-data", DESCRIPTION, [(DATA_PATH, data)], components)
}
