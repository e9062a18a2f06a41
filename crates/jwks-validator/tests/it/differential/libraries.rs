//! What two other libraries say of a token, used as a resource server would.

use std::borrow::Cow;

use jsonwebtoken::{DecodingKey, Validation};
use jwt_compact::{AlgorithmExt as _, AlgorithmSignature, UntrustedToken};
use serde::Deserialize;
use serde_json::Value;

use super::World;
use crate::reference::{Key, Rules};
use crate::signer::ISSUER;

impl World {
    /// As its documentation tells a resource server to use it.
    pub(super) fn jsonwebtoken(&self, token: &str, rules: &Rules) -> Option<()> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let kid = match header.kid {
            Some(kid) => kid,
            None => self.only_key(|key| format!("{:?}", header.alg) == key.alg)?,
        };
        let jwk = self.jwks.find(&kid)?;
        let alg = self
            .reference_keys
            .iter()
            .find(|key| key.kid.as_ref() == Some(&kid))?;
        if !rules.algorithms.contains(&&*alg.alg) {
            return None;
        }
        let mut validation = Validation::new(alg.alg.parse().unwrap());
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.set_issuer(&[ISSUER]);
        validation.leeway = rules.leeway.unsigned_abs();
        validation.validate_nbf = true;
        match &rules.audiences {
            Some(audiences) => {
                validation.set_audience(audiences);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            None => validation.validate_aud = false,
        }
        let key = DecodingKey::from_jwk(jwk).unwrap();
        jsonwebtoken::decode::<Value>(token, &key, &validation)
            .ok()
            .map(drop)
    }

    /// It leaves issuer, audience and key to its caller.
    pub(super) fn jwt_compact(&self, token: &str, rules: &Rules) -> Option<()> {
        #[derive(Deserialize)]
        struct Named {
            iss: String,
            aud: Option<Audience>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Audience {
            One(String),
            Many(Vec<String>),
        }
        let token = UntrustedToken::new(token).ok()?;
        let kid = match &token.header().key_id {
            Some(kid) => kid.clone(),
            None => self.only_key(|key| key.alg == token.algorithm())?,
        };
        let key = self
            .reference_keys
            .iter()
            .find(|key| key.kid.as_ref() == Some(&kid))?;
        if !rules.algorithms.contains(&&*key.alg) {
            return None;
        }
        let token = Verified(&key.alg)
            .validator::<Named>(key)
            .validate(&token)
            .ok()?;
        let claims = token.claims();
        let audiences = match &claims.custom.aud {
            None => &[][..],
            Some(Audience::One(one)) => std::slice::from_ref(one),
            Some(Audience::Many(many)) => many,
        };
        let is_ours = |ours: &Vec<String>| ours.iter().any(|our| audiences.contains(our));
        let now = self.now;
        let expires = claims.expiration?.timestamp();
        let begins = claims.not_before.map_or(0, |at| at.timestamp());
        (claims.custom.iss == ISSUER
            && rules.audiences.as_ref().is_none_or(is_ours)
            && now < expires + rules.leeway
            && begins <= now + rules.leeway)
            .then_some(())
    }

    fn only_key(&self, fits: impl Fn(&Key) -> bool) -> Option<String> {
        let mut keys = self.reference_keys.iter().filter(|key| fits(key));
        let only = keys.next()?;
        keys.next().is_none().then(|| only.kid.clone())?
    }
}

/// Signatures for a library that lets its caller bring them.
struct Verified<'k>(&'k str);

struct Bytes(Vec<u8>);

impl AlgorithmSignature for Bytes {
    fn try_from_slice(slice: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(slice.to_vec()))
    }

    fn as_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.0)
    }
}

impl jwt_compact::Algorithm for Verified<'_> {
    type SigningKey = ();
    type VerifyingKey = Key;
    type Signature = Bytes;

    fn name(&self) -> Cow<'static, str> {
        self.0.to_owned().into()
    }

    fn sign(&self, (): &(), _: &[u8]) -> Bytes {
        unreachable!("tokens are signed elsewhere")
    }

    fn verify_signature(&self, signature: &Bytes, key: &Key, message: &[u8]) -> bool {
        key.verifies(message, &signature.0)
    }
}
