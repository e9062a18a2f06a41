//! What logs people in: the settings of invoices, tried as invoices uses them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode, header};
use idp_http::{FetchErrorKind, LoginMetadata, Reader, printable};
use invoices::StoreSetting;
use service_kit::server::reachable;
use tokio::time::timeout;
use tower::ServiceExt as _;
use url::Url;
use web_session::store::Key;
use web_session::{LoginOutcome, WebSessions};

use super::{Examination, Findings, get};
use crate::report::Finding;

const PEOPLE: &str = "people";
const STORE: &str = "session store";
const ENDPOINTS: &str = "login endpoints";
const REDIRECT: &str = "redirect URI";
const CLIENT: &str = "login client";
const INVOICES: &str = "invoices";
/// Errors of OpenID Connect Core 1.0 section 3.1.2.6 that say that a person would have to do something.
const WOULD_ASK: [&str; 4] = [
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
];
const MAX_BODY: usize = 64 * 1024;
const STORE_LIMIT: Duration = Duration::from_secs(3);

/// What a login began with.
enum Begun {
    Login(Login),
    /// The provider has checked the client and the redirect URI already (RFC 9126).
    Pushed,
    Nothing,
}

/// A login that nobody will end.
struct Login {
    /// Where a browser would be sent.
    url: Url,
    redirect_uri: String,
    state: String,
    /// What the browser would send back.
    cookie: String,
}

impl Examination {
    /// Begins a login and ends it with a code that the provider did not give: what it says to both tells whether it
    /// knows the client, its secret and its redirect URI. Nobody is logged in.
    pub(super) async fn people(&self, findings: &mut Findings<'_>) {
        let Some(people) = &self.people else {
            return;
        };
        let port = people.address.port();
        let public_url = people.people.public_url(port);
        let found = format!(
            "register {public_url}/api/auth/callback as redirect URI, {public_url}/api/auth/logged-out for after the \
             logout, and {public_url}/api/auth/backchannel-logout where the provider has it"
        );
        findings.add(Finding::passed(PEOPLE, found));
        findings.add(session_store(people).await);
        findings.add(self.login_endpoints(people).await);
        self.login(people, &public_url, findings).await;
        findings.add(running(people).await);
    }

    async fn login(
        &self,
        people: &invoices::Config,
        public_url: &str,
        findings: &mut Findings<'_>,
    ) {
        let origin = match &self.tenant {
            Some(tenant) => public_url
                .replace("{tenant_domain}", tenant)
                .replace("{tenant_name}", tenant),
            None if people.people.has_tenants => {
                findings.add(
                    Finding::not_checked(REDIRECT, "no tenant is named")
                        .change("set DEFAULT_TENANT_NAME to a tenant for this check"),
                );
                findings.add(Finding::not_checked(CLIENT, "no tenant is named"));
                return;
            }
            None => public_url.to_owned(),
        };
        let sessions = match people.sessions(people.address.port()) {
            Ok(sessions) => sessions,
            Err(error) => {
                let found = service_kit::with_sources(&error);
                findings.add(Finding::failed(PEOPLE, found, "correct what it names"));
                return;
            }
        };
        let routes = sessions.routes();
        match begin(&routes, &origin).await {
            Begun::Login(login) => {
                findings.add(self.redirect_uri(&login).await);
                findings.add(self.login_client(&sessions, &routes, &login, &origin).await);
            }
            Begun::Pushed => {
                for check in [REDIRECT, CLIENT] {
                    findings.add(Finding::passed(check, "the provider took the pushed login"));
                }
            }
            Begun::Nothing => {
                for check in [REDIRECT, CLIENT] {
                    let why = "no login could be begun; what failed above comes first";
                    findings.add(Finding::not_checked(check, why));
                }
            }
        }
        sessions.shutdown(Duration::ZERO).await;
    }

