//! ID tokens and logout tokens, once their signature and common claims are right.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use idp_http::json;
use jwks_validator::{Algorithm, Claims, Reason};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::{Granted, Provider};
use crate::state::SessionState;

/// What the ID token in the reply to a refresh came to (OpenID Connect Core 1.0 section 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdTokenCheck {
    /// It is about the same person, or there is none.
    SamePerson,
    /// It is too old to be judged by its signature and names the same person, or it cannot be told.
    Unchecked,
    OtherPerson,
}

impl Provider {
    /// Checks an ID token as far as it says so itself, and returns its claims.
    pub(crate) async fn check_id_token(
        &self,
        token: &SecretString,
    ) -> Result<IdToken, IdTokenError> {
        let claims = self
            .id_tokens
            .validate(token.expose_secret())
            .await
            .map_err(|error| match error.status() {
                StatusCode::SERVICE_UNAVAILABLE => IdTokenError::NoKeys(error.reason()),
                _ => IdTokenError::Refused(error.reason().to_string(), Some(error.reason())),
            })?;
        let Ok(Value::Object(members)) = json::from_slice(claims.payload()) else {
            return Err(IdTokenError::refused(
                "the payload is no strict JSON object",
            ));
        };
        let azp = members.get("azp");
        if azp.is_some_and(|azp| azp.as_str() != Some(self.client_id())) {
            return Err(IdTokenError::refused("`azp` is another client"));
        }
        if azp.is_none() && claims.audiences().len() > 1 {
            return Err(IdTokenError::refused(
                "there are several audiences and no `azp`",
            ));
        }
        Ok(IdToken {
            algorithm: claims.algorithm(),
            subject: claims.subject().unwrap_or_default().to_owned(),
            members,
        })
    }

    /// Checks that a refresh gave tokens of the same person.
    pub(crate) async fn check_refreshed(
        &self,
        granted: &Granted,
        state: &SessionState,
    ) -> IdTokenCheck {
        let Some(id_token) = &granted.id_token else {
            return IdTokenCheck::SamePerson;
        };
        match self.check_id_token(id_token).await {
            Ok(token) => {
                let is_same = token.subject == state.person.subject
                    && token.has_nonce(state.nonce.expose()).unwrap_or(true);
                match is_same {
                    true => IdTokenCheck::SamePerson,
                    false => IdTokenCheck::OtherPerson,
                }
            }
            Err(IdTokenError::NoKeys(_)) => IdTokenCheck::Unchecked,
            Err(IdTokenError::Refused(_, Some(Reason::TooOld | Reason::Expired)))
                if names_the_person(id_token, state) =>
            {
                IdTokenCheck::Unchecked
            }
            Err(IdTokenError::Refused(text, _)) => {
                tracing::error!("the ID token of a refresh: {text}");
                IdTokenCheck::OtherPerson
            }
        }
    }
}

/// Tells whether a token that nothing vouches for names the person and the login of this session.
fn names_the_person(id_token: &SecretString, state: &SessionState) -> bool {
    let payload = id_token
        .expose_secret()
        .split('.')
        .nth(1)
        .unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let Ok(Value::Object(claims)) = json::from_slice(&payload) else {
        return false;
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let nonce = claims.contains_key("nonce");
    text("iss") == Some(&state.person.issuer)
        && text("sub") == Some(&state.person.subject)
        && (!nonce || text("nonce") == Some(state.nonce.expose()))
}

/// An ID token whose signature and common claims are right.
pub(crate) struct IdToken {
    pub(crate) subject: String,
    algorithm: Algorithm,
    members: Map<String, Value>,
}

#[derive(Debug)]
pub(crate) enum IdTokenError {
    Refused(String, Option<Reason>),
    /// It cannot be told.
    NoKeys(Reason),
}

impl IdTokenError {
    pub(crate) fn refused(text: &str) -> Self {
        Self::Refused(text.to_owned(), None)
    }
}

impl IdToken {
    /// Returns a claim that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// Tells whether there is a nonce, and whether it is this one.
    pub(crate) fn has_nonce(&self, nonce: &str) -> Option<bool> {
        let claim = self.members.get("nonce")?;
        Some(
            claim
                .as_str()
                .is_some_and(|claim| crate::is_equal(claim, nonce)),
        )
    }

    /// Tells whether `at_hash`, if there is one, is that of this access token (OpenID Connect Core 1.0 section
    /// 3.1.3.6).
    pub(crate) fn fits_access_token(&self, access: &SecretString) -> bool {
        use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
        let Some(claim) = self.members.get("at_hash") else {
            return true;
        };
        let algorithm = match self.algorithm {
            Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => &SHA384,
            Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Es512 | Algorithm::EdDsa => &SHA512,
            _ => &SHA256,
        };
        let hash = digest(algorithm, access.expose_secret().as_bytes());
        let half = &hash.as_ref()[..hash.as_ref().len() / 2];
        let expected = URL_SAFE_NO_PAD.encode(half);
        claim.as_str() == Some(&expected)
    }
}

/// What a logout token ends.
#[derive(Debug)]
pub(crate) enum LoggedOut {
    /// The sessions that came of one at the provider (`sid`).
    Session(String),
    /// All sessions of a person (`sub`).
    Person(String),
}

/// Returns what a logout token ends, once everything about it is right but its `jti`.
pub(crate) fn read_logout_token(claims: &Claims) -> Result<LoggedOut, &'static str> {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let Ok(Value::Object(members)) = json::from_slice(claims.payload()) else {
        return Err("the payload is no strict JSON object");
    };
    let event = members.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err("`events` has no logout");
    }
    if members.contains_key("nonce") {
        return Err("there is a nonce");
    }
    let text = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err("`sid` or `sub` is no text, or empty"),
    };
    match (text("sid")?, text("sub")?) {
        (Some(sid), _) => Ok(LoggedOut::Session(sid)),
        (None, Some(subject)) => Ok(LoggedOut::Person(subject)),
        (None, None) => Err("there is neither `sid` nor `sub`"),
    }
}
