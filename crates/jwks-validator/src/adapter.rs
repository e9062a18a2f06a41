//! Keys from the sources of `jwks_client_rs`.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use idp_http::Answer;
use jwks_client_rs::JsonWebKey;
use jwks_client_rs::source::JwksSource;

use crate::json::Item;
use crate::key::UnverifiedJwk;
use crate::key_set::KeySet;
use crate::source::{EntityTag, Fetched, KeySource, SourceError, SourceErrorKind};

/// Feeds the validator's cache from a `jwks_client_rs` source.
///
/// Only the fetch is that crate's: its keys are checked and parsed again here, and its cache and
/// decoder take no part. What its types do not keep is out of reach: `key_ops`, private members, the
/// `use` of other than RSA keys, freshness, and every key set with an entry that it cannot read.
/// [`RemoteJwks`](crate::RemoteJwks) has none of these limits.
pub struct JwksSourceAdapter<S> {
    source: S,
}

impl<S: JwksSource + Send + Sync + 'static> JwksSourceAdapter<S> {
    /// Returns a key source that asks `source`.
    #[must_use]
    pub fn new(source: S) -> Self {
        Self { source }
    }
}

// Sources of that crate need not be `Debug`.
impl<S> fmt::Debug for JwksSourceAdapter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksSourceAdapter").finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: JwksSource + Send + Sync + 'static> KeySource for JwksSourceAdapter<S> {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        let keys = self.source.fetch_keys().await.map_err(|_| {
            // Its error type hides what failed; the shortest waits suit an outage best.
            SourceError::new(
                SourceErrorKind::Other("the jwks_client_rs source failed"),
                Answer::None,
            )
        })?;
        let keys = keys.keys();
        let keys = KeySet::from_entries(keys.iter().map(|key| Ok(unverified(key))))?;
        Ok(Fetched::keys(keys))
    }
}

fn unverified(key: &JsonWebKey) -> UnverifiedJwk<'_> {
    let text = |text| Some(Item::Text(Cow::Borrowed(text)));
    let mut jwk = UnverifiedJwk {
        kid: text(key.key_id()),
        alg: key.alg().and_then(text),
        ..UnverifiedJwk::default()
    };
    match key {
        JsonWebKey::Rsa(key) => {
            jwk.kty = text("RSA");
            jwk.n = text(key.modulus());
            jwk.e = text(key.exponent());
            // That crate does not export the type of `use`; its `Debug` names are `Sig` and `Enc`.
            jwk.usage = key
                .r#use()
                .map(|usage| Item::Text(Cow::Owned(format!("{usage:?}").to_lowercase())));
        }
        JsonWebKey::Ec(key) => {
            jwk.kty = text("EC");
            jwk.crv = text(key.curve());
            jwk.x = text(key.x());
            jwk.y = text(key.y());
        }
        JsonWebKey::Okp(key) => {
            jwk.kty = text("OKP");
            jwk.crv = text(key.curve());
            jwk.x = text(key.x());
        }
    }
    jwk
}
