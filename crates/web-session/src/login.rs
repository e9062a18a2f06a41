//! A login begins: the person is sent to the provider.

use std::sync::Arc;

use axum::response::Response;
use http::{StatusCode, header};

use crate::answer::{self, Format};
use crate::cookies::Cookies;
use crate::counts::LoginOutcome;
use crate::login_state::{Beginning, LoginState};
use crate::public_url::Origin;
use crate::return_address::ReturnAddress;
use crate::routes::{Visit, live, parameters, refuse_unless_navigation};
use crate::sessions::{Inner, Live};
use crate::state::Freshness;
use crate::tenancy::{Asked, Choice, LoginTenant};

const MAX_QUERY: usize = 8 * 1024;
const MAX_HINT: usize = 256;

pub(crate) async fn get(inner: &Arc<Inner>, visit: Visit<'_>) -> Response {
    if let Some(refusal) = refuse_unless_navigation(visit.parts) {
        return refusal;
    }
    if inner.clock.is_unset() {
        return answer::CLOCK_UNSET.response(Format::Page);
    }
    let names = [
        "tenant_name",
        "tenant_domain",
        "tenant_custom_domain",
        "return_url",
        "login_hint",
        "idp_hint",
        "iss",
        "target_link_uri",
        "retry",
        "check",
    ];
    let Some(found) = parameters(visit.parts, MAX_QUERY, names) else {
        return answer::BAD_REQUEST.response(Format::Page);
    };
    let [
        tenant_name,
        tenant_domain,
        custom_domain,
        return_url,
        login_hint,
        idp_hint,
        iss,
        target,
        retry,
        check,
    ] = found;
    if iss.is_some_and(|iss| iss != inner.provider.issuer()) {
        return answer::BAD_REQUEST.response(Format::Page);
    }
    let cookies = Cookies::read(&visit.parts.headers);
    let hint_name = inner.cookies.tenant_name();
    let asked = Asked {
        tenant_name: tenant_name.as_deref(),
        tenant_domain: tenant_domain.as_deref(),
        custom_domain: custom_domain.as_deref(),
        label: visit.label.as_ref(),
        hint: cookies
            .first(&hint_name)
            .filter(|_| !inner.public_url.per_tenant()),
    };
    let tenant = match inner.tenancy.choose(&asked) {
        Ok(Choice::At(tenant)) => tenant,
        Ok(Choice::AskAt(mut url)) => {
            url.query_pairs_mut()
                .append_pair("client_id", inner.provider.client_id());
            return answer::redirect(StatusCode::FOUND, url.as_str());
        }
        Ok(Choice::Unknown) => return answer::NO_TENANT.response(Format::Page),
        Err(_) => return answer::BAD_REQUEST.response(Format::Page),
    };
    if inner.public_url.per_tenant() && visit.label.is_none() {
        let Some(name) = &tenant.name else {
            return answer::NO_TENANT.response(Format::Page);
        };
        let query = visit
            .parts
            .uri
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        let there = inner
            .public_url
            .origin(Some(name))
            .with(&format!("/api/auth/login{query}"));
        return answer::redirect(StatusCode::FOUND, &there);
    }
    let return_url = return_url.or(target);
    let address = return_url.map_or_else(ReturnAddress::home, |it| {
        ReturnAddress::parse(&it, &visit.origin)
    });
    let session = match live(inner, &visit, Format::Page).await {
        Ok(session) => session,
        Err(answer) => return answer,
    };
    if check.as_deref() == Some("1") {
        return match session {
            Some(_) => answer::redirect(StatusCode::SEE_OTHER, &address.on(&visit.origin)),
            None => {
                inner.counts.login(LoginOutcome::Failed);
                answer::COOKIES_BLOCKED.response(Format::Page)
            }
        };
    }
    if session.is_some_and(|session| is_signed_in(inner, &session, &tenant)) {
        return answer::redirect(StatusCode::SEE_OTHER, &address.on(&visit.origin));
    }
    let hints = [("login_hint", login_hint), ("idp_hint", idp_hint)];
    let hints: Vec<(&str, String)> = hints
        .into_iter()
        .filter_map(|(name, value)| value.filter(|it| is_hint(it)).map(|value| (name, value)))
        .collect();
    let restarts = u8::from(retry.as_deref() == Some("1"));
    begin(
        inner,
        &visit.origin,
        &cookies,
        &tenant,
        &address,
        &hints,
        restarts,
    )
    .await
}

fn is_hint(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_HINT && !text.chars().any(char::is_control)
}

/// Tells whether another login would change nothing: the session is of this tenant, and its token is good or can be
/// made so.
fn is_signed_in(inner: &Inner, session: &Live, tenant: &LoginTenant) -> bool {
    let person = &session.state.person;
    let is_same = (tenant.name.is_none() || tenant.name == person.tenant_name)
        && (tenant.custom_domain.is_none() || tenant.custom_domain == person.custom_domain);
    let tokens = &session.state.tokens;
    let is_usable =
        tokens.refresh.is_some() || tokens.freshness(inner.clock.now()) < Freshness::Expired;
    is_same && is_usable
}

async fn begin(
    inner: &Arc<Inner>,
    origin: &Origin,
    cookies: &Cookies<'_>,
    tenant: &LoginTenant,
    address: &ReturnAddress,
    hints: &[(&str, String)],
    restarts: u8,
) -> Response {
    let begun = LoginState::begin(Beginning {
        restarts,
        redirect_uri: origin.with("/api/auth/callback"),
        issuer: inner.provider.issuer(),
        tenant,
        return_address: address.as_str(),
        host: &origin.host,
        now: inner.clock.now(),
    });
    let Ok(login) = begun else {
        tracing::error!("the system gives no random numbers");
        return answer::DEFECT.response(Format::Page);
    };
    let endpoints = match inner.provider.endpoints().await {
        Ok(endpoints) => endpoints,
        Err(error) => return away(inner, &error),
    };
    let challenge = login.challenge();
    let mut parameters = inner.provider.authorization_parameters();
    parameters.extend([
        ("redirect_uri", login.redirect_uri.as_str()),
        ("state", login.state.expose()),
        ("nonce", login.nonce.expose()),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    parameters.extend(hints.iter().map(|(name, value)| (*name, value.as_str())));
    let there = inner
        .provider
        .authorization_url(&endpoints, tenant, &parameters)
        .await;
    let there = match there {
        Ok(there) => there,
        Err(error) => return away(inner, &error),
    };
    let name = inner.cookies.login_name(login.begun, login.state.expose());
    let Some(value) = login.seal(&inner.login_sealer, &name) else {
        tracing::error!("the state of a login cannot be sealed, or is too long for a cookie");
        return answer::DEFECT.response(Format::Page);
    };
    let mut response = answer::redirect(StatusCode::FOUND, there.as_str());
    let headers = response.headers_mut();
    for evicted in inner.cookies.evicted_for(cookies, name.len() + value.len()) {
        headers.append(header::SET_COOKIE, inner.cookies.clear(&evicted));
    }
    headers.append(header::SET_COOKIE, inner.cookies.set_login(&name, &value));
    response
}

fn away(inner: &Inner, error: &crate::provider::ProviderError) -> Response {
    tracing::warn!("no login can begin: {error}");
    inner.counts.login(LoginOutcome::ProviderAway);
    let wait = error
        .retry_after
        .unwrap_or(std::time::Duration::from_secs(2));
    answer::PROVIDER_AWAY.after(wait).response(Format::Page)
}
