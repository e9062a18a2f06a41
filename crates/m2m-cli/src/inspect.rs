//! `m2m inspect`: what is in a token, and what protected-data makes of it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, unix_seconds};
use idp_http::{Reader, calendar, span};
use jwks_validator::{
    CheckOutcome, Explanation, JwtValidator, RequireScopes, explain_without_keys,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use service_kit::config::ConfigError;
use service_kit::with_sources;

use crate::doctor::{client, keys};
use crate::jwt::UnverifiedToken;
use crate::report::coloured;
use crate::settings::Settings;

/// The keys are in memory by then.
const READY_LIMIT: Duration = Duration::from_secs(5);
/// Stands in for an issuer that is not configured; it is compared with nothing.
const NO_ISSUER: &str = "https://issuer.invalid";

/// What tokens are looked at with.
#[derive(Debug)]
pub struct Inspector {
    config: protected_data::Config,
    has_issuer: bool,
    has_audience: bool,
    offline: bool,
    clock: Arc<dyn Clock>,
}

/// What was found out about a token.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The text to print.
    pub text: String,
    /// Whether protected-data would accept the token with this configuration.
    pub is_accepted: bool,
}

impl Inspector {
    /// Reads what protected-data reads. An issuer or an audience that is not set is not checked;
    /// `offline` asks nobody for keys.
    ///
    /// # Errors
    ///
    /// Fails with every problem of what is set.
    pub fn new(
        settings: &mut Settings<'_>,
        offline: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let is_set = |name| service_kit::config::Strings::get(settings, name).is_some();
        let has_issuer = is_set("ISSUER") || settings.names_provider();
        let has_audience = is_set("API_AUDIENCE");
        let skips_audience = service_kit::config::Strings::get(settings, "DANGEROUS_SKIP_AUDIENCE");
        if !has_issuer {
            settings.stand_in("ISSUER", NO_ISSUER);
        }
        // Written out as off is as good as not set. A value that is neither stays, to be reported.
        if !has_audience && matches!(skips_audience.as_deref(), None | Some("false")) {
            settings.replace("DANGEROUS_SKIP_AUDIENCE", "true");
        }
        let (config, _) = settings.read(protected_data::Config::read)?;
        Ok(Self {
            config,
            has_issuer,
            has_audience,
            offline,
            clock,
        })
    }

    /// Decodes a token and explains every check.
    ///
    /// Fetches the keys of the configured issuer, and of no other: what a token names is never asked.
    /// The text holds no byte of the signature.
    pub async fn inspect(&self, token: &SecretString, colour: bool) -> Inspection {
        let token = bare(token.expose_secret());
        let parts = UnverifiedToken::read(token);
        let mut text = String::new();
        self.contents(&parts, colour, &mut text);
        let mut notes: Vec<String> = parts
            .form()
            .advice()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let (explanation, missing) = match self.keys().await {
            Ok(published) => self.with_keys(token, &published, &mut notes).await,
            Err(why) => {
                notes.push(format!(
                    "the keys and the signature were not checked: {why}"
                ));
                (self.without_keys(token), Vec::new())
            }
        };
        if !self.has_issuer {
            notes.push("the issuer was not checked: ISSUER is not set".to_owned());
        }
        if !self.has_audience {
            notes.push("the audience was not checked: API_AUDIENCE is not set".to_owned());
        }
        let is_accepted = explanation.reason().is_none() && missing.is_empty();
        verdict(&explanation, &missing, colour, &mut text);
        checks(&explanation, colour, &mut text);
        for note in notes {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "{} {note}", coloured('!', 33, colour));
        }
        Inspection { text, is_accepted }
    }

    fn contents(&self, parts: &UnverifiedToken, colour: bool, text: &mut String) {
        for (title, members) in [("header", &parts.header), ("claims", &parts.claims)] {
            let title = coloured(title, 1, colour);
            let _ = match members {
                Some(members) => writeln!(text, "{title} {}", shown(members)),
                None => writeln!(text, "{title} not one strict JSON object in base64url"),
            };
        }
        let now = unix_seconds(self.clock.now());
        for name in ["iat", "nbf", "exp"] {
            let Some(date) = parts.date(name) else {
                continue;
            };
            let shown = calendar(date).unwrap_or_else(|| "beyond the calendar".to_owned());
            let away = match date > now {
                true => format!("in {}", span(date.saturating_sub(now))),
                false => format!("{} ago", span(now.saturating_sub(date))),
            };
            let _ = writeln!(text, "{} {shown}, {away}", coloured(name, 1, colour));
        }
        let _ = writeln!(text);
    }

    async fn keys(&self) -> Result<keys::Published, String> {
        if self.offline {
            return Err("--offline".to_owned());
        }
        if !self.has_issuer {
            return Err("ISSUER is not set".to_owned());
        }
        let provider = &self.config.provider;
        let http = client(provider).map_err(|error| with_sources(&error))?;
        let url = match &provider.jwks_uri {
            Some(url) => url.clone(),
            None => {
                let discovery = provider
                    .discovery(http.clone())
                    .map_err(|(name, problem)| format!("{name} {problem}"))?
                    .for_reader(Reader::Validator);
                let metadata = discovery
                    .metadata()
                    .await
                    .map_err(|error| error.to_string())?;
                metadata
                    .jwks_uri
                    .clone()
                    .ok_or("the metadata names no jwks_uri; set JWKS_URI")?
            }
        };
        keys::fetch(&http, &url, &*self.clock)
            .await
            .map_err(|problem| format!("{url}: {}", problem.found))
    }

    /// Returns the scopes that are missing, too.
    async fn with_keys(
        &self,
        token: &str,
        published: &keys::Published,
        notes: &mut Vec<String>,
    ) -> (Explanation, Vec<String>) {
        let builder = self.config.validator(published.source());
        let validator: JwtValidator = match builder.clock(Arc::clone(&self.clock)).build() {
            Ok(validator) => validator,
            Err(error) => {
                notes.push(error.to_string());
                return (self.without_keys(token), Vec::new());
            }
        };
        validator.start();
        validator.ready_within(READY_LIMIT).await;
        let explanation = validator.explain(token).await;
        let mut missing = Vec::new();
        if explanation.reason().is_none()
            && let Ok(claims) = validator.validate(token).await
        {
            let required = self.config.required_scopes.iter();
            let required = required.flat_map(RequireScopes::scopes);
            let lacking = required.filter(|scope| !claims.has_scope(scope));
            missing = lacking.map(str::to_owned).collect();
        }
        validator.shutdown().await;
        (explanation, missing)
    }

    fn without_keys(&self, token: &str) -> Explanation {
        let policy = self.config.policy();
        let issuer = self.has_issuer.then_some(&*self.config.provider.issuer);
        explain_without_keys(token, self.clock.now(), issuer, &policy)
    }
}