    async fn login_endpoints(&self, people: &invoices::Config) -> Finding {
        let login = &people.login;
        if let Some(vanity) = &login.vanity {
            let found = format!("they are below https://{}", vanity.domain);
            return Finding::passed(ENDPOINTS, found);
        }
        let metadata = match people.provider.discovery(self.http.clone()) {
            Ok(discovery) => discovery.for_reader(Reader::Login).metadata().await,
            Err((name, problem)) => {
                return Finding::failed(ENDPOINTS, problem.to_string(), format!("correct {name}"));
            }
        };
        let published = match metadata {
            Ok(metadata) => metadata.login.clone(),
            Err(_) if login.authorization.is_some() => LoginMetadata::default(),
            Err(error) => {
                let found = format!("the metadata cannot be had: {error}");
                return Finding::not_checked(ENDPOINTS, found);
            }
        };
        if login.authorization.is_none() && published.authorization_endpoint.is_none() {
            return Finding::failed(
                ENDPOINTS,
                "the metadata has no authorization_endpoint",
                "set AUTHORIZATION_ENDPOINT",
            );
        }
        let mut missing = Vec::new();
        for (is_there, variable, without) in [
            (
                login.userinfo.is_some() || published.userinfo_endpoint.is_some(),
                "USERINFO_ENDPOINT",
                "roles and tenants are not known",
            ),
            (
                login.end_session.is_some() || published.end_session_endpoint.is_some(),
                "END_SESSION_ENDPOINT",
                "who logs out stays signed in at the provider",
            ),
            (
                login.revocation.is_some() || published.revocation_endpoint.is_some(),
                "REVOCATION_ENDPOINT",
                "refresh tokens outlive the logout",
            ),
        ] {
            if !is_there {
                missing.push((variable, without));
            }
        }
        if missing.is_empty() {
            let found = "authorization, userinfo, revocation and logout are there";
            return Finding::passed(ENDPOINTS, found);
        }
        let (variables, without): (Vec<&str>, Vec<&str>) = missing.into_iter().unzip();
        let found = format!(
            "without {}: {}",
            variables.join(" and "),
            without.join(", and ")
        );
        Finding::warning(ENDPOINTS, found)
            .change("set what the provider has and its metadata does not name")
    }

    /// Asks as a browser would, but for no page.
    async fn redirect_uri(&self, login: &Login) -> Finding {
        let mut url = login.url.clone();
        url.query_pairs_mut().append_pair("prompt", "none");
        let reply = match self.http.get(&url, HeaderMap::new(), MAX_BODY).await {
            Ok(reply) => reply,
            // A page that is longer than needed here is a page.
            Err(error) if error.kind() == FetchErrorKind::TooLarge => {
                return Finding::passed(REDIRECT, "the provider shows a page for it");
            }
            Err(error) => {
                let found = format!("the authorization endpoint: {error}");
                let change = "correct AUTHORIZATION_ENDPOINT, or the issuer's metadata";
                return Finding::failed(REDIRECT, found, change);
            }
        };
        let status = reply.status;
        let location = reply.headers.get(header::LOCATION);
        let location = location.and_then(|it| it.to_str().ok()).unwrap_or_default();
        if !status.is_redirection() || !location.starts_with(&login.redirect_uri) {
            return match status.as_u16() {
                200..=399 => Finding::passed(REDIRECT, "the provider shows a page for it"),
                status => Finding::failed(
                    REDIRECT,
                    format!("the provider answers the login with status {status}"),
                    format!(
                        "register {} at the provider for this client, and check WEB_CLIENT_ID (or CLIENT_ID)",
                        login.redirect_uri
                    ),
                ),
            };
        }
        let error = Url::parse(location).ok().and_then(|url| {
            let mut pairs = url.query_pairs();
            pairs.find_map(|(name, value)| (name == "error").then(|| value.into_owned()))
        });
        match error.as_deref() {
            None => Finding::passed(REDIRECT, "the provider comes back to it"),
            Some(code) if WOULD_ASK.contains(&code) => Finding::passed(
                REDIRECT,
                "the provider comes back to it, and would ask who it is",
            ),
            Some(code) => {
                let change = match code {
                    "invalid_scope" => "take out of LOGIN_SCOPES what the client may not have",
                    "invalid_target" => "correct LOGIN_RESOURCE and LOGIN_AUDIENCE",
                    _ => "allow the client logins by code with PKCE at the provider",
                };
                let found = format!("the provider refuses the login: {}", printable(code));
                Finding::failed(REDIRECT, found, change)
            }
        }
    }

