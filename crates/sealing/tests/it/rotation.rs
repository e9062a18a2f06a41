//! Secrets that are replaced while they are in use.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sealing::{KeyId, Secrets};

use crate::{PLACE, opened, secrets};

/// N61
#[test]
fn the_first_secret_seals_and_every_one_of_the_list_opens() {
    let before = secrets(&[1]).purpose("row");
    let both = secrets(&[2, 1]);
    let sealer = both.purpose("row");
    let old = before.seal(b"old", PLACE).unwrap();
    let new = sealer.seal(b"new", PLACE).unwrap();
    assert_eq!(opened(&sealer, &old).unwrap(), b"old");
    assert_eq!(opened(&sealer, &new).unwrap(), b"new");
    assert_eq!(KeyId::of(&new), Some(both.key_ids()[0]));
    assert_eq!(KeyId::of(&old), Some(both.key_ids()[1]));
    // One that does not know the new secret yet.
    assert_eq!(opened(&before, &new), None);
    assert_eq!(before.counts().unknown_key, 1);
    let after = secrets(&[2]).purpose("row");
    assert_eq!(opened(&after, &new).unwrap(), b"new");
    assert_eq!(opened(&after, &old), None);
    assert_eq!(after.counts().unknown_key, 1);
}

/// N61
#[test]
fn each_of_five_secrets_opens_wherever_it_stands() {
    let all = [1, 2, 3, 4, 5];
    let sealers = all.map(|byte| secrets(&[byte]).purpose("row"));
    for turned in 0..all.len() {
        let mut list = all;
        list.rotate_left(turned);
        let sealer = secrets(&list).purpose("row");
        for other in &sealers {
            let sealed = other.seal(b"value", PLACE).unwrap();
            assert_eq!(opened(&sealer, &sealed).unwrap(), b"value");
        }
    }
}

/// N61
#[test]
fn half_of_the_replicas_with_the_new_secret_first_and_half_with_it_second_open_all() {
    let first = secrets(&[2, 1]).purpose("row");
    let second = secrets(&[1, 2]).purpose("row");
    for (from, to) in [(&first, &second), (&second, &first)] {
        let sealed = from.seal(b"value", PLACE).unwrap();
        assert_eq!(opened(to, &sealed).unwrap(), b"value");
    }
}

/// N61
#[test]
fn what_was_made_before_follows_when_the_secrets_are_replaced() {
    let ours = secrets(&[1]);
    let clone = ours.clone();
    let (sealer, mac) = (ours.purpose("row"), ours.mac("row"));
    let (old, old_tag) = (sealer.seal(b"old", PLACE).unwrap(), mac.sign(b"old"));

    assert!(clone.replace(secrets(&[2, 1])));
    assert!(!clone.replace(secrets(&[2, 1])));
    assert_eq!(ours.key_ids(), secrets(&[2, 1]).key_ids());
    let new = sealer.seal(b"new", PLACE).unwrap();
    assert_eq!(KeyId::of(&new), Some(ours.key_ids()[0]));
    assert_eq!(opened(&sealer, &old).unwrap(), b"old");
    assert!(mac.verify(b"old", &old_tag));
    assert_ne!(mac.sign(b"old"), old_tag);

    assert!(ours.replace(secrets(&[2])));
    assert_eq!(opened(&sealer, &old), None);
    assert_eq!(opened(&sealer, &new).unwrap(), b"new");
    assert!(!mac.verify(b"old", &old_tag));
    assert!(mac.verify(b"old", &mac.sign(b"old")));
    let counts = sealer.counts();
    assert_eq!((counts.opened, counts.unknown_key), (2, 1));
}

fn read_again(secrets: &Secrets, path: &Path) -> Option<bool> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(secrets.replace(Secrets::from_text(&text).ok()?))
}

/// N61
#[test]
fn a_file_that_is_read_again_changes_the_secrets_and_a_torn_one_does_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (old, new) = ("o".repeat(32), "n".repeat(32));
    std::fs::write(file.path(), format!("{old}\n")).unwrap();
    let secrets = Secrets::from_text(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
    let sealer = secrets.purpose("row");
    let sealed = sealer.seal(b"value", PLACE).unwrap();
    assert_eq!(read_again(&secrets, file.path()), Some(false));
    for torn in ["", "\n", &new[..31], &format!("{new}\n{}", &old[..5])] {
        std::fs::write(file.path(), torn).unwrap();
        assert_eq!(read_again(&secrets, file.path()), None, "{torn:?}");
        assert_eq!(opened(&sealer, &sealed).unwrap(), b"value", "{torn:?}");
    }
    std::fs::write(file.path(), format!("{new}\n{old}\n")).unwrap();
    assert_eq!(read_again(&secrets, file.path()), Some(true));
    assert_eq!(opened(&sealer, &sealed).unwrap(), b"value");
    std::fs::write(file.path(), format!("{new}\n")).unwrap();
    assert_eq!(read_again(&secrets, file.path()), Some(true));
    assert_eq!(opened(&sealer, &sealed), None);
    let path = file.path().to_owned();
    drop(file);
    assert_eq!(read_again(&secrets, &path), None);
    let sealed = sealer.seal(b"value", PLACE).unwrap();
    assert_eq!(opened(&sealer, &sealed).unwrap(), b"value");
}

/// N61
#[test]
fn no_value_is_lost_while_secrets_are_replaced_under_load() {
    let ours = secrets(&[1, 2]);
    let (sealer, mac) = (ours.purpose("row"), ours.mac("row"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for n in 0..2_000_u32 {
                        let value = n.to_be_bytes();
                        let sealed = sealer.seal(&value, PLACE).unwrap();
                        assert_eq!(opened(&sealer, &sealed).unwrap(), value);
                        assert!(mac.verify(&value, &mac.sign(&value)));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                ours.replace(secrets(&[2, 1]));
                ours.replace(secrets(&[1, 2]));
            }
        });
        let ended: Vec<_> = readers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    assert_eq!(sealer.counts().opened, 8_000);
}
