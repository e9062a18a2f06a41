//! Sessions end: by their person, and by the provider.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio::time::timeout;

use crate::answer::{self, Format};
use crate::cookies::{Cookies, LOGOUT_LIFETIME};
use crate::counts::EndReason;
use crate::csrf;
use crate::guard::format_of;
use crate::login_state::{self, LogoutState};
use crate::provider::{LoggedOut, Logout, read_logout_token};
use crate::random::Random;
use crate::routes::{Visit, body_of, live, parameters};
use crate::sessions::{Inner, Live};
use crate::state::Token;
use crate::store::{Index, Mark};

/// How long the answer waits for the provider to take the refresh token back.
const REVOCATION_WAIT: Duration = Duration::from_secs(1);
const MAX_URL: usize = 4_000;
const MAX_LOGOUT_TOKEN: usize = 16 * 1024;
/// A known `jti` has no effect for as long as its token could be taken.
const JTI_LIFETIME: Duration = Duration::from_secs(3_600);

/// The page with the button, and the origin that its form leads to in the end, for its policy.
pub(crate) async fn page(inner: &Arc<Inner>, visit: Visit<'_>) -> (Response, Option<String>) {
    let live = match live(inner, &visit, format_of(visit.parts)).await {
        Err(answer) => return (answer, None),
        Ok(None) => {
            let home = visit.origin.with("/");
            return (answer::redirect(StatusCode::SEE_OTHER, &home), None);
        }
        Ok(Some(live)) => live,
    };
    match csrf::token(&live.handle) {
        Ok(token) => {
            let origin = inner.provider.logout_origin(&live.state.person.tenant());
            (answer::logout_page(&token), origin)
        }
        Err(_) => (answer::DEFECT.response(Format::Page), None),
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    accept.is_some_and(|accept| accept.starts_with(b"application/json"))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedirectDocument<'a> {
    redirect_url: &'a str,
}

pub(crate) async fn post(inner: &Arc<Inner>, visit: Visit<'_>, body: Body) -> Response {
    let is_json = wants_json(&visit.parts.headers);
    let format = if is_json {
        Format::Problem
    } else {
        format_of(visit.parts)
    };
    let live = match live(inner, &visit, format).await {
        Err(answer) => return answer,
        Ok(None) => {
            return match is_json {
                true => answer::json(StatusCode::OK, &RedirectDocument { redirect_url: "/" }),
                false => answer::redirect(StatusCode::SEE_OTHER, &visit.origin.with("/")),
            };
        }
        Ok(Some(live)) => live,
    };
    let body = match inner
        .check_csrf(visit.parts, &visit.origin, &live, body)
        .await
    {
        Ok(body) => body,
        Err(answer) => return answer.response(format),
    };
    let fields = match body_of(body, crate::guard::MAX_FORM).await {
        Ok(fields) => fields,
        Err(answer) => return answer,
    };
    let is_everywhere = csrf::is_form(&visit.parts.headers)
        && url::form_urlencoded::parse(&fields)
            .any(|(name, value)| name == "everywhere" && value == "true");
    if let Err(error) = end(inner, &live, is_everywhere).await {
        tracing::warn!("a session cannot be ended: {error}");
        return answer::STORE_AWAY.response(format);
    }
    let cookies = Cookies::read(&visit.parts.headers);
    // Known from memory; a provider that is away is not waited for.
    let logout = timeout(Duration::from_millis(150), inner.provider.endpoints()).await;
    let logout = logout
        .ok()
        .and_then(Result::ok)
        .and_then(|it| it.logout.clone());
    let there = logout.and_then(|logout| logout_url(inner, &visit, &live, &logout, is_json));
    let (to, cookie) = match there {
        Some((url, cookie)) => (url, Some(cookie)),
        None => (visit.origin.with("/"), None),
    };
    let mut response = match is_json {
        true => {
            let redirect_url = if cookie.is_some() { to.as_str() } else { "/" };
            answer::json(StatusCode::OK, &RedirectDocument { redirect_url })
        }
        false => answer::redirect(StatusCode::SEE_OTHER, &to),
    };
    let headers = response.headers_mut();
    let mut gone = vec![inner.cookies.session_name(), inner.cookies.csrf_name()];
    gone.extend(inner.cookies.login_names(&cookies));
    for name in gone {
        headers.append(header::SET_COOKIE, inner.cookies.clear(&name));
    }
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// Ends the session, or all of the person's, and waits a moment for the provider to take the refresh token back.
async fn end(
    inner: &Arc<Inner>,
    live: &Live,
    is_everywhere: bool,
) -> Result<(), crate::store::StoreError> {
    if is_everywhere {
        inner
            .end_all(&live.row.subject, EndReason::Everywhere)
            .await?;
        return Ok(());
    }
    if let Some(revoked) = inner.end_and_revoke(&live.key, EndReason::Logout).await? {
        let _ = timeout(REVOCATION_WAIT, revoked).await;
    }
    Ok(())
}

/// Returns where the provider ends its own session, and the cookie for the way back.
fn logout_url(
    inner: &Inner,
    visit: &Visit<'_>,
    live: &Live,
    logout: &Logout,
    is_json: bool,
) -> Option<(String, HeaderValue)> {
    let state = Random::new().ok()?;
    let name = inner.cookies.logout_name();
    let sealed = LogoutState {
        state: Token::new(&state.text()),
        begun: inner.clock.now(),
    };
    let cookie = login_state::seal(&sealed, &inner.logout_sealer, &name, &visit.origin.host)?;
    let back = visit.origin.with("/api/auth/logged-out");
    let base = logout.url(&live.state.person.tenant())?;
    let with = |hint: Option<&Token>| {
        let mut url = base.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", inner.provider.client_id());
        match logout {
            Logout::OpenIdConnect(_) => {
                if let Some(hint) = hint {
                    query.append_pair("id_token_hint", hint.expose());
                }
                query.append_pair("post_logout_redirect_uri", &back)
            }
            Logout::RedirectUrl(_) => query.append_pair("redirect_url", &back),
        };
        query.append_pair("state", &state.text());
        drop(query);
        String::from(url)
    };
    // Scripts read the JSON: no token is in it.
    let hint = live.state.id_token.as_ref().filter(|_| !is_json);
    let url = Some(with(hint))
        .filter(|url| url.len() <= MAX_URL)
        .unwrap_or_else(|| with(None));
    Some((url, inner.cookies.set_logout(&cookie)))
}

pub(crate) fn logged_out(inner: &Inner, visit: &Visit<'_>) -> Response {
    let cookies = Cookies::read(&visit.parts.headers);
    let name = inner.cookies.logout_name();
    let read = |value| {
        login_state::open::<LogoutState>(value, &inner.logout_sealer, &name, &visit.origin.host)
    };
    let known = cookies.first(&name).and_then(read);
    let is_recent = |known: &LogoutState| inner.clock.now().since(known.begun) < LOGOUT_LIFETIME;
    let sent = parameters(visit.parts, 8 * 1024, ["state"]).and_then(|[state]| state);
    let is_ours = match (known.filter(is_recent), sent) {
        (Some(known), Some(sent)) => crate::is_equal(known.state.expose(), &sent),
        _ => false,
    };
    let mut response = match is_ours {
        true => answer::redirect(StatusCode::SEE_OTHER, &visit.origin.with("/")),
        false => return answer::LOGGED_OUT_ELSEWHERE.response(Format::Page),
    };
    response
        .headers_mut()
        .append(header::SET_COOKIE, inner.cookies.clear(&name));
    response
}

/// OpenID Connect Back-Channel Logout 1.0 section 2.5: the provider ends sessions.
pub(crate) async fn backchannel(inner: &Arc<Inner>, visit: Visit<'_>, body: Body) -> Response {
    let invalid = |why: &str| {
        tracing::warn!("a logout token is refused: {why}");
        let members = std::collections::BTreeMap::from([("error", "invalid_request")]);
        answer::json(StatusCode::BAD_REQUEST, &members)
    };
    if !csrf::is_form(&visit.parts.headers) {
        return invalid("the body is no form");
    }
    // The token, its name, and what percent-encoding can make of it.
    let fields = match body_of(body, MAX_LOGOUT_TOKEN + 256).await {
        Ok(fields) => fields,
        Err(answer) => return answer,
    };
    let mut tokens =
        url::form_urlencoded::parse(&fields).filter(|(name, _)| name == "logout_token");
    let (Some((_, token)), None) = (tokens.next(), tokens.next()) else {
        return invalid("there is no `logout_token`, or more than one");
    };
    let claims = match inner.provider.logout_tokens().validate(&token).await {
        Ok(claims) => claims,
        Err(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => {
            let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
            tracing::warn!("a logout token cannot be checked: {error}");
            return answer::PROVIDER_AWAY.after(wait).response(Format::Problem);
        }
        Err(error) => return invalid(&error.to_string()),
    };
    let index = match read_logout_token(&claims) {
        Ok(LoggedOut::Session(sid)) => Index::of_session(claims.issuer(), &sid),
        Ok(LoggedOut::Person(subject)) => Index::of_subject(claims.issuer(), &subject),
        Err(why) => return invalid(why),
    };
    let issuer = claims.issuer();
    let known = Mark::Used(crate::digest(&[
        b"jti",
        issuer.as_bytes(),
        claims.id().unwrap_or_default().as_bytes(),
    ]));
    let away = |error: &crate::store::StoreError| {
        tracing::warn!("a logout token has no effect yet: {error}");
        answer::STORE_AWAY.response(Format::Problem)
    };
    match inner.marked(&known).await {
        Ok(Some(_)) => return answer::empty(StatusCode::OK),
        Ok(None) => {}
        Err(error) => return away(&error),
    }
    match inner.end_all(&index, EndReason::BackChannel).await {
        Ok(count) => tracing::info!(count, "sessions ended by the provider"),
        Err(error) => return away(&error),
    }
    // Last: a token whose effect is not whole is taken again.
    match inner.mark(&known, inner.clock.now(), JTI_LIFETIME).await {
        Ok(_) => answer::empty(StatusCode::OK),
        Err(error) => away(&error),
    }
}
