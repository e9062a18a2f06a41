//! What all pages have in common. They need no scripts, and whoever may see them is told to no cache.

use std::net::IpAddr;

use askama::Template;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use crate::client::DevClient;
use crate::form::Form;
use crate::oauth_error::NO_STORE;
use crate::provider::Provider;
use crate::redirect;
use crate::token::read_form;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
}

/// Returns a page that says one thing.
pub(crate) fn notice(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, None, &Notice { title, text })
}

pub(crate) fn broken() -> Response {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    notice(
        status,
        "That did not work",
        "The provider has no randomness or no memory.",
    )
}

/// Returns a page whose form may lead to `client`, or to the provider alone.
pub(crate) fn page(
    status: StatusCode,
    client: Option<&DevClient>,
    template: &impl Template,
) -> Response {
    let Ok(html) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // Browsers apply `form-action` to what a form's answer redirects to as well.
    let sources = client.map(DevClient::csp_sources).unwrap_or_default();
    let sources: String = sources.iter().map(|source| format!(" {source}")).collect();
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{sources}; frame-ancestors 'none'; base-uri 'none'"
    );
    let Ok(policy) = HeaderValue::from_str(&policy) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // With `no-referrer`, the browser would say `Origin: null` for a page's own form.
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (status, NO_STORE, headers, html).into_response()
}

/// Returns the client that a page's query names.
pub(crate) fn client(provider: &Provider, query: Option<&str>) -> Option<DevClient> {
    let query = Form::parse(query.unwrap_or_default()).ok()?;
    let clients = provider.clients.lock();
    clients.get(query.value("client_id")?).cloned()
}

pub(crate) fn unknown_client() -> Response {
    let text = "The application is not known here.";
    notice(StatusCode::BAD_REQUEST, "This link is broken", text)
}

/// Returns the address of another page for a client's people.
pub(crate) fn link(path: &str, client: &DevClient) -> String {
    redirect::with_parameters(path, [("client_id", client.id())])
}

/// A form that a page of ours sent.
pub(crate) struct Submitted {
    pub(crate) client: DevClient,
    pub(crate) fields: Form,
}

/// Reads a form of a page whose query names a client.
pub(crate) async fn submitted(
    provider: &Provider,
    request: Request,
) -> Result<Submitted, Response> {
    let (head, body) = request.into_parts();
    if let Some(refused) = refuse_foreign(provider, &head.headers) {
        return Err(refused);
    }
    let client = client(provider, head.uri.query()).ok_or_else(unknown_client)?;
    let fields = read_form(&head.headers, body).await;
    let fields = fields.map_err(|_| unreadable())?;
    Ok(Submitted { client, fields })
}

pub(crate) fn unreadable() -> Response {
    let text = "The form cannot be read.";
    notice(StatusCode::BAD_REQUEST, "That did not work", text)
}

/// Returns the answer to a form that another site's page sent, if this one is.
///
/// Every browser sends `Origin` with a form. What sends neither header is no browser, and has no cookie of anybody.
pub(crate) fn refuse_foreign(provider: &Provider, headers: &HeaderMap) -> Option<Response> {
    let site = headers.get(FETCH_SITE);
    let own_site = site.is_none_or(|site| site == "same-origin");
    let origin = headers.get(ORIGIN);
    let own_origin = origin.is_none_or(|origin| is_own(provider, headers, origin));
    if own_site && own_origin {
        return None;
    }
    let text = "This form was sent by another site's page.";
    Some(notice(StatusCode::FORBIDDEN, "Refused", text))
}

/// Whether an origin is where this request went, under a name of loopback, or the issuer's.
fn is_own(provider: &Provider, headers: &HeaderMap, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let of_issuer = Url::parse(&provider.issuer).map(|url| url.origin().ascii_serialization());
    if of_issuer.is_ok_and(|issuer| issuer == origin) {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    is_loopback_host(headers) && host.is_some_and(|host| origin == format!("http://{host}"))
}

/// Whether a request was sent to a name of loopback. One that was made to resolve to loopback is none.
pub(crate) fn is_loopback_host(headers: &HeaderMap) -> bool {
    let authority = headers
        .get(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    })
}

/// The one stylesheet.
pub(crate) async fn style() -> Response {
    let kind = [(CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../templates/style.css")).into_response()
}
