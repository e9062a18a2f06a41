//! Who a person is (OpenID Connect Core 1.0 section 5.3).

use http::{HeaderMap, HeaderValue, StatusCode, header};
use idp_http::json;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use token_endpoint::EndpointError;

use super::{Endpoints, Provider, ProviderError};

const MAX_USERINFO: usize = 64 * 1024;
const MAX_ROLES: usize = 64;

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
