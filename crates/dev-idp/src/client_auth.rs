//! Client authentication at the token endpoint, RFC 6749 section 2.3.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::client::{AuthMethod, DevClient, SecretDigest};
use crate::form::{self, Form};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;

/// Who the caller says it is, and its proof.
struct Presented {
    method: AuthMethod,
    id: String,
    secret: SecretDigest,
}

/// Returns the client that sent the request.
pub(crate) fn authenticate(
    provider: &Provider,
    headers: &HeaderMap,
    form: &Form,
) -> Result<DevClient, OAuthError> {
    let presented = presented(headers, form)?;
    let clients = provider.clients.lock();
    let known = clients.get(&presented.id);
    // An unknown id is compared as well, with a secret that nobody has: both cases do the same
    // work and get the same answer.
    let expected = known.map_or(&provider.unknown_client, DevClient::secret);
    let matches = presented.secret.matches(expected);
    match known {
        Some(client) if matches && client.allows(presented.method) => Ok(client.clone()),
        _ if presented.method == AuthMethod::ClientSecretBasic => {
            Err(OAuthError::invalid_client().with_challenge())
        }
        _ => Err(OAuthError::invalid_client()),
    }
}

fn presented(headers: &HeaderMap, form: &Form) -> Result<Presented, OAuthError> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let authorization = authorizations.next();
    if authorizations.next().is_some() {
        return Err(OAuthError::invalid_request(
            "more than one Authorization header",
        ));
    }
    match (authorization, form.value("client_secret")) {
        (Some(_), Some(_)) => Err(OAuthError::invalid_request(
            "more than one client authentication method",
        )),
        (Some(header), None) => {
            let basic = header
                .to_str()
                .ok()
                .and_then(basic)
                .ok_or_else(|| OAuthError::invalid_client().with_challenge())?;
            match form.value("client_id") {
                Some(id) if id != basic.id => Err(OAuthError::invalid_request(
                    "client_id differs from the Authorization header",
                )),
                _ => Ok(basic),
            }
        }
        (None, Some(secret)) => Ok(Presented {
            method: AuthMethod::ClientSecretPost,
            id: form.value("client_id").unwrap_or_default().to_owned(),
            secret: SecretDigest::of(secret),
        }),
        (None, None) => Err(OAuthError::invalid_client()),
    }
}

/// Reads `Basic base64(id:secret)`, in which id and secret are form-urlencoded.
fn basic(header: &str) -> Option<Presented> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some(Presented {
        method: AuthMethod::ClientSecretBasic,
        id: form::decode(id).ok()?,
        secret: SecretDigest::of(&form::decode(secret).ok()?),
    })
}
