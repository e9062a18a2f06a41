//! Logout that an application begins: as OpenID Connect RP-Initiated Logout 1.0 has it, and in Wristband's form, which
//! names the address to come back to `redirect_url` and has no hint of who is meant but the browser.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::header::HeaderMap;
use http::{Method, StatusCode};

use crate::authorize::redirect_to;
use crate::back_channel;
use crate::client::DevClient;
use crate::form::Form;
use crate::logins::{self, Login};
use crate::pages;
use crate::provider::Provider;
use crate::redirect;
use crate::tamper::Target;
use crate::token::read_form;

/// The field of our own page by which a person says yes.
const CONFIRMED: &str = "confirmed";

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage<'a> {
    email: &'a str,
    fields: Vec<(&'static str, &'a str)>,
}

pub(crate) async fn logout(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    answer(&provider, None, request).await
}

pub(crate) async fn logout_at_tenant(
    State(provider): State<Arc<Provider>>,
    Path(tenant): Path<String>,
    request: Request,
) -> Response {
    answer(&provider, Some(&tenant), request).await
}

async fn answer(provider: &Provider, tenant: Option<&str>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let form = if head.method == Method::POST {
        read_form(&head.headers, body).await.ok()
    } else {
        let form = Form::parse(head.uri.query().unwrap_or_default()).ok();
        form.filter(|form| !form.repeats_any_but(""))
    };
    let Some(form) = form else {
        return broken("The link cannot be read.");
    };
    let asked = match Asked::read(provider, tenant, &form) {
        Ok(asked) => asked,
        Err(text) => return broken(text),
    };
    let logins = asked.logins(provider, tenant, &head.headers);
    if let Some(login) = logins.first()
        && !asked.is_meant
    {
        let is_confirmed = head.method == Method::POST && form.value(CONFIRMED).is_some();
        if !is_confirmed {
            return confirm(&asked, login, &form);
        }
        if let Some(refused) = pages::refuse_foreign(provider, &head.headers) {
            return refused;
        }
    }
    for login in &logins {
        back_channel::end(provider, &login.sid).await;
    }
    let status = if head.method == Method::POST {
        StatusCode::SEE_OTHER
    } else {
        StatusCode::FOUND
    };
    match asked.target {
        Some(target) => {
            let members = provider.next_members(Target::LogoutAnswer);
            let state = form.value("state").map(|state| ("state", state));
            let parameters = members.parameters(state.into_iter().collect());
            redirect_to(status, &redirect::with_parameters(&target, parameters))
        }
        None => pages::notice(StatusCode::OK, "Signed out", "You are signed out here."),
    }
}

fn broken(text: &str) -> Response {
    pages::notice(StatusCode::BAD_REQUEST, "This link is broken", text)
}

fn confirm(asked: &Asked, login: &Login, form: &Form) -> Response {
    let names = ["client_id", "post_logout_redirect_uri", "state"];
    let fields = names.map(|name| Some((name, form.value(name)?)));
    let template = LogoutPage {
        email: &login.email,
        fields: fields.into_iter().flatten().collect(),
    };
    pages::page(StatusCode::OK, asked.client.as_ref(), &template)
}

/// What the application asks for.
struct Asked {
    client: Option<DevClient>,
    /// The session that the hint is of.
    sid: Option<String>,
    /// Whether nobody has to be asked: the hint says who is meant, or the form knows no question.
    is_meant: bool,
    /// Where the browser goes then, without the state.
    target: Option<String>,
}

impl Asked {
    fn read(provider: &Provider, tenant: Option<&str>, form: &Form) -> Result<Self, &'static str> {
        // One of a key that is gone is no hint, and an expired one is as good as another.
        let hint = form.value("id_token_hint");
        let hint = hint.and_then(|token| provider.keys.lock().claims(token));
        let text = |name: &str| Some(hint.as_ref()?[name].as_str()?.to_owned());
        let audience = text("aud");
        let named = form.value("client_id");
        if let (Some(named), Some(audience)) = (named, &audience)
            && named != audience
        {
            return Err("The hint is another application's.");
        }
        let client = match named.or(audience.as_deref()) {
            None => None,
            Some(id) => {
                let client = provider.clients.lock().get(id).cloned();
                Some(client.ok_or("The application is not known here.")?)
            }
        };
        let [standard, wristband] =
            ["post_logout_redirect_uri", "redirect_url"].map(|name| form.value(name));
        let target = match (standard, wristband) {
            (Some(_), Some(_)) => return Err("The link names two addresses to go to."),
            (target, None) | (None, target) => target,
        };
        if let Some(target) = target {
            let is_registered = client
                .as_ref()
                .is_some_and(|client| client.redirects_after_logout_to(target, tenant));
            if !is_registered {
                return Err("The application did not register the address to go to.");
            }
        }
        Ok(Self {
            client,
            is_meant: hint.is_some() || wristband.is_some(),
            sid: text("sid"),
            target: target.map(str::to_owned),
        })
    }

    /// Returns the sessions that end: that of the hint, else the browser's at the tenant, or all of the browser's.
    fn logins(&self, provider: &Provider, tenant: Option<&str>, headers: &HeaderMap) -> Vec<Login> {
        let logins = provider.logins.lock();
        if let Some(sid) = &self.sid {
            return logins.by_sid(sid).into_iter().collect();
        }
        let browser = logins::browser(headers);
        let of_browser = browser.map(|browser| logins.of_browser(&browser));
        let mut found = of_browser.unwrap_or_default();
        found.retain(|login| tenant.is_none_or(|tenant| tenant == login.tenant));
        found
    }
}