    /// Comes back as a browser would, with a code that nobody gave: who knows the client refuses that alone.
    async fn login_client(
        &self,
        sessions: &WebSessions,
        routes: &Router,
        login: &Login,
        origin: &str,
    ) -> Finding {
        let mut url = Url::parse(&login.redirect_uri).expect("it was made of a URL");
        url.query_pairs_mut().extend_pairs([
            ("code", "m2m-doctor"),
            ("state", &login.state),
            ("iss", &self.public.provider.issuer),
        ]);
        let _ = navigate(routes, url.as_str(), origin, Some(&login.cookie)).await;
        let logins = sessions.health().logins;
        let outcome = logins
            .into_iter()
            .find_map(|(it, count)| (count > 0).then_some(it));
        match outcome {
            // To begin again is the answer to a code that is not taken.
            Some(LoginOutcome::Restarted) => Finding::passed(
                CLIENT,
                "the provider knows it, and refuses a code that it did not give",
            ),
            Some(LoginOutcome::ProviderRefuses) => Finding::failed(
                CLIENT,
                "the provider refuses the client at the token endpoint",
                "correct WEB_CLIENT_ID and WEB_CLIENT_SECRET, or CLIENT_ID and CLIENT_SECRET where these are not set; \
                 if they are right, the provider wants another WEB_CLIENT_AUTH_METHOD",
            ),
            _ => Finding::not_checked(CLIENT, "the token endpoint gave no usable answer"),
        }
    }
}

/// Begins a login as a navigation does.
async fn begin(routes: &Router, origin: &str) -> Begun {
    let url = format!("{origin}/api/auth/login");
    let answer = navigate(routes, &url, origin, None).await;
    let text = |name| answer.headers().get(name)?.to_str().ok();
    let location = text(header::LOCATION).and_then(|it| Url::parse(it).ok());
    let cookie = text(header::SET_COOKIE).and_then(|it| it.split(';').next());
    let (StatusCode::FOUND, Some(url), Some(cookie)) = (answer.status(), location, cookie) else {
        return Begun::Nothing;
    };
    let parameter = |wanted: &str| {
        let mut pairs = url.query_pairs();
        pairs.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
    };
    match parameter("redirect_uri").zip(parameter("state")) {
        Some((redirect_uri, state)) => Begun::Login(Login {
            redirect_uri,
            state,
            cookie: cookie.to_owned(),
            url,
        }),
        None => Begun::Pushed,
    }
}

/// What the routes answer to a browser that goes to this address.
async fn navigate(routes: &Router, url: &str, origin: &str, cookie: Option<&str>) -> Response {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let path = url.strip_prefix(origin).unwrap_or(url);
    let mut request = Request::get(path).header(header::HOST, host);
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    match request.body(Body::empty()) {
        Ok(request) => match routes.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        },
        Err(_) => Response::default(),
    }
}

/// Asks the session store for a session that nobody has.
async fn session_store(people: &invoices::Config) -> Finding {
    let setting = &people.sessions.store;
    if matches!(setting, StoreSetting::Memory) {
        let found = "in memory: sessions end with the process, and no other replica knows them";
        return Finding::passed(STORE, found);
    }
    let store = match setting.open(people.sessions.max) {
        Ok(store) => store,
        Err(error) => {
            let found = service_kit::with_sources(&error);
            return Finding::failed(STORE, found, "correct SESSION_STORE");
        }
    };
    let nobodys = Key::new([0; 32]);
    match timeout(STORE_LIMIT, store.load(&nobodys)).await {
        Ok(Ok(_)) => Finding::passed(STORE, format!("{} answers", setting.kind())),
        Ok(Err(error)) => Finding::failed(
            STORE,
            error.to_string(),
            "correct SESSION_STORE, or start what it names",
        ),
        Err(_) => Finding::failed(
            STORE,
            format!("{} does not answer", setting.kind()),
            "correct SESSION_STORE, or start what it names",
        ),
    }
}

/// Asks the running service whether people can log in.
async fn running(people: &invoices::Config) -> Finding {
    let mut url = Url::parse("http://127.0.0.1/readyz").expect("it is one");
    let address = reachable(people.address);
    let is_set =
        url.set_ip_host(address.ip()).is_ok() && url.set_port(Some(address.port())).is_ok();
    debug_assert!(is_set, "an http URL has a host and a port");
    // Nothing secret is sent.
    let (reply, took) = match get(&url, HeaderMap::new(), true).await {
        Ok(answered) => answered,
        Err(finding) => return finding.of(INVOICES, &url, "INVOICES_ADDR"),
    };
    match reply.status.as_u16() {
        200 => Finding::passed(INVOICES, format!("{url} is ready, in {took}")),
        status => Finding::failed(
            INVOICES,
            format!("{url} answers {status}"),
            "its log says what it lacks: keys, metadata or the session store",
        ),
    }
}
