//! A person in a browser, and the client that they sign in to.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dev_idp::{DEFAULT_PASSWORD, DevClient, DevIdp};
use reqwest::RequestBuilder;
use reqwest::header::LOCATION;
use url::Url;
use url::form_urlencoded::{Serializer, parse};

use super::{FORM, Reply, basic, http};

pub(crate) const CALLBACK: &str = "http://localhost:6004/api/auth/callback";
pub(crate) const OWNER: &str = "owner@acme.example";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A provider with its own people and `dev-web`, which also comes back to `https://app.example/in?x=1`.
pub(crate) async fn provider() -> DevIdp {
    let client = DevClient::web().redirect_uri("https://app.example/in?x=1");
    let other = DevClient::new("other", "other-secret").redirect_uri(CALLBACK);
    let other = other.scopes(["openid", "offline_access"]);
    let builder = DevIdp::builder().client(client).client(other);
    builder.start().await.unwrap()
}

/// The parameters of an authorization request.
#[derive(Clone)]
pub(crate) struct Asked(Vec<(String, String)>);

impl Asked {
    pub(crate) fn new() -> Self {
        let asked = Self(Vec::new());
        asked
            .with("response_type", "code")
            .with("client_id", "dev-web")
            .with("redirect_uri", CALLBACK)
            .with("scope", "openid offline_access profile email roles")
            .with("state", "a state")
            .with("nonce", "n0nce")
            .with("code_challenge", &challenge(VERIFIER))
            .with("code_challenge_method", "S256")
    }

    /// Sets a parameter, or leaves it out where the value is empty.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        if value.is_empty() {
            self
        } else {
            self.and(name, value)
        }
    }

    /// Adds a parameter, beside one that may be there.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn query(&self) -> String {
        form(&self.0)
    }

    /// The authorization URL at a tenant.
    pub(crate) fn at(&self, idp: &DevIdp, tenant: &str) -> String {
        let endpoint = idp
            .authorization_endpoint()
            .replace("{tenant_name}", tenant);
        format!("{endpoint}?{}", self.query())
    }

    /// The page on which people of a tenant sign in.
    pub(crate) fn page(&self, idp: &DevIdp, tenant: &str) -> String {
        format!("{}/tenants/{tenant}/login?{}", idp.issuer(), self.query())
    }
}

pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

pub(crate) fn form<T: AsRef<str>>(fields: &[(T, T)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub(crate) async fn get(url: &str) -> Reply {
    Reply::of(http().get(url)).await
}

/// A form as a browser's page of the provider sends it.
pub(crate) fn submit(url: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let origin = Url::parse(url).unwrap().origin().ascii_serialization();
    let request = http().post(url).header("content-type", FORM);
    let request = request.header("sec-fetch-site", "same-origin");
    request.header("origin", origin).body(form(fields))
}

/// Types the password of the provider's people into the sign-in page.
pub(crate) async fn sign_in(page: &str, email: &str) -> Reply {
    let fields = [("email", email), ("password", DEFAULT_PASSWORD)];
    Reply::of(submit(page, &fields)).await
}

/// Asks for an address as the browser that has this cookie.
pub(crate) async fn get_with(url: &str, cookie: &str) -> Reply {
    Reply::of(http().get(url).header("cookie", cookie)).await
}

impl Reply {
    #[track_caller]
    pub(crate) fn location(&self) -> Url {
        assert!(
            matches!(self.status, 302 | 303),
            "{}: {}",
            self.status,
            self.text
        );
        Url::parse(self.header(LOCATION)).unwrap()
    }

    /// What a browser sends back after this answer.
    #[track_caller]
    pub(crate) fn cookie(&self) -> String {
        let cookie = self.header(http::header::SET_COOKIE);
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A page that goes nowhere.
    #[track_caller]
    pub(crate) fn assert_page(&self, status: u16, text: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(!self.headers.contains_key(LOCATION), "{:?}", self.headers);
        assert!(self.text.contains(text), "{text}: {}", self.text);
    }
}

/// A parameter of an address; it must not be there twice.
pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    let pairs = parse(url.query().unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(known, _)| known == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    assert!(values.next().is_none(), "{name} is there twice: {url}");
    value
}

/// Signs the owner in at acme and returns the code.
pub(crate) async fn code(idp: &DevIdp, asked: &Asked) -> String {
    let reply = sign_in(&asked.page(idp, "acme"), OWNER).await;
    parameter(&reply.location(), "code").unwrap()
}

/// Posts a form as `dev-web`.
pub(crate) async fn post(url: &str, fields: &[(&str, &str)]) -> Reply {
    let request = http().post(url).header("content-type", FORM);
    let request = request.header("authorization", basic("dev-web", "dev-web-secret"));
    Reply::of(request.body(form(fields))).await
}

/// The fields with which [`Asked::new`]'s code is exchanged.
pub(crate) fn exchange(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

/// The reply to the exchange of a code that the owner of acme got.
pub(crate) async fn tokens(idp: &DevIdp) -> serde_json::Value {
    let code = code(idp, &Asked::new()).await;
    let reply = post(&idp.token_endpoint(), &exchange(&code)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

pub(crate) async fn refresh(idp: &DevIdp, token: &str) -> Reply {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    post(&idp.token_endpoint(), &fields).await
}

pub(crate) async fn userinfo(idp: &DevIdp, token: &str) -> Reply {
    let url = format!("{}/api/v1/oauth2/userinfo", idp.issuer());
    Reply::of(http().get(url).bearer_auth(token)).await
}
