//! Every small change to a good token.

use std::thread;

use jwks_validator::KeySet;

use crate::signer::{Signer, check, decode, encode};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Beside the alphabet: what lenient decoders skip, and what other alphabets have.
const OTHERS: &[u8] = b"=+/. \t\r\n\0%\"\x7f";

/// E16, E17, E18, E31
#[test]
fn no_small_change_of_a_good_token_is_accepted() {
    let judged: usize = thread::scope(|scope| {
        let threads: Vec<_> = ["RS256", "ES256", "EdDSA"]
            .into_iter()
            .map(|alg| scope.spawn(move || judge_all_changes(alg)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(judged > 100_000, "only {judged} tokens were judged");
}

/// Returns how many tokens there were.
fn judge_all_changes(alg: &'static str) -> usize {
    let signer = Signer::new(alg, "k");
    let keys = signer.keys();
    let good = signer.good();
    assert!(check(&good, &keys).is_ok(), "{alg}");
    // Two halves at once, so that no algorithm takes much longer than the others.
    let (front, back) = thread::scope(|scope| {
        let back = scope.spawn(|| {
            substitutions(&good, good.len() / 2..good.len(), &keys) + flipped_bits(&good, &keys)
        });
        let front = substitutions(&good, 0..good.len() / 2, &keys) + cuts(&good, &keys);
        (front, back.join().unwrap())
    });
    front + back
}

/// Every character by every other one. Flipping a bit of a character gives another character, or
/// none at all where it is the highest bit: a `str` cannot hold that.
fn substitutions(good: &str, range: std::ops::Range<usize>, keys: &KeySet) -> usize {
    let mut judged = 0;
    let mut bytes = good.as_bytes().to_vec();
    for at in range {
        let original = bytes[at];
        let flips = (0..7).map(|bit| original ^ 1 << bit);
        for other in ALPHABET.iter().chain(OTHERS).copied().chain(flips) {
            if other != original {
                bytes[at] = other;
                let token = std::str::from_utf8(&bytes).unwrap();
                assert!(check(token, keys).is_err(), "{other:#x} at {at}: {token}");
                judged += 1;
            }
        }
        bytes[at] = original;
    }
    judged
}

/// Every bit of the decoded parts, so that each change is canonical base64url.
fn flipped_bits(good: &str, keys: &KeySet) -> usize {
    let mut judged = 0;
    let parts: Vec<Vec<u8>> = good.split('.').map(decode).collect();
    for part in 0..parts.len() {
        for bit in 0..parts[part].len() * 8 {
            let mut changed = parts.clone();
            changed[part][bit / 8] ^= 1 << (bit % 8);
            let token = changed.iter().map(encode).collect::<Vec<_>>().join(".");
            assert!(
                check(&token, keys).is_err(),
                "bit {bit} of part {part}: {token}"
            );
            judged += 1;
        }
    }
    judged
}

/// Every token that is one character shorter or longer, every beginning, every end, and every two
/// halves swapped.
fn cuts(good: &str, keys: &KeySet) -> usize {
    for at in 0..good.len() {
        let (front, back) = good.split_at(at);
        let swapped = format!("{back}{front}");
        let shorter = format!("{front}{}", &back[1..]);
        let doubled = format!("{front}{}{back}", &back[..1]);
        for token in [front, &back[1..], &shorter, &doubled] {
            assert!(check(token, keys).is_err(), "cut at {at}: {token}");
        }
        assert!(at == 0 || check(&swapped, keys).is_err(), "swapped at {at}");
    }
    for other in ALPHABET.iter().chain(OTHERS) {
        let longer = format!("{good}{}", char::from(*other));
        assert!(check(&longer, keys).is_err(), "{longer}");
    }
    good.len() * 5 - 1 + ALPHABET.len() + OTHERS.len()
}
