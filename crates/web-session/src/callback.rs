//! A person comes back from the provider.

mod admission;

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::{StatusCode, header};
use idp_http::printable;
use tokio::time::{Instant, sleep};

use crate::answer::{self, Format, Notice};
use crate::cookies::{Cookies, LOGIN_LIFETIME, MAX_HANDLES, SessionSameSite};
use crate::counts::LoginOutcome;
use crate::csrf;
use crate::login_state::{self, LoginState};
use crate::random::Random;
use crate::return_address::ReturnAddress;
use crate::routes::{Visit, live, parameters, refuse_unless_navigation};
use crate::sessions::Inner;
use crate::store::{Key, Mark};
use crate::tenancy::Asked;

const MAX_QUERY: usize = 8 * 1024;
const MAX_CODE: usize = 2_048;
/// A browser that asks again in this time gets the session that the first request made.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_WAIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the provider sent with the person.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) code: Option<String>,
    pub(crate) iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    tenant_name: Option<String>,
    tenant_domain: Option<String>,
    custom_domain: Option<String>,
}

/// How a callback ends.
#[derive(Debug)]
pub(crate) enum End {
    /// There is a session under the handle of the login.
    SignedIn {
        /// Whether to look first whether the browser keeps the session cookie.
        check: bool,
    },
    /// Once more from the beginning.
    Restart,
    Refused(Notice, LoginOutcome),
}

impl End {
    pub(crate) fn failed(why: &str) -> Self {
        tracing::warn!("a login failed: {why}");
        Self::Refused(answer::LOGIN_FAILED, LoginOutcome::Failed)
    }
}

pub(crate) async fn get(inner: &Arc<Inner>, visit: Visit<'_>) -> Response {
    if let Some(refusal) = refuse_unless_navigation(visit.parts) {
        return refusal;
    }
    if inner.clock.is_unset() {
        return answer::CLOCK_UNSET.response(Format::Page);
    }
    let names = [
        "code",
        "state",
        "iss",
        "error",
        "error_description",
        "tenant_name",
        "tenant_domain",
        "tenant_custom_domain",
    ];
    let bad_request = || answer::BAD_REQUEST.response(Format::Page);
    let Some(found) = parameters(visit.parts, MAX_QUERY, names) else {
        return bad_request();
    };
    let [
        code,
        state,
        iss,
        error,
        error_description,
        tenant_name,
        tenant_domain,
        custom_domain,
    ] = found;
    let Some(state) = state else {
        return bad_request();
    };
    let Some(restarts) = login_state::restarts(&state) else {
        return bad_request();
    };
    let came = Came {
        code,
        iss,
        error,
        error_description,
        tenant_name,
        tenant_domain,
        custom_domain,
    };
    let cookies = Cookies::read(&visit.parts.headers);
    let Some((name, login)) = login_of(inner, &visit, &cookies, &state) else {
        return without_login(inner, &visit, &came, restarts, None).await;
    };
    let Some(handle) = login.handle() else {
        return without_login(inner, &visit, &came, restarts, None).await;
    };
    let before: Vec<Random> = {
        let session = inner.cookies.session_name();
        cookies
            .all(&session)
            .take(MAX_HANDLES)
            .filter_map(Random::parse)
            .collect()
    };
    let now = inner.clock.now();
    let used = Mark::Used(crate::digest(&[state.as_bytes()]));
    let first = inner.mark(&used, now, LOGIN_LIFETIME).await;
    let mut response = match first {
        Err(error) => {
            tracing::warn!("a login cannot go on: {error}");
            inner.counts.login(LoginOutcome::StoreAway);
            answer::STORE_AWAY.response(Format::Page)
        }
        Ok(Some(first)) if now.since(first) >= AGAIN => {
            return without_login(inner, &visit, &came, restarts, Some((&name, &login))).await;
        }
        Ok(Some(_)) => match appears(inner, &handle.key()).await {
            true => signed_in(inner, &visit, &login, &handle, false),
            false => {
                return without_login(inner, &visit, &came, restarts, Some((&name, &login))).await;
            }
        },
        Ok(None) => {
            // In a task of its own: a browser that goes away and comes back finds the session.
            let (owner, login_of_task, handle_of_task) =
                (Arc::clone(inner), login.clone(), handle.clone());
            let task = inner.tasks.spawn(async move {
                owner
                    .admit(&login_of_task, &came, handle_of_task, before)
                    .await
            });
            let end = task
                .await
                .unwrap_or(End::Refused(answer::DEFECT, LoginOutcome::Failed));
            finish(inner, &visit, &login, &handle, end, restarts)
        }
    };
    clear(inner, &mut response, &name);
    response
}

