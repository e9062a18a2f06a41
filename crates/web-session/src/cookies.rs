//! Names, attributes and reading of our cookies (RFC 6265bis).

use std::borrow::Cow;
use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};

use crate::random::Random;
use crate::time::Time;

/// How the session cookie travels when a person arrives from another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SessionSameSite {
    /// It comes along when a person follows a link.
    #[default]
    Lax,
    /// It does not; pages send the browser to themselves once more, from our own site.
    Strict,
}

/// How our cookies are named and what they carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CookieRules {
    /// Neither `Secure` nor the prefix, for browsers that refuse both over http.
    pub(crate) insecure: bool,
    pub(crate) same_site: SessionSameSite,
}

/// At most so many cookies of a request are looked at.
const MAX_LOOKED_AT: usize = 64;
/// At most so many values under the name of the session cookie.
pub(crate) const MAX_HANDLES: usize = 4;
/// Logins that one browser has under way.
const MAX_LOGINS: usize = 4;
const MAX_LOGIN_BYTES: usize = 4_000;
pub(crate) const LOGIN_LIFETIME: Duration = Duration::from_secs(3_600);
pub(crate) const LOGOUT_LIFETIME: Duration = Duration::from_secs(600);
const HINT_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The cookies of a request, in its order.
#[derive(Debug, Default)]
pub(crate) struct Cookies<'h>(Vec<(Cow<'h, str>, Cow<'h, str>)>);

impl<'h> Cookies<'h> {
    /// Reads all `Cookie` fields as if they were one. What is no cookie is left out.
    pub(crate) fn read(headers: &'h HeaderMap) -> Self {
        let fields = headers.get_all(header::COOKIE).iter();
        let pieces = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
        let texts = pieces.filter_map(|piece| std::str::from_utf8(piece).ok());
        let cookies = texts.filter_map(|text| Cookie::parse(text).ok());
        let pair = |cookie: Cookie<'h>| {
            let name = cookie
                .name_raw()
                .map_or_else(|| Cow::Owned(cookie.name().to_owned()), Cow::Borrowed);
            let value = cookie
                .value_raw()
                .map_or_else(|| Cow::Owned(cookie.value().to_owned()), Cow::Borrowed);
            (name, value)
        };
        Self(cookies.take(MAX_LOOKED_AT).map(pair).collect())
    }

    pub(crate) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| &**value)
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| &**value)
    }
}

/// A login cookie of the browser's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LoginCookie {
    name: String,
    begun: u64,
    bytes: usize,
}

impl CookieRules {
    fn name(&self, name: &str) -> String {
        let prefix = if self.insecure { "" } else { "__Host-" };
        format!("{prefix}{name}")
    }

    pub(crate) fn session_name(&self) -> String {
        self.name("session")
    }

    pub(crate) fn csrf_name(&self) -> String {
        self.name("CSRF-TOKEN")
    }

    pub(crate) fn logout_name(&self) -> String {
        self.name("logout")
    }

    pub(crate) fn tenant_name(&self) -> String {
        self.name("tenant")
    }

    /// Returns the name of the cookie of a login with this `state`, begun at this time.
    pub(crate) fn login_name(&self, begun: Time, state: &str) -> String {
        let seconds = base36(begun.unix_millis() / 1_000);
        format!("{}{seconds}.{}", self.name("login."), tag(state))
    }

