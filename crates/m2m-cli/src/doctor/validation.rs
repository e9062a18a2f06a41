//! The fresh token, as protected-data judges it.

use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use idp_http::printable;
use jwks_validator::{Check, CheckOutcome, Explanation, JwtValidator, Reason, RequireScopes};
use url::Url;

use super::clocks::Skew;
use super::credentials::Obtained;
use super::keys::Published;
use super::{Examination, Findings};
use crate::report::{Finding, Status};

const CHECK: &str = "validation";
/// The keys are in memory.
const READY_LIMIT: Duration = Duration::from_secs(5);

const FOR_GRAPH: &str = "the token is for Microsoft Graph, which alone can check it: set TOKEN_SCOPE to the API's \
                         api://…/.default";

/// Entra signs the hash of `nonce` in its place, for Graph's eyes only.
fn is_for_graph(obtained: &Obtained) -> bool {
    let header = obtained.unverified.header.as_ref();
    header.is_some_and(|header| header.contains_key("nonce"))
}

/// Whether protected-data should accept the token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    /// By this machine's clock.
    pub(super) here: bool,
    /// By the provider's, where that is another.
    pub(super) elsewhere: bool,
}

impl Examination {
    /// Tells whether protected-data should accept the token, if that could be found out.
    ///
    /// Where the clocks differ it is judged by both: by the provider's, because with a wrong clock the dates
    /// would hide everything else, and by ours, which is the one that decides here.
    pub(super) async fn validation(
        &self,
        obtained: Option<&Obtained>,
        keys: Option<&Published>,
        skew: Option<Skew>,
        findings: &mut Findings<'_>,
    ) -> Option<Verdict> {
        let (Some(obtained), Some(keys)) = (obtained, keys) else {
            let why = if obtained.is_none() {
                "there is no token"
            } else {
                "there are no keys"
            };
            findings.add(Finding::not_checked(CHECK, why));
            return None;
        };
        let ours = self.judge(obtained, keys, None, findings).await;
        let here = ours.status == Status::Passed;
        let Some(skew) = skew else {
            findings.add(ours);
            return Some(Verdict {
                here,
                elsewhere: here,
            });
        };
        let theirs = self.judge(obtained, keys, Some(skew), findings).await;
        let elsewhere = theirs.status == Status::Passed;
        findings.add(match (here, elsewhere) {
            (true, _) => ours,
            (false, true) => Finding::not_checked(
                CHECK,
                "by the provider's time it is in order; by ours it is refused, see clock",
            ),
            (false, false) => theirs,
        });
        Some(Verdict { here, elsewhere })
    }

    /// Judges by our clock, or by one that is off from it. Only an acceptance passes.
    async fn judge(
        &self,
        obtained: &Obtained,
        keys: &Published,
        skew: Option<Skew>,
        findings: &Findings<'_>,
    ) -> Finding {
        let token = obtained.issued.access_token();
        let builder = self.protected.validator(keys.source());
        let builder = match skew {
            Some(skew) => {
                let now = skew.at_provider(self.clock.now());
                builder.clock(Arc::new(ManualClock::new(now)))
            }
            None => builder.clock(Arc::clone(&self.clock)),
        };
        let validator = match builder.build() {
            Ok(validator) => validator,
            Err(error) => {
                let change = "check ISSUER, API_AUDIENCE and ALLOWED_ALGORITHMS";
                return Finding::failed(CHECK, error.to_string(), change);
            }
        };
        validator.start();
        validator.ready_within(READY_LIMIT).await;
        let explanation = validator.explain(token).await;
        let finding = match explanation.reason() {
            None => self.scopes(&validator, token).await,
            Some(_) => self.refused(&explanation, obtained, findings).await,
        };
        validator.shutdown().await;
        finding
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

    async fn refused(
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
        let change = match (obtained.unverified.form().advice(), last.check) {
            (Some(advice), _) => advice.to_owned(),
            (None, Check::Issuer) => self.advice_on_issuer(obtained).await,
            (None, Check::Audience) => self.advice_on_audience(explanation),
            (None, Check::Signature) if is_for_graph(obtained) => FOR_GRAPH.to_owned(),
            (None, check) => self.advice_on(check),
        };
        Finding::failed(CHECK, found, change)
    }

    /// Proposes an issuer only after asking there.
    async fn advice_on_issuer(&self, obtained: &Obtained) -> String {
        let variable = self.origins.issuer;
        let configured = &self.public.provider.issuer;
        let Some(issuer) = obtained.unverified.text("iss") else {
            return "let the provider put iss into its tokens (RFC 9068)".to_owned();
        };
        // Entra: tokens of version 1 are of another issuer, whatever endpoint gave them.
        if issuer.starts_with("https://sts.windows.net/") && configured.contains("/v2.0") {
            return "set requestedAccessTokenVersion to 2 in the manifest of the API's registration (Entra): \
                    its tokens are of version 1"
                .to_owned();
        }
        if self.is_own(issuer) && self.publishes(issuer).await {
            return format!(
                "set ISSUER={} (asked, and it is there; now from {variable})",
                printable(issuer)
            );
        }
        let endpoint = self.origins.token_endpoint.unwrap_or("TOKEN_ENDPOINT");
        format!(
            "one of {variable} and {endpoint} leads to another provider or tenant; or let this one issue as \
             {variable} has it, byte for byte"
        )
    }

    /// Whether an issuer is where the provider is: nobody else is asked, whatever a token names.
    fn is_own(&self, issuer: &str) -> bool {
        let provider = &self.public.provider;
        let places = [Url::parse(&provider.issuer).ok()].into_iter();
        let places = places.chain([provider.token_endpoint.clone(), provider.jwks_uri.clone()]);
        let mut origins = places.flatten().map(|url| url.origin());
        Url::parse(issuer).is_ok_and(|url| origins.any(|origin| origin == url.origin()))
    }

    fn advice_on_audience(&self, explanation: &Explanation) -> String {
        if let Some(cause) = self.oddity_of(&["API_AUDIENCE", "TOKEN_AUDIENCE", "TOKEN_RESOURCE"]) {
            return cause;
        }
        match explanation.reason() {
            Some(Reason::AudienceMissing) => {
                "let the provider put API_AUDIENCE into aud; if it names the API in another claim, set \
                 AUDIENCE_CLAIM to it; DANGEROUS_SKIP_AUDIENCE=true would take every token of this issuer"
                    .to_owned()
            }
            _ if !self.names_api => {
                "set TOKEN_AUDIENCE (or TOKEN_RESOURCE, TOKEN_SCOPE) to what makes the provider issue it for \
                 API_AUDIENCE, or set API_AUDIENCE to what the token has"
                    .to_owned()
            }
            _ => "set API_AUDIENCE to what the token has, or TOKEN_AUDIENCE (or TOKEN_RESOURCE, TOKEN_SCOPE) \
                 to what makes the provider issue it for API_AUDIENCE"
                .to_owned(),
        }
    }

    fn advice_on(&self, check: Check) -> String {
        let issuer = self.origins.issuer;
        match check {
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