/// Finds the login that this `state` belongs to: its cookie is there, opens, and is of this host, this issuer and the
/// last hour.
fn login_of(
    inner: &Inner,
    visit: &Visit<'_>,
    cookies: &Cookies<'_>,
    state: &str,
) -> Option<(String, LoginState)> {
    let (name, value) = inner.cookies.login_cookie(cookies, state)?;
    let login: LoginState =
        login_state::open(value, &inner.login_sealer, name, &visit.origin.host)?;
    let is_ours = login.host == visit.origin.host
        && login.issuer == inner.provider.issuer()
        && inner.clock.now().since(login.begun) < LOGIN_LIFETIME
        && crate::is_equal(login.state.expose(), state);
    is_ours.then(|| (name.to_owned(), login))
}

/// Waits for the row that another request, perhaps on another replica, is making.
async fn appears(inner: &Inner, key: &Key) -> bool {
    let deadline = Instant::now() + AGAIN_WAIT;
    loop {
        if let Ok(Some(_)) = inner.load_row(key).await {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// The answer to a callback that belongs to no login of this browser's.
async fn without_login(
    inner: &Arc<Inner>,
    visit: &Visit<'_>,
    came: &Came,
    restarts: u8,
    used: Option<(&str, &LoginState)>,
) -> Response {
    let mut response = match live(inner, visit, Format::Page).await {
        Err(answer) => answer,
        Ok(Some(_)) => answer::redirect(StatusCode::SEE_OTHER, &visit.origin.with("/")),
        Ok(None) if restarts == 0 => {
            inner.counts.login(LoginOutcome::Restarted);
            match used {
                Some((_, login)) => restart_of(visit, login),
                None => {
                    let name = came
                        .tenant_name
                        .as_deref()
                        .or(came.tenant_domain.as_deref());
                    restart(visit, name, came.custom_domain.as_deref(), None)
                }
            }
        }
        Ok(None) => {
            inner.counts.login(LoginOutcome::Failed);
            answer::COOKIES_BLOCKED.response(Format::Page)
        }
    };
    if let Some((name, _)) = used {
        clear(inner, &mut response, name);
    }
    response
}

fn restart(
    visit: &Visit<'_>,
    name: Option<&str>,
    custom_domain: Option<&str>,
    return_url: Option<&str>,
) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let own = visit.label.is_some();
    for (parameter, value) in [
        (
            "tenant_name",
            name.filter(|it| !own && crate::TenantName::parse(it).is_ok()),
        ),
        ("tenant_custom_domain", custom_domain),
        ("return_url", return_url.filter(|it| *it != "/")),
    ] {
        if let Some(value) = value {
            query.append_pair(parameter, value);
        }
    }
    let query = query.append_pair("retry", "1").finish();
    answer::redirect(
        StatusCode::FOUND,
        &visit.origin.with(&format!("/api/auth/login?{query}")),
    )
}

/// Begins a login of ours once more.
fn restart_of(visit: &Visit<'_>, login: &LoginState) -> Response {
    let tenant = login.tenant();
    let name = tenant.name.as_ref().map(crate::TenantName::as_str);
    let domain = tenant
        .custom_domain
        .as_ref()
        .map(crate::CustomDomain::as_str);
    restart(visit, name, domain, Some(&login.return_address))
}

fn finish(
    inner: &Inner,
    visit: &Visit<'_>,
    login: &LoginState,
    handle: &Random,
    end: End,
    restarts: u8,
) -> Response {
    match end {
        End::SignedIn { check } => {
            inner.counts.login(LoginOutcome::SignedIn);
            signed_in(inner, visit, login, handle, check)
        }
        End::Restart if restarts == 0 => {
            inner.counts.login(LoginOutcome::Restarted);
            restart_of(visit, login)
        }
        End::Restart => {
            inner.counts.login(LoginOutcome::Failed);
            answer::LOGIN_FAILED.response(Format::Page)
        }
        End::Refused(notice, outcome) => {
            inner.counts.login(outcome);
            notice.response(Format::Page)
        }
    }
}

fn signed_in(
    inner: &Inner,
    visit: &Visit<'_>,
    login: &LoginState,
    handle: &Random,
    check: bool,
) -> Response {
    let Ok(token) = csrf::token(handle) else {
        return answer::DEFECT.response(Format::Page);
    };
    let address = ReturnAddress::parse(&login.return_address, &visit.origin);
    let to = match check {
        false => address.on(&visit.origin),
        true => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("check", "1")
                .append_pair("return_url", address.as_str())
                .finish();
            visit.origin.with(&format!("/api/auth/login?{query}"))
        }
    };
    let mut response = match inner.cookies.same_site {
        SessionSameSite::Lax => answer::redirect(StatusCode::SEE_OTHER, &to),
        SessionSameSite::Strict => answer::moving_page(&to),
    };
    let lifetime = inner.settings.lifetime;
    let headers = response.headers_mut();
    headers.append(
        header::SET_COOKIE,
        inner.cookies.set_session(handle, lifetime),
    );
    headers.append(header::SET_COOKIE, inner.cookies.set_csrf(&token, lifetime));
    let tenant = login
        .tenant()
        .name
        .filter(|_| !inner.public_url.per_tenant());
    if let Some(name) = tenant {
        headers.append(header::SET_COOKIE, inner.cookies.set_tenant(name.as_str()));
    }
    response
}

fn clear(inner: &Inner, response: &mut Response, name: &str) {
    let cleared = inner.cookies.clear(name);
    response.headers_mut().append(header::SET_COOKIE, cleared);
}

impl Came {
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            tenant_name: self.tenant_name.as_deref(),
            tenant_domain: self.tenant_domain.as_deref(),
            custom_domain: self.custom_domain.as_deref(),
            ..Asked::default()
        }
    }

    /// Returns the code, or how the callback ends without one.
    pub(crate) fn code(&self) -> Result<&str, End> {
        match (&self.error, self.code.as_deref()) {
            (Some(_), Some(_)) => Err(End::failed("both `error` and `code` came")),
            (None, None) => Err(End::failed("neither `error` nor `code` came")),
            (Some(error), None) => Err(self.refusal(error)),
            (None, Some(code)) => {
                let is_code = (1..=MAX_CODE).contains(&code.len())
                    && code.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
                match is_code {
                    true => Ok(code),
                    false => Err(End::failed(
                        "the code is not 1 to 2,048 printable characters",
                    )),
                }
            }
        }
    }

    fn refusal(&self, error: &str) -> End {
        let description = self.error_description.as_deref().unwrap_or_default();
        tracing::info!(
            "the provider ended a login: {} ({})",
            printable(error),
            printable(description)
        );
        match error {
            "login_required" | "interaction_required" => End::Restart,
            "access_denied" => End::Refused(answer::DENIED, LoginOutcome::Denied),
            error => {
                let notice = answer::LOGIN_FAILED.coded(code_of(error));
                End::Refused(notice, LoginOutcome::Failed)
            }
        }
    }
}

/// The codes of RFC 6749 section 4.1.2.1 and OpenID Connect Core 1.0 section 3.1.2.6; others are told to nobody.
fn code_of(error: &str) -> Option<&'static str> {
    const CODES: [&str; 12] = [
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "account_selection_required",
        "consent_required",
        "invalid_request_uri",
        "invalid_request_object",
        "request_not_supported",
        "request_uri_not_supported",
    ];
    CODES.into_iter().find(|code| *code == error)
}
