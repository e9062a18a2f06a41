//! Reads a token endpoint's answer (RFC 6749 sections 5.1 and 5.2).

use std::time::Duration;

use http::StatusCode;
use idp_http::{Answer, Reply, json, printable};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::error::{Invalid, Permanent, TokenError, TokenErrorKind, Transient};
use crate::request::TokenRequest;
use crate::token::IssuedToken;

/// How to read an answer.
pub(crate) struct Reading<'a> {
    pub(crate) request: &'a TokenRequest,
    /// Whether a granted scope narrower than the requested one is an error.
    pub(crate) all_scopes: bool,
    /// Never to appear in an error, whatever the provider echoes.
    pub(crate) secret: &'a str,
    /// Nor the secret as HTTP's Basic scheme spelled it, if it did.
    pub(crate) basic: Option<&'a str>,
}

impl Reading<'_> {
    pub(crate) fn token(&self, reply: &Reply) -> Result<IssuedToken, TokenError> {
        if reply.status != StatusCode::OK {
            return Err(self.refusal(reply));
        }
        if reply.is_html() {
            return Err(invalid(Invalid::ContentType));
        }
        let Ok(Value::Object(mut members)) = json::from_slice(&reply.body) else {
            return Err(invalid(Invalid::Json));
        };
        if members.contains_key("error") {
            return Err(self.oauth_error(&members));
        }
        match members.get("token_type") {
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
            _ => return Err(invalid(Invalid::TokenType)),
        }
        let lifetime = members.get("expires_in").map(lifetime).transpose()?;
        self.check_scope(members.get("scope"))?;
        match members.remove("access_token") {
            Some(Value::String(token)) => IssuedToken::new(token, lifetime),
            _ => Err(invalid(Invalid::MissingToken)),
        }
    }

    fn check_scope(&self, granted: Option<&Value>) -> Result<(), TokenError> {
        // Section 5.1: absent means that everything was granted.
        let Some(Value::String(granted)) = granted else {
            return Ok(());
        };
        let mut missing = self
            .request
            .scopes()
            .filter(|scope| granted.split(' ').all(|g| g != *scope));
        match missing.next() {
            Some(scope) if self.all_scopes => Err(TokenError::new(TokenErrorKind::Permanent(
                Permanent::ScopeNotGranted,
            ))
            .with_detail(&format!("\"{scope}\" was not granted"))),
            _ => Ok(()),
        }
    }

    fn refusal(&self, reply: &Reply) -> TokenError {
        let status = format!("status {}", reply.status.as_u16());
        if reply.is_overloaded() {
            return TokenError::new(TokenErrorKind::Transient(Transient::Status))
                .with_detail(&status);
        }
        if reply.answer() == Answer::None {
            return invalid(Invalid::Status).with_detail(&status);
        }
        if reply.status.is_redirection() {
            return TokenError::new(TokenErrorKind::Permanent(Permanent::Redirect))
                .with_detail(&status);
        }
        let error = match json::from_slice(&reply.body) {
            Ok(Value::Object(members)) if members.contains_key("error") => {
                self.oauth_error(&members)
            }
            _ => TokenError::new(TokenErrorKind::Permanent(Permanent::Status)).with_detail(&status),
        };
        if reply.status == StatusCode::UNAUTHORIZED {
            return error.unauthorized();
        }
        error
    }

    /// Whether a text holds the secret in a spelling that it was sent in.
    fn is_echo(&self, text: &str) -> bool {
        let is_in = |text: &str| text.contains(self.secret);
        // Decoded rather than encoded once more: a percent-encoding has several spellings.
        let mut decoded = form_urlencoded::parse(text.as_bytes());
        is_in(text)
            || decoded.any(|(name, value)| is_in(&name) || is_in(&value))
            || self
                .basic
                .is_some_and(|basic| text.contains(basic.trim_end_matches('=')))
    }

    fn oauth_error(&self, members: &Map<String, Value>) -> TokenError {
        let text = |name| match members.get(name) {
            // Some providers echo what they were sent.
            Some(Value::String(text)) if !self.is_echo(text) => printable(text),
            _ => String::new(),
        };
        let code = text("error");
        let kind = match code.as_str() {
            "invalid_client" => TokenErrorKind::Permanent(Permanent::InvalidClient),
            // Not in section 5.2, but used by providers with the meaning they have elsewhere in it.
            "temporarily_unavailable" | "server_error" => {
                TokenErrorKind::Transient(Transient::Status)
            }
            _ => TokenErrorKind::Permanent(Permanent::OAuth),
        };
        let description = text("error_description");
        let detail = if description.is_empty() {
            code.clone()
        } else {
            format!("{code} ({description})")
        };
        TokenError::new(kind)
            .with_oauth_code(&code)
            .with_detail(&detail)
    }
}

fn invalid(reason: Invalid) -> TokenError {
    TokenError::new(TokenErrorKind::Invalid(reason))
}

/// Reads `expires_in`: an integer, a float with an integer's value, or a decimal string. Values that
/// no duration holds are as good as the cap on lifetimes.
fn lifetime(value: &Value) -> Result<Duration, TokenError> {
    const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
    let whole = |seconds: f64| {
        if !seconds.is_finite() || seconds.fract() != 0.0 {
            return Err(invalid(Invalid::ExpiresIn));
        }
        Ok(Duration::try_from_secs_f64(seconds.max(0.0))
            .unwrap_or(LONGEST)
            .min(LONGEST))
    };
    match value {
        Value::Number(number) => whole(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(invalid(Invalid::ExpiresIn));
            }
            whole(text.parse().unwrap_or(f64::NAN))
        }
        _ => Err(invalid(Invalid::ExpiresIn)),
    }
}

#[cfg(test)]
mod tests;
