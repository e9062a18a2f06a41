//! What kinds of failures there are.

use idp_http::Answer;

/// The class of a failure to get a token.
///
/// Those for which [`is_transient`](Self::is_transient) holds may end by themselves; the others need a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The settings cannot work: a bad URL, a bad scope, an unreadable secret file.
    Config,
    /// The client id, the secret or the method is wrong: `invalid_client` (RFC 6749 section 5.2) or another
    /// wording of it, any 401, and a 403 without an OAuth error and without a page.
    InvalidClient,
    /// Another OAuth error code; the error's text names it.
    OAuth,
    /// TLS failed: the certificate was refused, or the handshake went wrong. The error's source tells which.
    Tls,
    /// The proxy in between refuses our credentials (407), or to connect to the provider.
    Proxy,
    /// The endpoint answered with a redirect, which is not followed.
    Redirect,
    /// Any other status of the 4xx class without an OAuth error, and 404 and 405 in any case: a proxy that is
    /// up before the provider says 404 for a while.
    Status4xx,
    /// The granted scope lacks one that was asked for (RFC 6749 section 3.3).
    ScopeNotGranted,
    /// The issuer's metadata cannot be used.
    Discovery,
    /// Transient: no connection.
    Connect,
    /// Transient: the host name did not resolve.
    Dns,
    /// Transient: nothing, or not everything, came in time.
    Timeout,
    /// Transient: the connection ended inside the answer.
    Truncated,
    /// Transient: 408, 425 or 5xx, or an OAuth error that says the same.
    Status5xx,
    /// Transient: 429, the provider wants fewer requests.
    Throttled,
    /// Transient: the token source panicked.
    Panic,
    /// An unusable answer: the body is larger than 64 KiB, or the token than what is taken.
    TooLarge,
    /// An unusable answer: HTML, as a captive portal sends it.
    ContentType,
    /// An unusable answer: no HTTP/1 at all.
    NotHttp,
    /// An unusable answer: not a JSON object, or one with duplicate members.
    Json,
    /// An unusable answer: `access_token` is missing, empty or not a string.
    MissingToken,
    /// An unusable answer: `access_token` has characters that are not visible ASCII (RFC 6749 appendix A.12,
    /// less the space).
    TokenSyntax,
    /// An unusable answer: `token_type` is neither `Bearer` nor another name of it that is set.
    TokenType,
    /// An unusable answer: `expires_in` is not a number.
    ExpiresIn,
    /// An unusable answer: a status that is neither 200 nor 201 nor an error, or a token that came with an
    /// error status.
    UnexpectedStatus,
    /// Transient: no signature of an assertion; what signs it did not, did so too late, or panicked.
    Signer,
    /// What signs assertions refuses to, or signs in a form that the algorithm has not.
    SignerRefused,
    /// The request's URL is outside the allowed origins; no token was asked for.
    OriginNotAllowed,
    /// The cache was shut down, or the runtime of the caller is shutting down.
    Cancelled,
}

impl TokenErrorKind {
    /// Tells whether asking again, without changing anything, can help: the failure passes, or the endpoint
    /// answered with something that is no usable token. After the second `token-cache` asks as rarely as after
    /// a refusal: a provider counts the tokens that it issues.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.passes() || self.is_unusable_answer()
    }

    /// Tells whether other credentials or root certificates may end the failure: they were rejected, they
    /// did not do, or there are none.
    #[must_use]
    pub fn is_about_credentials(self) -> bool {
        matches!(
            self,
            Self::InvalidClient | Self::Tls | Self::Proxy | Self::Config
        )
    }

    /// Tells whether the same attempt may ask once more.
    #[must_use]
    pub fn is_worth_a_retry(self) -> bool {
        self.passes() && self != Self::Throttled
    }

    /// Returns what the attempt got, for [`Backoff`](idp_http::Backoff).
    #[must_use]
    pub fn answer(self) -> Answer {
        match self {
            Self::Status5xx
            | Self::Signer
            | Self::Tls
            | Self::Redirect
            | Self::Status4xx
            | Self::Discovery => Answer::Unusable,
            Self::Throttled => Answer::Refused,
            // What stands in for the provider while it starts is gone as suddenly.
            Self::NotHttp => Answer::None,
            kind if kind.passes() => Answer::None,
            _ => Answer::Refused,
        }
    }

    fn passes(self) -> bool {
        matches!(
            self,
            Self::Connect
                | Self::Dns
                | Self::Timeout
                | Self::Truncated
                | Self::Status5xx
                | Self::Throttled
                | Self::Panic
                | Self::Signer
        )
    }

    pub(crate) fn is_unusable_answer(self) -> bool {
        matches!(
            self,
            Self::TooLarge
                | Self::ContentType
                | Self::NotHttp
                | Self::Json
                | Self::MissingToken
                | Self::TokenSyntax
                | Self::TokenType
                | Self::ExpiresIn
                | Self::UnexpectedStatus
        )
    }

    /// Returns a short lower-case name for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::InvalidClient => "invalid_client",
            Self::OAuth => "oauth_error",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::Status4xx => "status_4xx",
            Self::ScopeNotGranted => "scope_not_granted",
            Self::Discovery => "discovery",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Timeout => "timeout",
            Self::Truncated => "truncated",
            Self::Status5xx => "status_5xx",
            Self::Throttled => "throttled",
            Self::Panic => "panic",
            Self::TooLarge => "too_large",
            Self::ContentType => "content_type",
            Self::NotHttp => "not_http",
            Self::Json => "json",
            Self::MissingToken => "missing_token",
            Self::TokenSyntax => "token_syntax",
            Self::TokenType => "token_type",
            Self::ExpiresIn => "expires_in",
            Self::UnexpectedStatus => "status_unexpected",
            Self::Signer => "signer",
            Self::SignerRefused => "signer_refused",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns what happened as a sentence without an end.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Config => "the token client is not configured correctly",
            Self::InvalidClient => "the provider rejected the client's credentials",
            Self::OAuth => "the provider refused the token request",
            Self::Tls => "no TLS connection to the provider",
            Self::Proxy => "the proxy on the way to the provider refused",
            Self::Redirect => "the token endpoint answered with a redirect, which is not followed",
            Self::Status4xx => "the token endpoint refused the request",
            Self::ScopeNotGranted => "the provider granted less scope than was asked for",
            Self::Discovery => "the issuer's metadata cannot be used",
            Self::Connect => "could not connect to the provider",
            Self::Dns => "the provider's host name did not resolve",
            Self::Timeout => "the provider did not answer in time",
            Self::Truncated => "the provider's answer was cut off",
            Self::Status5xx => "the provider cannot serve at present",
            Self::Throttled => "the provider wants fewer requests",
            Self::Panic => "the token source panicked",
            Self::TooLarge
            | Self::ContentType
            | Self::NotHttp
            | Self::Json
            | Self::MissingToken
            | Self::TokenSyntax
            | Self::TokenType
            | Self::ExpiresIn
            | Self::UnexpectedStatus => "the provider's answer is no usable token",
            Self::Signer => "what signs client assertions gave no signature",
            Self::SignerRefused => "what signs client assertions refused to",
            Self::OriginNotAllowed => "the request's origin may not receive the token",
            Self::Cancelled => "the token cache, or its runtime, was shut down",
        }
    }
}
