//! The readable parts of a token, before anything vouches for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idp_http::json;
use serde_json::{Map, Value};

/// Header and claims of a token. The signature is left behind.
#[derive(Debug, Default)]
pub(crate) struct UnverifiedToken {
    /// `None` when it is no strict JSON object.
    pub(crate) header: Option<Map<String, Value>>,
    /// As above.
    pub(crate) claims: Option<Map<String, Value>>,
}

/// What a token is by its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A signed JWT (RFC 7519), as far as its header tells.
    Jwt,
    /// An encrypted one (RFC 7516 section 3.1).
    Encrypted,
    /// Only who issued it can say what it is.
    Opaque,
}

impl Form {
    /// Says why protected-data cannot read it, and what to change.
    pub(crate) fn advice(self) -> Option<&'static str> {
        match self {
            Self::Jwt => None,
            Self::Encrypted => Some(
                "the token is encrypted (JWE): let the provider issue signed JWTs for the API, which Auth0 does \
                 where TOKEN_AUDIENCE names it",
            ),
            Self::Opaque => Some(
                "the token is opaque, not a JWT: set TOKEN_AUDIENCE or TOKEN_RESOURCE to the API, for which many \
                 providers then issue JWTs, or let the provider issue JWTs to CLIENT_ID; introspection \
                 (RFC 7662) is not built in",
            ),
        }
    }
}

impl UnverifiedToken {
    pub(crate) fn form(&self) -> Form {
        match &self.header {
            None => Form::Opaque,
            Some(header) if header.contains_key("enc") => Form::Encrypted,
            Some(_) => Form::Jwt,
        }
    }

    /// Reads the first two of the parts that dots separate; a text without them has neither.
    pub(crate) fn read(token: &str) -> Self {
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(_)) = (parts.next(), parts.next(), parts.next())
        else {
            return Self::default();
        };
        Self {
            header: object(header),
            claims: object(claims),
        }
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.header.as_ref()?.get("kid")?.as_str()
    }

    /// A date claim in seconds since 1970.
    pub(crate) fn date(&self, name: &str) -> Option<i64> {
        let value = self.claims.as_ref()?.get(name)?;
        value
            .as_i64()
            .or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64))
    }

    /// A claim that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.claims.as_ref()?.get(name)?.as_str()
    }

    /// The granted scopes as a token names them: `scope`, or what Entra and Okta have instead.
    pub(crate) fn scopes(&self) -> Option<Vec<&str>> {
        let claims = self.claims.as_ref()?;
        match claims.get("scope").or_else(|| claims.get("scp"))? {
            Value::String(scopes) => Some(scopes.split(' ').filter(|s| !s.is_empty()).collect()),
            Value::Array(scopes) => Some(scopes.iter().filter_map(Value::as_str).collect()),
            _ => None,
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", encode(header), encode(claims))
    }

    #[test]
    fn header_and_claims_are_read_and_the_signature_is_not() {
        let read = UnverifiedToken::read(&token(
            r#"{"kid":"k"}"#,
            r#"{"iat":1.5,"exp":7,"nbf":"x","scope":"a  b"}"#,
        ));
        assert_eq!(read.kid(), Some("k"));
        assert_eq!(read.date("iat"), Some(1));
        assert_eq!(read.date("exp"), Some(7));
        assert_eq!(read.date("nbf"), None);
        assert_eq!(read.scopes(), Some(vec!["a", "b"]));
        let listed = UnverifiedToken::read(&token("{}", r#"{"scp":["a",7,"b"]}"#));
        assert_eq!(listed.scopes(), Some(vec!["a", "b"]));
    }

    #[test]
    fn an_encrypted_token_is_told_from_an_opaque_one() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let direct = format!(
            "{}..aXY.dGV4dA.dGFn",
            encode(r#"{"alg":"dir","enc":"A256GCM"}"#)
        );
        for (token, expected) in [
            (token("{}", "{}"), Form::Jwt),
            (direct, Form::Encrypted),
            ("a.b.c".to_owned(), Form::Opaque),
            ("2YotnFZFEjr1zCsicMWpAA".to_owned(), Form::Opaque),
        ] {
            assert_eq!(UnverifiedToken::read(&token).form(), expected, "{token}");
        }
    }

    #[test]
    fn what_is_no_token_has_no_parts() {
        for text in [
            "",
            "opaque",
            "a.b",
            "a.b.c",
            "..",
            "é.é.é",
            &"x".repeat(9_000),
        ] {
            let read = UnverifiedToken::read(text);
            assert!(read.header.is_none() && read.claims.is_none(), "{text:?}");
        }
        let twice = UnverifiedToken::read(&token(r#"{"a":1,"a":2}"#, "[]"));
        assert!(twice.header.is_none() && twice.claims.is_none());
    }
}
