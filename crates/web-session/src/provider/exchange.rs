//! What the provider is asked, and what its answers are worth.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use idp_http::{FetchErrorKind, json, printable};
use jwks_validator::{Algorithm, Claims, Reason};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use token_endpoint::{EndpointError, Expected, TokenErrorKind, UserTokens};
use url::{Url, form_urlencoded};

use super::{Endpoints, Provider};
use crate::refresh::is_only_old;
use crate::state::SessionState;
use crate::tenancy::LoginTenant;

const MAX_ACCESS_TOKEN: usize = 16 * 1024;
const MAX_USERINFO: usize = 64 * 1024;
const MAX_ROLES: usize = 64;

/// What a token is asked for with.
#[derive(Clone, Copy)]
pub(crate) enum Grant<'a> {
    /// RFC 6749 section 4.1.3, with RFC 7636.
    Code {
        code: &'a str,
        redirect_uri: &'a str,
        verifier: &'a str,
    },
    /// RFC 6749 section 6.
    Refresh(&'a str),
}

impl Grant<'_> {
    fn form(self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        match self {
            Self::Code {
                code,
                redirect_uri,
                verifier,
            } => form.extend_pairs([
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", redirect_uri),
                ("code_verifier", verifier),
            ]),
            Self::Refresh(token) => {
                form.extend_pairs([("grant_type", "refresh_token"), ("refresh_token", token)])
            }
        };
        form.finish()
    }
}

/// Why the provider gave nothing of use. The text is for the log.
#[derive(Debug)]
pub(crate) struct ProviderError {
    pub(crate) class: ErrorClass,
    pub(crate) text: String,
    pub(crate) retry_after: Option<Duration>,
}

/// What an error means for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The code or refresh token is not taken: `invalid_grant`.
    InvalidGrant,
    /// The client is refused.
    Refused,
    /// What answered is no usable answer.
    Nonsense,
    /// Nobody answered, and nothing was sent.
    Unsent,
    /// It was sent, and no whole answer came.
    InFlight,
    /// The provider cannot serve at present.
    Overloaded,
}

impl ErrorClass {
    /// Tells whether the failure ends by itself.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Unsent | Self::InFlight | Self::Overloaded)
    }
}

/// A sound reply.
pub(crate) struct Granted {
    pub(crate) access: SecretString,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) refresh: Option<SecretString>,
    pub(crate) id_token: Option<SecretString>,
}

/// What userinfo says of a person.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) tenant_id: Option<String>,
    pub(crate) tenant_name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) roles: Vec<String>,
}

