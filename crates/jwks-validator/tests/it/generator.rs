//! Tokens made from a seed: well-formed ones, ones with odd headers and claims, and mutilated ones.

use fastrand::Rng;

use crate::signer::{AUDIENCE, ISSUER, Signer, encode, good_claims, jwks};

/// The keys of the issuer, and somebody else's under the same ids.
pub(crate) struct Signers {
    published: Vec<Signer>,
    strangers: Vec<Signer>,
}

/// Members of an object in source form, so that nothing forbids two of one name.
type Members = Vec<(String, String)>;

impl Signers {
    pub(crate) fn new() -> Self {
        let all = || {
            [
                ("RS256", "rsa"),
                ("RS512", "rsa 512"),
                ("PS256", "ps"),
                ("ES384", "ec384"),
                ("ES256", "ec"),
                ("ES256", "another \"ec\""),
                ("EdDSA", "ed"),
            ]
            .map(|(alg, kid)| Signer::new(alg, kid))
            .into()
        };
        Self {
            published: all(),
            strangers: all(),
        }
    }

    pub(crate) fn jwks(&self) -> Vec<u8> {
        let keys: Vec<_> = self.published.iter().map(Signer::jwk).collect();
        jwks(&keys)
    }

    /// Makes the token of a seed. `now` is what its dates lie around.
    pub(crate) fn token(&self, seed: u64, now: i64) -> String {
        let mut rng = Rng::with_seed(seed);
        // The first four cost many times as much as the others.
        let index = if rng.u8(..12) == 0 {
            rng.usize(..4)
        } else {
            rng.usize(4..self.published.len())
        };
        let signer = &self.published[index];
        let mut header = header(signer);
        let mut payload = payload(&mut rng, now);
        let mut key = signer;
        let (mut sign, mut mutilate) = (None, false);
        let edits = [0, 1, 1, 1, 2, 3][rng.usize(..6)];
        for _ in 0..edits {
            match rng.u8(..20) {
                0..=6 => edit_header(&mut rng, &mut header),
                7..=15 => edit_payload(&mut rng, &mut payload, now),
                16 => key = choice(&mut rng, &self.strangers),
                17 => key = choice(&mut rng, &self.published),
                18 => sign = Some(rng.u8(..6)),
                _ => mutilate = true,
            }
        }
        let [header, payload] = [header, payload].map(|members| encode(source(&mut rng, &members)));
        let message = format!("{header}.{payload}");
        let mut signature = key.sign(message.as_bytes());
        if let Some(change) = sign {
            edit_signature(&mut rng, change, &mut signature);
        }
        let mut token = format!("{message}.{}", encode(signature));
        if mutilate {
            mutilate_text(&mut rng, &mut token);
        }
        token
    }
}

fn choice<'c, T>(rng: &mut Rng, choices: &'c [T]) -> &'c T {
    &choices[rng.usize(..choices.len())]
}

fn word<'w>(rng: &mut Rng, words: &[&'w str]) -> &'w str {
    words[rng.usize(..words.len())]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn set(members: &mut Members, name: &str, value: impl Into<String>) {
    remove(members, name);
    members.push((quoted(name), value.into()));
}

fn remove(members: &mut Members, name: &str) {
    members.retain(|(known, _)| *known != quoted(name));
}

fn header(signer: &Signer) -> Members {
    let mut header = Members::new();
    set(&mut header, "alg", quoted(signer.alg));
    set(&mut header, "kid", quoted(&signer.kid));
    set(&mut header, "typ", quoted("at+jwt"));
    header
}

fn payload(rng: &mut Rng, now: i64) -> Members {
    let mut payload = Members::new();
    for (name, value) in good_claims().as_object().unwrap() {
        set(&mut payload, name, value.to_string());
    }
    let issued = now - rng.i64(0..600);
    set(&mut payload, "iat", issued.to_string());
    set(&mut payload, "nbf", issued.to_string());
    set(&mut payload, "exp", (issued + 3_600).to_string());
    payload
}

