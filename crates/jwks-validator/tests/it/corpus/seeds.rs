//! Where the fuzzer begins: for each target inputs that reach the checks one after the other.

mod documents;

use crate::fuzz_targets::world::{
    GOOD_HEADER, GOOD_PAYLOAD, ed25519_jwk, encode, p256_jwk, published, sign,
};

/// Target, file name, contents.
type Seed = (&'static str, &'static str, Vec<u8>);

/// What the fuzzer and the edits insert.
pub(super) const WORDS: &[&str] = &[
    "\"alg\":",
    "\"kid\":",
    "\"typ\":",
    "\"crit\":",
    "\"jwk\":",
    "\"b64\":",
    "\"iss\":",
    "\"sub\":",
    "\"aud\":",
    "\"exp\":",
    "\"nbf\":",
    "\"iat\":",
    "\"jti\":",
    "\"client_id\":",
    "\"scope\":",
    "\"cnf\":",
    "\"keys\":",
    "\"kty\":",
    "\"crv\":",
    "\"use\":",
    "\"key_ops\":",
    "\"d\":",
    "\"issuer\":",
    "\"jwks_uri\":",
    "\"token_endpoint\":",
    "\"\\u0061",
    "\\ud83d\\ude00",
    "\\ud800",
    "1800000300",
    "1e400",
    "-0.0",
    "\"at+jwt\"",
    "\"EdDSA\"",
    "\"Ed25519\"",
    "\"ES256\"",
    "\"RS256\"",
    "\"none\"",
    "\"verify\"",
    "Bearer ",
    "https://idp.example",
    "http://127.0.0.1:6003",
    "@",
    "=",
    "..",
    "null",
    "[]",
    "{}",
];

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    headers(&mut seeds);
    payloads(&mut seeds);
    tokens(&mut seeds);
    credentials(&mut seeds);
    documents::key_sets(&mut seeds);
    documents::metadata(&mut seeds);
    seeds
}

