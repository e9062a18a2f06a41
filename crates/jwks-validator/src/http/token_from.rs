//! Where a request's token stands.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};

use super::authorization;
use super::context::{RequestContext, TokenScheme};
use crate::builder::{BuildError, BuildErrorKind};
use crate::reason::Reason;

/// Where a [`JwtLayer`](crate::JwtLayer) looks for the token: in one place, and nowhere else.
///
/// By default that is the `Authorization` header, after `Bearer` (RFC 6750 section 2.1). Any other place
/// holds the bare token, and what stands in `Authorization` or in the query is then not looked at. Two
/// tokens in the place are 400 `invalid_request`, and so is one that is no b64token.
///
/// A header of another name is what a proxy in front puts the token into, such as
/// `Cf-Access-Jwt-Assertion` (Cloudflare Access) or `x-goog-iap-jwt-assertion` (Google's
/// Identity-Aware Proxy).
///
/// A cookie is sent by the browser whichever page asks, so it authenticates the browser and not the page: an
/// API that takes its token from one needs a defence against cross-site request forgery besides
/// (`SameSite=Lax` or `Strict` on the cookie, and a check of `Origin` or `Sec-Fetch-Site` on every
/// request that changes something). The cookie itself should be `Secure` and `HttpOnly`, with a name
/// that begins with `__Host-`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFrom(Option<Arc<Elsewhere>>);

/// A place that holds the bare token.
#[derive(Debug, PartialEq, Eq)]
enum Elsewhere {
    Header(HeaderName),
    Cookie(String),
}

impl TokenFrom {
    /// The `Authorization` header, after `Bearer`.
    #[must_use]
    pub fn authorization() -> Self {
        Self(None)
    }

    /// The header of this name, which holds the bare token.
    ///
    /// # Errors
    ///
    /// Fails when it is no header's name, or `Authorization` or `Cookie`, which hold more than a token.
    pub fn header(name: &str) -> Result<Self, BuildError> {
        let refused = BuildError(BuildErrorKind::TokenFrom);
        match HeaderName::try_from(name) {
            Ok(AUTHORIZATION | COOKIE) | Err(_) => Err(refused),
            Ok(name) => Ok(Self(Some(Arc::new(Elsewhere::Header(name))))),
        }
    }

    /// The cookie of this name (in this letter case), whose value is the bare token.
    ///
    /// # Errors
    ///
    /// Fails when it is no cookie's name (RFC 6265 section 4.1.1).
    pub fn cookie(name: &str) -> Result<Self, BuildError> {
        if name.is_empty() || !name.bytes().all(authorization::is_name_byte) {
            return Err(BuildError(BuildErrorKind::TokenFrom));
        }
        Ok(Self(Some(Arc::new(Elsewhere::Cookie(name.to_owned())))))
    }

    /// Returns the name of the header that holds the bare token, if it is one.
    #[must_use]
    pub fn header_name(&self) -> Option<&str> {
        match self.0.as_deref() {
            Some(Elsewhere::Header(name)) => Some(name.as_str()),
            _ => None,
        }
    }

    /// Returns the name of the cookie whose value is the token, if it is one.
    #[must_use]
    pub fn cookie_name(&self) -> Option<&str> {
        match self.0.as_deref() {
            Some(Elsewhere::Cookie(name)) => Some(name),
            _ => None,
        }
    }

    /// Returns the token of a request and the scheme it is presented under, as a layer that reads from here
    /// would find it. Nothing of it is checked but its characters. The bare token of another place counts as
    /// [`Bearer`](TokenScheme::Bearer).
    ///
    /// # Errors
    ///
    /// Fails with why there is none, or not exactly one.
    pub fn token<'r>(
        &self,
        request: impl Into<RequestContext<'r>>,
    ) -> Result<(TokenScheme, &'r str), Reason> {
        let credentials = self.credentials(self.value(request.into())?)?;
        Ok((TokenScheme::Bearer, self.checked(credentials)?))
    }

    /// Returns the header that carries the request's only token.
    pub(super) fn value<'r>(&self, request: RequestContext<'r>) -> Result<&'r HeaderValue, Reason> {
        let headers = request.headers;
        match self.0.as_deref() {
            None => authorization::header(headers, request.uri),
            Some(Elsewhere::Header(name)) => only(headers.get_all(name).iter()),
            Some(Elsewhere::Cookie(name)) => {
                let values = headers.get_all(COOKIE).iter();
                only(values.flat_map(|value| cookies(value, name).map(move |_| value)))
            }
        }
    }

    /// Returns what stands in such a header for the token; whether it is one remains to be
    /// [seen](Self::checked).
    pub(super) fn credentials<'v>(&self, value: &'v HeaderValue) -> Result<&'v [u8], Reason> {
        match self.0.as_deref() {
            None => authorization::credentials(value),
            Some(Elsewhere::Header(_)) => Ok(value.as_bytes()),
            Some(Elsewhere::Cookie(name)) => {
                cookies(value, name).next().ok_or(Reason::NoCredentials)
            }
        }
    }

    /// Returns credentials that are one b64token (RFC 6750 section 2.1).
    pub(super) fn checked<'v>(&self, credentials: &'v [u8]) -> Result<&'v str, Reason> {
        authorization::token(credentials).ok_or(match self.0 {
            None => Reason::MalformedAuthorization,
            Some(_) => Reason::MalformedToken,
        })
    }

    /// Returns the name of the header that holds the token, for `Vary`.
    pub(super) fn vary(&self) -> &'static HeaderValue {
        static AUTHORIZATION: HeaderValue = HeaderValue::from_static("authorization");
        static COOKIE: HeaderValue = HeaderValue::from_static("cookie");
        static ANY: HeaderValue = HeaderValue::from_static("*");
        match self.0.as_deref() {
            None => &AUTHORIZATION,
            Some(Elsewhere::Cookie(_)) => &COOKIE,
            Some(Elsewhere::Header(_)) => &ANY,
        }
    }
}

fn only<'r>(mut values: impl Iterator<Item = &'r HeaderValue>) -> Result<&'r HeaderValue, Reason> {
    match (values.next(), values.next()) {
        (None, _) => Err(Reason::NoCredentials),
        (Some(value), None) => Ok(value),
        (Some(_), Some(_)) => Err(Reason::RepeatedToken),
    }
}

/// Returns the values of the cookies of this name (RFC 6265 section 4.2.1).
fn cookies<'v>(value: &'v HeaderValue, name: &str) -> impl Iterator<Item = &'v [u8]> {
    let pairs = value.as_bytes().split(|byte| *byte == b';');
    pairs.filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let rest = pair.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}
