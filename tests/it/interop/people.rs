//! People log in to invoices at the certified provider. Its pages are driven by HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use service_kit::config::Reader;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use super::provider::{SECRET, variable};
use crate::world::{LIMIT, client};

/// One test at a time: the provider knows one application.
static TURN: Mutex<()> = Mutex::const_new(());

/// invoices at the provider that the environment names.
struct World {
    issuer: String,
    control: String,
    origin: String,
    shutdown: Shutdown,
    running: JoinHandle<()>,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    async fn start(is_pushed: bool) -> Option<Self> {
        let issuer = variable("M2M_INTEROP_PEOPLE")?;
        let control = variable("M2M_INTEROP_PEOPLE_CONTROL")?;
        let turn = TURN.lock().await;
        let variables: BTreeMap<String, String> = [
            ("ISSUER", &*issuer),
            ("CLIENT_ID", "web"),
            ("CLIENT_SECRET", SECRET),
            ("SESSION_SECRETS", "0123456789abcdef0123456789abcdef"),
            ("INVOICES_ADDR", "127.0.0.1:0"),
            ("INVOICES_ADMIN_ADDR", "off"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let mut reader = Reader::new(&variables);
        let config = invoices::Config::read(&mut reader);
        reader.finish().unwrap();
        let service = invoices::Service::bind(&config).await.unwrap();
        let origin = format!("http://localhost:{}", service.local_addr().port());
        let shutdown = Shutdown::manual(Duration::from_secs(2));
        let world = Self {
            running: tokio::spawn(service.run(shutdown.clone())),
            issuer,
            control,
            origin,
            shutdown,
            _turn: turn,
        };
        let application = format!("/application?origin={}&pushed={is_pushed}", world.origin);
        world.control(&application).await;
        Some(world)
    }

    async fn control(&self, path_and_query: &str) {
        let url = format!("{}{path_and_query}", self.control);
        let response = client().post(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path_and_query}");
    }

    async fn requests(&self, path: &str) -> u64 {
        let url = format!("{}/stats", self.control);
        let text = client().get(url).send().await.unwrap().text().await;
        let stats: Value = serde_json::from_str(&text.unwrap()).unwrap();
        stats[path].as_u64().unwrap_or(0)
    }

    async fn stop(self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
        self.running.await.unwrap();
    }
}

/// A browser without scripts.
struct Browser {
    http: Client,
    /// By host: ports do not separate cookies.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a browser has arrived.
struct Page {
    url: Url,
    status: StatusCode,
    body: String,
    /// The addresses on the way, the last one included.
    way: Vec<Url>,
}

impl Browser {
    fn new() -> Self {
        let http = Client::builder()
            .redirect(Policy::none())
            .timeout(LIMIT)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        Self {
            http,
            cookies: BTreeMap::new(),
        }
    }

    async fn get(&mut self, url: &str) -> Page {
        self.go(Method::GET, url, &[]).await
    }

    async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        self.go(Method::POST, url, fields).await
    }

    /// Goes to an address, and on where it is sent.
    async fn go(&mut self, mut method: Method, url: &str, fields: &[(&str, &str)]) -> Page {
        let mut url = Url::parse(url).unwrap();
        let mut way = Vec::new();
        loop {
            way.push(url.clone());
            assert!(way.len() < 20, "{way:?}");
            let jar = self.cookies.entry(url.host_str().unwrap().to_owned());
            let jar = jar.or_default();
            let pairs: Vec<String> = jar
                .iter()
                .map(|(name, it)| format!("{name}={it}"))
                .collect();
            let mut request = self.http.request(method.clone(), url.clone());
            if method == Method::POST {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                request = request
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form.extend_pairs(fields).finish());
            }
            let response = request
                .header(COOKIE, pairs.join("; "))
                .send()
                .await
                .unwrap();
            for cookie in response.headers().get_all(SET_COOKIE) {
                let cookie = cookie.to_str().unwrap();
                let (name, rest) = cookie.split_once('=').unwrap();
                let value = rest.split(';').next().unwrap();
                let lower = cookie.to_ascii_lowercase();
                let is_gone =
                    lower.contains("max-age=0") || lower.contains("expires=thu, 01 jan 1970");
                match is_gone || value.is_empty() {
                    true => jar.remove(name),
                    false => jar.insert(name.to_owned(), value.to_owned()),
                };
            }
            if response.status().is_redirection() {
                let location = response.headers()[LOCATION].to_str().unwrap();
                url = url.join(location).unwrap();
                method = Method::GET;
                continue;
            }
            return Page {
                status: response.status(),
                body: response.text().await.unwrap(),
                url,
                way,
            };
        }
    }

    /// Logs in as this person and agrees to what the application wants.
    async fn sign_in(&mut self, world: &World, person: &str) -> Page {
        let login = format!("{}/api/auth/login?return_url=/invoices", world.origin);
        let mut page = self.get(&login).await;
        for fields in [
            &[("prompt", "login"), ("login", person), ("password", "any")][..],
            &[("prompt", "consent")],
        ] {
            if page.url.path().starts_with("/interaction/") {
                page = self.post(page.url.as_str(), fields).await;
            }
        }
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(page.url.as_str(), format!("{}/invoices", world.origin));
        page
    }

    /// Agrees to log out at the provider, which asks first.
    async fn agree_to_log_out(&mut self, world: &World, page: &Page) -> Page {
        let start = "name=\"xsrf\" value=\"";
        let rest = page.body.split_once(start).expect("the provider asks").1;
        let xsrf = rest.split('"').next().unwrap();
        let url = format!("{}/session/end/confirm", world.issuer);
        self.post(&url, &[("xsrf", xsrf), ("logout", "yes")]).await
    }

    async fn session(&mut self, world: &World) -> Page {
        self.get(&format!("{}/api/auth/session", world.origin))
            .await
    }
}

#[tokio::test]
async fn a_person_logs_in_and_out_and_the_provider_sends_them_back() {
    let Some(world) = World::start(false).await else {
        return;
    };
    let mut browser = Browser::new();
    let page = browser.sign_in(&world, "ann").await;
    let callback = page
        .way
        .iter()
        .find(|url| url.path() == "/api/auth/callback");
    // The provider promises it (RFC 9207), so the callback has looked at it.
    let iss = format!(
        "iss={}",
        world.issuer.replace(':', "%3A").replace('/', "%2F")
    );
    let query = callback.unwrap().query().unwrap();
    assert!(query.contains(&iss), "{query}");
    let session: Value = serde_json::from_str(&browser.session(&world).await.body).unwrap();
    assert_eq!(session["userId"], "ann");
    assert_eq!(session["metadata"]["email"], "ann@example.test");
    assert_eq!(session["metadata"]["displayName"], "Person ann");
    assert_eq!(session["metadata"]["roles"], serde_json::json!(["owner"]));

    let token = browser.cookies["localhost"]["__Host-CSRF-TOKEN"].clone();
    let revoked = world.requests("/token/revocation").await;
    let logout = format!("{}/api/auth/logout", world.origin);
    let asks = browser.post(&logout, &[("csrf_token", &token)]).await;
    assert_eq!(asks.url.path(), "/session/end");
    assert_eq!(world.requests("/token/revocation").await, revoked + 1);
    let home = browser.agree_to_log_out(&world, &asks).await;
    assert_eq!(home.url.as_str(), format!("{}/", world.origin));
    assert!(
        home.way
            .iter()
            .any(|url| url.path() == "/api/auth/logged-out")
    );
    assert_eq!(browser.session(&world).await.status, 401);
    world.stop().await;
}

/// K80
#[tokio::test]
async fn refresh_tokens_that_rotate_are_presented_once_each() {
    let Some(world) = World::start(false).await else {
        return;
    };
    let mut browser = Browser::new();
    browser.sign_in(&world, "bob").await;
    let before = world.requests("/token").await;
    // Access tokens live for a second. A refresh token that came twice would end the session here.
    let refreshed = async {
        while world.requests("/token").await < before + 3 {
            let page = browser.get(&format!("{}/invoices", world.origin)).await;
            assert_eq!((page.status.as_u16(), page.way.len()), (200, 1));
        }
    };
    timeout(LIMIT, refreshed).await.unwrap();
    assert_eq!(browser.session(&world).await.status, 200);
    world.stop().await;
}

/// K19
#[tokio::test]
async fn a_provider_that_wants_requests_pushed_gets_them_pushed() {
    let Some(world) = World::start(true).await else {
        return;
    };
    let mut browser = Browser::new();
    let page = browser.sign_in(&world, "cal").await;
    let authorization = page.way.iter().find(|url| url.path() == "/auth");
    // Seen on the way to the login page, which this way begins after.
    assert!(authorization.is_none_or(|url| url.query().unwrap().contains("request_uri=")));
    assert!(world.requests("/request").await >= 1);
    assert_eq!(browser.session(&world).await.status, 200);
    world.stop().await;
}

/// K118
#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_here() {
    let Some(world) = World::start(false).await else {
        return;
    };
    let mut browser = Browser::new();
    browser.sign_in(&world, "dot").await;
    let asks = browser.get(&format!("{}/session/end", world.issuer)).await;
    browser.agree_to_log_out(&world, &asks).await;
    let ended = async { while browser.session(&world).await.status != 401 {} };
    timeout(LIMIT, ended).await.unwrap();
    world.stop().await;
}