fn add<B: Into<Vec<u8>>, const N: usize>(
    seeds: &mut Vec<Seed>,
    target: &'static str,
    named: [(&'static str, B); N],
) {
    seeds.extend(named.map(|(name, bytes)| (target, name, bytes.into())));
}

fn headers(seeds: &mut Vec<Seed>) {
    add(
        seeds,
        "header",
        [
            ("good", GOOD_HEADER.to_owned()),
            ("alg-alone", r#"{"alg":"EdDSA"}"#.to_owned()),
            (
                "alg-of-rfc9864",
                r#"{"alg":"Ed25519","kid":"k","typ":"application/at+jwt"}"#.to_owned(),
            ),
            (
                "alg-of-another-key",
                r#"{"alg":"EdDSA","kid":"e"}"#.to_owned(),
            ),
            (
                "alg-of-another-signature",
                r#"{"alg":"ES256","kid":"e"}"#.to_owned(),
            ),
            ("alg-none", r#"{"alg":"none"}"#.to_owned()),
            ("alg-symmetric", r#"{"alg":"HS256","kid":"k"}"#.to_owned()),
            ("alg-number", r#"{"alg":7,"kid":"k"}"#.to_owned()),
            (
                "alg-escaped",
                r#"{"\u0061lg":"Ed\u0044SA","k\u0069d":"\u006b"}"#.to_owned(),
            ),
            (
                "alg-twice",
                r#"{"alg":"EdDSA","\u0061lg":"EdDSA","kid":"k"}"#.to_owned(),
            ),
            ("kid-unknown", r#"{"alg":"EdDSA","kid":"x"}"#.to_owned()),
            (
                "kid-long",
                format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(257)),
            ),
            ("kid-number", r#"{"alg":"EdDSA","kid":1}"#.to_owned()),
            (
                "kid-unprintable",
                r#"{"alg":"EdDSA","kid":"k\u0000"}"#.to_owned(),
            ),
            (
                "typ-in-capitals",
                r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#.to_owned(),
            ),
            (
                "typ-other",
                r#"{"alg":"EdDSA","kid":"k","typ":"logout+jwt"}"#.to_owned(),
            ),
            (
                "crit",
                r#"{"alg":"EdDSA","kid":"k","crit":["b64"],"b64":false}"#.to_owned(),
            ),
            (
                "embedded-key",
                format!(r#"{{"alg":"EdDSA","jwk":{}}}"#, ed25519_jwk("k")),
            ),
            (
                "key-address",
                r#"{"alg":"EdDSA","kid":"k","jku":"https://evil.example"}"#.to_owned(),
            ),
            (
                "ignored-members",
                r#"{"alg":"EdDSA","kid":"k","cty":"JWT","x":[{"y":[1,null]}]}"#.to_owned(),
            ),
            (
                "space",
                " {\n\"alg\" : \"EdDSA\",\t\"kid\":\"k\" }\r\n".to_owned(),
            ),
            ("two-objects", r#"{"alg":"EdDSA","kid":"k"}{}"#.to_owned()),
            ("array", r#"["EdDSA","k"]"#.to_owned()),
            ("empty", String::new()),
        ],
    );
}

/// The good claims with one member replaced, or added before the others.
fn claims(name: &str, value: &str) -> String {
    let start = format!("\"{name}\":");
    let members = GOOD_PAYLOAD[1..GOOD_PAYLOAD.len() - 1].split(',');
    let others = members.filter(|member| !member.starts_with(&start));
    let others = others.collect::<Vec<_>>().join(",");
    format!("{{{start}{value},{others}}}")
}

fn payloads(seeds: &mut Vec<Seed>) {
    let deep = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let many: String = (0..40).map(|n| format!("\"m{n}\":{n},")).collect();
    let required = r#"{"iss":"https://idp.example","aud":"https://api.example","exp":1800000300}"#;
    add(
        seeds,
        "payload",
        [
            ("good", GOOD_PAYLOAD.to_owned()),
            ("required-alone", required.to_owned()),
            ("iss-escaped", claims("iss", r#""https:\/\/idp.example""#)),
            ("iss-other", claims("iss", "\"https://idp.example/\"")),
            ("iss-list", claims("iss", "[\"https://idp.example\"]")),
            (
                "aud-list",
                claims("aud", r#"["https:\/\/api.example","x"]"#),
            ),
            ("aud-other", claims("aud", "\"https://other.example\"")),
            (
                "aud-mixed-list",
                claims("aud", "[\"https://api.example\",1]"),
            ),
            ("aud-empty-list", claims("aud", "[]")),
            ("exp-fraction", claims("exp", "1800000300.5")),
            ("exp-exponent", claims("exp", "18000003E+2")),
            ("exp-past", claims("exp", "1799999940")),
            ("exp-at-the-leeway", claims("exp", "1799999941")),
            ("exp-far", claims("exp", "253402300799")),
            ("exp-text", claims("exp", "\"1800000300\"")),
            ("exp-too-large", claims("exp", "1e400")),
            ("exp-negative", claims("exp", "-1")),
            ("nbf-future", claims("nbf", "1800000061")),
            ("iat-future", claims("iat", "1800000061")),
            ("iat-negative-zero", claims("iat", "-0.0")),
            ("sub-empty", claims("sub", "\"\"")),
            (
                "sub-beyond-ascii",
                claims("sub", "\"\\ud83d\\ude00\u{e9}\""),
            ),
            ("sub-lone-surrogate", claims("sub", "\"\\ud800\"")),
            ("client-id-number", claims("client_id", "7")),
            ("scope-list", claims("scope", "[\"data:read\"]")),
            ("cnf", claims("cnf", "{\"jkt\":\"x\"}")),
            ("twice", claims("\\u0065xp", "1800000300")),
            ("twice-inside", claims("x", r#"{"a":[{"b":1,"\u0062":2}]}"#)),
            (
                "name-that-serde-json-reads",
                claims("x", r#"{"$serde_json::private::RawValue":"x"}"#),
            ),
            (
                "numbers",
                claims(
                    "x",
                    "[0,-0,1.5e-300,9007199254740993,18446744073709551615,1e308]",
                ),
            ),
            ("deepest", claims("x", &deep(126))),
            ("too-deep", claims("x", &deep(127))),
            (
                "many-members",
                claims("x", "1").replacen('{', &format!("{{{many}"), 1),
            ),
            ("comma-at-the-end", GOOD_PAYLOAD.replace('}', ",}")),
            ("empty-object", "{}".to_owned()),
        ],
    );
}

fn tokens(seeds: &mut Vec<Seed>) {
    let good = sign(GOOD_HEADER, GOOD_PAYLOAD);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        unreachable!("a token has three parts");
    };
    let none = encode(r#"{"alg":"none"}"#);
    let mut noncanonical = good.clone();
    // 64 bytes leave four bits of the last character unused.
    let last = noncanonical.pop().map(|last| char::from(last as u8 + 1));
    noncanonical.extend(last);
    let half = payload.len() / 2;
    add(
        seeds,
        "compact",
        [
            ("good", good.clone()),
            (
                "other-payload",
                format!("{header}.{}.{signature}", encode("{}")),
            ),
            ("unsigned", format!("{none}.{payload}.")),
            ("two-parts", format!("{header}.{payload}")),
            ("four-parts", format!("{good}.")),
            ("empty-parts", "..".to_owned()),
            ("dots", ".".repeat(64)),
            (
                "five-parts",
                format!("{header}..{signature}.{payload}.{signature}"),
            ),
            ("padding", format!("{good}==")),
            ("other-alphabet", good.replacen(['-', '_'], "+", 1)),
            ("unused-bits", noncanonical),
            ("newline", format!("{good}\n")),
            (
                "short-signature",
                format!("{header}.{payload}.{}", &signature[..84]),
            ),
            (
                "long-signature",
                format!("{header}.{payload}.{}", signature.repeat(20)),
            ),
            ("halved", format!("{header}.{}", &payload[..half])),
            (
                "json-serialization",
                format!(
                    r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
                ),
            ),
            (
                "longest",
                format!(
                    "{header}.{payload}.{}",
                    "A".repeat(8_190 - header.len() - payload.len())
                ),
            ),
        ],
    );
    add(
        seeds,
        "token_with_keys",
        [
            ("token", format!("{}\n{good}", published())),
            (
                "signed",
                format!("{}\n{GOOD_HEADER}\n{GOOD_PAYLOAD}", published()),
            ),
            (
                "without-kid",
                format!("{}\n{{\"alg\":\"EdDSA\"}}\n{GOOD_PAYLOAD}", published()),
            ),
            ("key-without-kid-and-alg", {
                let key = ed25519_jwk("k").replace(r#""alg":"EdDSA","use":"sig","kid":"k","#, "");
                format!("{{\"keys\":[{key}]}}\n{{\"alg\":\"Ed25519\"}}\n{GOOD_PAYLOAD}")
            }),
            ("two-keys-without-kid", {
                let keys = [ed25519_jwk("a"), ed25519_jwk("b")].join(",");
                format!("{{\"keys\":[{keys}]}}\n{{\"alg\":\"EdDSA\"}}\n{GOOD_PAYLOAD}")
            }),
            ("one-id-for-two-keys", {
                let keys = [ed25519_jwk("k"), p256_jwk("k"), p256_jwk("e")].join(",");
                format!("{{\"keys\":[{keys}]}}\n{GOOD_HEADER}\n{GOOD_PAYLOAD}")
            }),
            ("one-key-twice", {
                let keys = [ed25519_jwk("k"), ed25519_jwk("k")].join(",");
                format!("{{\"keys\":[{keys}]}}\n{GOOD_HEADER}\n{GOOD_PAYLOAD}")
            }),
            (
                "other-keys",
                format!(
                    "{{\"keys\":[{}]}}\n{GOOD_HEADER}\n{GOOD_PAYLOAD}",
                    p256_jwk("k")
                ),
            ),
            ("broken-entry", {
                let keys = ["{\"kty\":1e400}".to_owned(), ed25519_jwk("k")].join(",");
                format!("{{\"keys\":[{keys}]}}\n{GOOD_HEADER}\n{GOOD_PAYLOAD}")
            }),
        ],
    );
}

fn credentials(seeds: &mut Vec<Seed>) {
    let good = sign(GOOD_HEADER, GOOD_PAYLOAD);
    let unknown = sign(r#"{"alg":"EdDSA","kid":"x"}"#, GOOD_PAYLOAD);
    let expired = sign(GOOD_HEADER, claims("exp", "1799999000"));
    add(
        seeds,
        "authorization",
        [
            ("good", format!("Bearer {good}")),
            ("capitals", format!("BEARER {good}")),
            ("unknown-key", format!("Bearer {unknown}")),
            ("expired", format!("Bearer {expired}")),
            ("two-headers", format!("Bearer {good}\nBearer {good}")),
            ("two-tokens", format!("Bearer {good},{good}")),
            ("two-spaces", format!("Bearer  {good}")),
            ("tab", format!("Bearer\t{good}")),
            ("trailing-space", format!("Bearer {good} ")),
            ("padding", format!("Bearer {good}=")),
            ("padding-alone", "Bearer ==".to_owned()),
            ("no-token", "Bearer ".to_owned()),
            ("scheme-alone", "Bearer".to_owned()),
            ("other-scheme", "Basic YTpi".to_owned()),
            ("parameters", "Bearer token=\"x\", realm=\"y\"".to_owned()),
            ("b64token-characters", "Bearer aZ0-._~+/=".to_owned()),
            ("no-scheme", good),
            ("beyond-ascii", "Bearer \u{e9}".to_owned()),
            ("empty", String::new()),
        ],
    );
}
