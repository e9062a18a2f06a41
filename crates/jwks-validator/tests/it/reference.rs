//! A slow validator, written from the RFCs to compare with. It shares nothing with the crate but the
//! library that verifies signatures.
//!
//! Every refusal has the name of the rule that was broken.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

// Spelled out because other packages take this file in by its path.
#[path = "reference/json.rs"]
mod json;

pub(crate) use json::{Json, base64url, object};

pub(crate) type Broken = &'static str;

/// What a deployment demands of a token.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) issuer: String,
    pub(crate) algorithms: Vec<&'static str>,
    /// `None`: any, or none.
    pub(crate) audiences: Option<Vec<String>>,
    pub(crate) leeway: i64,
    pub(crate) max_lifetime: i64,
    pub(crate) rfc9068: bool,
    /// Where scopes stand.
    pub(crate) scope_claim: &'static str,
    /// Whether they may stand in an array.
    pub(crate) scope_array: bool,
}

impl Rules {
    /// What the crate demands by default.
    pub(crate) fn usual(issuer: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            algorithms: vec![
                "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
                "EdDSA",
            ],
            audiences: Some(vec![audience.to_owned()]),
            leeway: 60,
            max_lifetime: 24 * 60 * 60,
            rfc9068: false,
            scope_claim: "scope",
            scope_array: false,
        }
    }
}

/// A public key and the one algorithm that it verifies.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) kid: Option<String>,
    pub(crate) alg: String,
    /// `x5t` and `x5t#S256`.
    thumbprints: [Option<String>; 2],
    numbers: [Vec<u8>; 2],
}

impl Key {
    /// Reads the keys of a JWK Set whose entries are all sound.
    pub(crate) fn set(json: &[u8]) -> Vec<Self> {
        let document = object(json).unwrap();
        let Some(Json::Array(entries)) = document.member("keys") else {
            panic!("a key set");
        };
        entries.iter().map(|jwk| Self::read(jwk).unwrap()).collect()
    }

    /// Reads a JWK (RFC 7517 section 4); nothing if it may not verify signatures here.
    pub(crate) fn read(jwk: &Json) -> Option<Self> {
        // Vendors write null for what is not there.
        let member = |name| {
            jwk.member(name)
                .filter(|value| !matches!(value, Json::Null))
        };
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        if private.iter().any(|name| member(name).is_some()) {
            return None;
        }
        let text = |name| match member(name) {
            None => Some(None),
            Some(value) => value.text().map(Some),
        };
        if text("use")?.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let may_verify = match member("key_ops") {
            None => true,
            Some(Json::Array(operations)) => {
                operations.is_empty() || operations.iter().any(|one| one.text() == Some("verify"))
            }
            Some(_) => false,
        };
        let (implied, others, [first, second]) = match (text("kty")??, text("crv")?) {
            ("RSA", _) => ("RS256", &["RS512", "PS256"][..], ["n", "e"]),
            ("EC", Some("P-256")) => ("ES256", &[][..], ["x", "y"]),
            ("EC", Some("P-384")) => ("ES384", &[][..], ["x", "y"]),
            ("OKP", Some("Ed25519")) => ("EdDSA", &["Ed25519"][..], ["x", "y"]),
            _ => return None,
        };
        let alg = match text("alg")? {
            None | Some("Ed25519") => implied,
            Some(alg) => alg,
        };
        let number = |name| text(name)?.map_or(Some(vec![]), number);
        let thumbprint = |name| member(name).and_then(Json::text).map(str::to_owned);
        (may_verify && (alg == implied || others.contains(&alg))).then_some(())?;
        Some(Self {
            kid: text("kid")?.map(str::to_owned),
            alg: alg.to_owned(),
            thumbprints: [thumbprint("x5t"), thumbprint("x5t#S256")],
            numbers: [number(first)?, number(second)?],
        })
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let [first, second] = &self.numbers;
        let rsa = match &*self.alg {
            "RS256" => Some(&RSA_PKCS1_2048_8192_SHA256),
            "RS512" => Some(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Some(&RSA_PSS_2048_8192_SHA256),
            _ => None,
        };
        if let Some(rsa) = rsa {
            let key = RsaPublicKeyComponents {
                n: first,
                e: second,
            };
            return key.verify(rsa, message, signature).is_ok();
        }
        let (algorithm, point): (&dyn VerificationAlgorithm, _) = match &*self.alg {
            "ES256" => (
                &ECDSA_P256_SHA256_FIXED,
                [&[4], &first[..], second].concat(),
            ),
            "ES384" => (
                &ECDSA_P384_SHA384_FIXED,
                [&[4], &first[..], second].concat(),
            ),
            "EdDSA" => (&ED25519, first.clone()),
            other => panic!("no test has a key for {other}"),
        };
        UnparsedPublicKey::new(algorithm, point)
            .verify(message, signature)
            .is_ok()
    }
}

/// Of a published key, which may be in base64 as well, and padded.
fn number(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let is_padded = text.len() > bare.len();
    if is_padded && (!text.len().is_multiple_of(4) || text.len() > bare.len() + 2) {
        return None;
    }
    if text.contains(['+', '/']) && text.contains(['-', '_']) {
        return None;
    }
    base64url(&bare.replace('+', "-").replace('/', "_")).ok()
}

/// What an accepted token says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) sub: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) jti: Option<String>,
    pub(crate) aud: Vec<String>,
    pub(crate) exp: i64,
}

