//! The fresh token, as protected-data judges it.

use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use jwks_validator::{Check, CheckOutcome, Explanation, JwtValidator, RequireScopes};

use super::clocks::Skew;
use super::credentials::Obtained;
use super::keys::Published;
use super::{Examination, Findings};
use crate::report::Finding;

const CHECK: &str = "validation";
/// The keys are in memory.
const READY_LIMIT: Duration = Duration::from_secs(5);

impl Examination {
    /// Tells whether protected-data should accept the token, if that could be found out.
    pub(super) async fn validation(
        &self,
        obtained: Option<&Obtained>,
        keys: Option<&Published>,
        skew: Option<Skew>,
        findings: &mut Findings<'_>,
    ) -> Option<bool> {
        let (Some(obtained), Some(keys)) = (obtained, keys) else {
            let why = if obtained.is_none() {
                "there is no token"
            } else {
                "there are no keys"
            };
            findings.add(Finding::not_checked(CHECK, why));
            return None;
        };
        let token = obtained.issued.access_token();
        // With a wrong clock the dates would hide everything else.
        let now = skew.map(|skew| skew.at_provider(self.clock.now()));
        let mut builder = self.protected.validator(keys.source());
        builder = match now {
            Some(now) => builder.clock(Arc::new(ManualClock::new(now))),
            None => builder.clock(Arc::clone(&self.clock)),
        };
        let validator = match builder.build() {
            Ok(validator) => validator,
            Err(error) => {
                let change = "check ISSUER, API_AUDIENCE and ALLOWED_ALGORITHMS";
                findings.add(Finding::failed(CHECK, error.to_string(), change));
                return None;
            }
        };
        validator.start();
        validator.ready_within(READY_LIMIT).await;
        let explanation = validator.explain(token).await;
        let finding = match explanation.reason() {
            None => self.scopes(&validator, token).await,
            Some(_) => self.refused(&explanation, obtained, findings),
        };
        validator.shutdown().await;
        let is_accepted = explanation.reason().is_none() && finding.change.is_none();
        let finding = match skew {
            Some(_) if is_accepted => Finding::not_checked(
                CHECK,
                "by the provider's time it is in order; by ours it is refused, see clock",
            ),
            _ => finding,
        };
        findings.add(finding);
        Some(is_accepted && skew.is_none())
    }

    /// The token is accepted; what is left are the scopes.
    async fn scopes(&self, validator: &JwtValidator, token: &str) -> Finding {
        let required = self.protected.required_scopes.iter();
        let required: Vec<&str> = required.flat_map(RequireScopes::scopes).collect();
        let missing = match validator.validate(token).await {
            Ok(claims) => {
                let missing = required.iter().filter(|scope| !claims.has_scope(scope));
                missing.copied().collect::<Vec<_>>().join(" ")
            }
            Err(error) => {
                return Finding::failed(CHECK, error.to_string(), "run it again");
            }
        };
        if !missing.is_empty() {
            return Finding::failed(
                CHECK,
                format!("REQUIRED_SCOPES has {missing}, which the token has not"),
                format!(
                    "add {missing} to TOKEN_SCOPE and allow it at the provider, take it out of REQUIRED_SCOPES, \
                     or name the claim that has it in SCOPE_CLAIM"
                ),
            );
        }
        let audience = if self.protected.audiences.is_empty() {
            "any audience (DANGEROUS_SKIP_AUDIENCE)"
        } else {
            "API_AUDIENCE"
        };
        let scopes = if required.is_empty() {
            "no REQUIRED_SCOPES"
        } else {
            "REQUIRED_SCOPES"
        };
        let found =
            format!("protected-data accepts it: issuer, signature, dates, {audience}, {scopes}");
        Finding::passed(CHECK, found)
    }

    fn refused(
        &self,
        explanation: &Explanation,
        obtained: &Obtained,
        findings: &Findings<'_>,
    ) -> Finding {
        let mut failed = explanation
            .checks()
            .iter()
            .filter(|report| report.outcome == CheckOutcome::Failed);
        let is_key = |check| matches!(check, Check::Key | Check::Signature);
        // Of two, the later one gave the reason: the first is the missing key.
        let Some(last) = failed.next_back() else {
            return Finding::failed(CHECK, explanation.one_line(), "see ARCHITECTURE.md");
        };
        if is_key(last.check) && findings.has_failed("signing key") {
            return Finding::not_checked(
                CHECK,
                "the key of its signature is missing, see signing key",
            );
        }
        let detail = match &last.detail {
            Some(detail) => format!(": {detail}"),
            None => String::new(),
        };
        let reason = explanation.reason().map(|reason| reason.to_string());
        let found = format!("{}{detail}", reason.unwrap_or_default());
        let change = if obtained.unverified.header.is_none() {
            "the token is not a JWT: name the API in TOKEN_AUDIENCE or TOKEN_SCOPE, or let the provider \
             issue JWTs for it"
                .to_owned()
        } else {
            self.advice_on(last.check)
        };
        Finding::failed(CHECK, found, change)
    }

    fn advice_on(&self, check: Check) -> String {
        let issuer = self.origins.issuer;
        match check {
            Check::Issuer => format!("set ISSUER to the token's iss, byte for byte (now from {issuer})"),
            Check::Audience => {
                "set API_AUDIENCE to what the token has, or TOKEN_AUDIENCE (or TOKEN_RESOURCE, TOKEN_SCOPE) \
                 to what makes the provider issue it for API_AUDIENCE"
                    .to_owned()
            }
            Check::Algorithm => {
                "add the algorithm to ALLOWED_ALGORITHMS, or let the provider sign with one of them"
                    .to_owned()
            }
            Check::Keys | Check::Key | Check::Signature => match self.origins.jwks_uri {
                Some(variable) => format!("{variable} leads to other keys than the provider signs with"),
                None => format!("the provider at {issuer} publishes other keys than it signs with"),
            },
            Check::Clock
            | Check::Dates
            | Check::Expiry
            | Check::NotBefore
            | Check::IssuedAt => "set the clock of this machine or of the provider".to_owned(),
            Check::Lifetime => {
                "shorten the lifetime of the client's tokens at the provider, or raise MAX_TOKEN_LIFETIME"
                    .to_owned()
            }
            Check::ClaimTypes => {
                "set ALLOW_SCOPE_ARRAY=true if it is the scopes that are an array, or let the provider issue \
                 access tokens as RFC 9068 says to CLIENT_ID"
                    .to_owned()
            }
            Check::Type => {
                "let the provider issue access tokens (RFC 9068) for TOKEN_AUDIENCE".to_owned()
            }
            Check::Binding => {
                "let the provider issue bearer tokens to CLIENT_ID: this one is bound to a key".to_owned()
            }
            _ => "let the provider issue access tokens as RFC 9068 says to CLIENT_ID".to_owned(),
        }
    }
}
