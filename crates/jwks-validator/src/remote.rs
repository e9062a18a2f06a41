//! Keys over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use clock::{Clock as _, SystemClock};
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use idp_http::{Answer, Discovery, DiscoveryError, FetchError, IdpClient, Reply};
use url::Url;

use crate::key_set::KeySet;
use crate::source::{Fetched, KeySource, SourceError, SourceErrorKind, Validators};

/// Fetches a JWK Set over HTTP, with `If-None-Match` and `Cache-Control: max-age`.
///
/// Reads at most 512 KiB and takes at most 64 keys; redirects are not followed.
#[derive(Debug)]
pub struct RemoteJwks {
    client: IdpClient,
    location: Location,
}

#[derive(Debug)]
enum Location {
    Fixed(Url),
    Discovered(Discovery),
}

const MAX_BODY: usize = 512 * 1024;

impl RemoteJwks {
    /// Returns a source that asks this address.
    ///
    /// [`IdpClient::check_url`] tells beforehand whether the client will ask it; one that it refuses
    /// fails at every fetch.
    #[must_use]
    pub fn new(client: IdpClient, jwks_uri: Url) -> Self {
        Self {
            client,
            location: Location::Fixed(jwks_uri),
        }
    }

    /// Returns a source that asks the `jwks_uri` of the issuer's metadata.
    ///
    /// The metadata is fetched with the first keys, kept, and fetched again after the address that
    /// it names has failed; what was found before stays in use until there is a newer document. Its
    /// `jwks_uri` may lie on another host than the issuer.
    #[must_use]
    pub fn discover(client: IdpClient, discovery: Discovery) -> Self {
        Self {
            client,
            location: Location::Discovered(discovery),
        }
    }

    async fn jwks_uri(&self) -> Result<Url, SourceError> {
        let discovery = match &self.location {
            Location::Fixed(url) => return Ok(url.clone()),
            Location::Discovered(discovery) => discovery,
        };
        let metadata = discovery.metadata().await.map_err(|error| {
            let kind = if error.is_issuer_mismatch() {
                SourceErrorKind::IssuerMismatch
            } else {
                discovery_kind(&error)
            };
            SourceError::new(kind, error.answer()).with_retry_after(error.retry_after())
        })?;
        metadata.jwks_uri.clone().ok_or_else(|| {
            discovery.forget();
            SourceError::new(SourceErrorKind::NoJwksUri, Answer::Unusable)
        })
    }
}

#[async_trait]
impl KeySource for RemoteJwks {
    async fn fetch(&self, validators: Option<&Validators>) -> Result<Fetched, SourceError> {
        let url = self.jwks_uri().await?;
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/jwk-set+json, application/json"),
        );
        if let Some(validators) = validators {
            headers.insert(IF_NONE_MATCH, validators.if_none_match().clone());
        }
        let fetched = match self.client.get(&url, headers, MAX_BODY).await {
            Ok(reply) => read(&reply, validators.is_some()),
            Err(error) => Err(unanswered(&error)),
        };
        if let (Err(_), Location::Discovered(discovery)) = (&fetched, &self.location) {
            // The keys may have moved.
            discovery.forget();
        }
        fetched
    }
}

fn read(reply: &Reply, conditional: bool) -> Result<Fetched, SourceError> {
    let max_age = max_age(&reply.headers);
    if reply.status == StatusCode::NOT_MODIFIED && conditional {
        return Ok(Fetched::NotModified { max_age });
    }
    if reply.status != StatusCode::OK {
        let kind = SourceErrorKind::Status(reply.status.as_u16());
        return Err(SourceError::new(kind, reply.answer())
            .with_retry_after(reply.retry_after(SystemClock.now())));
    }
    if reply.is_html() {
        return Err(SourceError::new(SourceErrorKind::Html, Answer::None));
    }
    let keys = KeySet::from_jwks_json(&reply.body)?;
    Ok(Fetched::Modified {
        keys,
        max_age,
        validators: reply.headers.get(ETAG).cloned().map(Validators::etag),
    })
}

/// Reads `max-age`; `no-store` and `no-cache` count as none at all. A value that is no number is not
/// there; one beyond `u64` is the largest there is.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let mut max_age = None;
    for directive in directives {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
        {
            return Some(Duration::ZERO);
        }
        let Some((name, value)) = directive.split_once('=') else {
            continue;
        };
        let value = value.trim_matches('"');
        if name.eq_ignore_ascii_case("max-age")
            && !value.is_empty()
            && value.bytes().all(|byte| byte.is_ascii_digit())
        {
            max_age = Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
    }
    max_age
}

fn unanswered(error: &FetchError) -> SourceError {
    SourceError::new(SourceErrorKind::Fetch(error.kind()), error.answer())
}

fn discovery_kind(error: &DiscoveryError) -> SourceErrorKind {
    error
        .fetch_error()
        .map_or(SourceErrorKind::Discovery, |error| {
            SourceErrorKind::Fetch(error.kind())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D32
    #[test]
    fn max_age_is_read_from_odd_cache_control_headers() {
        for (value, expected) in [
            ("max-age=600", Some(600)),
            ("public, Max-Age=\"600\", immutable", Some(600)),
            ("max-age=0", Some(0)),
            ("no-store", Some(0)),
            ("max-age=600, no-cache", Some(0)),
            ("max-age=99999999999999999999999", Some(u64::MAX)),
            ("max-age=-5", None),
            ("max-age=", None),
            ("max-age=1.5", None),
            ("s-maxage=600", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            let expected = expected.map(Duration::from_secs);
            assert_eq!(max_age(&headers), expected, "{value:?}");
        }
    }
}
