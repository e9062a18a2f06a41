//! Protected-data's words, as the person and as the service.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use service_kit::problem::ProblemDetails;
use utoipa::ToSchema;
use web_session::{Session, UserToken};

use crate::api::AppState;
use crate::downstream::{Caller, DownstreamError};
use crate::page::{Visitor, page};

/// Protected-data's words.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProtectedData {
    #[schema(example = "here I am")]
    protected_data: String,
}

pub(crate) async fn as_person(
    State(state): State<AppState>,
    token: UserToken,
    headers: HeaderMap,
) -> Response {
    answer(call(&state, &Caller::Person(token), &headers).await)
}

pub(crate) async fn as_machine(
    State(state): State<AppState>,
    _session: Session,
    headers: HeaderMap,
) -> Response {
    answer(call(&state, &Caller::Machine, &headers).await)
}

async fn call(
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<String, DownstreamError> {
    state.downstream.protected_data(caller, headers).await
}

fn answer(result: Result<String, DownstreamError>) -> Response {
    match result {
        Ok(protected_data) => Json(ProtectedData { protected_data }).into_response(),
        Err(error) => {
            let problem = ProblemDetails::new(error.status(), error.detail());
            match (error.retry_after(), error.status()) {
                (Some(after), _) => problem.retry_after(after).into_response(),
                // As the layer answers the next request.
                (None, StatusCode::UNAUTHORIZED) => {
                    ([(header::WWW_AUTHENTICATE, "Session")], problem).into_response()
                }
                (None, _) => problem.into_response(),
            }
        }
    }
}

/// What one call came to.
struct Outcome {
    /// The words, or why there are none.
    text: String,
    is_good: bool,
}

#[derive(Template)]
#[template(path = "calls.html")]
struct CallsPage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    person: Outcome,
    machine: Option<Outcome>,
}

pub(crate) async fn show(
    State(state): State<AppState>,
    visitor: Visitor,
    token: Result<UserToken, Response>,
    headers: HeaderMap,
) -> Response {
    let person = async {
        match token {
            Ok(token) => Ok(outcome(
                call(&state, &Caller::Person(token), &headers).await,
            )),
            // Whoever has no session any more signs in again.
            Err(answer) if answer.status() != StatusCode::SERVICE_UNAVAILABLE => Err(answer),
            Err(_) => Ok(Outcome {
                text: "Your access cannot be renewed at present.".to_owned(),
                is_good: false,
            }),
        }
    };
    let machine = async {
        if !state.downstream.has_machine() {
            return None;
        }
        Some(outcome(call(&state, &Caller::Machine, &headers).await))
    };
    let (person, machine) = tokio::join!(person, machine);
    match person {
        Ok(person) => {
            let template = CallsPage {
                visitor: Some(&visitor),
                current: "calls",
                person,
                machine,
            };
            page(StatusCode::OK, &template)
        }
        Err(answer) => answer,
    }
}

fn outcome(result: Result<String, DownstreamError>) -> Outcome {
    match result {
        Ok(text) => Outcome {
            text,
            is_good: true,
        },
        Err(error) => Outcome {
            text: error.detail().to_owned(),
            is_good: false,
        },
    }
}