fn edit_header(rng: &mut Rng, header: &mut Members) {
    let algorithms = [
        "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519", "Ed448", "HS256", "none",
        "None", "es256", "ES256 ", "",
    ];
    let types = [
        "JWT",
        "jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/AT+JWT",
        "logout+jwt",
        "at+jwt ",
        "",
        "JOSE",
    ];
    let ids = [
        "rsa",
        "rsa 512",
        "ps",
        "ec",
        "another \"ec\"",
        "ec384",
        "ed",
        "unknown",
        "",
        "\u{e9}",
        "a\nb",
        "../../etc/passwd",
    ];
    let name = word(rng, &["alg", "typ", "kid"]);
    match rng.u8(..12) {
        0 | 1 => set(header, "alg", quoted(word(rng, &algorithms))),
        2 => set(header, "typ", quoted(word(rng, &types))),
        3 => set(header, "kid", quoted(word(rng, &ids))),
        4 => set(header, "kid", quoted(&"k".repeat(rng.usize(250..260)))),
        5 => remove(header, name),
        6 => set(header, name, odd_value(rng)),
        7 => {
            let foreign = ["jku", "jwk", "x5u", "x5c", "b64", "zip", "enc", "crit"];
            let name = word(rng, &foreign);
            set(header, name, odd_value(rng));
        }
        8 => {
            let known = ["cty", "x5t", "x5t#S256", "nonce", "url", "iss", "Alg", "x"];
            let name = word(rng, &known);
            set(header, name, odd_value(rng));
        }
        9 => set(
            header,
            "crit",
            word(rng, &["[]", "[\"b64\"]", "[\"exp\"]", "[\"alg\"]"]),
        ),
        10 => header.push((quoted(name), choice(rng, header).1.clone())),
        _ => respell(rng, header),
    }
}

fn edit_payload(rng: &mut Rng, payload: &mut Members, now: i64) {
    let claims = [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "client_id",
        "scope",
    ];
    let dates = ["exp", "nbf", "iat"];
    let name = word(rng, &claims);
    match rng.u8(..16) {
        0..=3 => {
            let name = word(rng, &dates);
            let date = date(rng, now);
            set(payload, name, date);
        }
        4 => {
            let slash = format!("{ISSUER}/");
            let upper = ISSUER.to_uppercase();
            let issuers = [ISSUER, &slash, &upper, "", "https://idp.example\0"];
            let issuer = quoted(word(rng, &issuers));
            let issuer = if rng.bool() {
                issuer.replace('/', "\\/")
            } else {
                issuer
            };
            set(payload, "iss", issuer);
        }
        5 | 6 => {
            let one = quoted(AUDIENCE);
            let audiences = [
                one.clone(),
                quoted("https://other.example"),
                quoted("https://api.exampl"),
                quoted(&format!("{AUDIENCE} https://other.example")),
                format!("[{one}]"),
                format!("[\"x\",{one}]"),
                format!("[{one},1]"),
                format!("[{one},null]"),
                format!("[[{one}]]"),
                "[]".to_owned(),
                "[\"x\",\"y\"]".to_owned(),
                format!("{{{one}:1}}"),
                one.replace('a', "\\u0061"),
            ];
            let audience = choice(rng, &audiences).clone();
            set(payload, "aud", audience);
        }
        7 => remove(payload, name),
        8 => set(payload, name, odd_value(rng)),
        9 => set(payload, "cnf", odd_value(rng)),
        10 => payload.push((quoted(name), choice(rng, payload).1.clone())),
        11 => respell(rng, payload),
        12 | 13 => {
            let scopes = [
                "\"data:read\"",
                "[]",
                "[\"data:read\"]",
                "[\"data:read\",\"data:list\"]",
                "[\"data:read\",\"d\\u0061ta:list\"]",
                "[\"data:read data:list\"]",
                "[\"data:read\",\"\"]",
                "[\"data:read\",null]",
                "[\"a\\\"b\"]",
                "[\"a\\\\b\"]",
                "[\"\\u00e9\"]",
                "[\"a\\tb\"]",
            ];
            let name = word(rng, &["scope", "scp"]);
            set(payload, name, word(rng, &scopes));
        }
        _ => {
            let names = ["x", "azp", "roles", "\u{e9}", "a\"b", "", "EXP"];
            let name = word(rng, &names);
            set(payload, name, odd_value(rng));
        }
    }
}

/// Writes one name with an escape, or adds the escaped spelling beside the plain one.
fn respell(rng: &mut Rng, members: &mut Members) {
    let at = rng.usize(..members.len());
    let (name, value) = members[at].clone();
    let Some(first) = name.chars().nth(1).filter(char::is_ascii_alphanumeric) else {
        return;
    };
    let spelled = format!("\"\\u{:04x}{}", u32::from(first), &name[2..]);
    if rng.bool() {
        members[at].0 = spelled;
    } else {
        members.push((spelled, value));
    }
}

