//! Whether a request that changes something comes from a page of ours.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::{HeaderMap, Method, header};

use crate::counts::CsrfRefusal;
use crate::fetch_metadata::{Site, site};
use crate::public_url::Origin;
use crate::random::{self, NoRandom, Random};

/// The field of a form.
pub(crate) const FIELD: &str = "csrf_token";
const HEADERS: [&str; 2] = ["x-csrf-token", "x-csrftoken"];

/// Returns a token that is good for the session with this handle, and differs from call to call: compressed
/// answers then tell nothing about it.
pub(crate) fn token(handle: &Random) -> Result<String, NoRandom> {
    let mut token = [0; 64];
    let mask: [u8; 32] = random::bytes()?;
    let tag = tag(handle);
    token[..32].copy_from_slice(&mask);
    for (at, byte) in token[32..].iter_mut().enumerate() {
        *byte = mask[at] ^ tag.as_ref()[at];
    }
    Ok(BASE64.encode(token))
}

/// Tells whether a token is good for the session with this handle.
pub(crate) fn is_valid(handle: &Random, token: &str) -> bool {
    let mut bytes = [0; 64];
    if token.len() != 86 || BASE64.decode_slice(token, &mut bytes) != Ok(64) {
        return false;
    }
    let (mask, masked) = bytes.split_at(32);
    let mut sent = [0; 32];
    for (at, byte) in sent.iter_mut().enumerate() {
        *byte = mask[at] ^ masked[at];
    }
    verify_slices_are_equal(&sent, tag(handle).as_ref()).is_ok()
}

fn tag(handle: &Random) -> hmac::Tag {
    // The handle is the key, so that the rotation of a secret does not touch open forms.
    let key = hmac::Key::new(hmac::HMAC_SHA256, handle.bytes());
    hmac::sign(&key, b"csrf")
}

pub(crate) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Checks what the browser says about the page that the request comes from.
pub(crate) fn check_origin(
    headers: &HeaderMap,
    own: &Origin,
    trusted: &[String],
) -> Result<(), CsrfRefusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next();
    if origins.next().is_some() {
        return Err(CsrfRefusal::Origin);
    }
    let is_trusted = |origin: &http::HeaderValue| {
        trusted
            .iter()
            .any(|one| origin.as_bytes() == one.as_bytes())
    };
    let site = site(headers);
    if site == Site::Other && !origin.is_some_and(is_trusted) {
        return Err(CsrfRefusal::Site);
    }
    match origin {
        None => Ok(()),
        Some(origin) if origin == "null" => match headers.get("sec-fetch-site") {
            Some(value) if value == "same-origin" => Ok(()),
            _ => Err(CsrfRefusal::Origin),
        },
        Some(origin) if is_trusted(origin) || origin.as_bytes() == own.to_string().as_bytes() => {
            Ok(())
        }
        Some(_) => Err(CsrfRefusal::Origin),
    }
}

/// Checks the tokens of a request: those of its headers, and those of its form. One at least has to be there, and
/// all have to be the same.
pub(crate) fn check_token(
    handle: &Random,
    headers: &HeaderMap,
    form: Option<&[u8]>,
) -> Result<(), CsrfRefusal> {
    let mut sent: Vec<String> = Vec::new();
    for name in HEADERS {
        for value in headers.get_all(name) {
            sent.push(value.to_str().map_err(|_| CsrfRefusal::Token)?.to_owned());
        }
    }
    if let Some(form) = form {
        let fields = url::form_urlencoded::parse(form);
        let named = fields.filter(|(name, _)| name == FIELD);
        sent.extend(named.map(|(_, value)| value.into_owned()));
    }
    let Some(first) = sent.first() else {
        return Err(CsrfRefusal::Token);
    };
    if sent.iter().any(|one| one != first) || !is_valid(handle, first) {
        return Err(CsrfRefusal::Token);
    }
    Ok(())
}

