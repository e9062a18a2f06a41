//! Reads a token endpoint's answer (RFC 6749 sections 5.1 and 5.2).

mod wait;

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use idp_http::{Answer, Reply, json, printable};
use serde_json::{Map, Value};
use tracing::warn;
use url::form_urlencoded;

use crate::error::{TokenError, TokenErrorKind};
use crate::request::TokenRequest;
use crate::token::IssuedToken;

pub(crate) use wait::asked_wait;

/// How to read an answer.
pub(crate) struct Reading<'a> {
    pub(crate) request: &'a TokenRequest,
    /// Whether a granted scope narrower than the requested one is an error.
    pub(crate) all_scopes: bool,
    /// Names of `Bearer` that this provider has.
    pub(crate) token_types: &'a [String],
    pub(crate) max_token_size: usize,
    /// Never to appear in an error, whatever the provider echoes.
    pub(crate) secret: &'a str,
    /// Nor the secret as HTTP's Basic scheme spelled it, if it did.
    pub(crate) basic: Option<&'a str>,
    /// Nor the values of further headers, as far as they are long enough for a secret.
    pub(crate) headers: &'a HeaderMap,
}

/// What is shorter is no secret, and would take many texts with it.
const SHORTEST_SECRET: usize = 4;

type Members = Map<String, Value>;

impl Reading<'_> {
    pub(crate) fn token(&self, reply: &Reply) -> Result<IssuedToken, TokenError> {
        // Whatever the content type says: some providers send JSON as text or as a page.
        let document = json::from_slice(&reply.body);
        match (reply.status, document) {
            (StatusCode::OK | StatusCode::CREATED, Ok(Value::Object(members))) => {
                self.issued(members)
            }
            (StatusCode::OK | StatusCode::CREATED, other) => Err(unreadable(reply, other)),
            (_, Ok(Value::Object(members))) => Err(self.refusal(reply, &members)),
            _ => Err(self.refusal(reply, &Members::new())),
        }
    }

    fn issued(&self, mut members: Members) -> Result<IssuedToken, TokenError> {
        if let Some(error) = said(&members, "error") {
            return Err(self.oauth_error(error, &members));
        }
        let token = match members.remove("access_token") {
            Some(Value::String(token)) => token,
            other => {
                let what = other.as_ref().map_or("missing", json_type);
                return Err(invalid(TokenErrorKind::MissingToken, "access_token", what));
            }
        };
        if token.len() > self.max_token_size {
            let (len, most) = (token.len(), self.max_token_size);
            return Err(TokenError::new(TokenErrorKind::TooLarge)
                .with_detail(&format!("`access_token` has {len} bytes, more than {most}")));
        }
        self.check_type(members.get("token_type"))?;
        let lifetime = match members.get("expires_in") {
            None | Some(Value::Null) => None,
            Some(value) => Some(lifetime(value)?),
        };
        let issued = IssuedToken::new(token, lifetime)?;
        self.check_scope(members.get("scope"))?;
        Ok(issued)
    }

    /// RFC 6749 section 7.1. What does not say is a bearer token: some large providers leave it out.
    fn check_type(&self, token_type: Option<&Value>) -> Result<(), TokenError> {
        match token_type {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(name)) if self.is_bearer(name) => Ok(()),
            Some(Value::String(name)) => {
                let what = format!("\"{}\", not Bearer", self.shown(name));
                Err(invalid(TokenErrorKind::TokenType, "token_type", &what))
            }
            Some(other) => Err(invalid(
                TokenErrorKind::TokenType,
                "token_type",
                json_type(other),
            )),
        }
    }

    fn is_bearer(&self, name: &str) -> bool {
        let mut others = self.token_types.iter();
        name.eq_ignore_ascii_case("bearer") || others.any(|other| name.eq_ignore_ascii_case(other))
    }

    fn check_scope(&self, granted: Option<&Value>) -> Result<(), TokenError> {
        // Section 5.1: absent means that everything was granted.
        let Some(Value::String(granted)) = granted else {
            return Ok(());
        };
        // A comma is a character of a scope (section 3.3), where it is not what separates them.
        let separator = if granted.contains(' ') { ' ' } else { ',' };
        let is_granted =
            |scope: &str| scope == granted || granted.split(separator).any(|one| one == scope);
        let Some(scope) = self.request.scopes().find(|scope| !is_granted(scope)) else {
            return Ok(());
        };
        let what = format!("\"{scope}\" was not granted");
        if self.all_scopes {
            let kind = TokenErrorKind::ScopeNotGranted;
            return Err(TokenError::new(kind).with_detail(&what));
        }
        warn!("a token with less scope than was asked for: {what}");
        Ok(())
    }

    fn refusal(&self, reply: &Reply, members: &Members) -> TokenError {
        let status = reply.status;
        let error_of = |kind| {
            let page = if is_page(reply) {
                " with a web page"
            } else {
                ""
            };
            TokenError::new(kind).with_detail(&format!("status {}{page}", status.as_u16()))
        };
        if matches!(said(members, "access_token"), Some(Value::String(_))) {
            return TokenError::new(TokenErrorKind::UnexpectedStatus).with_detail(&format!(
                "a token came with status {}, no success",
                status.as_u16()
            ));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            return error_of(TokenErrorKind::Throttled);
        }
        if reply.is_overloaded() {
            return error_of(TokenErrorKind::Status5xx);
        }
        if reply.answer() == Answer::None {
            return error_of(TokenErrorKind::UnexpectedStatus);
        }
        if status.is_redirection() {
            return error_of(TokenErrorKind::Redirect);
        }
        match oauth_member(status, members) {
            Some(error) => {
                let found = self.oauth_error(error, members);
                match status {
                    // Under whatever code: it is the status for credentials that are not taken.
                    StatusCode::UNAUTHORIZED => found.with_kind(REJECTED),
                    _ if found.oauth_code().is_none() && status == StatusCode::FORBIDDEN => {
                        found.with_kind(REJECTED)
                    }
                    _ => found,
                }
            }
            // Some providers and gateways answer so to a wrong secret, id, method or key.
            None if status == StatusCode::UNAUTHORIZED => error_of(REJECTED),
            // With a page it is what stands in front of the provider.
            None if status == StatusCode::FORBIDDEN && !is_page(reply) => error_of(REJECTED),
            None => error_of(TokenErrorKind::Status4xx),
        }
    }

    fn oauth_error(&self, error: &Value, members: &Members) -> TokenError {
        let Value::String(code) = error else {
            return TokenError::new(TokenErrorKind::OAuth)
                .with_detail(&format!("`error` is {}, not a text", json_type(error)));
        };
        let description = ["error_description", "errorSummary"]
            .into_iter()
            .find_map(|name| members.get(name)?.as_str())
            .unwrap_or_default();
        let kind = match code.as_str() {
            _ if speaks_of_credentials(code, description) => REJECTED,
            // Not in section 5.2, but used by providers with the meaning they have elsewhere in it.
            "temporarily_unavailable" | "server_error" => TokenErrorKind::Status5xx,
            _ => TokenErrorKind::OAuth,
        };
        let (code, description) = (self.shown(code), self.shown(description));
        let detail = if description.is_empty() {
            code.clone()
        } else {
            format!("{code} ({description})")
        };
        TokenError::new(kind)
            .with_oauth_code(&code)
            .with_detail(&detail)
    }

    /// A provider's text, or nothing where it echoes what it was sent, as some do.
    fn shown(&self, text: &str) -> String {
        if self.is_echo(text) {
            return String::new();
        }
        printable(text)
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
            || self
                .headers
                .values()
                .filter_map(|value| value.to_str().ok())
                .any(|value| value.len() >= SHORTEST_SECRET && text.contains(value))
    }
}

