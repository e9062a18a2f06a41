//! What a refused token request is about, by the whole answer.

use http::StatusCode;
use idp_http::{Reply, json};
use serde_json::{Map, Value};
use token_cache::{TokenError, TokenErrorKind};

/// What has to change for another answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Client id, secret, or the way they are sent.
    Credentials,
    /// The scopes that were asked for.
    Scope,
    /// The API that the token was asked for.
    Audience,
    /// As a resource (RFC 8707), which is how some name the API.
    Resource,
    /// Nothing gives tokens at this address.
    Place,
    /// What stands in front of the provider refuses everybody from here.
    Firewall,
    /// What the error itself says.
    Other,
}

/// Looks at an answer that brought no token.
pub(super) fn about(error: &TokenError, reply: &Reply) -> About {
    let members = match json::from_slice(&reply.body) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    };
    let is_bare = error.oauth_code().is_none_or(str::is_empty);
    match reply.status {
        // No provider says so to a client: RFC 6749 section 5.2 has 400 and 401, and others add 403.
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => About::Place,
        StatusCode::FORBIDDEN | StatusCode::NOT_ACCEPTABLE
            if members.is_none() && !reply.body.trim_ascii().is_empty() =>
        {
            About::Firewall
        }
        // Some say `unauthorized_client` to a wrong secret (Keycloak); the status tells.
        StatusCode::UNAUTHORIZED => About::Credentials,
        StatusCode::FORBIDDEN if is_bare => About::Credentials,
        _ if error.kind() == TokenErrorKind::InvalidClient => About::Credentials,
        status if status.is_client_error() || status.is_success() => {
            by_words(error, members.as_ref())
        }
        _ => About::Other,
    }
}

/// Codes differ between providers more than the words that explain them.
fn by_words(error: &TokenError, members: Option<&Map<String, Value>>) -> About {
    const CREDENTIALS: [&str; 14] = [
        "secret",
        "credential",
        "client_id",
        "client id",
        "clientid",
        "client identifier",
        "client authentication",
        "authenticate",
        "api key",
        "api_key",
        "apikey",
        "unknown client",
        "client not found",
        "not found in the directory",
    ];
    let Some(code) = error.oauth_code().filter(|code| !code.is_empty()) else {
        return About::Other;
    };
    match code {
        "invalid_scope" => return About::Scope,
        "invalid_target" | "unsupported_grant_type" => return About::Other,
        _ => {}
    }
    let described = ["error_description", "error_message", "message"]
        .into_iter()
        .find_map(|name| members?.get(name)?.as_str())
        .unwrap_or_default();
    // The grant's own name says nothing about credentials.
    let described = described
        .to_ascii_lowercase()
        .replace("client_credentials", "")
        .replace("client credentials grant", "")
        .replace("client credentials flow", "");
    let code = code.to_ascii_lowercase();
    let has = |word: &str| described.contains(word);
    let of_credentials = CREDENTIALS
        .iter()
        .any(|word| has(word) || code.contains(word));
    let of_request = if has("audience") {
        Some(About::Audience)
    } else if has("resource") {
        Some(About::Resource)
    } else if has("scope") {
        Some(About::Scope)
    } else {
        None
    };
    match of_request {
        // "The required field 'scope' is missing from the credential."
        Some(about) if !of_credentials || code == "invalid_request" => about,
        _ if of_credentials => About::Credentials,
        _ => About::Other,
    }
}
