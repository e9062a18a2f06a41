//! The page for people whose tenant the application does not know: it sends them to the application's login.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::authorize::redirect_to;
use crate::client::DevClient;
use crate::pages::{self, Submitted};
use crate::people::DevPerson;
use crate::provider::Provider;
use crate::requests::{FORGOT_TENANT_PATH, SIGN_UP_PATH};

#[derive(Template)]
#[template(path = "find_tenant.html")]
struct FindTenantPage<'a> {
    forgot_tenant: String,
    sign_up: String,
    application: &'a str,
    typed: &'a str,
    problem: Option<&'static str>,
}

/// Tenants to choose from. The others have a link each.
#[derive(Template)]
#[template(path = "tenants.html")]
pub(crate) struct TenantsPage<'a> {
    pub(crate) title: &'a str,
    pub(crate) email: &'a str,
    pub(crate) tenants: Vec<TenantLink>,
    pub(crate) is_reminder: bool,
}

pub(crate) struct TenantLink {
    pub(crate) name: String,
    pub(crate) company: String,
    /// Where the application begins a login there.
    pub(crate) login: Option<String>,
}

pub(crate) async fn page(State(provider): State<Arc<Provider>>, uri: Uri) -> Response {
    match pages::client(&provider, uri.query()) {
        Some(client) => form(&client, StatusCode::OK, "", None),
        None => pages::unknown_client(),
    }
}

fn form(
    client: &DevClient,
    status: StatusCode,
    typed: &str,
    problem: Option<&'static str>,
) -> Response {
    let template = FindTenantPage {
        forgot_tenant: pages::link(FORGOT_TENANT_PATH, client),
        sign_up: pages::link(SIGN_UP_PATH, client),
        application: client.application(),
        typed,
        problem,
    };
    pages::page(status, Some(client), &template)
}

pub(crate) async fn submit(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let Submitted { client, fields } = match pages::submitted(&provider, request).await {
        Ok(submitted) => submitted,
        Err(response) => return response,
    };
    let typed = fields.value("tenant").unwrap_or_default().trim();
    let is_email = typed.contains('@');
    let tenants = if is_email {
        links(&provider, typed, Some(&client))
    } else {
        link(&provider, &typed.to_ascii_lowercase(), Some(&client), None)
            .into_iter()
            .collect()
    };
    if let [only] = &tenants[..]
        && let Some(login) = &only.login
    {
        return redirect_to(StatusCode::SEE_OTHER, login);
    }
    if tenants.is_empty() {
        let problem = Some("No tenant has this name, and nobody of one has this e-mail address.");
        return form(&client, StatusCode::BAD_REQUEST, typed, problem);
    }
    let template = TenantsPage {
        title: "Choose a tenant",
        email: typed,
        tenants,
        is_reminder: false,
    };
    pages::page(StatusCode::OK, Some(&client), &template)
}

/// Returns the tenants of an address.
pub(crate) fn links(
    provider: &Provider,
    email: &str,
    client: Option<&DevClient>,
) -> Vec<TenantLink> {
    let names: Vec<String> = {
        let people = provider.people.lock();
        let person = people.person(email);
        let names = person.into_iter().flat_map(DevPerson::tenants);
        names.map(str::to_owned).collect()
    };
    let link = |name: &String| link(provider, name, client, Some(email));
    names.iter().filter_map(link).collect()
}

fn link(
    provider: &Provider,
    name: &str,
    client: Option<&DevClient>,
    email: Option<&str>,
) -> Option<TenantLink> {
    let company = provider.people.lock().company(name)?.to_owned();
    Some(TenantLink {
        name: name.to_owned(),
        company,
        login: client.and_then(|client| client.login_at(name, email)),
    })
}
