//! One line per failure that names what to change.

use jwks_validator::JwtValidator;
use m2m_cli::doctor::Doctor;
use m2m_cli::report::Status;
use service_kit::config::Strings;
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

/// Returns the first finding of `m2m doctor` with these variables: a failure, or else a warning with a change that
/// helps.
pub(crate) async fn finding(variables: &dyn Strings) -> Option<String> {
    let settings = m2m_cli::settings::Settings::new(variables, false);
    let report = Doctor::new(&settings).examine(&mut |_| {}).await;
    let of = |status| {
        let mut found = report.findings().iter();
        found.find(|finding| finding.status == status && finding.change.is_some())
    };
    let finding = of(Status::Failed).or_else(|| of(Status::Warning))?;
    Some(finding.line(false))
}
