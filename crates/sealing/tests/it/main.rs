//! The public API: what opens, what does not, and how secrets rotate.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it breaks, helpers included"
)]

mod format;
mod macs;
mod opening;
mod rotation;
mod secrets;

use sealing::{Sealer, Secrets, Zeroizing};

const PLACE: &[u8] = b"sessions:row:7";

/// Secrets of so many equal bytes each.
fn secrets(bytes: &[u8]) -> Secrets {
    let list: Vec<[u8; 32]> = bytes.iter().map(|byte| [*byte; 32]).collect();
    Secrets::new(&list).unwrap()
}

/// What opens, as the bytes that it was.
fn opened(sealer: &Sealer, sealed: &[u8]) -> Option<Vec<u8>> {
    sealer
        .open(sealed, PLACE)
        .map(|value: Zeroizing<Vec<u8>>| value.to_vec())
}
