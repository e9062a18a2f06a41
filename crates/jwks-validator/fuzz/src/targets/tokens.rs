//! Targets that judge tokens.

use jwks_validator::KeySet;

use super::world::{GOOD_HEADER, GOOD_PAYLOAD, check_with, compare, sign};
use crate::reference::{Json, Key, object};

/// The bytes are the header of a token with a good signature and good claims.
pub(crate) fn header(bytes: &[u8]) {
    compare(&sign(bytes, GOOD_PAYLOAD));
}

/// The bytes are the claims of a token with a good signature and a good header.
pub(crate) fn payload(bytes: &[u8]) {
    compare(&sign(GOOD_HEADER, bytes));
}

/// The bytes are a token.
pub(crate) fn compact(bytes: &[u8]) {
    if let Ok(token) = std::str::from_utf8(bytes) {
        compare(token);
    }
}

/// The first line is a key set, the second a token; or the second and third are a header and claims, which
/// are then signed.
pub(crate) fn token_with_keys(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let (Some(document), Some(second)) = (lines.next(), lines.next()) else {
        return;
    };
    let token = match lines.next() {
        Some(claims) => sign(second, claims),
        None => match std::str::from_utf8(second) {
            Ok(token) => token.to_owned(),
            Err(_) => return,
        },
    };
    let Ok(keys) = KeySet::from_jwks_json(document) else {
        return;
    };
    // We read entry by entry, so that a broken one spoils only itself; the reference reads documents.
    let sound = object(document).ok().and_then(|document| {
        let Some(Json::Array(entries)) = document.member("keys") else {
            return None;
        };
        Some(entries.iter().filter_map(Key::read).collect::<Vec<_>>())
    });
    check_with(&token, &keys, sound.as_deref());
}
