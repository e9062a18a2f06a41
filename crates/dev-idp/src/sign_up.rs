//! The page on which a company becomes a tenant, and the person who signs it up its owner.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::authorize::redirect_to;
use crate::client::DevClient;
use crate::pages::{self, Submitted};
use crate::people::{self, DevPerson};
use crate::provider::Provider;

/// What a provider that runs for days can be made to keep.
const MAX_TENANTS: usize = 1_000;

const MAX_TEXT: usize = 100;

#[derive(Default, Template)]
#[template(path = "sign_up.html")]
struct SignUpPage<'a> {
    application: &'a str,
    company: &'a str,
    tenant_name: &'a str,
    email: &'a str,
    problem: Option<&'static str>,
}

pub(crate) async fn page(State(provider): State<Arc<Provider>>, uri: Uri) -> Response {
    match pages::client(&provider, uri.query()) {
        Some(client) => {
            let template = SignUpPage {
                application: client.application(),
                ..SignUpPage::default()
            };
            pages::page(StatusCode::OK, Some(&client), &template)
        }
        None => pages::unknown_client(),
    }
}

pub(crate) async fn submit(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let Submitted { client, fields } = match pages::submitted(&provider, request).await {
        Ok(submitted) => submitted,
        Err(response) => return response,
    };
    let text = |name| fields.value(name).unwrap_or_default().trim();
    let wanted = Wanted {
        company: text("company"),
        tenant: &text("tenant_name").to_ascii_lowercase(),
        email: text("email"),
        password: fields.value("password").unwrap_or_default(),
    };
    match wanted.sign_up(&provider) {
        Ok(()) => match client.login_at(wanted.tenant, Some(wanted.email)) {
            Some(login) => redirect_to(StatusCode::SEE_OTHER, &login),
            None => {
                let text = "The tenant is there. Sign in at the application now.";
                pages::notice(StatusCode::OK, "Signed up", text)
            }
        },
        Err(problem) => refused(&client, &wanted, problem),
    }
}

fn refused(client: &DevClient, wanted: &Wanted<'_>, problem: &'static str) -> Response {
    let template = SignUpPage {
        application: client.application(),
        company: wanted.company,
        tenant_name: wanted.tenant,
        email: wanted.email,
        problem: Some(problem),
    };
    pages::page(StatusCode::BAD_REQUEST, Some(client), &template)
}

struct Wanted<'a> {
    company: &'a str,
    tenant: &'a str,
    email: &'a str,
    password: &'a str,
}

impl Wanted<'_> {
    /// Makes the tenant and its owner, or returns what is wrong.
    fn sign_up(&self, provider: &Provider) -> Result<(), &'static str> {
        if !(1..=MAX_TEXT).contains(&self.company.chars().count()) {
            return Err("The company needs a name of at most 100 characters.");
        }
        if !people::is_tenant_name(self.tenant) {
            return Err(
                "The tenant name may have letters from a to z, digits and hyphens inside, 63 at most.",
            );
        }
        let around = self.email.split_once('@');
        let is_email = around.is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !host.contains('@')
        });
        if !is_email || self.email.chars().count() > MAX_TEXT {
            return Err("This is no e-mail address.");
        }
        if self.password.chars().count() < 8 {
            return Err("The password needs at least 8 characters.");
        }
        let owner = DevPerson::new(self.email, self.password).member(self.tenant, ["owner"]);
        let mut people = provider.people.lock();
        if people.tenants() >= MAX_TENANTS {
            return Err("No more tenants can be signed up here.");
        }
        if people.company(self.tenant).is_some() || people.person(self.email).is_some() {
            return Err("This tenant name or this e-mail address is taken.");
        }
        people.add_tenant(self.tenant, self.company);
        people.put(owner);
        Ok(())
    }
}
