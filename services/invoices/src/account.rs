//! A person's own sessions.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use web_session::Session;
use web_session::store::StoreError;

use crate::page::{Moment, NO_SESSION, STORE_AWAY, Visitor, page};

/// A session in the list. It is named by when it began: numbers would move when one ends.
struct Row {
    name: u64,
    created: Moment,
    last_activity: Moment,
    is_this: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    csrf: &'a str,
    name: &'a str,
    email: Option<&'a str>,
    tenant: &'a str,
    roles: String,
    ends: Moment,
    sessions: Vec<Row>,
}

pub(crate) async fn show(session: Session, visitor: Visitor) -> Response {
    let sessions = match session.of_same_person().await {
        Ok(sessions) => sessions,
        Err(error) => return store_away(&error, &visitor),
    };
    let rows = sessions.iter().map(|one| Row {
        name: one.created().unix_millis(),
        created: Moment::of(one.created()),
        last_activity: Moment::of(one.last_activity()),
        is_this: one.is_this(),
    });
    let template = AccountPage {
        visitor: Some(&visitor),
        current: "account",
        csrf: &visitor.csrf,
        name: &visitor.name,
        email: session.email(),
        tenant: &visitor.tenant,
        roles: session.roles().join(", "),
        ends: Moment::of(session.expires()),
        sessions: rows.collect(),
    };
    page(StatusCode::OK, &template)
}

pub(crate) async fn end(session: Session, visitor: Visitor, Path(name): Path<String>) -> Response {
    let sessions = match session.of_same_person().await {
        Ok(sessions) => sessions,
        Err(error) => return store_away(&error, &visitor),
    };
    let mut named = sessions
        .iter()
        .filter(|one| one.created().unix_millis().to_string() == name);
    let Some(found) = named.next() else {
        return NO_SESSION.page(Some(&visitor));
    };
    match found.end().await {
        Ok(_) => Redirect::to("/account").into_response(),
        Err(error) => store_away(&error, &visitor),
    }
}

pub(crate) async fn end_others(session: Session, visitor: Visitor) -> Response {
    let sessions = match session.of_same_person().await {
        Ok(sessions) => sessions,
        Err(error) => return store_away(&error, &visitor),
    };
    for other in sessions.iter().filter(|one| !one.is_this()) {
        if let Err(error) = other.end().await {
            return store_away(&error, &visitor);
        }
    }
    Redirect::to("/account").into_response()
}

pub(crate) fn store_away(error: &StoreError, visitor: &Visitor) -> Response {
    tracing::warn!("sessions cannot be read: {error}");
    STORE_AWAY.page(Some(visitor))
}
