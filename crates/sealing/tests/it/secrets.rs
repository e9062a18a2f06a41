//! Lists that can be used, those that cannot, and what of them is shown.

use sealing::{Mac, Sealer, Secrets, SecretsError};

use crate::{PLACE, opened, secrets};

/// N62
#[test]
fn a_list_that_cannot_be_used_is_refused_by_position() {
    let long = |letter: &str| letter.repeat(32);
    let six: Vec<String> = ["a", "b", "c", "d", "e", "f"].map(long).to_vec();
    for (case, text, expected) in [
        ("none", String::new(), SecretsError::Missing),
        (
            "white space",
            " \r\n\t\u{a0}".to_owned(),
            SecretsError::Missing,
        ),
        ("six", six.join("\n"), SecretsError::TooMany(6)),
        (
            "six, one short",
            six.join(" ") + " short",
            SecretsError::TooMany(7),
        ),
        ("31 characters", "a".repeat(31), SecretsError::TooShort(1)),
        (
            "the second is short",
            format!("{} b", long("a")),
            SecretsError::TooShort(2),
        ),
        (
            "32 bytes of 16 characters",
            "é".repeat(16),
            SecretsError::TooShort(1),
        ),
        (
            "twice",
            [long("a"), long("b"), long("a")].join("\n"),
            SecretsError::Repeated(1, 3),
        ),
    ] {
        assert_eq!(Secrets::from_text(&text).unwrap_err(), expected, "{case}");
    }
    assert_eq!(
        Secrets::new::<&[u8]>(&[]).unwrap_err(),
        SecretsError::Missing
    );
    for (list, expected) in [
        (vec![vec![0; 31]], SecretsError::TooShort(1)),
        (vec![vec![0; 32], vec![1; 5]], SecretsError::TooShort(2)),
        (vec![vec![0; 32], vec![0; 32]], SecretsError::Repeated(1, 2)),
        (vec![vec![0; 32]; 6], SecretsError::TooMany(6)),
    ] {
        assert_eq!(Secrets::new(&list).unwrap_err(), expected);
    }
}

#[test]
fn a_text_is_the_secrets_between_its_white_space() {
    let (a, b, c) = ("a".repeat(32), "b".repeat(33), "é".repeat(32));
    let expected = Secrets::new(&[&a, &b, &c]).unwrap().key_ids();
    for text in [
        format!("{a}\n{b}\n{c}"),
        format!("{a} {b} {c}\n"),
        format!("\r\n{a}\r\n{b}\t{c}\r\n\r\n"),
    ] {
        let found = Secrets::from_text(&text).unwrap();
        assert_eq!(found.key_ids(), expected, "{text:?}");
    }
    assert_eq!(expected.len(), 3);
}

/// N62, J1
#[test]
fn neither_debug_nor_an_error_shows_a_secret_or_a_value() {
    const CANARY: &str = "canary-canary-canary-canary-canary";
    let secrets = Secrets::from_text(CANARY).unwrap();
    let (sealer, mac) = (secrets.purpose("row"), secrets.mac("link"));
    let sealed = sealer.seal(b"value", PLACE).unwrap();
    assert_eq!(opened(&sealer, &sealed).unwrap(), b"value");
    assert_eq!(format!("{secrets:?}"), "Secrets { count: 1 }");
    assert_eq!(
        format!("{sealer:?}"),
        "Sealer { purpose: \"row\", secrets: 1, counts: OpenCounts { opened: 1, malformed: 0, \
         unknown_key: 0, bad_tag: 0 } }"
    );
    assert_eq!(format!("{mac:?}"), "Mac { purpose: \"link\", secrets: 1 }");
    let twice = Secrets::from_text(&format!("{CANARY} {CANARY}")).unwrap_err();
    assert_eq!(twice.to_string(), "secrets 1 and 2 are the same");
    let short = Secrets::from_text("canary").unwrap_err();
    assert_eq!(
        short.to_string(),
        "secret 1 is shorter than 32 bytes, or characters in a text"
    );
    assert!(!format!("{twice:?}{short:?}").contains("canary"));
}

#[test]
fn threads_share_what_is_made() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    let secrets = secrets(&[1]);
    shared(&secrets);
    shared::<Sealer>(&secrets.purpose("row"));
    shared::<Mac>(&secrets.mac("row"));
}