impl Provider {
    /// Returns the address that a person is sent to, without what the tenant adds.
    pub(crate) fn authorization_parameters(&self) -> Vec<(&'static str, &str)> {
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.client_id()),
            ("scope", &self.scopes),
        ];
        let further = [("audience", &self.audience), ("resource", &self.resource)];
        for (name, value) in further {
            if let Some(value) = value {
                parameters.push((name, value));
            }
        }
        parameters
    }

    /// Returns where to send a person with these parameters. Where the provider wants requests pushed, that is
    /// done first (RFC 9126).
    pub(crate) async fn authorization_url(
        &self,
        endpoints: &Endpoints,
        tenant: &LoginTenant,
        parameters: &[(&str, &str)],
    ) -> Result<Url, ProviderError> {
        let mut url = endpoints.authorization_url(tenant).ok_or_else(|| {
            ProviderError::refused("AUTHORIZATION_ENDPOINT needs a tenant's name".to_owned())
        })?;
        let Some(push_to) = &endpoints.pushed else {
            url.query_pairs_mut().extend_pairs(parameters);
            return Ok(url);
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let response = self
            .client
            .post(push_to, form)
            .await
            .map_err(ProviderError::from)?;
        let reply = response.reply();
        let request_uri = match json::from_slice(&reply.body) {
            Ok(Value::Object(mut members)) if reply.status == StatusCode::CREATED => {
                members.remove("request_uri")
            }
            _ => None,
        };
        let Some(Value::String(request_uri)) = request_uri else {
            let text = format!(
                "the pushed authorization request got status {}",
                reply.status.as_u16()
            );
            return Err(ProviderError::away(text));
        };
        url.query_pairs_mut()
            .append_pair("client_id", self.client_id())
            .append_pair("request_uri", &request_uri);
        Ok(url)
    }

    /// Asks for tokens. It is asked once more only where nothing was sent.
    pub(crate) async fn grant(
        &self,
        endpoints: &Endpoints,
        grant: Grant<'_>,
    ) -> Result<Granted, ProviderError> {
        let form = grant.form();
        let first = self.exchange(endpoints, form.clone()).await;
        let tokens = match first {
            Err(error) if error.class == ErrorClass::Unsent => {
                self.exchange(endpoints, form).await?
            }
            other => other?,
        };
        Ok(Granted {
            access: SecretString::from(tokens.access.access_token.as_str()),
            lifetime: tokens.access.lifetime,
            refresh: tokens.refresh_token,
            id_token: tokens.id_token,
        })
    }

    async fn exchange(
        &self,
        endpoints: &Endpoints,
        form: String,
    ) -> Result<UserTokens, ProviderError> {
        let response = self.client.post(&endpoints.token, form).await?;
        Ok(response.user_tokens(&Expected {
            token_types: &[],
            max_token_size: MAX_ACCESS_TOKEN,
            scopes: &[],
        })?)
    }

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

    /// Asks who the person is (OpenID Connect Core 1.0 section 5.3), or nothing where there is no endpoint.
    pub(crate) async fn userinfo(
        &self,
        endpoints: &Endpoints,
        access: &SecretString,
        subject: &str,
        claims: (&str, &str),
    ) -> Result<Option<Lookup>, ProviderError> {
        let Some(url) = &endpoints.userinfo else {
            return Ok(None);
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let bearer = format!("Bearer {}", access.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer)
            .map_err(|_| ProviderError::nonsense("the access token fits no header".to_owned()))?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
        let reply = self
            .http()
            .get(url, headers, MAX_USERINFO)
            .await
            .map_err(|error| ProviderError::from(EndpointError::from(error)))?;
        let status = reply.status;
        if reply.is_overloaded() {
            return Err(ProviderError::away(format!(
                "userinfo answered {}",
                status.as_u16()
            )));
        }
        let nonsense = |text: &str| ProviderError::nonsense(format!("userinfo {text}"));
        if status != StatusCode::OK {
            return Err(nonsense(&format!("answered {}", status.as_u16())));
        }
        let members = match json::from_slice(&reply.body) {
            Ok(Value::Object(members)) => members,
            _ => return Err(nonsense("is no strict JSON object")),
        };
        read_userinfo(&members, subject, claims)
            .map(Some)
            .map_err(nonsense)
    }

    /// Revokes a refresh token (RFC 7009). Tells whether that is done, or cannot be.
    pub(crate) async fn revoke(&self, token: &str) -> Result<(), ProviderError> {
        let endpoints = self.endpoints().await?;
        let Some(url) = &endpoints.revocation else {
            return Ok(());
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "refresh_token")
            .finish();
        let response = self.client.post(url, form).await?;
        let reply = response.reply();
        match reply.is_overloaded() {
            true => Err(ProviderError::away(format!(
                "revocation answered {}",
                reply.status.as_u16()
            ))),
            false if reply.status.is_success() => Ok(()),
            false => Err(ProviderError::refused(format!(
                "revocation answered {}",
                reply.status.as_u16()
            ))),
        }
    }
}

/// What the ID token in the reply to a refresh came to (OpenID Connect Core 1.0 section 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdTokenCheck {
    /// It is about the same person, or it says nothing: there is none, it is old, or it cannot be told.
    SamePerson,
    OtherPerson,
}

impl Provider {
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
            Err(IdTokenError::NoKeys(_)) => IdTokenCheck::SamePerson,
            Err(IdTokenError::Refused(_, reason)) if is_only_old(reason) => {
                IdTokenCheck::SamePerson
            }
            Err(IdTokenError::Refused(text, _)) => {
                tracing::error!("the ID token of a refresh: {text}");
                IdTokenCheck::OtherPerson
            }
        }
    }
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
        use base64::Engine as _;

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
        let expected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(half);
        claim.as_str() == Some(&expected)
    }
}

fn read_userinfo(
    members: &Map<String, Value>,
    subject: &str,
    (id_claim, name_claim): (&str, &str),
) -> Result<Lookup, &'static str> {
    if members.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err("is about another `sub`, or about none");
    }
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() <= 1_024 => Ok(Some(text.clone())),
        Some(_) => Err("has a member of another type, or one that is too long"),
    };
    Ok(Lookup {
        tenant_id: text(id_claim)?,
        tenant_name: text(name_claim)?,
        email: text("email")?,
        display_name: text("name")?,
        roles: roles(members.get("roles"))?,
    })
}

/// Reads the roles `[{"name": "app:APP:KEY"}]` and returns the keys. A name of another form gives nothing.
fn roles(value: Option<&Value>) -> Result<Vec<String>, &'static str> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err("has `roles` that are no array"),
    };
    let mut keys: Vec<String> = Vec::new();
    for item in items.iter().take(MAX_ROLES) {
        let name = match item {
            Value::Object(role) => role.get("name").and_then(Value::as_str),
            _ => return Err("has a role that is no object"),
        };
        if let Some(key) = name.and_then(role_key)
            && !keys.iter().any(|known| known == key)
        {
            keys.push(key.to_owned());
        }
    }
    Ok(keys)
}

