//! Sealed values and MACs under secrets that rotate, with a key per purpose.
//!
//! A service that keeps state where others can read or change it, in a cookie or in a row of a shared
//! store, seals it first. It has one to five secrets for that:
//!
//! - [`Secrets`]: the list, newest first. From each secret a key is derived for every purpose.
//! - [`Sealer`]: encrypts and authenticates values of one purpose. The first secret seals, all open.
//! - [`Mac`]: authenticates messages of one purpose. The first secret signs, all verify.
//!
//! ```
//! use sealing::Secrets;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let text = format!("{}\n", "0123456789abcdef".repeat(2));
//! // `text` is what a file or a variable holds: 32 characters or more, made at random.
//! let secrets = Secrets::from_text(&text)?;
//! let cookies = secrets.purpose("cookie");
//!
//! let sealed = cookies.seal(b"user=7", b"__Host-session www.example.com")?;
//! let opened = cookies.open(&sealed, b"__Host-session www.example.com");
//! assert_eq!(opened.as_deref().map(Vec::as_slice), Some(&b"user=7"[..]));
//!
//! // Under another name, for another purpose or with a bit changed it is not there.
//! assert!(cookies.open(&sealed, b"__Host-other www.example.com").is_none());
//! assert!(secrets.purpose("row").open(&sealed, b"__Host-session www.example.com").is_none());
//!
//! // A new secret is put first. What the old one sealed opens as long as that is in the list.
//! let text = format!("{}\n{text}", "fedcba9876543210".repeat(2));
//! assert!(secrets.replace(Secrets::from_text(&text)?));
//! assert!(cookies.open(&sealed, b"__Host-session www.example.com").is_some());
//!
//! let links = secrets.mac("unsubscribe");
//! let tag = links.sign(b"user=7");
//! assert!(links.verify(b"user=7", &tag));
//! # Ok(())
//! # }
//! ```
//!
//! # Where secrets come from
//!
//! From a value, by [`Secrets::from_text`] or [`Secrets::new`]. This crate opens no file. A service
//! that has its secrets in one reads it again from time to time (`idp_http::file` has the reader) and
//! gives the list to [`Secrets::replace`]; every [`Sealer`] and [`Mac`] of these secrets follows at its
//! next use. A text that cannot be used is an error before anything is replaced, so that a file that is
//! torn or gone changes nothing:
//!
//! ```
//! use std::path::Path;
//! use sealing::Secrets;
//!
//! /// Called once a minute; a failure is logged, and the secrets in use stay.
//! fn read_again(secrets: &Secrets, path: &Path) -> Result<bool, Box<dyn std::error::Error>> {
//!     let text = std::fs::read_to_string(path)?;
//!     Ok(secrets.replace(Secrets::from_text(&text)?))
//! }
//! # let file = tempfile::NamedTempFile::new().unwrap();
//! # std::fs::write(file.path(), "a".repeat(32)).unwrap();
//! # let secrets = Secrets::from_text(&"b".repeat(32)).unwrap();
//! # assert!(read_again(&secrets, file.path()).unwrap());
//! # assert!(!read_again(&secrets, file.path()).unwrap());
//! ```
//!
//! Where several processes open each other's values, a rotation without a gap takes three steps: the
//! new secret in the second place everywhere, then in the first, and the old one removed when the last
//! value that it sealed has expired.
//!
//! # The format
//!
//! From a secret of the list, HKDF-SHA-256 (RFC 5869) derives with the salt `m2m-auth sealing` the
//! four bytes of its key id (`info`: `id`), and for each purpose the key that seals (`seal`, a zero
//! byte, the purpose) and the key for MACs (`mac`, a zero byte, the purpose), 32 bytes each.
//!
//! | bytes | of a sealed value |
//! |---|---|
//! | 1 | version, 1 |
//! | 4 | key id: which secret, and nothing about it |
//! | 12 | nonce, random |
//! | as many as the value | ciphertext of AES-256-GCM-SIV (RFC 8452) |
//! | 16 | tag |
//!
//! Should a nonce repeat, the two sealed values tell whether the same was sealed, and no more. The length
//! of a value is not hidden. A sealed value does not expire, and an old one can be put back in the place
//! of a newer one: an expiry time or a counter belongs in the value.
//!
//! # Cost
//!
//! `cargo bench -p sealing` prints what sealing and opening 1 KiB take; the goal is at most 5 µs each.
//! After [`Secrets::replace`] the next use of each [`Sealer`] and [`Mac`] derives its keys, which takes
//! some microseconds per secret.
//!
//! # What stays in memory
//!
//! Secrets, derived keys and opened values are wiped when they are dropped. A [`Sealer`] or [`Mac`] that
//! is not used after [`Secrets::replace`] holds the replaced secrets until it is. The text that the
//! secrets were read from is the caller's to wipe. `Debug` shows purposes and counts.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod keyring;
mod mac;
mod sealer;
mod secrets;

pub use mac::Mac;
pub use sealer::{OVERHEAD, OpenCounts, SealError, Sealer};
pub use secrets::{KeyId, MAX_SECRETS, MIN_SECRET, Secrets, SecretsError};
pub use zeroize::Zeroizing;
