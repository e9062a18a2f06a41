//! The header of a token, before anything vouches for it.

use std::borrow::Cow;

use crate::algorithm::Algorithm;
use crate::json::{self, Item};
use crate::policy::{Policy, TokenKind};
use crate::reason::Reason;

/// What an unverified header says about the key to use.
#[derive(Debug)]
pub(crate) struct UnverifiedHeader<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<Cow<'a, str>>,
    /// Thumbprints of the key's certificate. They choose among keys that are there, so whatever is no text is
    /// not there.
    pub(crate) x5t: Option<Cow<'a, str>>,
    pub(crate) x5t_s256: Option<Cow<'a, str>>,
}

/// Longest key id, in bytes.
const MAX_KID: usize = 256;
const PREFIX: &str = "application/";

impl<'a> UnverifiedHeader<'a> {
    pub(crate) fn parse(bytes: &'a [u8], policy: &Policy) -> Result<Self, Reason> {
        let (mut alg, mut typ, mut kid) = (None, None, None);
        let (mut x5t, mut x5t_s256) = (None, None);
        let (mut critical, mut foreign) = (false, false);
        json::members(bytes, |name, item: Item<'_>| match name {
            "alg" => alg = Some(item),
            "typ" => typ = Some(item),
            "kid" => kid = Some(item),
            "x5t" => x5t = item.into_text(),
            "x5t#S256" => x5t_s256 = item.into_text(),
            // No extension is implemented, so whatever it lists is one that must be understood and
            // is not (RFC 7515 section 4.1.11).
            "crit" => critical = true,
            // A key must come from configuration, never from the token; the rest belongs to unencoded
            // payloads and to JWE.
            "jwk" | "b64" | "zip" | "enc" => foreign = true,
            // Providers send `jku`, `x5u` and `x5c` with honest tokens. They are not looked at.
            _ => {}
        })
        .map_err(|_| Reason::HeaderJson)?;
        if critical {
            return Err(Reason::Critical);
        }
        if foreign {
            return Err(Reason::HeaderParameter);
        }
        let algorithm = algorithm(alg, policy)?;
        check_type(typ.as_ref(), policy)?;
        let kid = kid.map(key_id).transpose()?;
        Ok(Self {
            algorithm,
            kid,
            x5t,
            x5t_s256,
        })
    }
}

fn algorithm(alg: Option<Item<'_>>, policy: &Policy) -> Result<Algorithm, Reason> {
    let alg = alg.ok_or(Reason::AlgorithmMissing)?;
    alg.as_text()
        .and_then(Algorithm::from_name)
        .filter(|algorithm| policy.algorithms.contains(*algorithm))
        .ok_or(Reason::AlgorithmNotAllowed)
}

fn check_type(typ: Option<&Item<'_>>, policy: &Policy) -> Result<(), Reason> {
    let allows = |typ: &str| {
        // Media types compare without letter case, and `application/` may be left out (RFC 7515
        // section 4.1.9).
        let subtype = match typ.split_at_checked(PREFIX.len()) {
            Some((prefix, subtype)) if prefix.eq_ignore_ascii_case(PREFIX) => subtype,
            _ => typ,
        };
        let is = |name: &str| subtype.eq_ignore_ascii_case(name);
        match policy.kind {
            TokenKind::Access => is("at+jwt") || is("JWT") || is("JOSE"),
            TokenKind::Rfc9068 => is("at+jwt"),
            TokenKind::Id => is("JWT"),
            TokenKind::Logout => is("logout+jwt") || is("JWT"),
        }
    };
    let allowed = match typ {
        None => policy.kind != TokenKind::Rfc9068,
        Some(Item::Text(typ)) => allows(typ),
        Some(_) => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Reason::TokenType)
    }
}

fn key_id(kid: Item<'_>) -> Result<Cow<'_, str>, Reason> {
    kid.into_text()
        .filter(|kid| is_key_id(kid))
        .ok_or(Reason::KeyIdSyntax)
}

/// Tells whether a key id has 1 to 256 printable ASCII characters; it then is safe in a log.
pub(crate) fn is_key_id(kid: &str) -> bool {
    (1..=MAX_KID).contains(&kid.len()) && kid.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}
