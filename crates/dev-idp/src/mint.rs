use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key as HmacKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::unix_seconds;
use serde_json::{Value, json};

use crate::keys::{Algorithm, SigningKey, random_id};
use crate::provider::Provider;
use crate::tamper::apply;
use crate::{DEFAULT_CLIENT_ID, DEFAULT_SCOPE};

/// An access token to sign, for [`DevIdp::mint`](crate::DevIdp::mint).
///
/// As it starts, it is what the token endpoint would give to a client called
/// [`DEFAULT_CLIENT_ID`] with [`DEFAULT_SCOPE`]: a token shaped as RFC 9068 says, for the default
/// audience, signed with the newest key. Each method makes it differ in one respect; nothing is
/// checked, because a wrong token is what most tests want.
///
/// ```
/// use dev_idp::{Algorithm, TokenSpec};
/// use serde_json::json;
///
/// let expired = TokenSpec::new().claim("exp", 1_000_000_000);
/// let odd = TokenSpec::new()
///     .algorithm(Algorithm::Es256)
///     .claim("aud", json!(["https://a.example", "https://b.example"]))
///     .without_claim("scope")
///     .header("crit", json!(["exp"]))
///     .typ("JWT");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TokenSpec {
    claims: Vec<(String, Option<Value>)>,
    header: Vec<(String, Option<Value>)>,
    algorithm: Option<Algorithm>,
    lifetime: Option<Duration>,
    key: Option<SigningKey>,
    signature: Signature,
    size: Option<usize>,
}

/// How the text of a token is signed.
#[derive(Clone, Debug, Default)]
enum Signature {
    #[default]
    OfTheKey,
    None,
    Hs256(Box<HmacKey>),
    Broken,
}

impl TokenSpec {
    /// Returns a well-formed token with every default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or replaces a claim, by a value of any JSON type.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.push((name.into(), Some(value.into())));
        self
    }

    /// Leaves a claim out.
    pub fn without_claim(mut self, name: impl Into<String>) -> Self {
        self.claims.push((name.into(), None));
        self
    }

    /// Sets or replaces a member of the JWS header, `alg` and `kid` too; the signature is made by
    /// the same key regardless.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.push((name.into(), Some(value.into())));
        self
    }

    /// Leaves a member of the JWS header out.
    pub fn without_header(mut self, name: impl Into<String>) -> Self {
        self.header.push((name.into(), None));
        self
    }

    /// Names this key in the header, whichever key signs.
    pub fn kid(self, kid: impl Into<String>) -> Self {
        self.header("kid", kid.into())
    }

    /// Sets the header's `typ`, which is `at+jwt` otherwise (RFC 9068 section 2.1).
    pub fn typ(self, typ: impl Into<String>) -> Self {
        self.header("typ", typ.into())
    }

    /// Signs with the provider's newest key of `algorithm`.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Lets the token expire this long after now, in whole seconds. The provider's own lifetime is
    /// used otherwise.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Signs with a key that the provider does not publish, and names that key in the header. It
    /// decides the algorithm too.
    pub fn signed_by(mut self, key: &SigningKey) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Leaves the signature out and names the algorithm `none` (RFC 7519 section 6).
    pub fn unsigned(mut self) -> Self {
        self.signature = Signature::None;
        self
    }

    /// Authenticates the token by HMAC with SHA-256 instead, under a client's secret or the text of a public key.
    pub fn hs256(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.signature = Signature::Hs256(Box::new(HmacKey::new(HMAC_SHA256, secret.as_ref())));
        self
    }

    /// Gives the token a signature that does not fit, of the right length.
    pub fn bad_signature(mut self) -> Self {
        self.signature = Signature::Broken;
        self
    }

    /// Makes the token as long as it can be within this many bytes, by a claim called `padding`. One that is longer
    /// without it stays as it is.
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = Some(bytes);
        self
    }

    pub(crate) fn sign(self, provider: &Provider) -> Result<String, Unspecified> {
        let now = unix_seconds(provider.clock.now());
        let lifetime = provider.settings.lock().lifetime;
        let claims = json!({
            "iss": provider.issuer,
            "sub": DEFAULT_CLIENT_ID,
            "aud": provider.default_audience,
            "exp": expiry(now, lifetime),
            "iat": now,
            "jti": random_id()?,
            "client_id": DEFAULT_CLIENT_ID,
            "scope": DEFAULT_SCOPE,
        });
        self.sign_claims(provider, "at+jwt", claims)
    }

    /// Signs another kind of token: these claims under this `typ`, but for what the methods have changed.
    pub(crate) fn sign_claims(
        self,
        provider: &Provider,
        typ: &str,
        mut claims: Value,
    ) -> Result<String, Unspecified> {
        let key = self.signing_key(provider);
        let algorithm = match self.signature {
            Signature::OfTheKey | Signature::Broken => key.algorithm().name(),
            Signature::None => "none",
            Signature::Hs256(_) => "HS256",
        };
        let mut header = json!({
            "alg": algorithm,
            "kid": key.kid(),
            "typ": typ,
        });
        apply(&mut header, self.header);
        if let Some(lifetime) = self.lifetime {
            claims["exp"] = json!(expiry(unix_seconds(provider.clock.now()), lifetime));
        }
        apply(&mut claims, self.claims);
        let header = header.to_string();
        let token = self.signature.seal(&key, &header, &claims.to_string())?;
        let padding = self.size.and_then(|size| padding(&token, size));
        let Some(padding) = padding else {
            return Ok(token);
        };
        claims[PADDING] = json!("x".repeat(padding));
        self.signature.seal(&key, &header, &claims.to_string())
    }

    /// Returns the key that it will be signed with, if nothing rotates the keys before.
    pub(crate) fn signing_key(&self, provider: &Provider) -> SigningKey {
        match &self.key {
            Some(key) => key.clone(),
            None => provider.signing_key(self.algorithm),
        }
    }
}

impl Signature {
    fn seal(&self, key: &SigningKey, header: &str, payload: &str) -> Result<String, Unspecified> {
        let whole = seal(key, header, payload)?;
        let (signed, signature) = whole.rsplit_once('.').ok_or(Unspecified)?;
        let other = match self {
            Self::OfTheKey => return Ok(whole),
            Self::None => String::new(),
            Self::Hs256(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes())),
            Self::Broken => {
                let mut bytes = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unspecified)?;
                // The last byte: the first one of an RSA signature can make it larger than the modulus.
                let last = bytes.last_mut().ok_or(Unspecified)?;
                *last ^= 1;
                URL_SAFE_NO_PAD.encode(bytes)
            }
        };
        Ok(format!("{signed}.{other}"))
    }
}

const PADDING: &str = "padding";

/// Returns how long the claim is that lets a token grow to `size`, if there is room for one.
fn padding(token: &str, size: usize) -> Option<usize> {
    let (signed, _) = token.rsplit_once('.')?;
    let (_, payload) = signed.split_once('.')?;
    let room = size.checked_sub(token.len() - payload.len())?;
    // Three bytes are four characters, and one or two more bytes as many and one.
    let bytes = room / 4 * 3 + (room % 4).saturating_sub(1);
    let without = payload.len() / 4 * 3 + (payload.len() % 4).saturating_sub(1);
    bytes.checked_sub(without + r#","padding":"""#.len())
}

fn expiry(now: i64, lifetime: Duration) -> i64 {
    now.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
}

/// Signs two texts as they stand (RFC 7515 section 7.1, compact serialization).
pub(crate) fn seal(key: &SigningKey, header: &str, payload: &str) -> Result<String, Unspecified> {
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}
