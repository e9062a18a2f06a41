//! What a browser says about why it asks (Fetch Metadata Request Headers, and `Sec-Purpose`).

use http::HeaderMap;

/// Why a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A person goes to a page, or a client that says nothing.
    Navigation,
    /// Nobody asked for it yet.
    Prefetch,
    /// A script, an image, a frame.
    Other,
}

/// Whose page made the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// Ours, or the address bar.
    Own,
    /// Another one, a sibling of the same site included.
    Other,
    /// The client does not say.
    Unsaid,
}

pub(crate) fn purpose(headers: &HeaderMap) -> Purpose {
    let says = |name: &str, what: &[&str]| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            let value = String::from_utf8_lossy(&value);
            what.iter().any(|one| value.contains(one))
        })
    };
    const EARLY: [&str; 2] = ["prefetch", "prerender"];
    if says("sec-purpose", &EARLY) || says("purpose", &EARLY) || says("x-moz", &EARLY) {
        return Purpose::Prefetch;
    }
    if is_absent_or(headers, "sec-fetch-mode", "navigate")
        && is_absent_or(headers, "sec-fetch-dest", "document")
    {
        Purpose::Navigation
    } else {
        Purpose::Other
    }
}

pub(crate) fn site(headers: &HeaderMap) -> Site {
    let mut values = headers.get_all("sec-fetch-site").iter();
    match (
        values.next().map(http::HeaderValue::as_bytes),
        values.next(),
    ) {
        (None, _) => Site::Unsaid,
        (Some(b"same-origin" | b"none"), None) => Site::Own,
        _ => Site::Other,
    }
}

/// Tells whether the page that the browser was on is of another site.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|value| value == "cross-site")
}

fn is_absent_or(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get_all(name).iter().all(|one| one == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        pairs
            .iter()
            .map(pair)
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    /// K9
    #[test]
    fn a_navigation_is_told_from_a_prefetch_and_from_what_a_page_loads() {
        for (pairs, expected) in [
            (&[][..], Purpose::Navigation),
            (
                &[
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                Purpose::Navigation,
            ),
            (
                &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
                Purpose::Other,
            ),
            (
                &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
                Purpose::Other,
            ),
            (
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
                Purpose::Other,
            ),
            (&[("sec-fetch-dest", "script")], Purpose::Other),
            (&[("sec-purpose", "prefetch")], Purpose::Prefetch),
            (
                &[
                    ("sec-purpose", "prefetch;prerender"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                Purpose::Prefetch,
            ),
            (&[("purpose", "Prefetch")], Purpose::Prefetch),
        ] {
            assert_eq!(purpose(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    /// K99
    #[test]
    fn only_our_own_pages_and_the_address_bar_are_ours() {
        for (value, expected) in [
            ("same-origin", Site::Own),
            ("none", Site::Own),
            ("same-site", Site::Other),
            ("cross-site", Site::Other),
            ("Same-Origin", Site::Other),
            ("", Site::Other),
        ] {
            assert_eq!(
                site(&headers(&[("sec-fetch-site", value)])),
                expected,
                "{value}"
            );
        }
        assert_eq!(site(&HeaderMap::new()), Site::Unsaid);
    }
}
