//! How explanations quote and list.

use std::time::Duration;

use idp_http::{printable, span};

use crate::key::KeyIdentity;

/// Cuts longer than any name an operator gives, shorter than a token.
const MAX_QUOTED: usize = 100;
const MAX_LISTED: usize = 8;

pub(super) fn quoted(text: &str) -> String {
    // This is `{"` in base64url: a token stands where a name belongs.
    if text.contains("eyJ") {
        return "a text that looks like a token".to_owned();
    }
    let mut shown = printable(text);
    let cut = if shown.len() > MAX_QUOTED {
        shown.truncate(MAX_QUOTED);
        "..."
    } else {
        ""
    };
    format!("\"{shown}{cut}\"")
}

pub(super) fn listed<'o>(texts: impl Iterator<Item = &'o str>) -> String {
    shortened(&texts.map(quoted).collect::<Vec<_>>())
}

pub(super) fn shortened(items: &[String]) -> String {
    let shown = items.iter().take(MAX_LISTED).map(String::as_str);
    let mut list = shown.collect::<Vec<_>>().join(" ");
    if list.is_empty() {
        list.push_str("none");
    }
    match items.len().checked_sub(MAX_LISTED) {
        Some(more @ 1..) => format!("{list} and {more} more"),
        _ => list,
    }
}

/// Says how `text` misses one of `ours`, if it is by little.
pub(super) fn near_miss<'o>(text: &str, mut ours: impl Iterator<Item = &'o str>) -> Option<String> {
    let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
    let ours = ours.find(|ours| bare(ours) == bare(text))?;
    let slash = text.ends_with('/') != ours.ends_with('/');
    let case = !text.trim_end_matches('/').eq(ours.trim_end_matches('/'));
    let how = match (slash, case) {
        (true, true) => "a trailing slash and letter case",
        (true, false) => "a trailing slash",
        (false, true) => "letter case",
        (false, false) => "trailing slashes",
    };
    Some(format!("differs from {} by {how}", quoted(ours)))
}

pub(super) fn named(key: &KeyIdentity) -> String {
    match &key.kid {
        Some(kid) => format!("{} ({})", quoted(kid), key.algorithm),
        None => format!("a key without id ({})", key.algorithm),
    }
}

pub(super) fn seconds(duration: Duration) -> String {
    span(duration.as_secs().try_into().unwrap_or(i64::MAX))
}