/// A date around everything that decides about dates, as an integer or as another kind of number.
fn date(rng: &mut Rng, now: i64) -> String {
    let day = 86_400;
    let offsets = [
        0,
        1,
        59,
        60,
        61,
        299,
        300,
        301,
        3_600,
        day - 60,
        day,
        day + 60,
        day + 61,
        2 * day,
    ];
    let sign = if rng.bool() { 1 } else { -1 };
    let date = now + sign * choice(rng, &offsets) + rng.i64(-1..=1);
    match rng.u8(..12) {
        0 => format!("{date}.0"),
        1 => format!("{date}.5"),
        2 => format!("{date}e0"),
        3 => format!("{}.{:03}E+3", date / 1_000, date % 1_000),
        4 => quoted(&date.to_string()),
        5 => format!("-{date}"),
        6 => word(
            rng,
            &[
                "0",
                "-0",
                "-0.0",
                "-0.5",
                "1e10",
                "253402300799",
                "253402300800",
                "9223372036854775807",
                "9223372036854775808",
                "18446744073709551616",
                "1e19",
                "1e300",
                "1e400",
                "01",
                "1.",
                "+1",
                "NaN",
            ],
        )
        .to_owned(),
        _ => date.to_string(),
    }
}

fn odd_value(rng: &mut Rng) -> String {
    let values = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1.5e3",
        "18446744073709551615",
        "1e400",
        "\"\"",
        "\"x\"",
        "\"data:read  data:list \"",
        "\"\\u0000\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\x\"",
        "\"tab\there\"",
        "[]",
        "[\"x\"]",
        "[\"x\",1]",
        "{}",
        "{\"a\":1}",
        "{\"a\":1,\"a\":2}",
        "[{\"a\":{\"b\":1,\"\\u0062\":2}}]",
        "[1,]",
        "{\"a\":1,}",
        "//",
        "tru",
        "",
    ];
    if rng.u8(..24) == 0 {
        // Together with the object around it, one less than the deepest, the deepest, and more.
        let deep = rng.usize(125..131);
        return format!("{}1{}", "[".repeat(deep), "]".repeat(deep));
    }
    word(rng, &values).to_owned()
}

/// Writes an object, mostly as everybody does.
fn source(rng: &mut Rng, members: &Members) -> Vec<u8> {
    let mut order: Vec<_> = members.iter().collect();
    rng.shuffle(&mut order);
    let space = if rng.u8(..10) == 0 { " \n\t\r" } else { "" };
    let inner: Vec<String> = order
        .iter()
        .map(|(name, value)| format!("{space}{name}{space}:{space}{value}{space}"))
        .collect();
    let mut text = format!("{space}{{{}}}{space}", inner.join(",")).into_bytes();
    match rng.u8(..120) {
        0 => text.extend(b" x"),
        1 => text.extend(b"{}"),
        2 => text.push(0),
        3 => drop(text.splice(..0, *b"\xef\xbb\xbf")),
        4 => drop(text.pop()),
        5 => {
            let at = rng.usize(..text.len());
            text[at] = rng.u8(..);
        }
        6 => text = [b"[", &text[..], b"]"].concat(),
        _ => {}
    }
    text
}

fn edit_signature(rng: &mut Rng, change: u8, signature: &mut Vec<u8>) {
    let at = rng.usize(..signature.len());
    match change {
        0 => signature[at] ^= 1 << rng.u8(..8),
        1 => signature.truncate(at),
        2 => signature.push(0),
        3 => signature.insert(0, 0),
        4 => signature.fill(0),
        _ => signature.clear(),
    }
}

fn mutilate_text(rng: &mut Rng, token: &mut String) {
    let odd = [
        "=", "==", "+", "/", ".", "..", " ", "\n", "\0", "%", "\u{e9}", "A", "_", "-", "{",
    ];
    let at = rng.usize(..token.len());
    match rng.u8(..8) {
        0 | 1 => token.replace_range(at..=at, word(rng, &odd)),
        2 => token.insert_str(at, word(rng, &odd)),
        3 => drop(token.remove(at)),
        4 => token.truncate(at),
        5 => token.push_str(word(rng, &odd)),
        6 => *token = format!("{}{}", &token[at..], &token[..at]),
        _ => {
            // The last character of a part has bits that mean nothing.
            let end = token.match_indices('.').nth(rng.usize(..2)).map(|it| it.0);
            let end = end.unwrap_or(token.len());
            if end > 0 {
                token.replace_range(end - 1..end, word(rng, &["B", "h", "x", "9"]));
            }
        }
    }
}