pub(crate) fn judge(
    token: &str,
    now: i64,
    keys: &[Key],
    rules: &Rules,
) -> Result<Accepted, Broken> {
    if token.len() > 12 * 1024 {
        return Err("longer than 12 KiB");
    }
    // RFC 7515 section 7.1.
    let parts: Vec<&str> = token.split('.').collect();
    let [header_part, payload_part, signature_part] = parts[..] else {
        return Err("three parts");
    };
    let header = object(&base64url(header_part)?).map_err(in_header)?;
    let payload = object(&base64url(payload_part)?).map_err(in_payload)?;
    let signature = base64url(signature_part)?;
    let (alg, kid, thumbprints) = judge_header(&header, rules)?;

    match payload.member("iss") {
        None => return Err("iss is required"),
        Some(Json::Text(iss)) if *iss == rules.issuer => {}
        Some(Json::Text(_)) => return Err("iss is ours"),
        Some(_) => return Err("iss is a string"),
    }
    let signed = format!("{header_part}.{payload_part}");
    let verifies = |key: &&Key| key.verifies(signed.as_bytes(), &signature);
    if !candidates(keys, alg, kid, thumbprints)?
        .iter()
        .any(verifies)
    {
        return Err("the signature");
    }
    judge_claims(&payload, now, rules)
}

/// The keys that a token with such a header can mean.
fn candidates<'k>(
    keys: &'k [Key],
    alg: &str,
    kid: Option<&str>,
    thumbprints: [Option<&str>; 2],
) -> Result<Vec<&'k Key>, Broken> {
    let of_alg = |keys: Vec<&'k Key>| -> Vec<&'k Key> {
        keys.into_iter().filter(|key| key.alg == alg).collect()
    };
    let Some(kid) = kid else {
        let fitting = of_alg(keys.iter().collect());
        let is_named = |key: &&Key| {
            let mut pairs = key.thumbprints.iter().zip(thumbprints);
            pairs.any(|(of_key, named)| named.is_some() && of_key.as_deref() == named)
        };
        let named: Vec<&Key> = fitting.iter().copied().filter(is_named).collect();
        let chosen = if named.is_empty() { fitting } else { named };
        return match chosen.len() {
            0 => Err("a published key"),
            1..=4 => Ok(chosen),
            _ => Err("at most four keys"),
        };
    };
    let mut named: Vec<&Key> = keys
        .iter()
        .filter(|key| key.kid.as_deref() == Some(kid))
        .collect();
    if let ([], [only @ Key { kid: None, .. }]) = (&named[..], keys) {
        named.push(only);
    }
    if named.is_empty() {
        return Err("a published key");
    }
    match of_alg(named)[..] {
        [] => Err("the key's own algorithm"),
        [key] => Ok(vec![key]),
        _ => Err("one key"),
    }
}

/// The algorithm, the key id and the thumbprints of the certificate.
type Header<'h> = (&'static str, Option<&'h str>, [Option<&'h str>; 2]);

