//! Where the real caches ask for tokens and keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use jwks_validator::{Answer, EntityTag, Fetched, KeySet, KeySource, SourceError, SourceErrorKind};
use serde_json::Value;
use token_cache::{IssuedToken, TokenError, TokenErrorKind, TokenRequest, TokenSource};

use crate::faults::{Host, Issuer, JWKS_PATH, TOKEN_PATH};
use crate::judge::{FetchEnd, Judge};
use crate::network::{Failure, Id, Network, Request, Response};

/// The token endpoint as one public-data sees it.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) network: Network,
    pub(crate) judge: Judge,
    pub(crate) host: usize,
    pub(crate) first: u64,
    pub(crate) asked: AtomicU64,
}

/// An issuer's keys as one protected-data sees them.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) network: Network,
    pub(crate) judge: Judge,
    pub(crate) host: usize,
    pub(crate) issuer: Issuer,
    pub(crate) first: u64,
    pub(crate) asked: AtomicU64,
}

#[async_trait]
impl TokenSource for Tokens {
    async fn fetch(&self, _request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        let id = Id {
            from: Host::Public(self.host),
            to: Host::Idp(Issuer::A),
            number: self.first + self.asked.fetch_add(1, Ordering::Relaxed),
        };
        self.judge.token_fetch_began(self.host);
        let result = match self.network.exchange(id, get(TOKEN_PATH)).await {
            Ok(response) => token(&response),
            Err(failure) => Err((transient(failure), None)),
        };
        match result {
            Ok((token, lifetime)) => {
                self.judge.token_came(self.host, &token, lifetime);
                IssuedToken::new(token, Some(lifetime))
            }
            Err((kind, asked)) => {
                let end = FetchEnd::failed(answer(kind), asked);
                self.judge.token_fetch_failed(self.host, end);
                Err(TokenError::new(kind).with_retry_after(asked))
            }
        }
    }
}

type NoToken = (TokenErrorKind, Option<Duration>);

fn token(response: &Response) -> Result<(String, Duration), NoToken> {
    let status = response.status();
    if status != StatusCode::OK {
        let reason = match status {
            StatusCode::TOO_MANY_REQUESTS => TokenErrorKind::Throttled,
            _ => TokenErrorKind::Status5xx,
        };
        return Err((reason, retry_after(response.headers())));
    }
    let invalid = |why| (why, None);
    let body: Value =
        serde_json::from_slice(response.body()).map_err(|_| invalid(TokenErrorKind::Json))?;
    let token = body["access_token"].as_str();
    let token = token.ok_or_else(|| invalid(TokenErrorKind::MissingToken))?;
    let lifetime = body["expires_in"].as_u64();
    let lifetime = lifetime.ok_or_else(|| invalid(TokenErrorKind::ExpiresIn))?;
    Ok((token.to_owned(), Duration::from_secs(lifetime)))
}

/// What a failure says about the provider; it decides the wait.
fn answer(kind: TokenErrorKind) -> Answer {
    match kind {
        TokenErrorKind::Status5xx => Answer::Unusable,
        TokenErrorKind::Throttled
        | TokenErrorKind::Json
        | TokenErrorKind::MissingToken
        | TokenErrorKind::ExpiresIn => Answer::Refused,
        _ => Answer::None,
    }
}

#[async_trait]
impl KeySource for Keys {
    async fn fetch(&self, tag: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        let id = Id {
            from: Host::Protected(self.host),
            to: Host::Idp(self.issuer),
            number: self.first + self.asked.fetch_add(1, Ordering::Relaxed),
        };
        let mut request = get(JWKS_PATH);
        if let Some(tag) = tag {
            let tag = tag.if_none_match().clone();
            request.headers_mut().insert(header::IF_NONE_MATCH, tag);
        }
        self.judge.key_fetch_began(self.host, self.issuer);
        let result = match self.network.exchange(id, request).await {
            Ok(response) => keys(&response),
            Err(failure) => {
                let kind = SourceErrorKind::Other(words(failure));
                Err(SourceError::new(kind, Answer::None))
            }
        };
        let end = match &result {
            Ok((fetched, body)) => {
                let max_age = match fetched {
                    Fetched::Modified { max_age, .. } | Fetched::NotModified { max_age, .. } => {
                        *max_age
                    }
                    _ => None,
                };
                FetchEnd::Keys(body.clone(), max_age)
            }
            Err(error) => FetchEnd::failed(error.answer(), error.retry_after()),
        };
        self.judge.key_fetch_ended(self.host, self.issuer, end);
        result.map(|(fetched, _)| fetched)
    }
}

/// The keys, and their document unless it is the one that was there.
fn keys(response: &Response) -> Result<(Fetched, Option<Bytes>), SourceError> {
    let headers = response.headers();
    let max_age = headers.get(header::CACHE_CONTROL).and_then(|value| {
        let seconds = value.to_str().ok()?.strip_prefix("max-age=")?;
        Some(Duration::from_secs(seconds.parse().ok()?))
    });
    match response.status() {
        StatusCode::NOT_MODIFIED => Ok((Fetched::not_modified().with_max_age(max_age), None)),
        StatusCode::OK => {
            let keys = KeySet::from_jwks_json(response.body())?;
            let tag = headers.get(header::ETAG).cloned().map(EntityTag::new);
            let fetched = Fetched::keys(keys)
                .with_max_age(max_age)
                .with_entity_tag(tag);
            Ok((fetched, Some(response.body().clone())))
        }
        status => {
            let kind = SourceErrorKind::Status(status.as_u16());
            let error = SourceError::new(kind, Answer::Unusable);
            Err(error.with_retry_after(retry_after(headers)))
        }
    }
}

fn get(path: &str) -> Request {
    axum::http::Request::get(path).body(Bytes::new()).unwrap()
}

/// Clamped as the HTTP client of both halves does it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = value.parse().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, 300)))
}

fn transient(failure: Failure) -> TokenErrorKind {
    match failure {
        Failure::Refused | Failure::Reset => TokenErrorKind::Connect,
        Failure::Unreachable | Failure::Timeout => TokenErrorKind::Timeout,
        Failure::Torn => TokenErrorKind::Truncated,
    }
}

fn words(failure: Failure) -> &'static str {
    match failure {
        Failure::Refused => "refused",
        Failure::Unreachable => "unreachable",
        Failure::Timeout => "too late",
        Failure::Reset => "reset",
        Failure::Torn => "torn",
    }
}
