use super::*;
use aws_lc_rs::test::from_hex;

/// The first 32 bytes of the output are the output of 32 bytes (RFC 5869 section 2.3).
#[test]
fn keys_are_derived_as_in_the_test_cases_of_rfc_5869_appendix_a() {
    let long = |from: u8| (from..from + 80).collect::<Vec<u8>>();
    for (case, secret, salt, info, okm) in [
        (
            "A.1",
            vec![0x0b; 22],
            from_hex("000102030405060708090a0b0c").unwrap(),
            from_hex("f0f1f2f3f4f5f6f7f8f9").unwrap(),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        ),
        (
            "A.2",
            long(0x00),
            long(0x60),
            (0xb0..=0xff).collect(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
        ),
        (
            "A.3",
            vec![0x0b; 22],
            vec![],
            vec![],
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
        ),
    ] {
        let prk = Salt::new(HKDF_SHA256, &salt).extract(&secret);
        assert_eq!(
            expand(&prk, &[&info]).to_vec(),
            from_hex(okm).unwrap(),
            "{case}"
        );
        let (start, end) = info.split_at(info.len() / 2);
        assert_eq!(
            expand(&prk, &[start, end]).to_vec(),
            from_hex(okm).unwrap(),
            "{case}"
        );
    }
}

#[test]
fn every_use_purpose_and_secret_has_a_key_of_its_own() {
    let mut keys = Vec::new();
    for secret in [Secret::new(&[1; 32]), Secret::new(&[2; 32])] {
        for usage in ["seal", "mac"] {
            for purpose in ["row", "cookie", "rowcookie", ""] {
                let key = secret.key(usage, purpose);
                assert_eq!(key, secret.key(usage, purpose));
                assert!(!keys.contains(&key), "{usage} {purpose}");
                keys.push(key);
            }
        }
    }
}
