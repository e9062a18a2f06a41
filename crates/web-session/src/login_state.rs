//! What a browser carries through a login and through a logout, sealed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sealing::Sealer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::random::{NoRandom, Random};
use crate::state::Token;
use crate::tenancy::{CustomDomain, LoginTenant, TenantName};
use crate::time::Time;

/// A login under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoginState {
    /// As it is on the wire: 43 characters, a dot and the number of restarts.
    pub(crate) state: Token,
    pub(crate) nonce: Token,
    pub(crate) verifier: Token,
    /// Of the session to come.
    handle: Token,
    pub(crate) redirect_uri: String,
    pub(crate) issuer: String,
    tenant_name: Option<TenantName>,
    custom_domain: Option<CustomDomain>,
    pub(crate) return_address: String,
    pub(crate) host: String,
    pub(crate) begun: Time,
}

/// A logout under way: the provider sends the person back with this `state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogoutState {
    pub(crate) state: Token,
    pub(crate) begun: Time,
}

/// A cookie with a longer value is not kept by every browser.
const MAX_VALUE: usize = 2_400;

/// What a login begins with.
pub(crate) struct Beginning<'a> {
    pub(crate) restarts: u8,
    pub(crate) redirect_uri: String,
    pub(crate) issuer: &'a str,
    pub(crate) tenant: &'a LoginTenant,
    pub(crate) return_address: &'a str,
    pub(crate) host: &'a str,
    pub(crate) now: Time,
}

impl LoginState {
    pub(crate) fn begin(with: Beginning<'_>) -> Result<Self, NoRandom> {
        let random = || Random::new().map(|it| Token::new(&it.text()));
        let state = format!("{}.{}", *Random::new()?.text(), with.restarts);
        Ok(Self {
            state: Token::new(&state),
            nonce: random()?,
            verifier: random()?,
            handle: random()?,
            redirect_uri: with.redirect_uri,
            issuer: with.issuer.to_owned(),
            tenant_name: with.tenant.name.clone(),
            custom_domain: with.tenant.custom_domain.clone(),
            return_address: with.return_address.to_owned(),
            host: with.host.to_owned(),
            begun: with.now,
        })
    }

    pub(crate) fn tenant(&self) -> LoginTenant {
        LoginTenant {
            name: self.tenant_name.clone(),
            custom_domain: self.custom_domain.clone(),
        }
    }

    pub(crate) fn handle(&self) -> Option<Random> {
        Random::parse(self.handle.expose())
    }

    /// Returns `code_challenge` by S256 (RFC 7636 section 4.2).
    pub(crate) fn challenge(&self) -> String {
        let verifier = self.verifier.expose().as_bytes();
        BASE64.encode(aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            verifier,
        ))
    }

    /// Seals the state for a cookie of this name. A return address that makes it too long is given up.
    pub(crate) fn seal(&self, sealer: &Sealer, name: &str) -> Option<String> {
        let value = seal(self, sealer, name, &self.host)?;
        if value.len() <= MAX_VALUE {
            return Some(value);
        }
        let shorter = Self {
            return_address: "/".to_owned(),
            ..self.clone()
        };
        seal(&shorter, sealer, name, &self.host).filter(|value| value.len() <= MAX_VALUE)
    }
}

/// Splits the `state` of a callback into what it is and the number of restarts, if it has the form of ours.
pub(crate) fn restarts(state: &str) -> Option<u8> {
    let (random, restarts) = state.split_once('.')?;
    Random::parse(random)?;
    match restarts {
        "0" => Some(0),
        "1" => Some(1),
        _ => None,
    }
}

/// Seals a value for the cookie of this name on this host.
pub(crate) fn seal(
    value: &impl Serialize,
    sealer: &Sealer,
    name: &str,
    host: &str,
) -> Option<String> {
    let json = zeroize::Zeroizing::new(serde_json::to_vec(value).ok()?);
    let sealed = sealer.seal(&json, place(name, host).as_bytes()).ok()?;
    Some(BASE64.encode(sealed))
}

/// Opens the value of the cookie of this name on this host.
pub(crate) fn open<T: DeserializeOwned>(
    value: &str,
    sealer: &Sealer,
    name: &str,
    host: &str,
) -> Option<T> {
    if value.len() > MAX_VALUE {
        return None;
    }
    let sealed = BASE64.decode(value).ok()?;
    let json = sealer.open(&sealed, place(name, host).as_bytes())?;
    serde_json::from_slice(&json).ok()
}

/// Neither a name nor a host has a zero byte.
fn place(name: &str, host: &str) -> String {
    format!("{name}\0{host}")
}

#[cfg(test)]
mod tests {
    use sealing::Secrets;

    use super::*;

    fn sealer(secret: char) -> Sealer {
        let text = secret.to_string().repeat(32);
        Secrets::from_text(&text).unwrap().purpose("login")
    }

    fn login(return_address: &str) -> LoginState {
        LoginState::begin(Beginning {
            restarts: 0,
            redirect_uri: "https://app.example/api/auth/callback".to_owned(),
            issuer: "https://idp.example",
            tenant: &LoginTenant::default(),
            return_address,
            host: "app.example",
            now: Time::from_unix_millis(1),
        })
        .unwrap()
    }

    /// K24
    #[test]
    fn a_state_opens_in_its_place_whole_and_unchanged() {
        let (sealer, other) = (sealer('a'), sealer('b'));
        let login = login("/invoices");
        let value = login.seal(&sealer, "name").unwrap();
        let read = |value: &str| open::<LoginState>(value, &sealer, "name", "app.example");
        assert_eq!(read(&value).unwrap().state, login.state);
        assert!(open::<LoginState>(&value, &sealer, "name2", "app.example").is_none());
        assert!(open::<LoginState>(&value, &sealer, "name", "other.example").is_none());
        assert!(open::<LoginState>(&value, &other, "name", "app.example").is_none());
        for at in 0..value.len() {
            assert!(read(&value[..at]).is_none(), "cut at {at}");
            let mut changed = value.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(
                read(std::str::from_utf8(&changed).unwrap()).is_none(),
                "changed at {at}"
            );
        }
    }

    #[test]
    fn the_longest_return_address_fits_and_what_does_not_is_given_up() {
        let sealer = sealer('a');
        let longest = format!("/{}", "a".repeat(1_023));
        let value = login(&longest).seal(&sealer, "name").unwrap();
        assert!(value.len() <= MAX_VALUE, "{}", value.len());
        let opened: LoginState = open(&value, &sealer, "name", "app.example").unwrap();
        assert_eq!(opened.return_address, longest);
        let mut long = login("/x");
        long.redirect_uri = "r".repeat(1_300);
        let value = login("/x").seal(&sealer, "name").unwrap();
        assert!(value.len() < MAX_VALUE);
        long.return_address = longest;
        let value = long.seal(&sealer, "name").unwrap();
        let opened: LoginState = open(&value, &sealer, "name", "app.example").unwrap();
        assert_eq!(opened.return_address, "/");
    }

    /// K25
    #[test]
    fn a_state_has_one_form() {
        let state = login("/").state;
        assert_eq!(restarts(state.expose()), Some(0));
        let random = state.expose().split_once('.').unwrap().0;
        assert_eq!(restarts(&format!("{random}.1")), Some(1));
        for bad in [
            "",
            random,
            &format!("{random}."),
            &format!("{random}.2"),
            &format!("{random}.01"),
            "x.0",
        ] {
            assert_eq!(restarts(bad), None, "{bad}");
        }
    }

    // RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let mut login = login("/");
        login.verifier = Token::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            login.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
