//! Keys of the right form that do not keep their secret.

/// Tells whether an RSA modulus of at least 2048 bits (big-endian) comes from the generator of
/// CVE-2017-15361: modulo each of the first 126 primes it is a power of 65537. Others have that form
/// with a probability below 2^-100.
pub(crate) fn has_roca_form(modulus: &[u8]) -> bool {
    let is_prime = |number: &u32| !(2..*number).any(|divisor| number.is_multiple_of(divisor));
    (3..=701).filter(is_prime).all(|prime| {
        let rest = modulus
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        loop {
            if power == rest {
                return true;
            }
            power = power * 65_537 % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Tells whether an encoded Edwards point has small order: for such a key there are signatures that
/// fit many messages.
pub(crate) fn is_small_order(point: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Some((last, rest)) = point.split_last() else {
        return false;
    };
    // The top bit is the sign of x; the order does not depend on it.
    let last = last & 0x7f;
    let Some((first, middle)) = rest.split_first() else {
        return false;
    };
    // y = 0 and y = 1, then p - 1, p and p + 1, which are -1 and other spellings of 0 and 1.
    let low = last == 0 && *first <= 1 && middle.iter().all(|byte| *byte == 0);
    let high =
        last == 0x7f && (0xec..=0xee).contains(first) && middle.iter().all(|byte| *byte == 0xff);
    low || high
        || ORDER_8
            .iter()
            .any(|known| known[31] == last && known[..31] == *rest)
}
