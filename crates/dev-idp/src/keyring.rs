use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::KeyError;
use crate::keys::{Algorithm, SigningKey};

/// The fate of the old keys when new ones are made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Rotation {
    /// The old keys stay published; the new ones sign. Careful providers do so.
    #[default]
    Overlapping,
    /// The old keys are withdrawn at once, as after a compromise.
    Hard,
}

/// The provider's keys, oldest first, and the document that publishes them.
pub(crate) struct KeyRing {
    keys: Vec<SigningKey>,
    published: Published,
}

/// A JWK set as it is served.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
}

/// Makes one key of each algorithm. It computes for a while and belongs on a blocking thread.
pub(crate) fn generate_all() -> Result<Vec<SigningKey>, KeyError> {
    Algorithm::ALL
        .map(SigningKey::generate)
        .into_iter()
        .collect()
}

impl KeyRing {
    /// `keys` holds one key of each algorithm, as [`generate_all`] returns them.
    pub(crate) fn new(keys: Vec<SigningKey>) -> Self {
        let published = publish(&keys);
        Self { keys, published }
    }

    pub(crate) fn rotate(&mut self, new: Vec<SigningKey>, rotation: Rotation) {
        match rotation {
            Rotation::Overlapping => self.keys.extend(new),
            Rotation::Hard => self.keys = new,
        }
        self.published = publish(&self.keys);
    }

    pub(crate) fn retire(&mut self) {
        let newest = Algorithm::ALL.map(|algorithm| self.newest(algorithm).cloned());
        self.keys = newest.into_iter().flatten().collect();
        self.published = publish(&self.keys);
    }

    pub(crate) fn newest(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        self.keys.iter().rfind(|key| key.algorithm() == algorithm)
    }

    pub(crate) fn kids(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.kid().to_owned()).collect()
    }

    /// Returns the claims of a token that one of the keys has signed, expired or not.
    pub(crate) fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let key = self.keys.iter().find(|key| header["kid"] == key.kid())?;
        if header["alg"] != key.algorithm().name()
            || !key.verifies(signed.as_bytes(), &decode(signature)?)
        {
            return None;
        }
        serde_json::from_slice(&decode(claims)?).ok()
    }

    pub(crate) fn published(&self) -> Published {
        self.published.clone()
    }
}

fn publish(keys: &[SigningKey]) -> Published {
    let jwks: Vec<&Value> = keys.iter().map(SigningKey::public_jwk).collect();
    let body = json!({ "keys": jwks }).to_string();
    let hash = digest(&SHA256, body.as_bytes());
    Published {
        etag: format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])),
        body: body.into(),
    }
}
