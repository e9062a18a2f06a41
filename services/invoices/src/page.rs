//! What all pages have, and pages about what went wrong.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use service_kit::problem::{DEFECT, ProblemDetails};
use web_session::store::Time;
use web_session::{CsrfToken, Session};

use crate::date::Date;

/// Who looks at a page: its head says so, and has the button that signs out.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) name: String,
    pub(crate) tenant: String,
    pub(crate) csrf: String,
    pub(crate) may_read: bool,
    pub(crate) may_write: bool,
    pub(crate) may_revoke: bool,
}

impl Visitor {
    fn new(session: &Session, csrf: &CsrfToken) -> Self {
        let name = session.display_name().or(session.email());
        Self {
            name: name.unwrap_or(session.user_id()).to_owned(),
            tenant: session.tenant_name().unwrap_or_default().to_owned(),
            csrf: csrf.as_str().to_owned(),
            may_read: session.has_permission("invoice:read"),
            may_write: session.has_permission("invoice:write"),
            may_revoke: session.has_permission("session:revoke"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let csrf = CsrfToken::from_request_parts(parts, state).await?;
        Ok(Self::new(&session, &csrf))
    }
}

/// The visitor of a page that everybody may see.
#[derive(Clone, Debug)]
pub(crate) struct MaybeVisitor(pub(crate) Option<Visitor>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeVisitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        if parts.extensions.get::<Session>().is_none() {
            return Ok(Self(None));
        }
        Ok(Self(Visitor::from_request_parts(parts, state).await.ok()))
    }
}

/// Returns a page. One that cannot be made is a defect of ours.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!("a page cannot be made: {error}");
            DEFECT.into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    status: StatusCode,
    title: &'static str,
    text: &'static str,
    link: Option<(&'static str, &'static str)>,
}

/// Returns the HTML of a page about what the sessions refuse.
pub(crate) fn of_sessions(notice: &web_session::Notice) -> String {
    let template = NoticePage {
        visitor: None,
        current: "",
        status: notice.status(),
        title: notice.title(),
        text: notice.text(),
        link: notice.link(),
    };
    template.render().unwrap_or_else(|error| {
        tracing::error!("a page cannot be made: {error}");
        String::new()
    })
}

/// What went wrong, and where to go from here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) link: (&'static str, &'static str),
}

const LIST: (&str, &str) = ("/invoices", "Go to the invoices");
const HOME: (&str, &str) = ("/", "Go to the start page");

pub(crate) const NOT_FOUND: Notice = Notice {
    status: StatusCode::NOT_FOUND,
    title: "Not found",
    text: "There is nothing at this address.",
    link: HOME,
};
pub(crate) const METHOD: Notice = Notice {
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "Method not allowed",
    text: "This address does not take this method.",
    link: HOME,
};
pub(crate) const NO_INVOICE: Notice = Notice {
    status: StatusCode::NOT_FOUND,
    title: "No such invoice",
    text: "There is no such invoice.",
    link: LIST,
};
pub(crate) const FINAL: Notice = Notice {
    status: StatusCode::CONFLICT,
    title: "This invoice is settled",
    text: "A paid or cancelled invoice cannot change any more.",
    link: LIST,
};
pub(crate) const FULL: Notice = Notice {
    status: StatusCode::CONFLICT,
    title: "No more invoices",
    text: "Your company has 1,000 invoices, which is as many as it may have.",
    link: LIST,
};
pub(crate) const NO_SESSION: Notice = Notice {
    status: StatusCode::NOT_FOUND,
    title: "No such session",
    text: "This session has ended already.",
    link: ("/account", "Go to your account"),
};
pub(crate) const NO_PERSON: Notice = Notice {
    status: StatusCode::NOT_FOUND,
    title: "No such person",
    text: "Nobody like that is signed in at your company.",
    link: ("/people", "Go to the people"),
};
pub(crate) const STORE_AWAY: Notice = Notice {
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Not available at present",
    text: "Sessions cannot be read at present. Please try again in a moment.",
    link: HOME,
};

impl Notice {
    /// Returns a page about it.
    pub(crate) fn page(self, visitor: Option<&Visitor>) -> Response {
        let template = NoticePage {
            visitor,
            current: "",
            status: self.status,
            title: self.title,
            text: self.text,
            link: Some(self.link),
        };
        let mut response = page(self.status, &template);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(axum::http::header::RETRY_AFTER, 1.into());
        }
        response
    }

    /// Returns a problem about it.
    pub(crate) fn problem(self) -> ProblemDetails {
        ProblemDetails::new(self.status, self.text)
    }

    fn answer(self, headers: &HeaderMap, visitor: Option<&Visitor>) -> Response {
        match is_navigation(headers) {
            true => self.page(visitor),
            false => self.problem().into_response(),
        }
    }
}

/// Tells whether a person goes to a page, as opposed to what a page loads (Fetch Metadata).
fn is_navigation(headers: &HeaderMap) -> bool {
    let is_absent_or = |name: &str, expected: &str| {
        headers
            .get(name)
            .is_none_or(|value| value.as_bytes() == expected.as_bytes())
    };
    is_absent_or("sec-fetch-mode", "navigate") && is_absent_or("sec-fetch-dest", "document")
}

pub(crate) async fn not_found(
    MaybeVisitor(visitor): MaybeVisitor,
    headers: HeaderMap,
    uri: axum::http::Uri,
) -> Response {
    if uri.path().starts_with("/api/") {
        return NOT_FOUND.problem().into_response();
    }
    NOT_FOUND.answer(&headers, visitor.as_ref())
}

pub(crate) async fn method_not_allowed(
    MaybeVisitor(visitor): MaybeVisitor,
    headers: HeaderMap,
) -> Response {
    METHOD.answer(&headers, visitor.as_ref())
}

/// A moment, for `<time>`.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) exact: String,
    pub(crate) in_words: String,
}

impl Moment {
    pub(crate) fn of(time: Time) -> Self {
        Self::at(time.unix_millis())
    }

    /// Takes milliseconds since 1970.
    pub(crate) fn at(millis: u64) -> Self {
        let exact = rfc3339(millis);
        let day = exact.get(..10).and_then(Date::parse);
        let in_words = match (day, exact.get(11..16)) {
            (Some(day), Some(clock)) => format!("{}, {clock} UTC", day.in_words()),
            _ => exact.clone(),
        };
        Self { exact, in_words }
    }
}

/// Returns the moment as RFC 3339 has it, to a second.
pub(crate) fn rfc3339(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1_000).unwrap_or(i64::MAX);
    // Years of five digits cannot be written, and come from nowhere.
    idp_http::calendar(seconds).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_words() {
        let moment = Moment::at(1_796_040_000_999);
        assert_eq!(moment.exact, "2026-11-30T12:00:00Z");
        assert_eq!(moment.in_words, "30 Nov 2026, 12:00 UTC");
        assert_eq!(Moment::at(u64::MAX).exact, "1970-01-01T00:00:00Z");
    }

    #[test]
    fn what_a_page_loads_gets_no_page() {
        for (mode, dest, expected) in [
            (None, None, true),
            (Some("navigate"), Some("document"), true),
            (Some("navigate"), Some("iframe"), false),
            (Some("cors"), Some("empty"), false),
            (Some("no-cors"), Some("image"), false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-mode", mode), ("sec-fetch-dest", dest)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_navigation(&headers), expected, "{mode:?} {dest:?}");
        }
    }
}
