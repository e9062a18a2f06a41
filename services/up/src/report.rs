//! One line per failure that names what to change.

use jwks_validator::JwtValidator;
use token_cache::{Permanent, TokenError, TokenErrorKind, Transient};

pub(crate) fn advice_on_token(provider: &str, error: &TokenError) -> String {
    let check = match error.kind() {
        TokenErrorKind::Permanent(Permanent::InvalidClient) => {
            "check CLIENT_ID, CLIENT_SECRET and CLIENT_AUTH_METHOD"
        }
        TokenErrorKind::Permanent(Permanent::OAuth | Permanent::ScopeNotGranted) => {
            "check TOKEN_SCOPE, TOKEN_AUDIENCE and TOKEN_RESOURCE"
        }
        TokenErrorKind::Permanent(Permanent::Tls) => {
            "check IDP_CA_FILE, and the host name in ISSUER or APPLICATION_VANITY_DOMAIN"
        }
        TokenErrorKind::Transient(Transient::Status) => {
            "the provider is overloaded or broken; try again later"
        }
        TokenErrorKind::Config => "check CLIENT_SECRET_FILE",
        TokenErrorKind::Transient(_) => {
            "is the provider running? check ISSUER, APPLICATION_VANITY_DOMAIN or TOKEN_ENDPOINT"
        }
        _ => "check ISSUER, APPLICATION_VANITY_DOMAIN or TOKEN_ENDPOINT",
    };
    format!("no token from {provider}: {error}; {check}")
}

pub(crate) fn advice_on_keys(provider: &str, validator: &JwtValidator) -> String {
    let reason = validator
        .health()
        .into_iter()
        .find_map(|issuer| issuer.last_error)
        .map_or_else(|| "no answer in time".to_owned(), |kind| kind.to_string());
    format!(
        "no keys from {provider}: {reason}; check ISSUER, APPLICATION_VANITY_DOMAIN or JWKS_URI"
    )
}