const REJECTED: TokenErrorKind = TokenErrorKind::InvalidClient;

/// A member that says something: null, false and what is empty say that there is none.
fn said<'a>(members: &'a Members, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    })
}

/// The error of section 5.2, if what answered is a token endpoint.
fn oauth_member(status: StatusCode, members: &Members) -> Option<&Value> {
    // Web servers and frameworks have an `error` for paths and methods that they do not know.
    if matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    ) {
        return None;
    }
    let error = said(members, "error").or_else(|| said(members, "errorCode"))?;
    // As frameworks do in errors of their own.
    let repeats_status = |text: &str| {
        let reason = status.canonical_reason();
        reason.is_some_and(|reason| reason.eq_ignore_ascii_case(text))
            && !members.contains_key("error_description")
    };
    (!error.as_str().is_some_and(repeats_status)).then_some(error)
}

/// Providers have many words for a wrong secret, id or method, and other statuses than 401 with them.
fn speaks_of_credentials(code: &str, description: &str) -> bool {
    let code = code.to_ascii_lowercase();
    if code.starts_with("invalid_client") || code.ends_with("_credentials") {
        return true;
    }
    let description = description.to_ascii_lowercase();
    match code.as_str() {
        "unauthorized" => true,
        "access_denied" | "unauthorized_client" => {
            description == "unauthorized"
                || ["secret", "credential", "authentication"]
                    .into_iter()
                    .any(|word| description.contains(word))
                    // "… may not use the client credentials grant" is about a permission.
                    && !description.contains("grant")
        }
        _ => false,
    }
}

fn is_page(reply: &Reply) -> bool {
    reply.is_html() || reply.body.trim_ascii_start().starts_with(b"<")
}

/// Says why a success without a JSON object is of no use.
fn unreadable(reply: &Reply, document: Result<Value, json::JsonError>) -> TokenError {
    let error = |reason| TokenError::new(reason);
    let encoding = reply.headers.get(header::CONTENT_ENCODING);
    match document {
        _ if is_page(reply) => {
            error(TokenErrorKind::ContentType).with_detail("the body is a web page")
        }
        Ok(value) => {
            error(TokenErrorKind::Json).with_detail(&format!("the body is {}", json_type(&value)))
        }
        Err(_) if encoding.is_some_and(|it| it != "identity") => error(TokenErrorKind::Json)
            .with_detail("the body has a content-encoding, though identity was asked for"),
        Err(problem) => error(TokenErrorKind::Json).with_detail(&format!("the body is {problem}")),
    }
}

fn invalid(reason: TokenErrorKind, member: &str, what: &str) -> TokenError {
    TokenError::new(reason).with_detail(&format!("`{member}` is {what}"))
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads `expires_in`: a number or a decimal string, whose fraction is cut off. Values that no duration
/// holds are as good as the cap on lifetimes.
fn lifetime(value: &Value) -> Result<Duration, TokenError> {
    const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => is_decimal(text).then(|| text.parse().ok()).flatten(),
        other => {
            return Err(invalid(
                TokenErrorKind::ExpiresIn,
                "expires_in",
                json_type(other),
            ));
        }
    };
    let seconds = seconds.ok_or_else(|| {
        invalid(
            TokenErrorKind::ExpiresIn,
            "expires_in",
            "a text that is no number",
        )
    })?;
    Ok(Duration::try_from_secs_f64(seconds.trunc().max(0.0))
        .unwrap_or(LONGEST)
        .min(LONGEST))
}

/// Digits, perhaps with a sign and a fraction: less than what a float can be parsed from.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    [whole, fraction]
        .into_iter()
        .all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
