//! Who is signed in in which browser.

use std::collections::BTreeSet;

use aws_lc_rs::error::Unspecified;
use cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::COOKIE;

use crate::bounded::Bounded;
use crate::keys::random_id;

/// The cookie that remembers a browser.
const NAME: &str = "dev-idp";

/// How many browsers are remembered.
const BROWSERS: usize = 50_000;

/// A person who is signed in at a tenant: the provider's session, whose id is the claim `sid`.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) sid: String,
    pub(crate) email: String,
    pub(crate) tenant: String,
    /// Unix seconds.
    pub(crate) auth_time: i64,
    /// The ids of the clients that were told of it.
    pub(crate) clients: BTreeSet<String>,
}

pub(crate) struct Logins(Bounded<Vec<Login>>);

impl Logins {
    pub(crate) fn new() -> Self {
        Self(Bounded::new(BROWSERS))
    }

    /// Returns the login at `tenant`, or the latest one where no tenant is asked for.
    pub(crate) fn find(&self, browser: &str, tenant: Option<&str>) -> Option<Login> {
        let logins = self.0.get(browser)?;
        let of_tenant = |login: &&Login| tenant.is_none_or(|tenant| tenant == login.tenant);
        logins.iter().rfind(of_tenant).cloned()
    }

    /// Signs a person in and returns the browser's new id: one that somebody else put into the browser before
    /// never becomes signed in.
    pub(crate) fn sign_in(
        &mut self,
        browser: Option<&str>,
        login: Login,
    ) -> Result<String, Unspecified> {
        let id = random_id()?;
        let others = browser.and_then(|browser| self.0.remove(browser));
        let mut logins = others.unwrap_or_default();
        logins.retain(|other| other.tenant != login.tenant);
        logins.push(login);
        self.0.insert(id.clone(), logins);
        Ok(id)
    }

    pub(crate) fn of_browser(&self, browser: &str) -> Vec<Login> {
        self.0.get(browser).cloned().unwrap_or_default()
    }

    pub(crate) fn by_sid(&self, sid: &str) -> Option<Login> {
        let mut logins = self.0.values().flatten();
        logins.find(|login| login.sid == sid).cloned()
    }

    /// Returns the ids of a person's sessions.
    pub(crate) fn sids(&self, email: &str) -> Vec<String> {
        let logins = self.0.values().flatten();
        let of_person = logins.filter(|login| login.email == email);
        of_person.map(|login| login.sid.clone()).collect()
    }

    /// Ends a session and returns what it was.
    pub(crate) fn end(&mut self, sid: &str) -> Option<Login> {
        self.0.values_mut().find_map(|logins| {
            let at = logins.iter().position(|login| login.sid == sid)?;
            Some(logins.remove(at))
        })
    }

    /// Notes that a client was told of a session. Does nothing if that has ended.
    pub(crate) fn tell(&mut self, sid: &str, client_id: &str) {
        let mut logins = self.0.values_mut().flatten();
        if let Some(login) = logins.find(|login| login.sid == sid) {
            login.clients.insert(client_id.to_owned());
        }
    }
}

/// Returns the id of the browser that sent a request.
pub(crate) fn browser(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == NAME)
        .map(|cookie| cookie.value().to_owned())
}

/// Returns the cookie that remembers a browser until it is closed.
///
/// It is `Lax`, for people arrive from the client's site. It is not `Secure`: the provider speaks plain HTTP on
/// loopback, where some browsers refuse such a cookie.
pub(crate) fn cookie(browser: &str) -> String {
    let cookie = Cookie::build((NAME, browser)).path("/").http_only(true);
    cookie.same_site(SameSite::Lax).build().to_string()
}
