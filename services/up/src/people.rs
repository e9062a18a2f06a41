//! invoices beside the pair, on the embedded provider's people.

use std::collections::BTreeMap;

use dev_idp::{
    DEFAULT_AUDIENCE, DEFAULT_PASSWORD, DEFAULT_WEB_CLIENT_ID, DEFAULT_WEB_CLIENT_SECRET,
    DevClient, DevIdp,
};
use invoices::{Config, Service};
use m2m_cli::settings::Settings;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response};
use secrecy::ExposeSecret as _;
use service_kit::config::{Reader, SecretSetting, Strings as _};
use service_kit::with_sources;

use crate::plan::Provider;

/// Who signs in for `--check`, and whom the list of addresses names.
const PERSON: &str = "owner@acme.example";

/// Gives the variables of invoices the values that fit the embedded provider. Returns what is worth a warning.
pub(crate) fn stand_in(settings: &mut Settings<'_>) -> Option<String> {
    settings.stand_in("TENANTS", "required");
    settings.stand_in("WEB_CLIENT_ID", DEFAULT_WEB_CLIENT_ID);
    if !settings.has("WEB_CLIENT_SECRET_FILE") {
        settings.stand_in("WEB_CLIENT_SECRET", DEFAULT_WEB_CLIENT_SECRET);
    }
    let audiences = settings.get("API_AUDIENCE").unwrap_or_default();
    let first = audiences.split_ascii_whitespace().next();
    settings.stand_in("LOGIN_AUDIENCE", first.unwrap_or(DEFAULT_AUDIENCE));
    let mut secret = [0_u8; 32];
    if settings.has("SESSION_SECRETS")
        || settings.has("SESSION_SECRETS_FILE")
        || aws_lc_rs::rand::fill(&mut secret).is_err()
    {
        return None;
    }
    let secret = secret.iter().map(|byte| format!("{byte:02x}"));
    settings.stand_in("SESSION_SECRETS", secret.collect::<String>());
    Some("SESSION_SECRETS: made at random for this run".to_owned())
}

/// Reads the variables.
pub(crate) fn read(reader: &mut Reader<'_>) -> Config {
    Config::read(reader)
}

/// Points invoices at the provider that runs now. Endpoints that are set stay.
pub(crate) fn follow(config: &mut Config, idp: &DevIdp) {
    idp.issuer().clone_into(&mut config.provider.issuer);
    let login = &mut config.login;
    login
        .authorization
        .get_or_insert_with(|| idp.authorization_endpoint());
    login
        .end_session
        .get_or_insert_with(|| idp.end_session_endpoint());
    let page = |path: &str| format!("{}{path}", idp.issuer()).parse();
    if login.signup.is_none() {
        login.signup = page("/signup").ok();
    }
    if login.application_login.is_none()
        && let Ok(url) = page("/login")
    {
        let tenancy = config.people.tenancy.clone();
        config.people.tenancy = tenancy.application_login_url(url);
    }
}

/// Returns the client that people log in with, for the provider to know.
fn client(config: &Config, port: u16) -> Result<DevClient, String> {
    let web = &config.clients.web;
    let secret = web.secret.as_ref().map(SecretSetting::read).transpose();
    let secret =
        secret.map_err(|problem| format!("WEB_CLIENT_SECRET_FILE: names a file that {problem}"))?;
    Ok(DevClient::web()
        .with_credentials(&web.id, secret.unwrap_or_default().expose_secret())
        .application_at(&config.people.public_url(port)))
}

/// invoices with its listener open.
pub(crate) struct Invoices {
    pub(crate) service: Service,
    pub(crate) url: String,
}

/// Opens the listener, and tells the provider where people come back to.
pub(crate) async fn bind(config: &Config, idp: Option<&DevIdp>) -> Result<Invoices, String> {
    let service = Service::bind(config)
        .await
        .map_err(|error| with_sources(&error))?;
    let port = service.local_addr().port();
    if let Some(idp) = idp {
        idp.set_client(client(config, port)?);
    }
    Ok(Invoices {
        service,
        url: config.people.public_url(port),
    })
}

/// Returns the lines that say where invoices is.
pub(crate) fn lines(invoices: &Invoices, provider: Option<&Provider>) -> Vec<String> {
    let person = match provider {
        Some(_) => format!("  ({PERSON} / {DEFAULT_PASSWORD})"),
        None => String::new(),
    };
    vec![format!("invoices        {}{person}", invoices.url)]
}

/// Signs in, reads the session, calls protected-data as the person, and logs out.
pub(crate) async fn sign_in_and_out(url: &str, idp: &DevIdp) -> Result<(), String> {
    let mut browser = Browser::new()?;
    let login = browser
        .get(&format!("{url}/api/auth/login?tenant_name=acme"))
        .await?;
    let there = location(&login)?;
    let back = idp.sign_in(&there, PERSON);
    location(&browser.get(&back).await?)?;
    for path in ["/api/auth/session", "/api/v1/protected"] {
        let response = browser.get(&format!("{url}{path}")).await?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(format!(
                "{url}{path} answered {status}; the log has the reason"
            ));
        }
    }
    let logout = browser.post(&format!("{url}/api/auth/logout")).await?;
    location(&logout).map(drop)
}

fn location(response: &Response) -> Result<String, String> {
    let location = response.headers().get(LOCATION);
    let location = location
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    location.ok_or_else(|| {
        // Without its query: that has a code.
        let path = response.url().path();
        format!(
            "{path} answered {} instead of a redirect",
            response.status().as_u16()
        )
    })
}

/// Keeps cookies, and follows nothing.
struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Result<Self, String> {
        let client = Client::builder().no_proxy().tls_certs_only([]);
        let client = client.redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self {
            client: client.map_err(|error| error.to_string())?,
            cookies: BTreeMap::new(),
        })
    }

    async fn get(&mut self, url: &str) -> Result<Response, String> {
        self.send(self.client.get(url)).await
    }

    async fn post(&mut self, url: &str) -> Result<Response, String> {
        let token = self
            .cookies
            .iter()
            .find(|(name, _)| name.ends_with("CSRF-TOKEN"));
        let token = token.map(|(_, token)| token.clone()).unwrap_or_default();
        self.send(self.client.post(url).header("x-csrf-token", token))
            .await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Result<Response, String> {
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let request = request
            .header(COOKIE, cookies)
            .timeout(std::time::Duration::from_secs(10));
        let response = request
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie
                .to_str()
                .ok()
                .and_then(|it| it.split(';').next()?.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}
