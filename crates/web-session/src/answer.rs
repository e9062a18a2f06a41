//! What a browser or a client of an API is told. Texts are fixed: nothing of a query, a token or the provider is in
//! them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use idp_http::whole_seconds;

use crate::sessions::Inner;

/// In what an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Page,
    Problem,
}

/// A refusal or a failure, in words for a person, for pages of the application's own look
/// ([`WebSessionsBuilder::notice_page`](crate::WebSessionsBuilder::notice_page)). All texts are fixed and have no markup.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
    link: Option<(&'static str, &'static str)>,
    retry_after: Option<Duration>,
    /// `code` of a problem.
    code: Option<&'static str>,
}

/// Makes the HTML of a page about a notice.
pub(crate) type NoticePage = Arc<dyn Fn(&Notice) -> String + Send + Sync>;

const LOGIN: (&str, &str) = ("/api/auth/login", "Sign in");
const HOME: (&str, &str) = ("/", "Go to the start page");

impl Notice {
    const fn new(status: StatusCode, title: &'static str, text: &'static str) -> Self {
        Self {
            status,
            title,
            text,
            link: None,
            retry_after: None,
            code: None,
        }
    }

    /// Returns the status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns what happened, in a few words.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Returns what happened, in one or two sentences.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Returns where to go from here, as a path, and what the link says.
    #[must_use]
    pub fn link(&self) -> Option<(&'static str, &'static str)> {
        self.link
    }

    const fn linking(mut self, link: (&'static str, &'static str)) -> Self {
        self.link = Some(link);
        self
    }

    pub(crate) const fn coded(mut self, code: Option<&'static str>) -> Self {
        self.code = code;
        self
    }

    pub(crate) const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn response(&self, format: Format) -> Response {
        let mut response = match format {
            Format::Page => page(self),
            Format::Problem => problem(self),
        };
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(whole_seconds(wait));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

pub(crate) const SIGN_IN: Notice = Notice::new(
    StatusCode::UNAUTHORIZED,
    "Please sign in",
    "You are not signed in, or your session has ended.",
)
.linking(LOGIN);
pub(crate) const NO_PERMISSION: Notice = Notice::new(
    StatusCode::FORBIDDEN,
    "Not allowed",
    "Your role does not permit this.",
)
.linking(HOME);
pub(crate) const CSRF: Notice = Notice::new(
    StatusCode::FORBIDDEN,
    "This form is out of date",
    "This form is out of date, reload the page it came from.",
)
.linking(HOME);
pub(crate) const FOREIGN_HOST: Notice = Notice::new(
    StatusCode::MISDIRECTED_REQUEST,
    "Wrong address",
    "This host name is not served here.",
);
pub(crate) const TWO_HOSTS: Notice = Notice::new(
    StatusCode::BAD_REQUEST,
    "Bad request",
    "The request names more than one host.",
);
pub(crate) const TWO_SESSIONS: Notice = Notice::new(
    StatusCode::BAD_REQUEST,
    "Two sessions",
    "The browser sent two sessions. Delete the cookies of this site and sign in again.",
);
pub(crate) const BAD_REQUEST: Notice = Notice::new(
    StatusCode::BAD_REQUEST,
    "Bad request",
    "A parameter of this address is malformed or repeated.",
)
.linking(HOME);
pub(crate) const NO_TENANT: Notice = Notice::new(
    StatusCode::BAD_REQUEST,
    "Which tenant?",
    "Add tenant_name to the address, so that it is known where you sign in.",
);
pub(crate) const NOT_A_NAVIGATION: Notice = Notice::new(
    StatusCode::FORBIDDEN,
    "Not a page",
    "This address is for people who go to it, not for scripts, images and frames.",
);
pub(crate) const PREFETCH: Notice = Notice::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "Not in advance",
    "This address is not loaded in advance.",
)
.after(Duration::from_secs(1));
pub(crate) const METHOD: Notice = Notice::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "Method not allowed",
    "This address does not take this method.",
);
pub(crate) const NOT_FOUND: Notice = Notice::new(
    StatusCode::NOT_FOUND,
    "Not found",
    "There is nothing at this address.",
);
pub(crate) const TOO_LARGE: Notice = Notice::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "Too large",
    "The request is too large, or was not sent whole.",
);
pub(crate) const COOKIES_BLOCKED: Notice = Notice::new(
    StatusCode::BAD_REQUEST,
    "Signing in did not work",
    "Cookies seem to be blocked, or this sign-in began elsewhere. Allow cookies for this site, and begin again.",
)
.linking(LOGIN);
pub(crate) const LOGIN_FAILED: Notice = Notice::new(
    StatusCode::BAD_REQUEST,
    "Signing in did not work",
    "The answer of the sign-in service could not be used. Please begin again.",
)
.linking(LOGIN);
pub(crate) const DENIED: Notice = Notice::new(
    StatusCode::FORBIDDEN,
    "Access denied",
    "The sign-in service did not grant access.",
)
.linking(LOGIN);
pub(crate) const PROVIDER_REFUSES: Notice = Notice::new(
    StatusCode::BAD_GATEWAY,
    "Signing in does not work at present",
    "The sign-in service refused our request, or answered what cannot be used. The log of this service says more.",
)
.linking(LOGIN);
pub(crate) const PROVIDER_AWAY: Notice = Notice::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "The sign-in service cannot be reached",
    "Please try again in a moment.",
)
.linking(LOGIN)
.after(Duration::from_secs(2));
pub(crate) const STORE_AWAY: Notice = Notice::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "Not available at present",
    "Sessions cannot be read at present. Please try again in a moment.",
)
.after(Duration::from_secs(1));
pub(crate) const STORE_FULL: Notice = Notice::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "Too many people are signed in",
    "No further session can be made at present. Please try again later.",
)
.after(Duration::from_secs(30));
pub(crate) const CLOCK_UNSET: Notice = Notice::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "Not available at present",
    "The clock of this service is not set.",
)
.after(Duration::from_secs(30));
pub(crate) const NO_USER_TOKEN: Notice = Notice::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "The sign-in service cannot be reached",
    "Your access cannot be renewed at present. You are still signed in; please try again in a moment.",
)
.after(Duration::from_secs(1));
pub(crate) const DEFECT: Notice = Notice::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "Something went wrong",
    "The service failed. Its log says more.",
);
pub(crate) const LOGGED_OUT_ELSEWHERE: Notice = Notice::new(
    StatusCode::BAD_REQUEST,
    "You are signed out",
    "This answer belongs to no sign-out of this browser. Your session here has ended already if you ended it.",
)
.linking(HOME);

