//! The start page.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::AppState;
use crate::page::{MaybeVisitor, Visitor, page};

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    signup: Option<&'a str>,
}

pub(crate) async fn show(
    State(state): State<AppState>,
    MaybeVisitor(visitor): MaybeVisitor,
) -> Response {
    let template = HomePage {
        visitor: visitor.as_ref(),
        current: "",
        signup: state.signup.as_ref().map(url::Url::as_str),
    };
    page(StatusCode::OK, &template)
}