fn role_key(name: &str) -> Option<&str> {
    let mut parts = name.split(':');
    let (prefix, application, key) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole =
        prefix == "app" && !application.is_empty() && !key.is_empty() && parts.next().is_none();
    is_whole.then_some(key)
}

impl ProviderError {
    fn new(class: ErrorClass, text: String) -> Self {
        Self {
            class,
            text,
            retry_after: None,
        }
    }

    pub(crate) fn away(text: String) -> Self {
        Self::new(ErrorClass::Overloaded, text)
    }

    pub(crate) fn nonsense(text: String) -> Self {
        Self::new(ErrorClass::Nonsense, text)
    }

    fn refused(text: String) -> Self {
        Self::new(ErrorClass::Refused, text)
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(ErrorClass::InFlight, "no answer within 8 s".to_owned())
    }
}

impl From<EndpointError> for ProviderError {
    fn from(error: EndpointError) -> Self {
        let unsent = error.fetch_error().is_some_and(|fetch| {
            matches!(fetch.kind(), FetchErrorKind::Connect | FetchErrorKind::Dns)
                || fetch.kind().is_tls()
                || matches!(fetch.kind(), FetchErrorKind::Proxy(_))
        });
        let class = match error.kind() {
            _ if error.oauth_code() == Some("invalid_grant") => ErrorClass::InvalidGrant,
            _ if unsent => ErrorClass::Unsent,
            TokenErrorKind::Timeout | TokenErrorKind::Truncated => ErrorClass::InFlight,
            TokenErrorKind::Status5xx
            | TokenErrorKind::Throttled
            | TokenErrorKind::Config
            | TokenErrorKind::Signer
            | TokenErrorKind::Discovery
            | TokenErrorKind::Cancelled => ErrorClass::Overloaded,
            TokenErrorKind::InvalidClient
            | TokenErrorKind::OAuth
            | TokenErrorKind::Status4xx
            | TokenErrorKind::Redirect
            | TokenErrorKind::SignerRefused => ErrorClass::Refused,
            _ => ErrorClass::Nonsense,
        };
        let name = match class {
            ErrorClass::Refused => "WEB_CLIENT_ID, WEB_CLIENT_SECRET: ",
            _ => "",
        };
        Self {
            class,
            text: format!("{name}{error}"),
            retry_after: error.retry_after(),
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.text))
    }
}

/// Returns the claims of a logout token that ends something, once everything about it is right but its `jti`.
pub(crate) fn read_logout_token(
    claims: &Claims,
) -> Result<(Option<String>, Option<String>), &'static str> {
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
        (None, None) => Err("there is neither `sid` nor `sub`"),
        both => Ok(both),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value) -> Result<Lookup, &'static str> {
        read_userinfo(document.as_object().unwrap(), "s", ("tnt_id", "tnt_name"))
    }

    /// K36
    #[test]
    fn userinfo_has_to_be_about_the_person() {
        assert_eq!(read(&json!({"sub": "s"})), Ok(Lookup::default()));
        for bad in [
            json!({}),
            json!({"sub": "other"}),
            json!({"sub": 1}),
            json!({"sub": "s", "email": 1}),
            json!({"sub": "s", "tnt_id": {}}),
            json!({"sub": "s", "name": "n".repeat(1_025)}),
        ] {
            assert!(read(&bad).is_err(), "{bad:.80}");
        }
    }

    /// K37
    #[test]
    fn of_roles_the_first_64_count_and_wrong_types_are_refused() {
        let role = |name: &str| json!({"id": "i", "name": name, "display_name": "<b>"});
        let many: Vec<Value> = (0..500).map(|n| role(&format!("app:x:r{n}"))).collect();
        let roles = |roles: Value| read(&json!({"sub": "s", "roles": roles})).map(|it| it.roles);
        assert_eq!(roles(json!(many)).unwrap().len(), 64);
        assert_eq!(
            roles(json!([role("app:x:owner"), {"id": 1}, role("app:x:owner")])).unwrap(),
            ["owner"]
        );
        assert_eq!(roles(json!([role("app:x:<i> a")])).unwrap(), ["<i> a"]);
        for bad in [json!({}), json!("owner"), json!(["owner"]), json!([null])] {
            assert!(roles(bad.clone()).is_err(), "{bad}");
        }
    }

    /// K123
    #[test]
    fn only_the_exact_form_of_a_name_is_a_role() {
        assert_eq!(role_key("app:x:owner"), Some("owner"));
        for name in [
            "APP:X:OWNER",
            "owner",
            "app::owner",
            "app:x:y:owner",
            "app:x:",
            ":x:owner",
            "app:x",
            "",
        ] {
            assert_eq!(role_key(name), None, "{name}");
        }
    }
}
