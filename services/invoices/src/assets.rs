//! Files for pages. They are the same for everybody: no session is read for them.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;

pub(crate) const STYLE_PATH: &str = "/assets/style.css";
pub(crate) const SCRIPT_PATH: &str = "/assets/invoices.js";
pub(crate) const ICON_PATH: &str = "/assets/icon.svg";

pub(crate) async fn style() -> impl IntoResponse {
    file(
        "text/css; charset=utf-8",
        include_str!("../assets/style.css"),
    )
}

pub(crate) async fn script() -> impl IntoResponse {
    let script = include_str!("../assets/invoices.js");
    file("text/javascript; charset=utf-8", script)
}

pub(crate) async fn icon() -> impl IntoResponse {
    file("image/svg+xml", include_str!("../assets/icon.svg"))
}

/// How long a browser keeps it: a deployment is seen soon.
const CACHED: &str = "public, max-age=300";

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, CACHED),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}
