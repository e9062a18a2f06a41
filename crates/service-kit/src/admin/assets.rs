//! The page, and the headers that keep it to itself.

use aws_lc_rs::digest::{SHA256, digest};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page in one piece and the policy that fits it.
pub(super) struct Assets {
    page: String,
    policy: Option<HeaderValue>,
}

impl Assets {
    pub(super) fn new() -> Self {
        let page = FRAME
            .replace("/*style*/", STYLE)
            .replace("/*script*/", SCRIPT);
        // Only these very bytes run; a character that slips into the page from elsewhere does not.
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE)
        );
        Self {
            page,
            policy: HeaderValue::try_from(policy).ok(),
        }
    }

    pub(super) fn page(&self) -> Response {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        ([(CONTENT_TYPE, html)], self.page.clone()).into_response()
    }

    pub(super) fn with_headers(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.extend(self.policy.clone().map(|it| (CONTENT_SECURITY_POLICY, it)));
        for (name, value) in [
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "no-referrer"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The source expression of Content Security Policy Level 3 section 2.3.1.
fn hash(text: &str) -> String {
    STANDARD.encode(digest(&SHA256, text.as_bytes()))
}
