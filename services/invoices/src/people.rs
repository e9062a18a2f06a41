//! Who of a tenant is signed in.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use web_session::Session;

use crate::account::store_away;
use crate::api::AppState;
use crate::page::{Moment, NO_PERSON, Visitor, page};

/// A person in the list.
struct Row {
    /// The address that ends their sessions.
    end: String,
    name: String,
    email: Option<String>,
    sessions: usize,
    last_activity: Moment,
    is_you: bool,
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    csrf: &'a str,
    tenant: &'a str,
    people: Vec<Row>,
}

pub(crate) async fn show(
    State(state): State<AppState>,
    session: Session,
    visitor: Visitor,
) -> Response {
    let people = state
        .sessions
        .people_of(session.issuer(), session.tenant_id())
        .await;
    let people = match people {
        Ok(people) => people,
        Err(error) => return store_away(&error, &visitor),
    };
    let rows = people.iter().map(|person| {
        let name = person.display_name().or(person.email());
        Row {
            end: end_path(person.user_id()),
            name: name.unwrap_or(person.user_id()).to_owned(),
            email: person.email().map(str::to_owned),
            sessions: person.sessions(),
            last_activity: Moment::of(person.last_activity()),
            is_you: person.user_id() == session.user_id(),
        }
    });
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by_cached_key(|row| row.name.to_lowercase());
    let template = PeoplePage {
        visitor: Some(&visitor),
        current: "people",
        csrf: &visitor.csrf,
        tenant: &visitor.tenant,
        people: rows,
    };
    page(StatusCode::OK, &template)
}

/// A `sub` is any text; in a path it is encoded.
fn end_path(user_id: &str) -> String {
    let mut url = url::Url::parse("http://localhost/people").expect("a constant is a URL");
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(user_id).push("end-sessions");
    }
    url.path().to_owned()
}

pub(crate) async fn end_sessions(
    State(state): State<AppState>,
    session: Session,
    visitor: Visitor,
    Path(user_id): Path<String>,
) -> Response {
    let (issuer, tenant) = (session.issuer(), session.tenant_id());
    // Asked first: to end the sessions of a person ends their logins under way too, at whatever tenant.
    let is_here = match state.sessions.sessions_of(issuer, &user_id).await {
        Ok(sessions) => sessions.iter().any(|one| one.tenant_id() == tenant),
        Err(error) => return store_away(&error, &visitor),
    };
    if !is_here {
        return NO_PERSON.page(Some(&visitor));
    }
    let ended = state.sessions.end_person_at(issuer, &user_id, tenant).await;
    match ended {
        Ok(0) => NO_PERSON.page(Some(&visitor)),
        Ok(_) => Redirect::to("/people").into_response(),
        Err(error) => store_away(&error, &visitor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_sub_can_stand_in_an_address() {
        for (sub, expected) in [
            ("abc-1", "/people/abc-1/end-sessions"),
            (
                "auth0|1/2?x#y%",
                "/people/auth0|1%2F2%3Fx%23y%25/end-sessions",
            ),
        ] {
            assert_eq!(end_path(sub), expected);
        }
    }
}