/// Tells whether the body of a request is a form whose fields may hold the token.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|it| {
        it.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn own() -> Origin {
        Origin {
            scheme: "http",
            host: "localhost:6004".to_owned(),
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// K108
    #[test]
    fn a_hundred_tokens_differ_and_all_are_good() {
        let handle = Random::new().unwrap();
        let tokens: HashSet<String> = (0..100).map(|_| token(&handle).unwrap()).collect();
        assert_eq!(tokens.len(), 100);
        assert!(
            tokens
                .iter()
                .all(|token| token.len() == 86 && is_valid(&handle, token))
        );
    }

    /// K102
    #[test]
    fn a_token_is_good_for_its_session_alone_and_as_it_is() {
        let (handle, other) = (Random::new().unwrap(), Random::new().unwrap());
        let token = token(&handle).unwrap();
        assert!(!is_valid(&other, &token));
        for at in 0..token.len() {
            assert!(!is_valid(&handle, &token[..at]));
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            // The last character has bits that stand for nothing; they have to be zero.
            assert!(
                !is_valid(&handle, std::str::from_utf8(&changed).unwrap()),
                "{at}"
            );
        }
    }

    /// K102
    #[test]
    fn one_token_or_the_same_several_times() {
        let handle = Random::new().unwrap();
        let (one, two) = (token(&handle).unwrap(), token(&handle).unwrap());
        let form = |token: &str| format!("a=b&csrf_token={token}&c=d").into_bytes();
        let with = |token: &str| headers(&[("x-csrf-token", token)]);
        let none = HeaderMap::new();
        assert!(check_token(&handle, &with(&one), None).is_ok());
        assert!(check_token(&handle, &headers(&[("x-csrftoken", &one)]), None).is_ok());
        assert!(check_token(&handle, &none, Some(&form(&one))).is_ok());
        assert!(check_token(&handle, &with(&one), Some(&form(&one))).is_ok());
        for refused in [
            check_token(&handle, &none, None),
            check_token(&handle, &none, Some(b"csrf_token=")),
            check_token(&handle, &with(&one), Some(&form(&two))),
            check_token(
                &handle,
                &headers(&[("x-csrf-token", &one), ("x-csrf-token", &two)]),
                None,
            ),
        ] {
            assert_eq!(refused, Err(CsrfRefusal::Token));
        }
        let many: String = (0..1_000).map(|n| format!("f{n}=v&")).collect();
        assert!(
            check_token(
                &handle,
                &none,
                Some(format!("{many}csrf_token={one}").as_bytes())
            )
            .is_ok()
        );
    }

    /// K99, K100, K101
    #[test]
    fn the_page_that_asks_has_to_be_ours() {
        let trusted = ["https://partner.example".to_owned()];
        let check =
            |pairs: &[(&'static str, &str)]| check_origin(&headers(pairs), &own(), &trusted);
        const SITE: &str = "sec-fetch-site";
        const OWN: &str = "http://localhost:6004";
        for good in [
            &[][..],
            &[(SITE, "same-origin")],
            &[(SITE, "none")],
            &[("origin", OWN)],
            &[(SITE, "same-origin"), ("origin", OWN)],
            &[(SITE, "same-origin"), ("origin", "null")],
            &[(SITE, "cross-site"), ("origin", "https://partner.example")],
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for (bad, why) in [
            (&[(SITE, "cross-site")][..], CsrfRefusal::Site),
            (&[(SITE, "same-site")], CsrfRefusal::Site),
            (
                &[(SITE, "same-site"), ("origin", "http://localhost:6005")],
                CsrfRefusal::Site,
            ),
            (&[(SITE, "cross-site"), ("origin", OWN)], CsrfRefusal::Site),
            (&[("origin", "null")], CsrfRefusal::Origin),
            (&[(SITE, "none"), ("origin", "null")], CsrfRefusal::Origin),
            (&[("origin", "http://LOCALHOST:6004")], CsrfRefusal::Origin),
            (&[("origin", "http://localhost:6004/")], CsrfRefusal::Origin),
            (&[("origin", "http://localhost.:6004")], CsrfRefusal::Origin),
            (&[("origin", "https://localhost:6004")], CsrfRefusal::Origin),
            (&[("origin", OWN), ("origin", OWN)], CsrfRefusal::Origin),
            (
                &[("origin", "https://partner.example.evil")],
                CsrfRefusal::Origin,
            ),
        ] {
            assert_eq!(check(bad), Err(why), "{bad:?}");
        }
    }

    /// K103
    #[test]
    fn only_an_urlencoded_form_is_looked_into() {
        for (value, expected) in [
            ("application/x-www-form-urlencoded", true),
            ("Application/X-WWW-Form-Urlencoded; charset=utf-8", true),
            ("text/plain", false),
            ("multipart/form-data; boundary=x", false),
            ("application/json", false),
        ] {
            assert_eq!(
                is_form(&headers(&[("content-type", value)])),
                expected,
                "{value}"
            );
        }
        assert!(!is_form(&HeaderMap::new()));
    }
}
