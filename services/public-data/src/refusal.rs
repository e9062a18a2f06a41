//! Protected-data's reasons for a refusal, and the change that helps.

use axum::http::{HeaderMap, StatusCode, header};

/// The cause of a refusal, as far as the answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No token arrived.
    NoToken,
    /// More than one token arrived, or credentials that are no token.
    Malformed,
    /// The token is not valid. Only protected-data's log tells the reason.
    InvalidToken,
    /// The token is valid and lacks a scope.
    Scope,
    /// Something before protected-data refused the request: these are not its words.
    Foreign,
}

/// The descriptions in protected-data's challenges. Another one is not repeated anywhere: it may hold anything.
const DESCRIPTIONS: [(&str, Refusal); 3] = [
    ("The access token is not valid", Refusal::InvalidToken),
    ("The access token lacks a required scope", Refusal::Scope),
    ("The request is malformed", Refusal::Malformed),
];

impl Refusal {
    /// Returns what an answer says; `None` where it has another status than a refusal.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let expected: &[Self] = match status {
            StatusCode::UNAUTHORIZED => &[Self::InvalidToken],
            StatusCode::FORBIDDEN => &[Self::Scope],
            StatusCode::BAD_REQUEST => &[Self::Malformed],
            _ => return None,
        };
        let challenges = headers.get_all(header::WWW_AUTHENTICATE).iter();
        let challenges = challenges.filter_map(|value| value.to_str().ok());
        let mut bare = false;
        for challenge in challenges.filter(|it| it.starts_with("Bearer ")) {
            bare |= !challenge.contains("error");
            let says = |(text, _): &&(&str, Self)| {
                challenge.contains(&format!("error_description=\"{text}\""))
            };
            if let Some((_, refusal)) = DESCRIPTIONS.iter().find(says)
                && expected.contains(refusal)
            {
                return Some(*refusal);
            }
        }
        let no_token = bare && status == StatusCode::UNAUTHORIZED;
        Some(if no_token {
            Self::NoToken
        } else {
            Self::Foreign
        })
    }

    /// Returns the event in words, and the variables to look at.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoToken => {
                "it saw no token; check that TOKEN_PLACEMENT is where it looks (its TOKEN_FROM), and that no \
                 proxy before PROTECTED_DATA_URL takes the header off"
            }
            Self::Malformed => {
                "it found no single well-formed token; check that no proxy before PROTECTED_DATA_URL adds \
                 credentials, and TOKEN_PLACEMENT"
            }
            Self::InvalidToken => {
                "its log has the reason (check that both have the same ISSUER, that API_AUDIENCE is what \
                 TOKEN_AUDIENCE or TOKEN_RESOURCE asks for, and the clocks)"
            }
            Self::Scope => {
                "the token lacks a scope (check TOKEN_SCOPE and REQUIRED_SCOPES, and what the provider grants)"
            }
            Self::Foreign => {
                "these are not protected-data's words; check PROTECTED_DATA_URL, and the proxy or firewall \
                 before it"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N15
    #[test]
    fn only_what_protected_data_says_is_taken_for_its_reason() {
        let invalid = r#"Bearer realm="api", error="invalid_token", error_description="The access token is not valid""#;
        let scope = r#"Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="a""#;
        let malformed = r#"Bearer realm="api", error="invalid_request", error_description="The request is malformed""#;
        let other = r#"Bearer error="invalid_token", error_description="canary""#;
        for (name, status, challenge, expected) in [
            (
                "an invalid token",
                401,
                Some(invalid),
                Some(Refusal::InvalidToken),
            ),
            (
                "no token",
                401,
                Some(r#"Bearer realm="api""#),
                Some(Refusal::NoToken),
            ),
            ("no challenge", 401, None, Some(Refusal::Foreign)),
            (
                "another scheme",
                401,
                Some(r#"Basic realm="x""#),
                Some(Refusal::Foreign),
            ),
            ("other words", 401, Some(other), Some(Refusal::Foreign)),
            (
                "a scope is never the reason of a 401",
                401,
                Some(scope),
                Some(Refusal::Foreign),
            ),
            ("a scope", 403, Some(scope), Some(Refusal::Scope)),
            ("a firewall", 403, None, Some(Refusal::Foreign)),
            ("two tokens", 400, Some(malformed), Some(Refusal::Malformed)),
            ("no refusal", 500, Some(invalid), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(challenge) = challenge {
                headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Refusal::of(status, &headers), expected, "{name}");
        }
    }

    /// N15
    #[test]
    fn a_refusal_for_the_token_names_no_scope() {
        for refusal in [
            Refusal::NoToken,
            Refusal::Malformed,
            Refusal::InvalidToken,
            Refusal::Foreign,
        ] {
            assert!(!refusal.text().contains("SCOPE"), "{refusal:?}");
        }
    }
}
