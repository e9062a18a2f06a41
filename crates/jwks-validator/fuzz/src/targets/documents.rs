//! Targets that read what an identity provider publishes.

use std::net::IpAddr;
use std::sync::LazyLock;

use jwks_validator::{Discovery, IdpClient, KeySet, SkippedKey};
use serde_json::Value;

/// The bytes are a key set.
pub(crate) fn jwks(bytes: &[u8]) {
    let (keys, skipped) = read_keys(bytes);
    assert_eq!((keys, skipped.clone()), read_keys(bytes));
    // So many signature keys, and as many of those that are listed although they are for others.
    assert!(keys <= 64 && keys + skipped.len() <= 128);
    for key in &skipped {
        let kid = key.kid.as_deref().unwrap_or("-");
        assert!(
            (1..=256).contains(&kid.len()) && kid.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        );
    }
    // Keys that are skipped mean nothing: without them, the set is the same.
    if keys > 0
        && skipped.len() < 64
        && let Ok(Value::Object(mut document)) = serde_json::from_slice(bytes)
        && let Some(Value::Array(entries)) = document.get_mut("keys")
    {
        let mut indices = 0..;
        entries.retain(|_| {
            let index = indices.next();
            skipped.iter().all(|key| Some(key.index) != index)
        });
        let without = Value::Object(document).to_string();
        assert_eq!(read_keys(without.as_bytes()), (keys, vec![]));
    }
}

/// How many keys are usable, and which are not.
fn read_keys(bytes: &[u8]) -> (usize, Vec<SkippedKey>) {
    match KeySet::from_jwks_json(bytes) {
        Ok(keys) => {
            assert!(!keys.is_empty());
            (keys.len(), keys.skipped().to_vec())
        }
        Err(error) => (0, error.skipped().to_vec()),
    }
}

/// Issuers that the documents of the corpus are of. The last one is held to its origin and one more.
static ISSUERS: LazyLock<[Discovery; 3]> = LazyLock::new(|| {
    let client = IdpClient::builder().build().unwrap();
    let discovery = |issuer| Discovery::new(client.clone(), issuer).unwrap();
    let others = "https://keys.example".parse().unwrap();
    [
        discovery("http://127.0.0.1:6003"),
        discovery("https://idp.example"),
        discovery("https://idp.example").restrict_to_origins([&others]),
    ]
});

/// The bytes are the metadata of an issuer.
pub(crate) fn discovery(bytes: &[u8]) {
    let [local, public, restricted] = ISSUERS.each_ref().map(|issuer| {
        let read = || match issuer.read(bytes) {
            Ok(metadata) => Ok((
                metadata.issuer,
                metadata.token_endpoint.map(String::from),
                metadata.jwks_uri.map(String::from),
            )),
            Err(error) => Err(error.to_string()),
        };
        let answer = read();
        assert_eq!(answer, read());
        if let Ok((name, _, _)) = &answer {
            assert_eq!(name, issuer.issuer());
        }
        answer.ok()
    });
    assert!(
        local.is_none() || public.is_none(),
        "a document has one issuer"
    );
    for (_, token_endpoint, jwks_uri) in local.iter().chain(&public) {
        for url in token_endpoint.iter().chain(jwks_uri) {
            assert!(url.starts_with("https://") || is_private(url), "{url}");
        }
    }
    if let Some((_, token_endpoint, jwks_uri)) = &restricted {
        for url in token_endpoint.iter().chain(jwks_uri) {
            assert!(url.starts_with("https://") && !is_private(url), "{url}");
            assert!(!authority(url).contains('@'), "{url}");
        }
    }
    if let Some((_, token_endpoint, jwks_uri)) = restricted {
        let public = public.unwrap();
        assert_eq!(jwks_uri, public.2);
        assert!(token_endpoint.is_none() || token_endpoint == public.1);
        for url in token_endpoint.iter().chain(&jwks_uri) {
            assert!(
                ["idp.example", "keys.example"].contains(&authority(url)),
                "{url}"
            );
        }
    }
}

/// Of a URL in its normal form.
fn authority(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split(['/', '?', '#']).next().unwrap()
}

fn is_private(url: &str) -> bool {
    let authority = authority(url);
    let host = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(authority, |(host, _)| host);
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