fn judge_header<'h>(header: &'h Json, rules: &Rules) -> Result<Header<'h>, Broken> {
    if header.member("crit").is_some() {
        // RFC 7515 section 4.1.11: no extension is known here.
        return Err("no crit");
    }
    for name in ["jwk", "b64", "zip", "enc"] {
        if header.member(name).is_some() {
            return Err("no key and no foreign parameters in the header");
        }
    }
    let alg = match header.member("alg") {
        None => return Err("alg is required"),
        // RFC 9864 section 2.2.
        Some(Json::Text(alg)) if alg == "Ed25519" => "EdDSA",
        Some(Json::Text(alg)) => alg,
        Some(_) => return Err("alg is a string"),
    };
    let alg = *rules
        .algorithms
        .iter()
        .find(|allowed| **allowed == alg)
        .ok_or("alg is allowed")?;
    let typ = match header.member("typ") {
        None => None,
        Some(Json::Text(typ)) => Some(typ.to_ascii_lowercase()),
        Some(_) => return Err("typ is a string"),
    };
    match typ.as_deref() {
        Some("at+jwt" | "application/at+jwt") => {}
        Some("jwt" | "application/jwt" | "jose" | "application/jose") | None if !rules.rfc9068 => {}
        _ => return Err("typ is that of an access token"),
    }
    let kid = match header.member("kid") {
        None => None,
        Some(Json::Text(kid))
            if (1..=256).contains(&kid.len())
                && kid.chars().all(|char| matches!(char, ' '..='~')) =>
        {
            Some(&**kid)
        }
        Some(_) => return Err("kid is 1 to 256 printable characters"),
    };
    let thumbprint = |name| header.member(name).and_then(Json::text);
    Ok((alg, kid, [thumbprint("x5t"), thumbprint("x5t#S256")]))
}

fn judge_claims(payload: &Json, now: i64, rules: &Rules) -> Result<Accepted, Broken> {
    let exp = payload.date("exp")?.ok_or("exp is required")?;
    let nbf = payload.date("nbf")?;
    let iat = payload.date("iat")?;
    // RFC 7519 section 4.1.4: on or after.
    if now >= exp + rules.leeway {
        return Err("not expired");
    }
    if nbf.is_some_and(|nbf| now + rules.leeway < nbf) {
        return Err("not before nbf");
    }
    if iat.is_some_and(|iat| now + rules.leeway < iat) {
        return Err("not issued in the future");
    }
    if exp - iat.unwrap_or(now + rules.leeway) > rules.max_lifetime {
        return Err("no longer than the longest lifetime");
    }
    let aud: Vec<String> = match payload.member("aud") {
        None if rules.audiences.is_none() => vec![],
        None => return Err("aud is required"),
        Some(Json::Text(one)) => vec![one.clone()],
        Some(Json::Array(many)) if !many.is_empty() || rules.audiences.is_none() => many
            .iter()
            .map(|one| one.text().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or("aud is a string or strings")?,
        Some(_) => return Err("aud is a string or strings"),
    };
    if let Some(ours) = &rules.audiences
        && !aud.iter().any(|one| ours.contains(one))
    {
        return Err("aud is ours");
    }
    let sub = payload.string("sub")?;
    let client_id = payload.string("client_id")?;
    let jti = payload.string("jti")?;
    let scope = match payload.member(rules.scope_claim) {
        Some(Json::Array(scopes)) if rules.scope_array => {
            let scopes: Option<Vec<&str>> = scopes.iter().map(scope_token).collect();
            Some(
                scopes
                    .ok_or("scopes of an array are scope tokens")?
                    .join(" "),
            )
        }
        _ => payload.string(rules.scope_claim)?,
    };
    if sub.as_deref() == Some("") || client_id.as_deref() == Some("") {
        return Err("sub and client_id are not empty");
    }
    if payload.member("cnf").is_some() {
        return Err("no cnf");
    }
    if rules.rfc9068 && (sub.is_none() || client_id.is_none() || jti.is_none() || iat.is_none()) {
        return Err("what RFC 9068 requires");
    }
    Ok(Accepted {
        sub,
        client_id,
        scope,
        jti,
        aud,
        exp,
    })
}

/// RFC 6749 section 3.3: 1*( %x21 / %x23-5B / %x5D-7E ).
fn scope_token(scope: &Json) -> Option<&str> {
    let is_allowed = |char| matches!(char, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    let scope = scope.text()?;
    (!scope.is_empty() && scope.chars().all(is_allowed)).then_some(scope)
}

/// Tells whose JSON it was, for whoever compares: libraries that skip the header's unknown members
/// and those that skip the payload's are not the same.
fn in_header(broken: Broken) -> Broken {
    match broken {
        "no member twice" => "no header member twice",
        other => other,
    }
}

fn in_payload(broken: Broken) -> Broken {
    match broken {
        "no member twice" => "no claim twice",
        other => other,
    }
}
