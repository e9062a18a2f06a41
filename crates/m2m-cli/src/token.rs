//! `m2m token`: a token on standard output.

use clock::{Clock, unix_seconds};
use idp_http::json;
use secrecy::SecretString;
use serde_json::{Value, json};
use service_kit::with_sources;
use token_cache::{Exchange, TokenError};

/// How a token is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The token.
    Plain,
    /// `Authorization: Bearer …`, for `curl -H @-`.
    Header,
    /// A JSON object: `access_token`, `token_type`, `expires_in` (seconds, as the endpoint said) and
    /// `expires_at` (Unix seconds, by our clock), and `scope`. The latter three are null where the
    /// endpoint said nothing.
    Json,
}

/// Why there is no token. The text names what to change.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenFailure {
    /// The token client cannot be built from the settings.
    Setup(public_data::StartError),
    /// The provider gave none.
    Provider(TokenError),
}

impl std::fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Setup(error) => f.write_str(&with_sources(error)),
            Self::Provider(error) => write!(f, "{error}; {}", public_data::advice(error)),
        }
    }
}

impl std::error::Error for TokenFailure {}

/// Asks for one token, as public-data does, and returns the line to print.
///
/// # Errors
///
/// Fails when there is none, and when less scope was granted than TOKEN_SCOPE asks for.
pub async fn line(
    config: &public_data::Config,
    form: Form,
    clock: &dyn Clock,
) -> Result<SecretString, TokenFailure> {
    let source = config.token_source().map_err(TokenFailure::Setup)?;
    // Before the request, as the cache counts lifetimes.
    let began = clock.now();
    let Exchange { result, reply, .. } = source.exchange(&config.request).await;
    let issued = result.map_err(TokenFailure::Provider)?;
    let token = issued.access_token();
    let line = match form {
        Form::Plain => token.to_owned(),
        Form::Header => format!("Authorization: Bearer {token}"),
        Form::Json => {
            let members = reply.and_then(|reply| json::from_slice(&reply.body).ok());
            let scope = members.as_ref().and_then(|members| members.get("scope"));
            let expires_in = issued.lifetime().map(|lifetime| lifetime.as_secs());
            let expires_at = expires_in.map(|seconds| {
                unix_seconds(began).saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX))
            });
            json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": expires_in,
                "expires_at": expires_at,
                "scope": scope.and_then(Value::as_str),
            })
            .to_string()
        }
    };
    Ok(SecretString::from(line))
}
