//! The request that a token comes with.

use std::fmt;

use http::request::Parts;
use http::{HeaderMap, Request, Uri};

/// The scheme under which a request presents its token (RFC 9110 section 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenScheme {
    /// The holder of the token may use it, without a proof of more (RFC 6750).
    Bearer,
}

/// The request that a token comes with, for [`TokenFrom::token`](crate::TokenFrom::token) and
/// [`JwtValidator::authenticate`](crate::JwtValidator::authenticate).
///
/// It borrows, and copies nothing: the headers, which hold the token and say whether the caller speaks gRPC, and the
/// URI, whose query may hold a token.
#[derive(Clone, Copy)]
pub struct RequestContext<'r> {
    pub(crate) headers: &'r HeaderMap,
    pub(super) uri: &'r Uri,
}

impl<'r, B> From<&'r Request<B>> for RequestContext<'r> {
    fn from(request: &'r Request<B>) -> Self {
        Self {
            headers: request.headers(),
            uri: request.uri(),
        }
    }
}

impl<'r> From<&'r Parts> for RequestContext<'r> {
    fn from(parts: &'r Parts) -> Self {
        Self {
            headers: &parts.headers,
            uri: &parts.uri,
        }
    }
}

/// Shows nothing: tokens stand in headers and queries.
impl fmt::Debug for RequestContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext").finish_non_exhaustive()
    }
}
