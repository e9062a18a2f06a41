//! What the token may do, and for how long.

use std::time::Duration;

use super::credentials::Obtained;
use super::{Examination, Findings};
use crate::report::Finding;

/// What public-data takes the lifetime to be when the provider does not say.
const ASSUMED_S: u64 = 300;
/// Below it, most of the lifetime goes into refreshing.
const SHORT: Duration = Duration::from_secs(10);

impl Examination {
    pub(super) fn granted(&self, obtained: Option<&Obtained>, findings: &mut Findings<'_>) {
        let Some(obtained) = obtained else {
            for check in ["scope", "lifetime"] {
                findings.add(Finding::not_checked(check, "there is no token"));
            }
            return;
        };
        findings.add(self.scope(obtained));
        findings.add(lifetime(obtained));
    }

    fn scope(&self, obtained: &Obtained) -> Finding {
        const CHECK: &str = "scope";
        let asked: Vec<&str> = self.public.request.scopes().collect();
        let claimed = || obtained.unverified.scopes().map(|scopes| scopes.join(" "));
        let granted = obtained.granted.clone().or_else(claimed);
        let granted_text = match granted.as_deref() {
            None | Some("") => "none is named".to_owned(),
            Some(granted) => format!("granted is {}", idp_http::printable(granted)),
        };
        if let Some(error) = &obtained.scope_error {
            let has = |scope: &&&str| {
                let granted = granted.as_deref().unwrap_or_default();
                granted.split(' ').all(|one| one != **scope)
            };
            let missing: Vec<&str> = asked.iter().filter(has).copied().collect();
            let missing = if missing.is_empty() {
                "what the client may not have".to_owned()
            } else {
                missing.join(" ")
            };
            let without = if error.oauth_code().is_some() {
                " when none is asked for"
            } else {
                ""
            };
            return Finding::failed(
                CHECK,
                format!("{error}; {granted_text}{without}"),
                format!(
                    "take {missing} out of TOKEN_SCOPE, or allow the client that at the provider"
                ),
            );
        }
        if asked.is_empty() {
            return Finding::passed(CHECK, format!("TOKEN_SCOPE asks for none; {granted_text}"));
        }
        let claimed = obtained.unverified.scopes().unwrap_or_default();
        let answered = obtained.granted.as_deref().unwrap_or_default();
        let is_named = |scope: &str| {
            // Entra: stands for whatever was granted, under names of its own.
            scope.ends_with("/.default")
                || claimed.contains(&scope)
                || answered.split([' ', ',']).any(|one| one == scope)
        };
        let unnamed: Vec<&str> = asked.into_iter().filter(|scope| !is_named(scope)).collect();
        if !unnamed.is_empty() {
            let unnamed = unnamed.join(" ");
            return Finding::warning(
                CHECK,
                format!("neither the answer nor the token names {unnamed}; {granted_text}"),
            )
            .change(format!(
                "see at the provider whether the client has {unnamed}, or take it out of TOKEN_SCOPE"
            ));
        }
        Finding::passed(CHECK, format!("all of TOKEN_SCOPE; {granted_text}"))
    }
}

fn lifetime(obtained: &Obtained) -> Finding {
    const CHECK: &str = "lifetime";
    let claimed = obtained
        .unverified
        .date("exp")
        .zip(obtained.unverified.date("iat"))
        .map(|(exp, iat)| exp.saturating_sub(iat));
    let Some(lifetime) = obtained.issued.lifetime() else {
        let claimed =
            claimed.map_or_else(String::new, |s| format!(", the token itself says {s} s"));
        return Finding::warning(
            CHECK,
            format!("the reply has no expires_in{claimed}; public-data takes it for {ASSUMED_S} s"),
        );
    };
    let seconds = lifetime.as_secs();
    if lifetime < SHORT {
        return Finding::warning(CHECK, format!("{seconds} s"))
            .change("let the client's tokens live longer, at the provider");
    }
    let longer = claimed
        .filter(|claimed| claimed.saturating_add(1) < seconds.try_into().unwrap_or(i64::MAX));
    match longer {
        Some(claimed) => Finding::warning(
            CHECK,
            format!("expires_in says {seconds} s, the token itself {claimed} s"),
        )
        .change("correct the lifetimes at the provider: calls fail in between"),
        None => Finding::passed(CHECK, format!("{seconds} s")),
    }
}
