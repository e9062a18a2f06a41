//! Messages with a MAC.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{PLACE, secrets};

#[test]
fn no_bit_of_a_tag_or_a_message_can_be_changed() {
    let mac = secrets(&[1, 2]).mac("link");
    let message = b"user=7".to_vec();
    let tag = mac.sign(&message);
    assert!(mac.verify(&message, &tag));
    for bit in 0..tag.len() * 8 {
        let mut altered = tag;
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac.verify(&message, &altered), "bit {bit} of the tag");
    }
    for bit in 0..message.len() * 8 {
        let mut altered = message.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac.verify(&altered, &tag), "bit {bit} of the message");
    }
}

#[test]
fn a_tag_may_be_cut_to_16_bytes_and_no_further() {
    let mac = secrets(&[1]).mac("link");
    let tag = mac.sign(b"user=7");
    for length in 0..=tag.len() {
        let expected = length >= 16;
        assert_eq!(mac.verify(b"user=7", &tag[..length]), expected, "{length}");
    }
    assert!(!mac.verify(b"user=7", &tag[1..]));
    assert!(!mac.verify(b"user=7", &[&tag[..], &[0]].concat()));
}

#[test]
fn a_tag_is_good_for_its_purpose_and_under_a_secret_of_the_list_only() {
    let ours = secrets(&[2, 1]);
    let old = secrets(&[1]).mac("link").sign(b"user=7");
    assert!(ours.mac("link").verify(b"user=7", &old));
    assert!(!ours.mac("mail").verify(b"user=7", &old));
    assert!(!secrets(&[2]).mac("link").verify(b"user=7", &old));
    // The key that seals is another one, whatever the purpose is called.
    let sealed = ours.purpose("link").seal(b"user=7", PLACE).unwrap();
    assert!(
        !ours
            .mac("link")
            .verify(b"user=7", &sealed[sealed.len() - 16..])
    );
}

proptest! {
    #[test]
    fn what_was_signed_verifies_and_nothing_else_does(
        message in vec(any::<u8>(), 0..1_024),
        other in vec(any::<u8>(), 0..1_024),
        forged in vec(any::<u8>(), 0..40),
    ) {
        let mac = secrets(&[1, 2, 3]).mac("link");
        let tag = mac.sign(&message);
        prop_assert!(mac.verify(&message, &tag));
        prop_assert_eq!(mac.verify(&other, &tag), other == message);
        prop_assert!(!mac.verify(&message, &forged));
    }
}
