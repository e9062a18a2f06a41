//! One line per failure that names what to change.

use jwks_validator::JwtValidator;
use token_cache::TokenError;

/// `error` comes from public-data's cache, and so names what to change.
pub(crate) fn advice_on_token(provider: &str, error: &TokenError) -> String {
    format!("no token from {provider}: {error}")
}

pub(crate) fn advice_on_keys(provider: &str, validator: &JwtValidator) -> String {
    let failed = validator.health().into_iter();
    match failed.filter_map(|issuer| issuer.last_error).next() {
        Some(kind) => {
            let advice = protected_data::advice_on_keys(kind);
            format!("no keys from {provider}: {kind}; {advice}")
        }
        None => format!(
            "no keys from {provider}: no answer in time; check ISSUER, APPLICATION_VANITY_DOMAIN or \
             JWKS_URI"
        ),
    }
}
