//! Who of a tenant is signed in.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use web_session::{OtherSession, Session};

use crate::account::store_away;
use crate::api::AppState;
use crate::page::{Moment, NO_PERSON, Visitor, page};

/// People of each tenant that were here. Those who have no session any more are forgotten when somebody looks.
#[derive(Default)]
pub struct KnownPeople {
    tenants: Mutex<HashMap<String, BTreeMap<String, Known>>>,
}

/// What is known of a person: what the list shows of them, and nothing that a session is worth.
#[derive(Clone, PartialEq, Eq)]
struct Known {
    issuer: String,
    user_id: String,
    name: Option<String>,
    email: Option<String>,
}

impl Known {
    fn of(session: &Session) -> Self {
        Self {
            issuer: session.issuer().to_owned(),
            user_id: session.user_id().to_owned(),
            name: session.display_name().map(str::to_owned),
            email: session.email().map(str::to_owned),
        }
    }
}

/// How many people of a tenant are known at most; others are not listed.
const MAX_PEOPLE: usize = 1_000;

impl KnownPeople {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, Known>>> {
        // Nothing can panic while the lock is held but the allocator.
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, session: &Session) {
        let mut tenants = self.lock();
        let tenant = session.tenant_id();
        let people = match tenants.get_mut(tenant) {
            Some(people) => people,
            None => tenants.entry(tenant.to_owned()).or_default(),
        };
        if let Some(known) = people.get_mut(session.user_id()) {
            *known = Known::of(session);
        } else if people.len() < MAX_PEOPLE {
            people.insert(session.user_id().to_owned(), Known::of(session));
        }
    }

    fn of(&self, tenant: &str) -> Vec<Known> {
        let tenants = self.lock();
        let people = tenants.get(tenant).into_iter().flatten();
        people.map(|(_, known)| known.clone()).collect()
    }

    fn find(&self, tenant: &str, user_id: &str) -> Option<Known> {
        self.lock().get(tenant)?.get(user_id).cloned()
    }

    fn forget(&self, tenant: &str, user_id: &str) {
        if let Some(people) = self.lock().get_mut(tenant) {
            people.remove(user_id);
        }
    }
}

impl fmt::Debug for KnownPeople {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownPeople").finish_non_exhaustive()
    }
}

/// Notes who makes a request.
pub(crate) async fn note(
    State(people): State<Arc<KnownPeople>>,
    session: Option<Session>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(session) = session {
        people.note(&session);
    }
    next.run(request).await
}

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
    let mut rows = Vec::new();
    for known in state.people.of(session.tenant_id()) {
        let sessions = state.sessions.sessions_of(&known.issuer, &known.user_id);
        let mut sessions = match sessions.await {
            Ok(sessions) => sessions,
            Err(error) => return store_away(&error, &visitor),
        };
        // What a person does at another tenant is not this one's business.
        sessions.retain(|one| one.tenant_id() == session.tenant_id());
        let Some(last) = sessions.iter().map(OtherSession::last_activity).max() else {
            state.people.forget(session.tenant_id(), &known.user_id);
            continue;
        };
        let name = known.name.as_ref().or(known.email.as_ref());
        rows.push(Row {
            end: end_path(&known.user_id),
            name: name.unwrap_or(&known.user_id).clone(),
            sessions: sessions.len(),
            last_activity: Moment::of(last),
            is_you: known.user_id == session.user_id(),
            email: known.email,
        });
    }
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
    let Some(known) = state.people.find(session.tenant_id(), &user_id) else {
        return NO_PERSON.page(Some(&visitor));
    };
    let ended = state
        .sessions
        .end_person_at(&known.issuer, &known.user_id, session.tenant_id())
        .await;
    match ended {
        Ok(0) => {
            state.people.forget(session.tenant_id(), &user_id);
            NO_PERSON.page(Some(&visitor))
        }
        Ok(_) => {
            state.people.forget(session.tenant_id(), &user_id);
            Redirect::to("/people").into_response()
        }
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
