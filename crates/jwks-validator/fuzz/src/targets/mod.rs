//! What each target does with its bytes. Included by the fuzz programs and by the crate's tests, so that
//! the corpus is replayed without a fuzzer, too.

mod authorization;
mod documents;
mod tokens;
pub(crate) mod world;

pub(crate) use authorization::authorization;
pub(crate) use documents::{discovery, jwks};
pub(crate) use tokens::{compact, header, payload, token_with_keys};

/// A target and the folder of its corpus.
pub(crate) type Target = (&'static str, fn(&[u8]));

pub(crate) const TARGETS: &[Target] = &[
    ("authorization", authorization),
    ("compact", compact),
    ("discovery", discovery),
    ("header", header),
    ("jwks", jwks),
    ("payload", payload),
    ("token_with_keys", token_with_keys),
];