/// Takes off what is around a token when it is copied from a header.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let text = match text.split_once(':') {
        Some((name, value)) if name.eq_ignore_ascii_case("authorization") => value.trim(),
        _ => text,
    };
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => text,
    }
}

fn verdict(explanation: &Explanation, missing: &[String], colour: bool, text: &mut String) {
    let _ = match explanation.reason() {
        None if missing.is_empty() => {
            writeln!(text, "{} accepted", coloured('✓', 32, colour))
        }
        None => writeln!(
            text,
            "{} refused: the token lacks {}, which REQUIRED_SCOPES has",
            coloured('✗', 31, colour),
            missing.join(" ")
        ),
        Some(reason) if reason.status().is_server_error() => {
            writeln!(text, "{} undecided: {reason}", coloured('!', 33, colour))
        }
        Some(reason) => writeln!(text, "{} refused: {reason}", coloured('✗', 31, colour)),
    };
}

fn checks(explanation: &Explanation, colour: bool, text: &mut String) {
    for report in explanation.checks() {
        let mark = match report.outcome {
            CheckOutcome::Passed => coloured('✓', 32, colour),
            CheckOutcome::Failed => coloured('✗', 31, colour),
            CheckOutcome::NotReached => coloured('·', 2, colour),
        };
        let name = report.check.as_str();
        let detail = match (&report.detail, report.outcome) {
            (Some(detail), _) => detail,
            (None, CheckOutcome::NotReached) => "not reached",
            (None, _) => "",
        };
        let line = format!("{mark} {name:<16}  {detail}");
        let _ = writeln!(text, "  {}", line.trim_end());
    }
}

/// Members as indented JSON that a terminal shows as it stands: whatever is neither plain ASCII nor a
/// letter or digit is escaped, such as controls and marks that reverse the direction of text.
fn shown(members: &Map<String, Value>) -> String {
    // A map of JSON values always serializes.
    let json = serde_json::to_string_pretty(members).unwrap_or_default();
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric()) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_out_of_what_is_around_it() {
        for text in [
            "a.b.c",
            " a.b.c\r\n",
            "Bearer a.b.c",
            "bearer  a.b.c",
            "Authorization: Bearer a.b.c\n",
            "authorization:a.b.c",
        ] {
            assert_eq!(bare(text), "a.b.c", "{text:?}");
        }
    }

    #[test]
    fn nothing_in_a_claim_reaches_the_terminal_as_a_command() {
        let claims = serde_json::json!({
            "sub": "M\u{fc}ller\u{1b}[31m \u{9b}31m \u{202e}x \u{1f600}\u{7f}"
        });
        let shown = shown(claims.as_object().unwrap());
        assert!(
            shown.contains("Müller\\u001b[31m \\u009b31m \\u202ex \\ud83d\\ude00\\u007f"),
            "{shown}"
        );
        let back: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(back, claims);
    }
}
