//! The compact serialization (RFC 7515 section 7.1): three parts of canonical base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::reason::Reason;

/// An RSA-8192 signature, the longest there is.
const MAX_SIGNATURE: usize = 1024;

/// Room for a decoded signature. It is needed only once, so it is not worth an allocation.
pub(crate) type SignatureRoom = [u8; MAX_SIGNATURE];

pub(crate) const SIGNATURE_ROOM: SignatureRoom = [0; MAX_SIGNATURE];

/// The parts as they were sent. Each is decoded when its turn comes: junk then costs no more than its
/// first part.
#[derive(Debug)]
pub(crate) struct Parts<'t> {
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
    /// Header and payload as they were signed, with the dot between them.
    pub(crate) signed: &'t [u8],
}

impl<'t> Parts<'t> {
    /// `max` is the longest token that is looked at, in bytes.
    pub(crate) fn split(token: &'t str, max: usize) -> Result<Self, Reason> {
        if token.len() > max {
            return Err(Reason::TooLarge);
        }
        let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
        let first = dots.next().ok_or(Reason::Opaque)?;
        let second = dots.next().ok_or(Reason::Segments)?;
        match dots.count() {
            0 => Ok(Self {
                header: &token[..first],
                payload: &token[first + 1..second],
                signature: &token[second + 1..],
                signed: &token.as_bytes()[..second],
            }),
            // RFC 7516 section 3.1: a JWE has five parts.
            2 => Err(Reason::Encrypted),
            _ => Err(Reason::Segments),
        }
    }

    pub(crate) fn header(&self) -> Result<Vec<u8>, Reason> {
        decode(self.header)
    }

    pub(crate) fn payload(&self) -> Result<Vec<u8>, Reason> {
        decode(self.payload)
    }

    pub(crate) fn signature<'b>(&self, room: &'b mut SignatureRoom) -> Result<&'b [u8], Reason> {
        // 1024 bytes are 1366 characters; `decode_slice` asks for room rounded up.
        if self.signature.len() > MAX_SIGNATURE.div_ceil(3) * 4 {
            return Err(Reason::Signature);
        }
        let length = URL_SAFE_NO_PAD
            .decode_slice(self.signature, &mut room[..])
            .map_err(|error| match error {
                base64::DecodeSliceError::DecodeError(_) => Reason::Encoding,
                base64::DecodeSliceError::OutputSliceTooSmall => Reason::Signature,
            })?;
        Ok(&room[..length])
    }
}

/// The engine refuses padding, foreign characters and non-zero trailing bits, so that one byte
/// string has one token string (RFC 4648 section 3.5).
pub(crate) fn decode(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Encoding)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