    /// Finds the cookie of the login with this `state`.
    pub(crate) fn login_cookie<'c>(
        &self,
        cookies: &'c Cookies<'_>,
        state: &str,
    ) -> Option<(&'c str, &'c str)> {
        let tag = format!(".{}", tag(state));
        let prefix = self.name("login.");
        let mut all = cookies.0.iter();
        let found = all.find(|(name, _)| name.starts_with(&prefix) && name.ends_with(&tag))?;
        Some((&found.0, &found.1))
    }

    fn login_cookies(&self, cookies: &Cookies<'_>) -> Vec<LoginCookie> {
        let prefix = self.name("login.");
        let read = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
            let rest = name.strip_prefix(&prefix).filter(|rest| rest.is_ascii())?;
            let begun = rest
                .split('.')
                .next()
                .and_then(|it| u64::from_str_radix(it, 36).ok());
            Some(LoginCookie {
                begun: begun.unwrap_or(0),
                bytes: name.len() + value.len(),
                name: name.to_string(),
            })
        };
        cookies.0.iter().filter_map(read).collect()
    }

    /// Returns the names of the login cookies that have to go, so that there is room for one of so many bytes.
    pub(crate) fn evicted_for(&self, cookies: &Cookies<'_>, bytes: usize) -> Vec<String> {
        let mut kept = self.login_cookies(cookies);
        // Of one second, those that browsers send last are the newest (RFC 6265 section 5.4).
        kept.reverse();
        kept.sort_by_key(|it| std::cmp::Reverse(it.begun));
        let (mut count, mut total) = (1, bytes);
        let mut evicted = Vec::new();
        for cookie in kept {
            let fits = count < MAX_LOGINS && total + cookie.bytes <= MAX_LOGIN_BYTES;
            if fits && evicted.is_empty() {
                (count, total) = (count + 1, total + cookie.bytes);
            } else {
                evicted.push(cookie.name);
            }
        }
        evicted
    }

    /// Returns the names of all login cookies.
    pub(crate) fn login_names(&self, cookies: &Cookies<'_>) -> Vec<String> {
        let all = self.login_cookies(cookies).into_iter();
        all.map(|cookie| cookie.name).collect()
    }

    pub(crate) fn set_session(&self, handle: &Random, lifetime: Duration) -> HeaderValue {
        let same_site = match self.same_site {
            SessionSameSite::Lax => SameSite::Lax,
            SessionSameSite::Strict => SameSite::Strict,
        };
        self.set(
            &self.session_name(),
            &handle.text(),
            same_site,
            true,
            lifetime,
        )
    }

    pub(crate) fn set_csrf(&self, token: &str, lifetime: Duration) -> HeaderValue {
        self.set(&self.csrf_name(), token, SameSite::Strict, false, lifetime)
    }

    pub(crate) fn set_login(&self, name: &str, value: &str) -> HeaderValue {
        self.set(name, value, SameSite::Lax, true, LOGIN_LIFETIME)
    }

    pub(crate) fn set_logout(&self, value: &str) -> HeaderValue {
        self.set(
            &self.logout_name(),
            value,
            SameSite::Lax,
            true,
            LOGOUT_LIFETIME,
        )
    }

    pub(crate) fn set_tenant(&self, name: &str) -> HeaderValue {
        self.set(
            &self.tenant_name(),
            name,
            SameSite::Lax,
            true,
            HINT_LIFETIME,
        )
    }

    /// Removes a cookie. It has the path and the `Secure` that it was set with: browsers with rules for the prefix take
    /// it for another one, or for none, otherwise.
    pub(crate) fn clear(&self, name: &str) -> HeaderValue {
        self.set(name, "", SameSite::Lax, true, Duration::ZERO)
    }

    fn set(
        &self,
        name: &str,
        value: &str,
        same_site: SameSite,
        http_only: bool,
        lifetime: Duration,
    ) -> HeaderValue {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((name, value))
            .path("/")
            .http_only(http_only)
            .same_site(same_site)
            .max_age(cookie::time::Duration::seconds(seconds));
        let cookie = if self.insecure {
            cookie
        } else {
            cookie.secure(true)
        };
        // Names and values are of our own making, but the name of a cookie to clear, which was in a header.
        HeaderValue::from_str(&cookie.build().to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Tells the logins of one browser apart: their `state` is no secret to it, but has no place in a name.
fn tag(state: &str) -> String {
    use base64::Engine as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, state.as_bytes());
    let mut text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    text.truncate(12);
    text
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(*digit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CookieRules = CookieRules {
        insecure: false,
        same_site: SessionSameSite::Lax,
    };

    fn headers(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::COOKIE, field.parse().unwrap());
        }
        headers
    }

    #[test]
    fn cookies_have_the_attributes_of_their_prefix() {
        let handle = Random::new().unwrap();
        let session = RULES.set_session(&handle, Duration::from_secs(43_200));
        let expected = format!(
            "__Host-session={}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=43200",
            *handle.text()
        );
        assert_eq!(session, expected);
        let csrf = RULES.set_csrf("t", Duration::from_secs(1));
        assert_eq!(
            csrf,
            "__Host-CSRF-TOKEN=t; SameSite=Strict; Secure; Path=/; Max-Age=1"
        );
        let cleared = RULES.clear("__Host-session");
        assert_eq!(
            cleared,
            "__Host-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }

    /// K74
    #[test]
    fn insecure_cookies_have_neither_prefix_nor_secure() {
        let rules = CookieRules {
            insecure: true,
            ..RULES
        };
        assert_eq!(
            rules.set_tenant("acme"),
            "tenant=acme; HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000"
        );
    }

    /// K76
    #[test]
    fn at_most_64_cookies_of_all_fields_are_looked_at_and_names_compare_exactly() {
        let many = |from: usize, count: usize| {
            let cookies = (from..from + count).map(|n| format!("c{n}={n}"));
            cookies.collect::<Vec<_>>().join("; ")
        };
        let headers = headers(&[&many(0, 40), &many(40, 160)]);
        let cookies = Cookies::read(&headers);
        assert_eq!(cookies.first("c0"), Some("0"));
        assert_eq!(cookies.first("c63"), Some("63"));
        assert_eq!(cookies.first("c64"), None);
        assert_eq!(cookies.first("C0"), None);
    }

    #[test]
    fn a_cookie_of_somebody_else_that_is_no_ascii_hides_none_of_ours() {
        let mut headers = HeaderMap::new();
        let field = HeaderValue::from_bytes("name=Jürgen; __Host-session=a; x=\u{fc}".as_bytes());
        headers.insert(header::COOKIE, field.unwrap());
        headers.append(
            header::COOKIE,
            HeaderValue::from_bytes(b"y=\xff; __Host-logout=b").unwrap(),
        );
        let cookies = Cookies::read(&headers);
        assert_eq!(cookies.first("__Host-session"), Some("a"));
        assert_eq!(cookies.first("__Host-logout"), Some("b"));
    }

    #[test]
    fn a_value_is_taken_as_it_was_sent() {
        let headers = headers(&["__Host-session=\"a\"; __Host-session=b%20c; __Host-session =d;x"]);
        let cookies = Cookies::read(&headers);
        let all: Vec<&str> = cookies.all("__Host-session").collect();
        assert_eq!(all, ["\"a\"", "b%20c", "d"]);
    }

    /// K11
    #[test]
    fn of_many_logins_under_way_the_newest_four_stay() {
        let mut jar: Vec<(String, String)> = Vec::new();
        for n in 0..30_u64 {
            let state = format!("state {n}");
            let value = "v".repeat(if n % 3 == 0 { 2_000 } else { 700 });
            let name =
                RULES.login_name(Time::from_unix_millis((1_800_000_000 + n) * 1_000), &state);
            let field = jar.iter().map(|(name, value)| format!("{name}={value}"));
            let field = field.collect::<Vec<_>>().join("; ");
            let headers = headers(&[&field]);
            let evicted = RULES.evicted_for(&Cookies::read(&headers), name.len() + value.len());
            jar.retain(|(name, _)| !evicted.contains(name));
            jar.push((name, value));
            let bytes: usize = jar
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            assert!(jar.len() <= 4 && bytes <= 4_000, "{}, {bytes}", jar.len());
            let headers = self::headers(&[&format!("{}={}", jar.last().unwrap().0, "x")]);
            let cookies = Cookies::read(&headers);
            assert!(RULES.login_cookie(&cookies, &state).is_some());
            assert!(RULES.login_cookie(&cookies, "another").is_none());
        }
        assert_eq!(jar.len(), 3);
    }

    /// K11
    #[test]
    fn of_logins_of_one_second_the_one_that_was_sent_first_goes() {
        let now = Time::from_unix_millis(1_800_000_000_000);
        let names = ["a", "b", "c", "d"].map(|state| RULES.login_name(now, state));
        let field = names.iter().map(|name| format!("{name}=x"));
        let headers = headers(&[&field.collect::<Vec<_>>().join("; ")]);
        let evicted = RULES.evicted_for(&Cookies::read(&headers), 100);
        assert_eq!(evicted, names[..1]);
    }

    #[test]
    fn seconds_are_written_to_the_base_36() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(35), "z");
        assert_eq!(base36(36), "10");
        assert_eq!(
            u64::from_str_radix(&base36(1_800_000_000), 36).unwrap(),
            1_800_000_000
        );
    }
}
