//! Tokens that are not three parts of canonical base64url with strict JSON inside.

use jwks_validator::Reason;
use serde_json::json;

use crate::checked::check;
use crate::forged::assert_all_refused;
use crate::signer::{Signer, good_claims};

/// E11, E12, E20, E21, E22, E29, N55
#[test]
fn whatever_is_not_three_short_parts_is_refused() {
    let signer = Signer::es256("k");
    let good = signer.good();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("three parts");
    };
    let json = json!({"payload": payload, "protected": header, "signature": signature});
    let mut large = good_claims();
    large["x"] = "x".repeat(12 << 10).into();
    let cases = [
        ("empty", String::new(), Reason::Opaque),
        ("one part", header.to_owned(), Reason::Opaque),
        ("two parts", format!("{header}.{payload}"), Reason::Segments),
        ("four parts", format!("{good}."), Reason::Segments),
        ("leading dot", format!(".{good}"), Reason::Segments),
        (
            "five parts, a JWE",
            format!("{good}.a.b"),
            Reason::Encrypted,
        ),
        (
            "a JWE with the key in use directly",
            format!("{header}..a.b.c"),
            Reason::Encrypted,
        ),
        ("six parts", format!("{good}.a.b.c"), Reason::Segments),
        (
            "a..b.c",
            format!("{header}..{payload}.{signature}"),
            Reason::Segments,
        ),
        (
            "no header",
            format!(".{payload}.{signature}"),
            Reason::HeaderJson,
        ),
        (
            "no payload",
            format!("{header}..{signature}"),
            Reason::PayloadJson,
        ),
        (
            "no signature",
            format!("{header}.{payload}."),
            Reason::Signature,
        ),
        ("JSON serialization", json.to_string(), Reason::Opaque),
        (
            "JSON around the compact form",
            format!("{{\"{good}\":1}}"),
            Reason::Encoding,
        ),
        ("a megabyte of dots", ".".repeat(1 << 20), Reason::TooLarge),
        ("12 KiB of dots", ".".repeat(12 << 10), Reason::Segments),
        ("a claim of 12 KiB", signer.token(&large), Reason::TooLarge),
    ];
    assert_all_refused(
        &signer,
        cases.map(|(name, token, reason)| (name.to_owned(), token, reason)),
    );
}

/// E17, E18
#[test]
fn every_part_must_be_canonical_base64url() {
    let signer = Signer::es256("k");
    let good = signer.good();
    let parts: Vec<&str> = good.split('.').collect();
    let keys = signer.keys();
    for part in 0..3 {
        let with = |changed: String| {
            let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            parts[part] = changed;
            parts.join(".")
        };
        let original = parts[part];
        for (name, changed) in [
            ("padding", format!("{original}=")),
            ("double padding", format!("{original}==")),
            ("plus", format!("+{}", &original[1..])),
            ("slash", format!("/{}", &original[1..])),
            ("space before", format!(" {original}")),
            (
                "space inside",
                format!("{} {}", &original[..4], &original[4..]),
            ),
            ("newline after", format!("{original}\n")),
            ("NUL after", format!("{original}\0")),
            ("not ASCII", format!("é{original}")),
        ] {
            assert_eq!(
                check(&with(changed), &keys).err(),
                Some(Reason::Encoding),
                "{name} in part {part}"
            );
        }
    }
    // 64 bytes leave four unused bits in the last of 86 characters.
    let last = good.pop_last();
    let twins: Vec<char> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        .chars()
        .filter(|twin| *twin != last.1)
        .collect();
    for twin in twins {
        let token = format!("{}{twin}", last.0);
        assert!(check(&token, &keys).is_err(), "{twin}");
    }
}

trait PopLast {
    fn pop_last(&self) -> (String, char);
}

impl PopLast for String {
    fn pop_last(&self) -> (String, char) {
        let mut rest = self.clone();
        let last = rest.pop().unwrap();
        (rest, last)
    }
}

/// E23, E24, E25, E26, E27, E28
#[test]
fn headers_and_payloads_that_are_not_strict_json_are_refused() {
    let signer = Signer::es256("k");
    let header = signer.header().to_string();
    let claims = good_claims().to_string();
    let inside = |text: &str, more: &str| format!("{},{more}}}", &text[..text.len() - 1]);
    let utf16: Vec<u8> = claims.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep = |text: &str| {
        let nested = format!("\"x\":{}{}", "[".repeat(200), "]".repeat(200));
        inside(text, &nested)
    };
    let mut cases = vec![
        (
            "duplicate alg".to_owned(),
            signer.raw(inside(&header, r#""alg":"ES256""#), &claims),
            Reason::HeaderJson,
        ),
        (
            "duplicate alg by escape".to_owned(),
            signer.raw(inside(&header, r#""\u0061lg":"none""#), &claims),
            Reason::HeaderJson,
        ),
        (
            "duplicate kid".to_owned(),
            signer.raw(inside(&header, r#""kid":"k""#), &claims),
            Reason::HeaderJson,
        ),
        (
            "duplicate typ".to_owned(),
            signer.raw(inside(&header, r#""typ":"JWT""#), &claims),
            Reason::HeaderJson,
        ),
        (
            "duplicate exp".to_owned(),
            signer.raw(&header, inside(&claims, r#""exp":1"#)),
            Reason::PayloadJson,
        ),
        (
            "duplicate scope".to_owned(),
            signer.raw(&header, inside(&claims, r#""scope":"admin""#)),
            Reason::PayloadJson,
        ),
        (
            "duplicate inside".to_owned(),
            signer.raw(&header, inside(&claims, r#""x":[{"a":1,"a":2}]"#)),
            Reason::PayloadJson,
        ),
        (
            "UTF-16".to_owned(),
            signer.raw(&header, utf16),
            Reason::PayloadJson,
        ),
        (
            "invalid UTF-8".to_owned(),
            signer.raw(&header, b"{\"iss\":\"\xff\"}"),
            Reason::PayloadJson,
        ),
        (
            "lone surrogate".to_owned(),
            signer.raw(&header, inside(&claims, r#""x":"\ud800""#)),
            Reason::PayloadJson,
        ),
        (
            "number out of range".to_owned(),
            signer.raw(&header, inside(&claims, r#""x":1e400"#)),
            Reason::PayloadJson,
        ),
        (
            "deep header".to_owned(),
            signer.raw(deep(&header), &claims),
            Reason::HeaderJson,
        ),
        (
            "deep payload".to_owned(),
            signer.raw(&header, deep(&claims)),
            Reason::PayloadJson,
        ),
    ];
    for (name, bytes) in [
        ("byte order mark", "\u{feff}{}"),
        ("two objects", "{}{}"),
        ("trailing bytes", "{} x"),
        ("comment", "{}/**/"),
        ("array", "[]"),
        ("string", "\"x\""),
        ("null", "null"),
        ("empty", ""),
    ] {
        cases.push((
            format!("header: {name}"),
            signer.raw(bytes, &claims),
            Reason::HeaderJson,
        ));
        cases.push((
            format!("payload: {name}"),
            signer.raw(&header, bytes),
            Reason::PayloadJson,
        ));
    }
    cases.push((
        "header {}".to_owned(),
        signer.raw("{}", &claims),
        Reason::AlgorithmMissing,
    ));
    cases.push((
        "payload {}".to_owned(),
        signer.raw(&header, "{}"),
        Reason::IssuerMissing,
    ));
    assert_all_refused(&signer, cases);
}
