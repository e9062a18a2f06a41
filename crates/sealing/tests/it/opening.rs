//! Values that are as they were, and those that are not there.

use proptest::collection::vec;
use proptest::prelude::*;
use sealing::{OVERHEAD, OpenCounts};

use crate::{PLACE, opened, secrets};

/// N60
#[test]
fn no_bit_of_a_sealed_value_can_be_changed() {
    let sealer = secrets(&[1, 2]).purpose("row");
    let sealed = sealer.seal(b"a value of some length", PLACE).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opened(&sealer, &altered), None, "bit {bit}");
    }
    let counts = sealer.counts();
    assert_eq!(counts.opened, 0);
    // Version, key id, and the rest: nonce, ciphertext and tag.
    assert_eq!(counts.malformed, 8);
    assert_eq!(counts.unknown_key, 4 * 8);
    assert_eq!(counts.bad_tag, (sealed.len() as u64 - 5) * 8);
}

/// N60
#[test]
fn a_value_that_is_cut_or_lengthened_is_not_there() {
    let sealer = secrets(&[1]).purpose("row");
    let sealed = sealer.seal(b"a value", PLACE).unwrap();
    for length in 0..sealed.len() {
        assert_eq!(opened(&sealer, &sealed[..length]), None, "{length} bytes");
        if length > 0 {
            assert_eq!(opened(&sealer, &sealed[length..]), None, "from {length}");
        }
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(opened(&sealer, &longer), None);
    assert_eq!(sealer.counts().opened, 0);
    assert_eq!(opened(&sealer, &sealed).unwrap(), b"a value");
}

/// N60
#[test]
fn a_value_opens_for_its_purpose_in_its_place_and_under_its_secret_only() {
    let ours = secrets(&[1]);
    let row = ours.purpose("row");
    let sealed = row.seal(b"value", PLACE).unwrap();
    assert_eq!(ours.purpose("cookie").open(&sealed, PLACE), None);
    for place in [
        &b""[..],
        b"sessions:row:8",
        b"sessions:row:7 ",
        b"sessions:row:",
    ] {
        assert_eq!(row.open(&sealed, place), None);
    }
    let strangers = secrets(&[2]).purpose("row");
    assert_eq!(opened(&strangers, &sealed), None);
    assert_eq!(strangers.counts().unknown_key, 1);
    assert_eq!(row.counts().bad_tag, 4);
    assert_eq!(opened(&row, &sealed).unwrap(), b"value");
    assert_eq!(row.counts().opened, 1);
}

/// N60
#[test]
fn a_megabyte_is_sealed_and_opened_and_a_megabyte_of_nothing_is_refused() {
    let sealer = secrets(&[1]).purpose("row");
    let value: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_be_bytes()[3]).collect();
    let mut sealed = sealer.seal(&value, PLACE).unwrap();
    assert_eq!(sealed.len(), value.len() + OVERHEAD);
    assert!(opened(&sealer, &sealed).unwrap() == value);
    sealed[500_000] ^= 1;
    assert_eq!(opened(&sealer, &sealed), None);
    for byte in [0, 1, 255] {
        assert_eq!(opened(&sealer, &vec![byte; 1_000_000]), None);
    }
}

#[test]
fn an_empty_value_without_associated_data_is_a_value() {
    let sealer = secrets(&[1]).purpose("");
    let sealed = sealer.seal(b"", b"").unwrap();
    assert_eq!(sealed.len(), OVERHEAD);
    assert_eq!(sealer.open(&sealed, b"").unwrap().as_slice(), b"");
    assert_eq!(sealer.open(&sealed, b"x"), None);
}

/// Bytes as somebody makes them who knows the format and the key ids, and no secret.
fn forged() -> impl Strategy<Value = Vec<u8>> {
    let ids = secrets(&[1, 2, 3]).key_ids();
    let version = prop_oneof![4 => Just(vec![1]), 1 => vec(any::<u8>(), 0..2)];
    let known = prop::sample::select(ids).prop_map(|id| id.to_bytes().to_vec());
    let id = prop_oneof![4 => known, 1 => vec(any::<u8>(), 0..5)];
    let rest = vec(any::<u8>(), 0..256);
    (version, id, rest).prop_map(|(version, id, rest)| [version, id, rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_sealed_opens_as_it_was(
        value in vec(any::<u8>(), 0..512),
        place in vec(any::<u8>(), 0..128),
        other in vec(any::<u8>(), 0..128),
    ) {
        let sealer = secrets(&[1, 2, 3]).purpose("row");
        let sealed = sealer.seal(&value, &place).unwrap();
        prop_assert_eq!(sealed.len(), value.len() + OVERHEAD);
        let found = sealer.open(&sealed, &place);
        prop_assert_eq!(found.as_deref(), Some(&value));
        prop_assert_eq!(sealer.open(&sealed, &other).is_some(), other == place);
    }

    /// N60
    #[test]
    fn no_bytes_of_a_stranger_open_and_each_counts_once(
        bytes in prop_oneof![forged(), vec(any::<u8>(), 0..512)],
        place in vec(any::<u8>(), 0..64),
    ) {
        let sealer = secrets(&[1, 2, 3]).purpose("row");
        prop_assert_eq!(sealer.open(&bytes, &place), None);
        let OpenCounts { opened, malformed, unknown_key, bad_tag, .. } = sealer.counts();
        prop_assert_eq!(opened, 0);
        prop_assert_eq!(malformed + unknown_key + bad_tag, 1);
    }

    /// N60
    #[test]
    fn a_value_with_several_bytes_changed_is_not_there(
        value in vec(any::<u8>(), 0..512),
        changes in vec((any::<prop::sample::Index>(), 1..=255_u8), 1..8),
    ) {
        let sealer = secrets(&[1, 2, 3]).purpose("row");
        let sealed = sealer.seal(&value, PLACE).unwrap();
        let mut altered = sealed.clone();
        for (at, change) in changes {
            let at = at.index(altered.len());
            altered[at] ^= change;
        }
        // Two changes of one byte may cancel each other.
        prop_assert_eq!(sealer.open(&altered, PLACE).is_some(), altered == sealed);
    }
}
