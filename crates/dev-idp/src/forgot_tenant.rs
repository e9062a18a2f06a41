//! The page for people who do not remember the name of their tenant.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::find_tenant::{TenantsPage, links};
use crate::pages::{self, Submitted};
use crate::provider::Provider;

#[derive(Template)]
#[template(path = "forgot_tenant.html")]
struct ForgotTenantPage;

pub(crate) async fn page(State(provider): State<Arc<Provider>>, uri: Uri) -> Response {
    match pages::client(&provider, uri.query()) {
        Some(client) => pages::page(StatusCode::OK, Some(&client), &ForgotTenantPage),
        None => pages::unknown_client(),
    }
}

pub(crate) async fn submit(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let Submitted { client, fields } = match pages::submitted(&provider, request).await {
        Ok(submitted) => submitted,
        Err(response) => return response,
    };
    let email = fields.value("email").unwrap_or_default().trim();
    let template = TenantsPage {
        title: "Your tenants",
        email,
        tenants: links(&provider, email, Some(&client)),
        is_reminder: true,
    };
    pages::page(StatusCode::OK, Some(&client), &template)
}
