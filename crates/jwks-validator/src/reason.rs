//! Why a request was refused, in the detail that belongs in a log and nowhere else.

use std::fmt;

use http::StatusCode;

/// The error response (RFC 6750 section 3.1) that a [`Reason`] leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorResponse {
    /// 401 without an error code.
    NoCredentials,
    /// 400 `invalid_request`.
    InvalidRequest,
    /// 401 `invalid_token`.
    InvalidToken,
    /// 403 `insufficient_scope`.
    InsufficientScope,
    /// 503 with `Retry-After`.
    Unavailable,
    /// 500.
    Internal,
}

macro_rules! reasons {
    ($($variant:ident, $answer:ident, $name:literal, $text:literal;)*) => {
        /// Why a request or token was refused.
        ///
        /// Meant for logs and metrics. The caller is told only the RFC 6750 code, so that the answer
        /// is no oracle for an attacker who builds tokens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = concat!($text, ".")] $variant,)*
        }

        impl Reason {
            #[cfg(feature = "metrics")]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns a stable name for logs and metric labels.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            pub(crate) fn response(self) -> ErrorResponse {
                match self {
                    $(Self::$variant => ErrorResponse::$answer,)*
                }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }
    };
}

reasons! {
    NoCredentials, NoCredentials, "no_credentials", "no credentials were sent";
    OtherScheme, NoCredentials, "other_scheme", "the credentials are not of the Bearer scheme";
    RepeatedAuthorization, InvalidRequest, "repeated_authorization", "more than one Authorization header was sent";
    MalformedAuthorization, InvalidRequest, "malformed_authorization", "the Authorization header is not `Bearer` and one b64token";
    RepeatedToken, InvalidRequest, "repeated_token", "more than one token was sent in the place that is read";
    MalformedToken, InvalidRequest, "malformed_token", "what stands in the token's place is not one b64token";
    TokenInQuery, InvalidRequest, "token_in_query", "a token was sent in the query beside the Authorization header";

    TooLarge, InvalidToken, "too_large", "the token is longer than is allowed";
    Segments, InvalidToken, "segments", "the token does not have three parts";
    Opaque, InvalidToken, "opaque", "the token is opaque: it is one part, and a JWT has three";
    Encrypted, InvalidToken, "encrypted", "the token is encrypted: it has the five parts of a JWE, and a signed JWT has three";
    Encoding, InvalidToken, "encoding", "a part of the token is not canonical base64url";
    HeaderJson, InvalidToken, "header_json", "the header is not one strict JSON object";
    Critical, InvalidToken, "critical", "the header names critical extensions";
    HeaderParameter, InvalidToken, "header_parameter", "the header carries a key or another format's parameters";
    AlgorithmMissing, InvalidToken, "algorithm_missing", "the header names no algorithm";
    AlgorithmNotAllowed, InvalidToken, "algorithm_not_allowed", "the header's algorithm is not on the allow-list";
    TokenType, InvalidToken, "token_type", "the header's type is not that of the token that is expected";
    KeyIdSyntax, InvalidToken, "key_id_syntax", "the header's key id is not 1 to 256 printable characters";
    PayloadJson, InvalidToken, "payload_json", "the payload is not one strict JSON object";

    IssuerMissing, InvalidToken, "issuer_missing", "there is no issuer claim";
    IssuerType, InvalidToken, "issuer_type", "the issuer claim is not a string";
    UnknownIssuer, InvalidToken, "unknown_issuer", "the issuer is not a configured one";
    UnknownKey, InvalidToken, "unknown_key", "the issuer publishes no usable key of this id";
    AmbiguousKey, InvalidToken, "ambiguous_key", "the token names no key and more than four could have signed it";
    KeyAlgorithm, InvalidToken, "key_algorithm", "the key is published for another algorithm";
    KeyRevoked, InvalidToken, "key_revoked", "the operator has revoked the key";
    Signature, InvalidToken, "signature", "the signature does not verify";

    ExpiryMissing, InvalidToken, "expiry_missing", "there is no expiry claim";
    ExpiryType, InvalidToken, "expiry_type", "the expiry claim is not a date in the years 1970 to 9999";
    Expired, InvalidToken, "expired", "the token has expired";
    NotBeforeType, InvalidToken, "not_before_type", "the not-before claim is not a date in the years 1970 to 9999";
    NotYetValid, InvalidToken, "not_yet_valid", "the token is not valid yet";
    IssuedAtType, InvalidToken, "issued_at_type", "the issued-at claim is not a date in the years 1970 to 9999";
    IssuedAtMissing, InvalidToken, "issued_at_missing", "there is no issued-at claim";
    IssuedInFuture, InvalidToken, "issued_in_future", "the token was issued in the future";
    TooOld, InvalidToken, "too_old", "the token was issued 10 min ago or longer";
    LifetimeTooLong, InvalidToken, "lifetime_too_long", "the token lives longer than allowed";
    AudienceMissing, InvalidToken, "audience_missing", "there is no audience claim";
    AudienceType, InvalidToken, "audience_type", "the audience claim is not a string or a non-empty array of strings";
    AudienceMismatch, InvalidToken, "audience_mismatch", "the token is meant for another audience";
    SubjectMissing, InvalidToken, "subject_missing", "there is no subject claim";
    SubjectType, InvalidToken, "subject_type", "the subject claim is not a non-empty string";
    ClientIdMissing, InvalidToken, "client_id_missing", "there is no client id claim";
    ClientIdType, InvalidToken, "client_id_type", "the client id claim is not a non-empty string";
    SubjectNotClient, InvalidToken, "subject_not_client", "the subject is not the client itself";
    TokenIdMissing, InvalidToken, "token_id_missing", "there is no token id claim";
    TokenIdType, InvalidToken, "token_id_type", "the token id claim is not a string";
    ScopeType, InvalidToken, "scope_type", "the scope claim is neither a string nor an array that is allowed";
    SenderConstrained, InvalidToken, "sender_constrained", "the token is bound to a key that a plain bearer does not prove";
    ClaimMismatch, InvalidToken, "claim_mismatch", "a claim that the token must carry is missing or different";
    Revoked, InvalidToken, "revoked", "the token has been revoked";
    ClaimsShape, InvalidToken, "claims_shape", "the claims do not fit the type that the handler asks for";

    InsufficientScope, InsufficientScope, "insufficient_scope", "the token lacks a required scope";

    KeysUnavailable, Unavailable, "keys_unavailable", "the issuer's keys have not been fetched yet";
    KeysStale, Unavailable, "keys_stale", "the issuer's keys are older than the outage limit";
    KeyUndetermined, Unavailable, "key_undetermined", "the key is unknown and the issuer's keys could not be refreshed";
    IssuerLimit, Unavailable, "issuer_limit", "no further issuer can be admitted at the moment";
    RevocationUnknown, Unavailable, "revocation_unknown", "whether the token is revoked could not be found out";
    ClockUnset, Unavailable, "clock_unset", "the system clock shows a time before 2020";

    LayerMissing, Internal, "layer_missing", "the route is not behind a `JwtLayer`";
}

impl Reason {
    /// Returns the status code of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self.response() {
            ErrorResponse::NoCredentials | ErrorResponse::InvalidToken => StatusCode::UNAUTHORIZED,
            ErrorResponse::InvalidRequest => StatusCode::BAD_REQUEST,
            ErrorResponse::InsufficientScope => StatusCode::FORBIDDEN,
            ErrorResponse::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorResponse::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
