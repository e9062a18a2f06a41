//! A slow validator, written from the RFCs to compare with. It shares nothing with the crate but the
//! library that verifies signatures.
//!
//! Every refusal has the name of the rule that was broken.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

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
}

/// A public key and the one algorithm that it verifies.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) kid: Option<String>,
    pub(crate) alg: String,
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
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        if private.iter().any(|name| jwk.member(name).is_some()) {
            return None;
        }
        let text = |name| match jwk.member(name) {
            None => Some(None),
            Some(value) => value.text().map(Some),
        };
        if text("use")?.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let may_verify = match jwk.member("key_ops") {
            None => true,
            Some(Json::Array(operations)) => {
                operations.iter().any(|one| one.text() == Some("verify"))
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
        let number = |name| text(name)?.map_or(Some(vec![]), |text| base64url(text).ok());
        (may_verify && (alg == implied || others.contains(&alg))).then_some(())?;
        Some(Self {
            kid: text("kid")?.map(str::to_owned),
            alg: alg.to_owned(),
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
    if token.len() > 8192 {
        return Err("longer than 8 KiB");
    }
    // RFC 7515 section 7.1.
    let parts: Vec<&str> = token.split('.').collect();
    let [header_part, payload_part, signature_part] = parts[..] else {
        return Err("three parts");
    };
    let header = object(&base64url(header_part)?).map_err(in_header)?;
    let payload = object(&base64url(payload_part)?).map_err(in_payload)?;
    let signature = base64url(signature_part)?;
    let (alg, kid) = judge_header(&header, rules)?;

    match payload.member("iss") {
        None => return Err("iss is required"),
        Some(Json::Text(iss)) if *iss == rules.issuer => {}
        Some(Json::Text(_)) => return Err("iss is ours"),
        Some(_) => return Err("iss is a string"),
    }
    let named: Vec<&Key> = match kid {
        Some(kid) => keys
            .iter()
            .filter(|key| key.kid.as_deref() == Some(kid))
            .collect(),
        None => keys.iter().filter(|key| key.alg == alg).collect(),
    };
    let key = match named[..] {
        [] => return Err("a published key"),
        [key] => key,
        _ => return Err("one key"),
    };
    if key.alg != alg {
        return Err("the key's own algorithm");
    }
    if !key.verifies(
        format!("{header_part}.{payload_part}").as_bytes(),
        &signature,
    ) {
        return Err("the signature");
    }
    judge_claims(&payload, now, rules)
}

fn judge_header<'h>(
    header: &'h Json,
    rules: &Rules,
) -> Result<(&'static str, Option<&'h str>), Broken> {
    if header.member("crit").is_some() {
        // RFC 7515 section 4.1.11: no extension is known here.
        return Err("no crit");
    }
    for name in ["jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"] {
        if header.member(name).is_some() {
            return Err("no keys, addresses or foreign parameters in the header");
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
        Some("jwt") | None if !rules.rfc9068 => {}
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
    Ok((alg, kid))
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
        Some(Json::Array(many)) if !many.is_empty() => many
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
    let scope = payload.string("scope")?;
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

/// RFC 4648 section 5 without padding; the unused bits of the last character are zero.
pub(crate) fn base64url(text: &str) -> Result<Vec<u8>, Broken> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for char in text.chars() {
        let value = match char {
            'A'..='Z' => char as u32 - 'A' as u32,
            'a'..='z' => char as u32 - 'a' as u32 + 26,
            '0'..='9' => char as u32 - '0' as u32 + 52,
            '-' => 62,
            '_' => 63,
            _ => return Err("base64url's alphabet"),
        };
        bits = bits << 6 | value;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    match (held, bits) {
        (6, _) => Err("base64url's length"),
        (_, 0) => Ok(bytes),
        _ => Err("base64url's last character"),
    }
}

/// A JSON value; an object keeps its members in their order.
#[derive(Debug)]
pub(crate) enum Json {
    Null,
    Bool,
    Number(f64),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find(|(member, _)| member == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn string(&self, name: &str) -> Result<Option<String>, Broken> {
        match self.member(name) {
            None => Ok(None),
            Some(Self::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err("identities and scopes are strings"),
        }
    }

    /// RFC 7519 section 2, in the years 1970 to 9999, rounded down.
    fn date(&self, name: &str) -> Result<Option<i64>, Broken> {
        match self.member(name) {
            None => Ok(None),
            Some(Self::Number(number)) if (0.0..=253_402_300_799.0).contains(&number.floor()) => {
                Ok(Some(number.floor() as i64))
            }
            Some(Self::Number(_)) => Err("dates lie in the years 1970 to 9999"),
            Some(_) => Err("dates are numbers"),
        }
    }
}

/// Reads RFC 8259, strictly: one object, no member name twice in any object, and no more than 127
/// levels.
pub(crate) fn object(bytes: &[u8]) -> Result<Json, Broken> {
    let text = std::str::from_utf8(bytes).map_err(|_| "UTF-8")?;
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
    };
    reader.space();
    if reader.peek() != Some('{') {
        return Err("a JSON object");
    }
    let value = reader.value(1)?;
    reader.space();
    if reader.peek().is_some() {
        return Err("nothing after the object");
    }
    Ok(value)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

const NOT_JSON: Broken = "RFC 8259's grammar";

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Result<char, Broken> {
        let next = self.peek().ok_or(NOT_JSON)?;
        self.at += 1;
        Ok(next)
    }

    fn expect(&mut self, text: &str) -> Result<(), Broken> {
        for char in text.chars() {
            if self.next()? != char {
                return Err(NOT_JSON);
            }
        }
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, level: usize) -> Result<Json, Broken> {
        if level > 127 && matches!(self.peek(), Some('{' | '[')) {
            return Err("127 levels");
        }
        match self.peek().ok_or(NOT_JSON)? {
            '{' => self.members(level),
            '[' => self.elements(level),
            '"' => self.string().map(Json::Text),
            't' => self.expect("true").map(|()| Json::Bool),
            'f' => self.expect("false").map(|()| Json::Bool),
            'n' => self.expect("null").map(|()| Json::Null),
            _ => self.number(),
        }
    }

    fn members(&mut self, level: usize) -> Result<Json, Broken> {
        let mut members: Vec<(String, Json)> = Vec::new();
        self.expect("{")?;
        self.space();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(":")?;
            self.space();
            let value = self.value(level + 1)?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err("no member twice");
            }
            // Nothing in an RFC: whoever reads such a member with serde_json reads another one.
            if name.starts_with("$serde_json::private::") {
                return Err("no name that a library takes for its own");
            }
            members.push((name, value));
            self.space();
            match self.next()? {
                ',' => {}
                '}' => return Ok(Json::Object(members)),
                _ => return Err(NOT_JSON),
            }
        }
    }

    fn elements(&mut self, level: usize) -> Result<Json, Broken> {
        let mut elements = Vec::new();
        self.expect("[")?;
        self.space();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            self.space();
            elements.push(self.value(level + 1)?);
            self.space();
            match self.next()? {
                ',' => {}
                ']' => return Ok(Json::Array(elements)),
                _ => return Err(NOT_JSON),
            }
        }
    }

    fn string(&mut self) -> Result<String, Broken> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            text.push(match self.next()? {
                '"' => return Ok(text),
                '\\' => match self.next()? {
                    char @ ('"' | '\\' | '/') => char,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => self.escaped()?,
                    _ => return Err(NOT_JSON),
                },
                '\0'..='\u{1f}' => return Err(NOT_JSON),
                char => char,
            });
        }
    }

    fn escaped(&mut self) -> Result<char, Broken> {
        let first = self.hex()?;
        if let Some(char) = char::from_u32(first) {
            return Ok(char);
        }
        // A surrogate: only a high one with a low one behind it is a character.
        if first > 0xdbff || self.expect("\\u").is_err() {
            return Err("no lone surrogate");
        }
        let second = self.hex()?;
        if !(0xdc00..=0xdfff).contains(&second) {
            return Err("no lone surrogate");
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(NOT_JSON)
    }

    fn hex(&mut self) -> Result<u32, Broken> {
        (0..4).try_fold(0, |sum, _| {
            let digit = self.next()?.to_digit(16).ok_or(NOT_JSON)?;
            Ok(sum << 4 | digit)
        })
    }

    fn number(&mut self) -> Result<Json, Broken> {
        let start = self.at;
        if self.peek() == Some('-') {
            self.at += 1;
        }
        if self.peek() == Some('0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some('.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        let number: f64 = text.parse().map_err(|_| NOT_JSON)?;
        if number.is_finite() {
            Ok(Json::Number(number))
        } else {
            Err("numbers that a double holds")
        }
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let start = self.at;
        while self.peek().is_some_and(|char| char.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(NOT_JSON);
        }
        Ok(())
    }
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
