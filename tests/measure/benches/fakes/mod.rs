//! A token and keys from nowhere.

use std::time::Duration;

use async_trait::async_trait;
use jwks_validator::{EntityTag, Fetched, KeySet, KeySource, SourceError};
use token_cache::{IssuedToken, StartupPolicy, TokenCache, TokenError, TokenRequest, TokenSource};
use tokio::runtime::Runtime;

/// Always this key set.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) Vec<u8>);

#[async_trait]
impl KeySource for Fixed {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        Ok(Fetched::keys(KeySet::from_jwks_json(&self.0)?))
    }
}

#[derive(Debug)]
struct Source;

#[async_trait]
impl TokenSource for Source {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        IssuedToken::new("x".repeat(800), Some(Duration::from_secs(86_400)))
    }
}

/// A cache that has its token.
pub(crate) fn token_cache(runtime: &Runtime) -> TokenCache {
    let cache = TokenCache::builder(Source).build().unwrap();
    let start = cache.start(StartupPolicy::Require(Duration::from_secs(10)));
    runtime.block_on(start).unwrap();
    cache
}
