//! A token, as a token endpoint gives it (RFC 6749 section 5.1).

use std::fmt;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Members, Response, invalid, json_type};
use crate::error::EndpointError;
use crate::kind::TokenErrorKind;

/// The longest token that can be taken, in bytes: tokens are sent in a header, and servers cap header blocks.
pub const MAX_TOKEN_SIZE: usize = 32 * 1024;

/// What a token reply has to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Names of `Bearer` that this provider has beside it, in any letter case.
    pub token_types: &'a [String],
    /// The longest token that is taken, in bytes.
    pub max_token_size: usize,
    /// The scopes that were asked for.
    pub scopes: &'a [&'a str],
}

/// A token reply that can be used.
///
/// `Debug` shows no token.
#[non_exhaustive]
pub struct TokenReply {
    /// The token: visible ASCII, and wiped when it is dropped.
    pub access_token: Zeroizing<String>,
    /// `expires_in`, where the reply has it.
    pub lifetime: Option<Duration>,
    /// A scope that was asked for and not granted (RFC 6749 section 3.3), the first where there are several.
    pub missing_scope: Option<String>,
    /// The provider's clock when it answered, to the second.
    pub date: Option<SystemTime>,
}

/// The tokens of a grant that a person made (OpenID Connect Core 1.0 sections 3.1.3.3 and 12.2).
///
/// `Debug` shows no token.
#[derive(Debug)]
#[non_exhaustive]
pub struct UserTokens {
    /// The access token.
    pub access: TokenReply,
    /// `refresh_token`: printable ASCII, at most 8 KiB. Null and an empty one are none.
    pub refresh_token: Option<SecretString>,
    /// `id_token`: printable ASCII. Nothing vouches for it yet.
    pub id_token: Option<SecretString>,
}

/// The longest refresh token that is taken, in bytes.
const MAX_REFRESH_TOKEN: usize = 8 * 1024;

impl Response {
    /// Reads the reply to a grant that a person made: an authorization code, or a refresh token.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token), and where `refresh_token` or `id_token` is there and cannot be used.
    pub fn user_tokens(&self, expected: &Expected<'_>) -> Result<UserTokens, EndpointError> {
        self.read_user_tokens(expected)
            .map_err(|error| self.told(error))
    }

    fn read_user_tokens(&self, expected: &Expected<'_>) -> Result<UserTokens, EndpointError> {
        let mut members = self.members()?;
        let mut take = |name: &str, most: usize| match members.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(token)) if token.is_empty() => Ok(None),
            Some(Value::String(token)) => {
                let token = SecretString::from(token);
                let text = token.expose_secret();
                if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
                    let what = "a text with a character that is not printable ASCII";
                    return Err(invalid(TokenErrorKind::TokenSyntax, name, what));
                }
                if text.len() > most {
                    let what = format!("longer than {most} bytes");
                    return Err(invalid(TokenErrorKind::TooLarge, name, &what));
                }
                Ok(Some(token))
            }
            Some(other) => Err(invalid(
                TokenErrorKind::MissingToken,
                name,
                json_type(&other),
            )),
        };
        let refresh_token = take("refresh_token", MAX_REFRESH_TOKEN)?;
        let id_token = take("id_token", usize::MAX)?;
        Ok(UserTokens {
            access: self.read_access_token(members, expected)?,
            refresh_token,
            id_token,
        })
    }

    /// Reads a token reply.
    ///
    /// # Errors
    ///
    /// Fails with an error of [RFC 6749 section 5.2], with a status that is neither 200 nor 201, and where
    /// the reply has no token that can be used. Less scope than asked for is none.
    ///
    /// [RFC 6749 section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
    pub fn token(&self, expected: &Expected<'_>) -> Result<TokenReply, EndpointError> {
        self.read_token(expected).map_err(|error| self.told(error))
    }

    fn read_token(&self, expected: &Expected<'_>) -> Result<TokenReply, EndpointError> {
        self.read_access_token(self.members()?, expected)
    }

    fn read_access_token(
        &self,
        mut members: Members,
        expected: &Expected<'_>,
    ) -> Result<TokenReply, EndpointError> {
        let token = match members.remove("access_token") {
            Some(Value::String(token)) => Zeroizing::new(token),
            other => {
                let what = other.as_ref().map_or("missing", json_type);
                return Err(invalid(TokenErrorKind::MissingToken, "access_token", what));
            }
        };
        if token.len() > expected.max_token_size {
            let (len, most) = (token.len(), expected.max_token_size);
            return Err(EndpointError::new(TokenErrorKind::TooLarge)
                .with_detail(&format!("`access_token` has {len} bytes, more than {most}")));
        }
        self.check_type(members.get("token_type"), expected)?;
        let lifetime = match members.get("expires_in") {
            None | Some(Value::Null) => None,
            Some(value) => Some(lifetime(value)?),
        };
        check_access_token(&token)?;
        Ok(TokenReply {
            access_token: token,
            lifetime,
            missing_scope: missing_scope(members.get("scope"), expected.scopes),
            date: self.reply.date(),
        })
    }

    /// RFC 6749 section 7.1. What does not say is a bearer token: some large providers leave it out.
    fn check_type(
        &self,
        token_type: Option<&Value>,
        expected: &Expected<'_>,
    ) -> Result<(), EndpointError> {
        let is_bearer = |name: &str| {
            let mut others = expected.token_types.iter();
            name.eq_ignore_ascii_case("bearer")
                || others.any(|other| name.eq_ignore_ascii_case(other))
        };
        match token_type {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(name)) if is_bearer(name) => Ok(()),
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
}

/// Checks that a token is one that a header can carry: not empty, at most [`MAX_TOKEN_SIZE`] bytes, and of
/// visible ASCII.
///
/// # Errors
///
/// Fails with [`TokenErrorKind::MissingToken`], [`TokenErrorKind::TooLarge`] or
/// [`TokenErrorKind::TokenSyntax`].
pub fn check_access_token(token: &str) -> Result<(), EndpointError> {
    // RFC 6749 appendix A.12 less the space, which would end the token in the header. Large providers
    // issue tokens with more signs than RFC 6750 section 2.1 has.
    let (kind, what) = if token.is_empty() {
        (TokenErrorKind::MissingToken, "is empty")
    } else if token.len() > MAX_TOKEN_SIZE {
        (TokenErrorKind::TooLarge, "has more than 32 KiB")
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        (
            TokenErrorKind::TokenSyntax,
            "has a character that is not visible ASCII",
        )
    } else {
        return Ok(());
    };
    Err(EndpointError::new(kind).with_detail(&format!("`access_token` {what}")))
}

fn missing_scope(granted: Option<&Value>, asked: &[&str]) -> Option<String> {
    // Section 5.1: absent means that everything was granted.
    let granted = granted?.as_str()?;
    // A comma is a character of a scope (section 3.3), where it is not what separates them.
    let separator = if granted.contains(' ') { ' ' } else { ',' };
    let is_granted =
        |scope: &str| scope == granted || granted.split(separator).any(|one| one == scope);
    let missing = asked.iter().find(|scope| !is_granted(scope))?;
    Some((*missing).to_owned())
}

impl fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReply")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Reads `expires_in`: a number or a decimal string, whose fraction is cut off. Values that no duration
/// holds are as good as the cap on lifetimes.
fn lifetime(value: &Value) -> Result<Duration, EndpointError> {
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
