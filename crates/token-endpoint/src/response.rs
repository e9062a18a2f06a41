//! An endpoint's answer (RFC 6749 sections 5.1 and 5.2).

mod token;
mod wait;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use idp_http::{Answer, Reply, json, printable};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::error::EndpointError;
use crate::kind::TokenErrorKind;

pub(crate) use wait::asked_wait;

pub use token::{Expected, MAX_TOKEN_SIZE, TokenReply, UserTokens, check_access_token};

/// A whole answer of an endpoint, whatever its status.
///
/// `Debug` shows neither the answer's body nor what was sent.
#[derive(Debug)]
pub struct Response {
    pub(crate) reply: Reply,
    pub(crate) sent: Sent,
    /// What the provider asked for.
    pub(crate) wait: Option<Duration>,
    /// What is odd about the credentials.
    pub(crate) oddity: Option<String>,
}

/// What was sent: never to appear in an error, whatever the provider echoes.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The secret, or the assertion.
    pub(crate) credential: SecretString,
    /// The secret as HTTP's Basic scheme spelled it, if it did.
    pub(crate) basic: Option<HeaderValue>,
    /// Further headers, whose values count as far as they are long enough for a secret.
    pub(crate) headers: HeaderMap,
}

/// What is shorter is no secret, and would take many texts with it.
const SHORTEST_SECRET: usize = 4;

type Members = Map<String, Value>;

impl Response {
    /// Returns the answer itself. Its body may hold a token, or what was sent.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Returns the answer itself.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        self.reply
    }

    /// Returns the JSON object of a success, or why there is none.
    fn members(&self) -> Result<Members, EndpointError> {
        let reply = &self.reply;
        // Whatever the content type says: some providers send JSON as text or as a page.
        let document = json::from_slice(&reply.body);
        match (reply.status, document) {
            (StatusCode::OK | StatusCode::CREATED, Ok(Value::Object(members))) => {
                match said(&members, "error") {
                    Some(error) => Err(self.oauth_error(error, &members)),
                    None => Ok(members),
                }
            }
            (StatusCode::OK | StatusCode::CREATED, other) => Err(unreadable(reply, other)),
            (_, Ok(Value::Object(members))) => Err(self.refusal(&members)),
            _ => Err(self.refusal(&Members::new())),
        }
    }

    /// Adds what the whole answer says to an error that was found in it.
    fn told(&self, error: EndpointError) -> EndpointError {
        let error = error.with_retry_after(self.wait);
        match &self.oddity {
            // Credentials that were rejected may have been copied carelessly.
            Some(odd) if error.kind() == TokenErrorKind::InvalidClient => {
                error.with_more_detail(odd)
            }
            _ => error,
        }
    }

    fn refusal(&self, members: &Members) -> EndpointError {
        let reply = &self.reply;
        let status = reply.status;
        let error_of = |kind| {
            let page = if is_page(reply) {
                " with a web page"
            } else {
                ""
            };
            EndpointError::new(kind).with_detail(&format!("status {}{page}", status.as_u16()))
        };
        if matches!(said(members, "access_token"), Some(Value::String(_))) {
            return EndpointError::new(TokenErrorKind::UnexpectedStatus).with_detail(&format!(
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

    fn oauth_error(&self, error: &Value, members: &Members) -> EndpointError {
        let Value::String(code) = error else {
            return EndpointError::new(TokenErrorKind::OAuth)
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
        EndpointError::new(kind)
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
        let is_in = |text: &str| text.contains(self.sent.credential.expose_secret());
        // Decoded rather than encoded once more: a percent-encoding has several spellings.
        let mut decoded = form_urlencoded::parse(text.as_bytes());
        is_in(text)
            || decoded.any(|(name, value)| is_in(&name) || is_in(&value))
            || self
                .sent
                .basic()
                .is_some_and(|basic| text.contains(basic.trim_end_matches('=')))
            || self
                .sent
                .headers
                .values()
                .filter_map(|value| value.to_str().ok())
                .any(|value| value.len() >= SHORTEST_SECRET && text.contains(value))
    }
}

impl Sent {
    fn basic(&self) -> Option<&str> {
        self.basic.as_ref()?.to_str().ok()?.strip_prefix("Basic ")
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
fn unreadable(reply: &Reply, document: Result<Value, json::JsonError>) -> EndpointError {
    let error = |reason| EndpointError::new(reason);
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

fn invalid(reason: TokenErrorKind, member: &str, what: &str) -> EndpointError {
    EndpointError::new(reason).with_detail(&format!("`{member}` is {what}"))
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

#[cfg(test)]
mod tests;
