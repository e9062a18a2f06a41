use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::mint::TokenSpec;
use crate::provider::{Guarded, Provider};

/// A lie that the provider tells once: in the next token, answer or reply of a kind.
///
/// Lies of one kind are told in the order they were added with [`DevIdp::tamper`](crate::DevIdp::tamper). What fails in
/// other ways, such as a userinfo endpoint that answers with HTML, is a [`Fault`](crate::Fault).
///
/// ```
/// use dev_idp::{Members, Tamper, TokenSpec};
/// use serde_json::json;
///
/// let other_nonce = Tamper::id_token(TokenSpec::new().claim("nonce", "other"));
/// let unsigned = Tamper::id_token(TokenSpec::new().unsigned());
/// let no_issuer = Tamper::answer(Members::new().without("iss"));
/// let code_and_error = Tamper::answer(Members::new().set("error", "access_denied"));
/// let roles_of_the_wrong_type = Tamper::userinfo(Members::new().set("roles", json!({})));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Tamper {
    target: Target,
    spec: TokenSpec,
    members: Members,
}

/// What is tampered with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    IdToken,
    UserToken,
    LogoutToken,
    Answer,
    LogoutAnswer,
    TokenReply,
    Userinfo,
}

impl Tamper {
    /// Changes the next ID token, of a sign-in or of a refresh. What the specification says nothing about stays.
    pub fn id_token(spec: TokenSpec) -> Self {
        Self::token(Target::IdToken, spec)
    }

    /// Changes the next person's access token. Userinfo takes it if its `jti` is left alone.
    pub fn user_token(spec: TokenSpec) -> Self {
        Self::token(Target::UserToken, spec)
    }

    /// Changes the next logout token.
    pub fn logout_token(spec: TokenSpec) -> Self {
        Self::token(Target::LogoutToken, spec)
    }

    /// Changes the parameters that the next person brings to the client's callback: `code` or `error`, `state`, `iss`,
    /// `tenant_name`.
    pub fn answer(members: Members) -> Self {
        Self::members(Target::Answer, members)
    }

    /// Changes the parameters of the address that the next person is sent to after logout: `state`.
    pub fn logout_answer(members: Members) -> Self {
        Self::members(Target::LogoutAnswer, members)
    }

    /// Changes the next successful reply of the token endpoint, to whatever grant.
    pub fn token_reply(members: Members) -> Self {
        Self::members(Target::TokenReply, members)
    }

    /// Changes the next successful reply of userinfo.
    pub fn userinfo(members: Members) -> Self {
        Self::members(Target::Userinfo, members)
    }

    fn token(target: Target, spec: TokenSpec) -> Self {
        let members = Members::new();
        Self {
            target,
            spec,
            members,
        }
    }

    fn members(target: Target, members: Members) -> Self {
        let spec = TokenSpec::new();
        Self {
            target,
            spec,
            members,
        }
    }
}

/// Changes to the members of a JSON object, or to the parameters of an address.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Members {
    edits: Vec<(String, Option<Value>)>,
    repeated: Vec<(String, Value)>,
}

impl Members {
    /// Returns no change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or replaces a member, by a value of any JSON type. A parameter that is no string is written as JSON.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.edits.push((name.into(), Some(value.into())));
        self
    }

    /// Leaves a member out.
    pub fn without(mut self, name: impl Into<String>) -> Self {
        self.edits.push((name.into(), None));
        self
    }

    /// Writes a member behind the others, though it may be there.
    pub fn repeat(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.repeated.push((name.into(), value.into()));
        self
    }

    /// Returns the text of an object after the changes.
    pub(crate) fn write(self, mut object: Value) -> String {
        apply(&mut object, self.edits);
        let mut text = object.to_string();
        for (name, value) in self.repeated {
            // Only the text can hold a member twice.
            let separator = if text == "{}" { "" } else { "," };
            let member = format!("{separator}{}:{value}", Value::String(name));
            text.insert_str(text.len() - 1, &member);
        }
        text
    }

    /// Returns parameters after the changes.
    pub(crate) fn parameters(self, parameters: Vec<(&str, &str)>) -> Vec<(String, String)> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut parameters: Vec<_> = parameters.into_iter().map(owned).collect();
        for (name, value) in self.edits {
            parameters.retain(|(known, _)| *known != name);
            parameters.extend(value.map(|value| (name, text(value))));
        }
        let repeated = self.repeated.into_iter();
        parameters.extend(repeated.map(|(name, value)| (name, text(value))));
        parameters
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Sets and removes members of an object, in this order.
pub(crate) fn apply(object: &mut Value, edits: Vec<(String, Option<Value>)>) {
    let members: &mut Map<String, Value> = match object {
        Value::Object(members) => members,
        _ => return,
    };
    for (name, value) in edits {
        match value {
            Some(value) => {
                members.insert(name, value);
            }
            None => {
                members.remove(&name);
            }
        }
    }
}

/// The lies that were not told yet.
pub(crate) struct Tampering(Guarded<VecDeque<Tamper>>);

impl Tampering {
    pub(crate) fn new() -> Self {
        Self(Guarded::new(VecDeque::new()))
    }

    pub(crate) fn add(&self, tamper: Tamper) {
        self.0.lock().push_back(tamper);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    fn take(&self, target: Target) -> Option<Tamper> {
        let mut waiting = self.0.lock();
        let at = waiting.iter().position(|tamper| tamper.target == target)?;
        waiting.remove(at)
    }
}

impl Provider {
    /// Returns what the next token of a kind is made of, besides what it should be.
    pub(crate) fn next_spec(&self, target: Target) -> TokenSpec {
        let tamper = self.tampering.take(target);
        tamper.map(|tamper| tamper.spec).unwrap_or_default()
    }

    /// Returns the changes to the next object of a kind.
    pub(crate) fn next_members(&self, target: Target) -> Members {
        let tamper = self.tampering.take(target);
        tamper.map(|tamper| tamper.members).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_set_left_out_and_written_twice() {
        let members = Members::new()
            .set("a", 1)
            .without("b")
            .repeat("a", json!([2]));
        assert_eq!(
            members.write(json!({ "a": 0, "b": 0 })),
            r#"{"a":1,"a":[2]}"#
        );
        let members = Members::new().repeat("a\"", "b");
        assert_eq!(members.write(json!({})), r#"{"a\"":"b"}"#);
    }

    #[test]
    fn parameters_are_too() {
        let members = Members::new().set("a", 1).without("b").repeat("c", "3");
        let pairs = members.parameters(vec![("a", "0"), ("b", "0"), ("c", "0")]);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(pairs, [("c", "0"), ("a", "1"), ("c", "3")]);
    }
}