/// The style of our few pages.
pub(crate) const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto 0;padding:0 1.5rem;\
color:#1c2024;background:#fff}h1{font-size:1.5rem}a,button{font:inherit;color:#0b5cad}button{padding:.5rem 1rem;\
border:1px solid currentColor;border-radius:.4rem;background:none;cursor:pointer}@media(prefers-color-scheme:dark)\
{body{color:#e8eaed;background:#15181c}a,button{color:#8ab8ff}}";

fn document(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\">{head}<title>{title}</title><link rel=\"stylesheet\" \
         href=\"/api/auth/style.css\"></head><body><main>\
         <h1>{title}</h1>{body}</main></body></html>"
    )
}

fn page(notice: &Notice) -> Response {
    let link = notice.link.map_or_else(String::new, |(to, text)| {
        format!("<p><a href=\"{to}\">{text}</a></p>")
    });
    let body = format!("<p>{}</p>{link}", notice.text);
    let mut response = html(notice.status, document(notice.title, "", &body));
    response.extensions_mut().insert(*notice);
    response
}

/// A page with one button that ends the session.
pub(crate) fn logout_page(csrf_token: &str) -> Response {
    let body = format!(
        "<form method=\"post\" action=\"/api/auth/logout\"><input type=\"hidden\" name=\"{}\" \
         value=\"{csrf_token}\"><button>Sign out</button></form>",
        crate::csrf::FIELD
    );
    html(StatusCode::OK, document("Sign out?", "", &body))
}

/// A page that moves on at once, so that the next request comes from our own site.
pub(crate) fn moving_page(to: &str) -> Response {
    let to = to
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={to}\">");
    let body = format!("<p><a href=\"{to}\">Go on</a></p>");
    html(StatusCode::OK, document("One moment", &head, &body))
}

fn html(status: StatusCode, text: String) -> Response {
    with(status, "text/html; charset=utf-8", text.into())
}

fn problem(notice: &Notice) -> Response {
    #[derive(serde::Serialize)]
    struct Members {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        detail: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'static str>,
    }
    let members = Members {
        r#type: "about:blank",
        title: notice.status.canonical_reason().unwrap_or("Unknown"),
        status: notice.status.as_u16(),
        detail: notice.text,
        code: notice.code,
    };
    json_of(notice.status, "application/problem+json", &members)
}

pub(crate) fn json(status: StatusCode, members: &impl serde::Serialize) -> Response {
    json_of(status, "application/json", members)
}

fn json_of(status: StatusCode, kind: &'static str, members: &impl serde::Serialize) -> Response {
    // Texts and numbers always serialize; an empty body is the honest answer otherwise.
    let body = serde_json::to_vec(members).unwrap_or_default();
    with(status, kind, body.into())
}

fn with(status: StatusCode, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A redirect. An address that no header can carry is a defect of ours.
pub(crate) fn redirect(status: StatusCode, to: &str) -> Response {
    let Ok(mut location) = HeaderValue::from_str(to) else {
        return DEFECT.response(Format::Page);
    };
    // It may have a state, or a token that the provider takes as a hint.
    location.set_sensitive(true);
    let mut response = empty(status);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

impl Inner {
    /// Gives an answer the application's look, if it is a notice, and what keeps it from being kept, framed, sniffed
    /// or told about.
    pub(crate) fn finish(
        &self,
        response: &mut Response,
        referrer: &'static str,
        logout_origin: Option<&str>,
    ) {
        let notice = response.extensions_mut().remove::<Notice>();
        if let (Some(notice), Some(page)) = (notice, &self.notice_page) {
            *response.body_mut() = page(&notice).into();
        }
        protect(response, referrer, logout_origin);
    }
}

fn protect(response: &mut Response, referrer: &'static str, logout_origin: Option<&str>) {
    const FIXED: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (header::VARY, "Cookie"),
    ];
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        let value = HeaderValue::from_static(value);
        match name == header::VARY {
            true => drop(headers.append(name, value)),
            false => drop(headers.insert(name, value)),
        }
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static(referrer));
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_html = kind.is_some_and(|kind| kind.starts_with(b"text/html"));
    if is_html && !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let logout = logout_origin.map_or_else(String::new, |origin| format!(" {origin}"));
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'{logout}; frame-ancestors 'none'; base-uri 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}
