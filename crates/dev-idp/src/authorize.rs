//! The authorization endpoint: RFC 6749 section 4.1.1 with PKCE (RFC 7636), OpenID Connect Core 1.0 section 3.1.2,
//! the issuer in answers (RFC 9207).

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use clock::unix_seconds;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;

use crate::client::DevClient;
use crate::form::Form;
use crate::grants::{CodeBinding, Grant};
use crate::logins::{self, Login};
use crate::oauth_error::{NO_STORE, OAuthError};
use crate::pages;
use crate::provider::Provider;
use crate::pushed;
use crate::redirect;
use crate::requests::{AUTHORIZE_PATH, LOGIN_PATH, SIGN_IN_PATH};
use crate::tamper::Target;
use crate::token::{audience, scope};

/// A client that keeps more in its `state` should keep it somewhere else.
const MAX_STATE: usize = 512;

/// A request that may be answered with a code, once the person has signed in.
pub(crate) struct AuthorizationRequest {
    pub(crate) client: DevClient,
    pub(crate) login_hint: Option<String>,
    answer: Answer,
    nonce: Option<String>,
    scopes: Vec<String>,
    audience: Value,
    challenge: String,
    prompt: Option<Prompt>,
    max_age: Option<i64>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Prompt {
    None,
    Login,
}

/// Where the answer goes, and what every answer has.
struct Answer {
    redirect_uri: String,
    state: Option<String>,
    tenant: Option<String>,
}

/// Why a request is refused, and how.
pub(crate) enum Refusal {
    /// On a page: nobody knows where the browser might be sent.
    Page(&'static str),
    /// The browser is sent to this address.
    Redirect(String),
}

impl Refusal {
    pub(crate) fn into_response(self) -> Response {
        match self {
            Self::Page(text) => pages::notice(StatusCode::BAD_REQUEST, "This link is broken", text),
            Self::Redirect(location) => redirect_to(StatusCode::FOUND, &location),
        }
    }
}

pub(crate) async fn authorize(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    answer(&provider, None, &headers, &uri)
}

pub(crate) async fn authorize_at_tenant(
    State(provider): State<Arc<Provider>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    answer(&provider, Some(&tenant), &headers, &uri)
}

fn answer(provider: &Provider, tenant: Option<&str>, headers: &HeaderMap, uri: &Uri) -> Response {
    let asked = uri.query().unwrap_or_default();
    let query = match pushed::expand(provider, asked) {
        Ok(query) => query,
        Err(refusal) => return refusal.into_response(),
    };
    let request = match AuthorizationRequest::read(provider, tenant, &query) {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    if query == asked && provider.settings.lock().pushed_requests_required {
        let error = OAuthError::invalid_request("the request was not pushed");
        let refusal = Refusal::Redirect(request.answer.refused(provider, &error));
        return refusal.into_response();
    }
    let login = logins::browser(headers)
        .and_then(|browser| provider.logins.lock().find(&browser, tenant))
        .filter(|login| request.is_satisfied_by(provider, login));
    let location = match login {
        Some(login) => match request.approve(provider, &login) {
            Ok(location) => location,
            Err(Unspecified) => return pages::broken(),
        },
        None if request.prompt == Some(Prompt::None) => request
            .answer
            .refused(provider, &OAuthError::login_required()),
        None => match tenant {
            Some(tenant) => format!("/tenants/{tenant}{LOGIN_PATH}?{query}"),
            None => format!("{SIGN_IN_PATH}?{query}"),
        },
    };
    redirect_to(StatusCode::FOUND, &location)
}

/// Sends a browser somewhere, without telling where from.
pub(crate) fn redirect_to(status: StatusCode, location: &str) -> Response {
    let Ok(location) = http::HeaderValue::from_str(location) else {
        return pages::broken();
    };
    let headers = [(LOCATION, location)];
    let referrer = [(http::header::REFERRER_POLICY, "no-referrer")];
    (status, NO_STORE, referrer, headers).into_response()
}

impl AuthorizationRequest {
    /// Checks a request that is pushed, whose tenant is not known yet.
    pub(crate) fn check(provider: &Provider, query: &str) -> Result<(), OAuthError> {
        let malformed = |_| OAuthError::invalid_request("the request is malformed");
        let form = Form::parse(query).map_err(malformed)?;
        let client = form.value("client_id").and_then(|id| {
            let clients = provider.clients.lock();
            clients.get(id).cloned()
        });
        let client = client.ok_or_else(OAuthError::invalid_client)?;
        let redirect_uri = form.value("redirect_uri").unwrap_or_default();
        if !client.redirects_to(redirect_uri, None) {
            return Err(OAuthError::invalid_request(
                "redirect_uri is not registered",
            ));
        }
        Self::read_rest(provider, client, &form).map(drop)
    }

    /// Reads the query of an authorization request at `tenant`, whose name stands in the path.
    pub(crate) fn read(
        provider: &Provider,
        tenant: Option<&str>,
        query: &str,
    ) -> Result<Self, Refusal> {
        if let Some(tenant) = tenant
            && provider.people.lock().company(tenant).is_none()
        {
            return Err(Refusal::Page("There is no such tenant."));
        }
        let form = Form::parse(query).map_err(|_| Refusal::Page("The link cannot be read."))?;
        let client = form.value("client_id").and_then(|id| {
            let clients = provider.clients.lock();
            clients.get(id).cloned()
        });
        let client = client.ok_or(Refusal::Page("The application is not known here."))?;
        let redirect_uri = form
            .value("redirect_uri")
            .filter(|asked| client.redirects_to(asked, tenant));
        let Some(redirect_uri) = redirect_uri else {
            return Err(Refusal::Page(
                "The application did not register the address to come back to.",
            ));
        };
        let state = form.value("state");
        let answer = Answer {
            redirect_uri: redirect_uri.to_owned(),
            state: state
                .filter(|state| state.len() <= MAX_STATE)
                .map(str::to_owned),
            tenant: tenant.map(str::to_owned),
        };
        // A repeated client or redirect URI was taken by its first value, which is registered.
        match Self::read_rest(provider, client, &form) {
            Ok(build) => Ok(build(answer)),
            Err(error) => Err(Refusal::Redirect(answer.refused(provider, &error))),
        }
    }

    fn read_rest(
        provider: &Provider,
        client: DevClient,
        form: &Form,
    ) -> Result<impl FnOnce(Answer) -> Self, OAuthError> {
        let invalid = OAuthError::invalid_request;
        if form.repeats_any_but("resource") {
            return Err(invalid("a parameter is repeated"));
        }
        if form
            .value("state")
            .is_some_and(|state| state.len() > MAX_STATE)
        {
            return Err(invalid("state is longer than 512 bytes"));
        }
        if form.value("request").is_some() {
            return Err(OAuthError::request_not_supported());
        }
        match form.value("response_type") {
            Some("code") => {}
            Some(_) => return Err(OAuthError::unsupported_response_type()),
            None => return Err(invalid("response_type is missing")),
        }
        if form
            .value("response_mode")
            .is_some_and(|mode| mode != "query")
        {
            return Err(invalid("response_mode is not query"));
        }
        if form.value("code_challenge_method") != Some("S256") {
            return Err(invalid("code_challenge_method is not S256"));
        }
        let challenge = form
            .value("code_challenge")
            .filter(|text| is_challenge(text));
        let challenge = challenge.ok_or_else(|| {
            invalid("code_challenge is missing or no SHA-256 in base64url without padding")
        })?;
        let requested = form.value("scope").unwrap_or_default();
        if !requested.split(' ').any(|scope| scope == "openid") {
            return Err(OAuthError::invalid_scope("the scope lacks openid"));
        }
        let prompt = match form.value("prompt") {
            None => None,
            Some("none") => Some(Prompt::None),
            Some("login") => Some(Prompt::Login),
            Some(_) => return Err(invalid("prompt is neither none nor login")),
        };
        let max_age = form.value("max_age").map(|seconds| {
            let digits = seconds.bytes().all(|byte| byte.is_ascii_digit());
            let seconds = digits.then(|| seconds.parse().unwrap_or(i64::MAX));
            seconds.ok_or_else(|| invalid("max_age is no number of seconds"))
        });
        let max_age = max_age.transpose()?;
        let scopes = scope(&client, Some(requested))?;
        let audience = audience(provider, &client, form)?;
        let owned = |name| form.value(name).map(str::to_owned);
        let (nonce, login_hint) = (owned("nonce"), owned("login_hint"));
        let challenge = challenge.to_owned();
        Ok(move |answer| Self {
            client,
            login_hint,
            answer,
            nonce,
            scopes,
            audience,
            challenge,
            prompt,
            max_age,
        })
    }

    /// Tells whether a login answers the request without a page.
    fn is_satisfied_by(&self, provider: &Provider, login: &Login) -> bool {
        let age = unix_seconds(provider.clock.now()).saturating_sub(login.auth_time);
        let people = provider.people.lock();
        self.prompt != Some(Prompt::Login)
            && self.max_age.is_none_or(|max_age| age <= max_age)
            && people.member(&login.email, &login.tenant).is_some()
    }

    /// Issues a code and returns the address that takes it to the client.
    pub(crate) fn approve(
        &self,
        provider: &Provider,
        login: &Login,
    ) -> Result<String, Unspecified> {
        let grant = Grant {
            client_id: self.client.id().to_owned(),
            email: login.email.clone(),
            tenant: login.tenant.clone(),
            sid: login.sid.clone(),
            auth_time: login.auth_time,
            nonce: self.nonce.clone(),
            scopes: self.scopes.clone(),
            audience: self.audience.clone(),
        };
        let binding = CodeBinding {
            redirect_uri: self.answer.redirect_uri.clone(),
            challenge: self.challenge.clone(),
        };
        let now = unix_seconds(provider.clock.now());
        let code = provider.grants.lock().issue_code(grant, binding, now)?;
        provider.logins.lock().tell(&login.sid, self.client.id());
        tracing::debug!(
            oauth.client_id = self.client.id(),
            tenant = login.tenant,
            "issued a code"
        );
        Ok(self.answer.with(provider, vec![("code", &code)]))
    }
}

impl Answer {
    fn refused(&self, provider: &Provider, error: &OAuthError) -> String {
        let (code, description) = (error.code(), error.description());
        tracing::info!(
            oauth.error = code,
            reason = description,
            "refused an authorization request"
        );
        let parameters = vec![("error", code), ("error_description", description)];
        self.with(provider, parameters)
    }

    fn with<'a>(
        &'a self,
        provider: &'a Provider,
        mut parameters: Vec<(&'a str, &'a str)>,
    ) -> String {
        parameters.extend(self.state.as_deref().map(|state| ("state", state)));
        parameters.push(("iss", &provider.issuer));
        parameters.extend(self.tenant.as_deref().map(|tenant| ("tenant_name", tenant)));
        let members = provider.next_members(Target::Answer);
        redirect::with_parameters(&self.redirect_uri, members.parameters(parameters))
    }
}

/// Whether a text can be a challenge: 32 bytes in base64url (RFC 7636 section 4.2).
fn is_challenge(text: &str) -> bool {
    let of_base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    text.len() == 43 && text.bytes().all(of_base64url)
}

/// The address of the authorization endpoint below a tenant, or of all of them.
pub(crate) fn endpoint(provider: &Provider, tenant: &str) -> String {
    format!("{}/tenants/{tenant}{AUTHORIZE_PATH}", provider.base)
}
