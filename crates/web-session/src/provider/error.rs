//! Why the provider gave nothing of use.

use std::fmt;
use std::time::Duration;

use idp_http::{FetchErrorKind, printable};
use token_endpoint::{EndpointError, TokenErrorKind};

/// Why the provider gave nothing of use. The text is for the log.
#[derive(Debug)]
pub(crate) struct ProviderError {
    pub(crate) class: ErrorClass,
    pub(crate) text: String,
    pub(crate) retry_after: Option<Duration>,
}

/// What an error means for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The code or refresh token is not taken: `invalid_grant`.
    InvalidGrant,
    /// The client is refused.
    Refused,
    /// What answered is no usable answer.
    Nonsense,
    /// Nobody answered, and nothing was sent.
    Unsent,
    /// It was sent, and no whole answer came.
    InFlight,
    /// The provider cannot serve at present.
    Overloaded,
}

impl ErrorClass {
    /// Tells whether the failure ends by itself.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Unsent | Self::InFlight | Self::Overloaded)
    }
}

impl ProviderError {
    fn new(class: ErrorClass, text: String) -> Self {
        Self {
            class,
            text,
            retry_after: None,
        }
    }

    pub(crate) fn away(text: String) -> Self {
        Self::new(ErrorClass::Overloaded, text)
    }

    pub(crate) fn nonsense(text: String) -> Self {
        Self::new(ErrorClass::Nonsense, text)
    }

    pub(super) fn refused(text: String) -> Self {
        Self::new(ErrorClass::Refused, text)
    }

    pub(crate) fn unasked() -> Self {
        Self::new(ErrorClass::Unsent, "no metadata within 8 s".to_owned())
    }

    #[cfg(test)]
    pub(crate) fn invalid_grant() -> Self {
        Self::new(ErrorClass::InvalidGrant, "invalid_grant".to_owned())
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(ErrorClass::InFlight, "no answer within 8 s".to_owned())
    }
}

impl From<EndpointError> for ProviderError {
    fn from(error: EndpointError) -> Self {
        let unsent = error.fetch_error().is_some_and(|fetch| {
            matches!(fetch.kind(), FetchErrorKind::Connect | FetchErrorKind::Dns)
                || fetch.kind().is_tls()
                || matches!(fetch.kind(), FetchErrorKind::Proxy(_))
        });
        let class = match error.kind() {
            _ if error.oauth_code() == Some("invalid_grant") => ErrorClass::InvalidGrant,
            _ if unsent => ErrorClass::Unsent,
            TokenErrorKind::Timeout | TokenErrorKind::Truncated => ErrorClass::InFlight,
            TokenErrorKind::Status5xx
            | TokenErrorKind::Throttled
            | TokenErrorKind::Config
            | TokenErrorKind::Signer
            | TokenErrorKind::Discovery
            | TokenErrorKind::Cancelled => ErrorClass::Overloaded,
            TokenErrorKind::InvalidClient
            | TokenErrorKind::OAuth
            | TokenErrorKind::Status4xx
            | TokenErrorKind::Redirect
            | TokenErrorKind::SignerRefused => ErrorClass::Refused,
            _ => ErrorClass::Nonsense,
        };
        let name = match class {
            ErrorClass::Refused => "WEB_CLIENT_ID, WEB_CLIENT_SECRET: ",
            _ => "",
        };
        Self {
            class,
            text: format!("{name}{error}"),
            retry_after: error.retry_after(),
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.text))
    }
}
