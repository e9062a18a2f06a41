//! What reads bytes of strangers, fed with edits of what it takes: it panics over none, and takes none that it must not.

use fastrand::Rng;
use http::{HeaderMap, HeaderValue, header};
use sealing::Secrets;
use url::{Url, form_urlencoded};

use crate::cookies::Cookies;
use crate::csrf;
use crate::login_state::{self, LogoutState};
use crate::public_url::Origin;
use crate::random::Random;
use crate::return_address::ReturnAddress;
use crate::state::Token;
use crate::time::Time;

/// Edits of each target in a plain test run; `M2M_MUTATIONS` sets another number.
const EDITS: u64 = 5_000;
/// What an edit puts in.
const WORDS: [&str; 22] = [
    "/",
    "//",
    "\\",
    "%2f",
    "%5c",
    "%00",
    "..",
    "@",
    ":",
    "?",
    "#",
    "=",
    "&",
    ";",
    "\"",
    " ",
    "\t",
    "csrf_token",
    "__Host-session",
    "https://evil.example",
    "/api/auth/",
    "\u{e9}",
];

#[expect(
    clippy::disallowed_methods,
    reason = "sets how long a search of the tests is; no service reads it"
)]
fn edits() -> u64 {
    let set = std::env::var("M2M_MUTATIONS").ok();
    set.map_or(EDITS, |count| count.parse().unwrap())
}

/// Calls with edits of one of these texts, each edited up to four times.
fn each_edit(seeds: &[String], mut judge: impl FnMut(&[u8], u64)) {
    for number in 0..edits() {
        let mut rng = Rng::with_seed(number);
        let mut bytes = rng.choice(seeds).unwrap().clone().into_bytes();
        for _ in 0..rng.usize(1..5) {
            let at = rng.usize(0..=bytes.len());
            match rng.u8(0..5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(0..8),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, rng.u8(..)),
                _ => drop(bytes.splice(at..at, rng.choice(WORDS).unwrap().bytes())),
            }
        }
        judge(&bytes, number);
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A path as a router that decodes it may see it, in lower case.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap().to_owned();
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) => decoded.push_str(&format!("{}{}", char::from(byte), &part[2..])),
            None => decoded.push_str(&format!("%{part}")),
        }
    }
    decoded.to_ascii_lowercase()
}

/// K7, K8
#[test]
fn no_return_address_leads_anywhere_but_to_a_page_of_ours() {
    let own = Origin {
        scheme: "https",
        host: "app.example".to_owned(),
    };
    let seeds = texts(&[
        "/invoices?page=2",
        "/",
        "/a/../b#c",
        "https://app.example/invoices",
        "//evil.example",
        "/\\evil.example",
        "/.//evil.example",
        "/api/auth/login",
        "/%61pi/auth/login",
        "https://app.example@evil.example/",
    ]);
    each_edit(&seeds, |bytes, number| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let address = ReturnAddress::parse(text, &own).on(&own);
        let target = Url::parse(&address).unwrap();
        let origin = target.origin().ascii_serialization();
        assert_eq!(origin, "https://app.example", "{number}: {text:?}");
        assert!(
            address.starts_with("https://app.example/"),
            "{number}: {text:?}"
        );
        assert!(!target.path().starts_with("//"), "{number}: {text:?}");
        let is_login = decoded(target.path()).starts_with("/api/auth/");
        assert!(!is_login, "{number}: {text:?}");
    });
}

/// K53, K76
#[test]
fn a_cookie_is_a_part_of_the_field_and_at_most_64_are_looked_at() {
    let handle = Random::new().unwrap().text();
    let seeds = [
        format!("a=b; __Host-session={}; c=\"d\"", *handle),
        format!("__Host-session={0}; __Host-session={0}", *handle),
        "x=1;".repeat(80),
        "=; ;;a;b=;__Host-session=%41".to_owned(),
    ];
    each_edit(&seeds, |bytes, number| {
        let Ok(field) = HeaderValue::from_bytes(bytes) else {
            return;
        };
        let headers = HeaderMap::from_iter([(header::COOKIE, field)]);
        let cookies = Cookies::read(&headers);
        let found: Vec<&str> = cookies.all("__Host-session").collect();
        assert!(found.len() <= 64, "{number}");
        let text = String::from_utf8_lossy(bytes);
        for value in found {
            assert!(text.contains(value), "{number}: {value:?}");
            let is_handle = Random::parse(value).is_some();
            // One spelling of a handle, or two cookies would be one session.
            assert!(!is_handle || *Random::parse(value).unwrap().text() == value);
        }
        let one = cookies.all("x").count();
        assert!(one <= 64, "{number}");
    });
}

/// K24
#[test]
fn a_sealed_value_opens_as_it_was_made_and_in_its_place_alone() {
    let secrets = Secrets::from_text("0123456789abcdef0123456789abcdef").unwrap();
    let sealer = secrets.purpose("logout");
    let state = LogoutState {
        state: Token::new("state"),
        begun: Time::from_unix_millis(1_800_000_000_000),
    };
    let (name, host) = ("__Host-logout", "app.example");
    let value = login_state::seal(&state, &sealer, name, host).unwrap();
    let opens = |value: &str, name: &str, host: &str| {
        login_state::open::<LogoutState>(value, &sealer, name, host).is_some()
    };
    assert!(opens(&value, name, host));
    assert!(!opens(&value, "__Host-login", host) && !opens(&value, name, "app.example:81"));
    each_edit(std::slice::from_ref(&value), |bytes, number| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        assert_eq!(opens(text, name, host), text == value, "{number}");
    });
}

/// K102
#[test]
fn a_form_passes_with_tokens_of_its_session_alone() {
    let handle = Random::new().unwrap();
    let token = csrf::token(&handle).unwrap();
    let other = csrf::token(&Random::new().unwrap()).unwrap();
    let seeds = [
        format!("customer=a&csrf_token={token}&note=b"),
        format!("csrf_token={token}&csrf_token={token}"),
        format!("csrf_token={token}&csrf_token={other}"),
        format!("csrf_token={other}"),
    ];
    let mut passed = 0;
    each_edit(&seeds, |bytes, number| {
        if csrf::check_token(&handle, &HeaderMap::new(), Some(bytes)).is_err() {
            return;
        }
        passed += 1;
        let fields = form_urlencoded::parse(bytes);
        let sent: Vec<_> = fields.filter(|(name, _)| name == "csrf_token").collect();
        assert!(!sent.is_empty(), "{number}");
        assert!(
            sent.iter().all(|(_, it)| csrf::is_valid(&handle, it)),
            "{number}"
        );
    });
    assert!(passed > 0, "no edit left a token whole");
}

/// K25
#[test]
fn a_state_has_one_form() {
    let random = Random::new().unwrap().text();
    let seeds = [format!("{}.0", *random), format!("{}.1", *random)];
    each_edit(&seeds, |bytes, number| {
        let text = String::from_utf8_lossy(bytes);
        if let Some(restarts) = login_state::restarts(&text) {
            let (start, end) = text.split_once('.').unwrap();
            assert_eq!(end, restarts.to_string(), "{number}");
            assert_eq!(*Random::parse(start).unwrap().text(), start, "{number}");
        }
    });
}
