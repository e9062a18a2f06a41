//! Keys over HTTP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clock::{Clock as _, SystemClock};
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use idp_http::{
    Answer, Discovery, DiscoveryError, FetchError, FetchErrorKind, IdpClient, Reader, Reply,
    may_have_moved,
};
use url::Url;

use crate::key_set::{KeySet, KeySetErrorKind};
use crate::source::{EntityTag, Fetched, KeySource, SourceError, SourceErrorKind, TIME_LIMIT};

/// Fetches a JWK Set over HTTP, with `If-None-Match` and `Cache-Control: max-age`.
///
/// Reads at most 512 KiB and takes at most 64 signature keys; redirects are not followed. The body decides,
/// whatever its content type says.
#[derive(Debug)]
pub struct RemoteJwks {
    client: IdpClient,
    location: Location,
    /// Where the last keys came from: an entity tag means something there only.
    tagged_at: Mutex<Option<Url>>,
    /// Whether the last request was answered, so that its connection may have been kept.
    was_answered: AtomicBool,
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
            tagged_at: Mutex::new(None),
            was_answered: AtomicBool::new(false),
        }
    }

    /// Returns a source that asks the `jwks_uri` of the issuer's metadata.
    ///
    /// The metadata is fetched with the first keys, kept, and fetched again when the keys seem to have moved:
    /// there is no server at the address that it names, or it serves something else. The address found before
    /// stays in use until there is a newer document. Its `jwks_uri` may lie on another host than the issuer.
    #[must_use]
    pub fn discover(client: IdpClient, discovery: Discovery) -> Self {
        Self {
            client,
            location: Location::Discovered(discovery.for_reader(Reader::Validator)),
            tagged_at: Mutex::new(None),
            was_answered: AtomicBool::new(false),
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
            let failure = SourceError::new(kind, error.answer())
                .with_retry_after(error.retry_after())
                .with_published_issuer(error.published_issuer());
            match error.fetch_error() {
                Some(fetch) => failure.with_fetch_error(fetch),
                None => failure,
            }
        })?;
        metadata.jwks_uri.clone().ok_or_else(|| {
            discovery.forget();
            SourceError::new(SourceErrorKind::NoJwksUri, Answer::Unusable)
        })
    }
}

#[async_trait]
impl KeySource for RemoteJwks {
    async fn fetch(&self, entity_tag: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        let url = self.jwks_uri().await?;
        let entity_tag = entity_tag.filter(|_| self.may_be_tagged_at(&url));
        let fetched = match self.ask(&url, entity_tag).await? {
            Some(fetched) => fetched,
            None => self
                .ask(&url, None)
                .await?
                .ok_or_else(|| SourceError::new(SourceErrorKind::NothingToKeep, Answer::None))?,
        };
        if let Fetched::Modified { .. } = &fetched {
            *self.tagged_at() = Some(url);
        }
        Ok(fetched)
    }

    /// At least 15 s, and what five exchanges may take: metadata in three places, and keys that are asked for
    /// again without an entity tag.
    fn time_limit(&self) -> Duration {
        TIME_LIMIT.max(self.client.timeout().saturating_mul(5))
    }

    async fn settings_version(&self) -> u64 {
        self.client.settings_version().await
    }
}

impl RemoteJwks {
    /// Returns what one request brought; nothing if that is the confirmation of a version that was not asked
    /// about (RFC 9111 section 4.3.4).
    async fn ask(
        &self,
        url: &Url,
        entity_tag: Option<&EntityTag>,
    ) -> Result<Option<Fetched>, SourceError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/jwk-set+json, application/json"),
        );
        if let Some(entity_tag) = entity_tag {
            headers.insert(IF_NONE_MATCH, entity_tag.if_none_match().clone());
        }
        let mut exchange = self.client.get(url, headers.clone(), MAX_BODY).await;
        let was_answered = self.was_answered.swap(false, Ordering::Relaxed);
        if was_answered
            && matches!(&exchange, Err(error) if error.kind() == FetchErrorKind::Truncated)
        {
            // A kept connection that was closed meanwhile says nothing about the issuer, and after a
            // freeze callers wait.
            exchange = self.client.get(url, headers, MAX_BODY).await;
        }
        self.was_answered.store(exchange.is_ok(), Ordering::Relaxed);
        let fetched = match &exchange {
            Ok(reply) => read(reply, entity_tag),
            Err(error) => Err(unanswered(error)),
        };
        if fetched.is_err()
            && let Location::Discovered(discovery) = &self.location
            && may_have_moved(exchange.as_ref(), &["keys"])
        {
            discovery.forget();
        }
        fetched
    }

    fn may_be_tagged_at(&self, url: &Url) -> bool {
        self.tagged_at().as_ref().is_none_or(|at| at == url)
    }

    fn tagged_at(&self) -> MutexGuard<'_, Option<Url>> {
        // Nothing can panic while the lock is held, so a poisoned value is still whole.
        self.tagged_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(reply: &Reply, entity_tag: Option<&EntityTag>) -> Result<Option<Fetched>, SourceError> {
    let max_age = max_age(&reply.headers);
    if reply.status == StatusCode::NOT_MODIFIED
        && let Some(entity_tag) = entity_tag
    {
        let confirms = reply
            .headers
            .get(ETAG)
            .is_none_or(|etag| is_same_version(etag, entity_tag.if_none_match()));
        return Ok(confirms.then_some(Fetched::NotModified { max_age }));
    }
    if reply.status != StatusCode::OK {
        let kind = SourceErrorKind::Status(reply.status.as_u16());
        return Err(SourceError::new(kind, reply.answer())
            .with_retry_after(reply.retry_after(SystemClock.now())));
    }
    let keys = KeySet::from_jwks_json(&reply.body).map_err(|error| {
        if error.kind() == KeySetErrorKind::NotJwks && reply.is_html() {
            SourceError::new(SourceErrorKind::Html, Answer::None)
        } else {
            error.into()
        }
    })?;
    Ok(Some(Fetched::Modified {
        keys,
        max_age,
        entity_tag: reply.headers.get(ETAG).cloned().map(EntityTag::new),
    }))
}

/// The weak comparison of RFC 9110 section 8.8.3.2, which `If-None-Match` is answered by.
fn is_same_version(one: &HeaderValue, other: &HeaderValue) -> bool {
    let opaque = |etag: &HeaderValue| {
        let bytes = etag.as_bytes();
        bytes.strip_prefix(b"W/").unwrap_or(bytes).to_owned()
    };
    opaque(one) == opaque(other)
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
    SourceError::new(SourceErrorKind::Fetch(error.kind()), error.answer()).with_fetch_error(error)
}

fn discovery_kind(error: &DiscoveryError) -> SourceErrorKind {
    match (error.fetch_error(), error.status()) {
        (Some(error), _) => SourceErrorKind::Fetch(error.kind()),
        // No other path would answer better.
        (None, Some(status @ (401 | 403))) => SourceErrorKind::Status(status),
        _ => SourceErrorKind::Discovery,
    }
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
