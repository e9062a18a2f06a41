//! A signature checked by aws-lc-rs alone: the floor of every validation.

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};

use crate::signer::{Signer, decode};

/// The key as the library keeps it, the message and the decoded signature.
pub(crate) fn parts<'t>(signer: &Signer, token: &'t str) -> (ParsedPublicKey, &'t [u8], Vec<u8>) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let jwk = signer.jwk();
    let member = |name: &str| decode(jwk[name].as_str().unwrap());
    let key = match signer.alg {
        "RS256" => RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        }
        .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
        .unwrap(),
        "ES256" => {
            let point = [vec![4], member("x"), member("y")].concat();
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).unwrap()
        }
        _ => ParsedPublicKey::new(&signature::ED25519, member("x")).unwrap(),
    };
    (key, message.as_bytes(), decode(signature))
}
