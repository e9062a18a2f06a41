//! The page on which a person signs in, at a tenant or at the first of their tenants. Its address holds the whole
//! authorization request, so that the provider remembers nothing of people who do not come back.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use aws_lc_rs::error::Unspecified;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use clock::unix_seconds;
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode, Uri};
use tokio::time::Instant;

use crate::authorize::{AuthorizationRequest, redirect_to};
use crate::keys::random_id;
use crate::logins::{self, Login};
use crate::pages;
use crate::provider::Provider;
use crate::requests::LOGIN_PATH;
use crate::token::read_form;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    other_tenant: String,
    company: Option<&'a str>,
    application: &'a str,
    email: &'a str,
    problem: Option<&'static str>,
}

pub(crate) async fn page(State(provider): State<Arc<Provider>>, uri: Uri) -> Response {
    show(&provider, None, &uri)
}

pub(crate) async fn page_of_tenant(
    State(provider): State<Arc<Provider>>,
    Path(tenant): Path<String>,
    uri: Uri,
) -> Response {
    show(&provider, Some(&tenant), &uri)
}

pub(crate) async fn submit(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    sign_in(&provider, None, request).await
}

pub(crate) async fn submit_at_tenant(
    State(provider): State<Arc<Provider>>,
    Path(tenant): Path<String>,
    request: Request,
) -> Response {
    sign_in(&provider, Some(&tenant), request).await
}

fn show(provider: &Provider, tenant: Option<&str>, uri: &Uri) -> Response {
    match AuthorizationRequest::read(provider, tenant, uri.query().unwrap_or_default()) {
        Ok(request) => {
            let email = request.login_hint.clone().unwrap_or_default();
            form(provider, tenant, &request, &email, Ok(()))
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Why nobody was signed in.
enum Failure {
    Wrong,
    TooMany(Duration),
}

fn form(
    provider: &Provider,
    tenant: Option<&str>,
    request: &AuthorizationRequest,
    email: &str,
    outcome: Result<(), Failure>,
) -> Response {
    let (status, problem) = match outcome {
        Ok(()) => (StatusCode::OK, None),
        Err(Failure::Wrong) => (
            StatusCode::BAD_REQUEST,
            Some("The e-mail address or the password is wrong."),
        ),
        Err(Failure::TooMany(_)) => (
            StatusCode::TOO_MANY_REQUESTS,
            Some("There were too many wrong passwords. Try again in a few seconds."),
        ),
    };
    let company = tenant.and_then(|tenant| {
        let people = provider.people.lock();
        people.company(tenant).map(str::to_owned)
    });
    let template = SignInPage {
        other_tenant: pages::link(LOGIN_PATH, &request.client),
        company: company.as_deref(),
        application: request.client.application(),
        email,
        problem,
    };
    let mut response = pages::page(status, Some(&request.client), &template);
    if let Err(Failure::TooMany(wait)) = outcome {
        let seconds = wait.as_secs().saturating_add(1);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

async fn sign_in(provider: &Provider, tenant: Option<&str>, request: Request) -> Response {
    let (head, body): (_, Body) = request.into_parts();
    if let Some(refused) = pages::refuse_foreign(provider, &head.headers) {
        return refused;
    }
    let query = head.uri.query().unwrap_or_default();
    let request = match AuthorizationRequest::read(provider, tenant, query) {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let Ok(typed) = read_form(&head.headers, body).await else {
        return pages::unreadable();
    };
    let email = typed.value("email").unwrap_or_default();
    let password = typed.value("password").unwrap_or_default();
    let browser = logins::browser(&head.headers);
    match check(provider, tenant, email, password) {
        Ok((email, tenant)) => {
            let entered = enter(provider, browser.as_deref(), &request, email, tenant);
            let Ok((location, browser)) = entered else {
                return pages::broken();
            };
            let mut response = redirect_to(StatusCode::SEE_OTHER, &location);
            if let Ok(cookie) = HeaderValue::from_str(&logins::cookie(&browser)) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
        Err(failure) => form(provider, tenant, &request, email, Err(failure)),
    }
}

/// Returns the address and the tenant of the person whose password this is.
fn check(
    provider: &Provider,
    tenant: Option<&str>,
    email: &str,
    password: &str,
) -> Result<(String, String), Failure> {
    let begun = provider.passwords.lock().begin(email, Instant::now());
    begun.map_err(Failure::TooMany)?;
    let found = {
        let people = provider.people.lock();
        let found = people.sign_in(tenant, email, password, &provider.nobodys_secret);
        found.map(|(person, tenant)| (person.email().to_owned(), tenant))
    };
    match found {
        Some(found) => {
            provider.passwords.lock().succeeded(email);
            Ok(found)
        }
        None => {
            tracing::info!(tenant, "refused a password");
            Err(Failure::Wrong)
        }
    }
}

/// Signs a person in, and returns where the browser goes and its new id.
pub(crate) fn enter(
    provider: &Provider,
    browser: Option<&str>,
    request: &AuthorizationRequest,
    email: String,
    tenant: String,
) -> Result<(String, String), Unspecified> {
    let login = Login {
        sid: random_id()?,
        email,
        tenant,
        auth_time: unix_seconds(provider.clock.now()),
        clients: Default::default(),
    };
    let browser = provider.logins.lock().sign_in(browser, login.clone())?;
    Ok((request.approve(provider, &login)?, browser))
}
