//! The compact serialization (RFC 7515 section 7.1): three parts of canonical base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::reason::Reason;

/// Longest token that is looked at, in bytes.
pub(crate) const MAX_TOKEN: usize = 8 * 1024;
/// An RSA-8192 signature, the longest there is.
const MAX_SIGNATURE: usize = 1024;

/// The decoded parts. Only the payload outlives the validation, so only it has a buffer to keep.
pub(crate) struct Decoded<'t> {
    /// Header and payload as they were signed, with the dot between them.
    pub(crate) signed: &'t [u8],
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    signature: [u8; MAX_SIGNATURE],
    signature_len: usize,
}

impl<'t> Decoded<'t> {
    pub(crate) fn decode(token: &'t str) -> Result<Self, Reason> {
        if token.len() > MAX_TOKEN {
            return Err(Reason::TooLarge);
        }
        let bytes = token.as_bytes();
        let mut dots = bytes
            .iter()
            .enumerate()
            .filter_map(|(at, byte)| (*byte == b'.').then_some(at));
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Reason::Segments);
        };
        let mut decoded = Self {
            signed: &bytes[..second],
            header: decode(&bytes[..first])?,
            payload: decode(&bytes[first + 1..second])?,
            signature: [0; MAX_SIGNATURE],
            signature_len: 0,
        };
        let signature = &bytes[second + 1..];
        // 1024 bytes are 1366 characters; `decode_slice` asks for room rounded up.
        if signature.len() > MAX_SIGNATURE.div_ceil(3) * 4 {
            return Err(Reason::Signature);
        }
        decoded.signature_len = URL_SAFE_NO_PAD
            .decode_slice(signature, &mut decoded.signature)
            .map_err(|error| match error {
                base64::DecodeSliceError::DecodeError(_) => Reason::Encoding,
                base64::DecodeSliceError::OutputSliceTooSmall => Reason::Signature,
            })?;
        Ok(decoded)
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature[..self.signature_len]
    }
}

/// The engine refuses padding, foreign characters and non-zero trailing bits, so that one byte
/// string has one token string (RFC 4648 section 3.5).
pub(crate) fn decode(part: &[u8]) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Encoding)
}
