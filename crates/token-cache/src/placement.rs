//! Where a request carries its token.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::token::{AccessToken, IssuedToken};

/// Where a token goes in a request. Default: `Authorization: Bearer <token>` (RFC 6750 section 2.1).
///
/// The value is marked sensitive everywhere, and the rules about origins are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlacement(Written);

/// As it was asked for; checked when the middleware or layer is built.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    Authorization(String),
    Header(String),
}

impl TokenPlacement {
    /// Puts the token into `Authorization` behind another word than `Bearer` and a space, such as `Token`.
    #[must_use]
    pub fn authorization(scheme: &str) -> Self {
        Self(Written::Authorization(scheme.to_owned()))
    }

    /// Puts the bare token into the header of this name.
    ///
    /// HTTP clients that follow a redirect to another host drop `Authorization` there, and no header that they do
    /// not know: turn redirects off.
    #[must_use]
    pub fn header(name: &str) -> Self {
        Self(Written::Header(name.to_owned()))
    }

    /// Tells whether a middleware or layer could be built with it.
    ///
    /// # Errors
    ///
    /// Fails when the word is no scheme (RFC 9110 section 11.1), or the header is none or one that HTTP itself needs.
    pub fn check(&self) -> Result<(), ConfigError> {
        CheckedPlacement::of(self).map(|_| ())
    }

    /// Puts a token that a [`TokenSource`](crate::TokenSource) gave where a middleware or layer would put it, for
    /// a tool that calls by itself. What stood there is replaced; the value is marked sensitive.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn put(&self, token: &IssuedToken, headers: &mut HeaderMap) -> Result<(), ConfigError> {
        let placement = CheckedPlacement::of(self)?;
        let value = value(placement.word(), token.access_token());
        headers.insert(placement.name(), value);
        Ok(())
    }
}

impl Default for TokenPlacement {
    fn default() -> Self {
        Self::authorization("Bearer")
    }
}

/// A placement that was checked.
#[derive(Clone, Debug)]
pub(crate) enum CheckedPlacement {
    /// The one that tokens have a value ready for.
    Bearer,
    /// What stands before the token.
    Authorization(String),
    Header(HeaderName),
}

/// What frames a message or belongs to its connection.
const NEEDED: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl CheckedPlacement {
    pub(crate) fn of(placement: &TokenPlacement) -> Result<Self, ConfigError> {
        let problem = |text| ConfigError::new("placement", text);
        match &placement.0 {
            Written::Authorization(scheme) if scheme == "Bearer" => Ok(Self::Bearer),
            Written::Authorization(scheme) => match is_scheme(scheme) {
                true => Ok(Self::Authorization(format!("{scheme} "))),
                false => Err(problem(
                    "the word before the token must be of letters, digits and !#$%&'*+-.^_`|~",
                )),
            },
            Written::Header(name) => match HeaderName::try_from(name) {
                Ok(name) if !NEEDED.contains(&name) => Ok(Self::Header(name)),
                Ok(_) => Err(problem("HTTP itself needs this header")),
                Err(_) => Err(problem("must be the name of a header")),
            },
        }
    }

    pub(crate) fn name(&self) -> &HeaderName {
        const AUTHORIZATION: &HeaderName = &header::AUTHORIZATION;
        match self {
            Self::Bearer | Self::Authorization(_) => AUTHORIZATION,
            Self::Header(name) => name,
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Bearer => "Bearer ",
            Self::Authorization(word) => word,
            Self::Header(_) => "",
        }
    }

    pub(crate) fn put(&self, token: &AccessToken, headers: &mut HeaderMap) {
        let value = match self {
            Self::Bearer => token.authorization().clone(),
            _ => value(self.word(), token.secret()),
        };
        headers.insert(self.name(), value);
    }
}

/// RFC 9110 section 5.6.2.
fn is_scheme(word: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !word.is_empty() && word.bytes().all(is_token)
}

fn value(word: &str, token: &str) -> HeaderValue {
    let wiped = Zeroizing::new([word.as_bytes(), token.as_bytes()].concat());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(wiped))
        .expect("the characters of a scheme and those of a header value are allowed in one");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// N11, J1
    #[test]
    fn the_token_goes_where_it_is_wanted_and_is_sensitive_there() {
        let issued = || IssuedToken::new("canary".to_owned(), None).unwrap();
        let token = issued().into_token(SystemTime::UNIX_EPOCH).unwrap();
        for (placement, name, expected) in [
            (TokenPlacement::default(), "authorization", "Bearer canary"),
            (
                TokenPlacement::authorization("Token"),
                "authorization",
                "Token canary",
            ),
            (
                TokenPlacement::authorization("bearer"),
                "authorization",
                "bearer canary",
            ),
            (
                TokenPlacement::header("X-Api-Token"),
                "x-api-token",
                "canary",
            ),
            (
                TokenPlacement::header("Authorization"),
                "authorization",
                "canary",
            ),
        ] {
            let checked = CheckedPlacement::of(&placement).unwrap();
            let mut headers = HeaderMap::new();
            checked.put(&token, &mut headers);
            assert_eq!(headers.len(), 1);
            assert_eq!(headers[name], expected, "{placement:?}");
            assert!(headers[name].is_sensitive());
            assert!(!format!("{headers:?}").contains("canary"));
            let mut by_hand = HeaderMap::new();
            placement.put(&issued(), &mut by_hand).unwrap();
            assert_eq!(by_hand, headers, "{placement:?}");
            assert!(by_hand[name].is_sensitive());
        }
    }

    /// N11
    #[test]
    fn a_placement_that_breaks_the_request_is_refused() {
        for (name, placement) in [
            ("no word", TokenPlacement::authorization("")),
            ("two words", TokenPlacement::authorization("My Token")),
            ("a new line", TokenPlacement::authorization("a\r\nb")),
            ("no name", TokenPlacement::header("")),
            ("a name with a space", TokenPlacement::header("x token")),
            ("framing", TokenPlacement::header("Content-Length")),
            ("the host", TokenPlacement::header("HOST")),
        ] {
            let error = placement.check().unwrap_err();
            assert_eq!(error.setting(), "placement", "{name}");
        }
    }
}
