//! A browser without scripts: a client with a cookie jar that follows no redirect by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// More than any answer takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) http: Client,
    pub(crate) origin: String,
    cookies: BTreeMap<String, String>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.body.split_once(&start);
        let (_, rest) = rest.unwrap_or_else(|| panic!("no {name}: {}", self.body));
        rest.split_once('"').unwrap().0.to_owned()
    }
}

impl Browser {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = Client::builder()
            .redirect(Policy::none())
            .timeout(LIMIT)
            .no_proxy()
            .resolve("localhost", address)
            .tls_certs_only([])
            .build()
            .unwrap();
        Self {
            http,
            origin: format!("http://localhost:{}", address.port()),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.origin)
        };
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies: Vec<String> = cookies.collect();
        let request = self.http.request(method, url);
        match cookies.is_empty() {
            true => request,
            false => request.header(COOKIE, cookies.join("; ")),
        }
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    /// Sends a form with these fields, and the session's token if there is one.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        if let Some(token) = self.csrf() {
            form.append_pair("csrf_token", &token);
        }
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish());
        self.send(request).await
    }

    /// Sends JSON, with the session's token in its header if there is one.
    pub(crate) async fn json(&mut self, method: Method, path: &str, body: &str) -> Answer {
        let mut request = self
            .request(method, path)
            .header("content-type", "application/json")
            .body(body.to_owned());
        if let Some(token) = self.csrf() {
            request = request.header("x-csrf-token", token);
        }
        self.send(request).await
    }

    pub(crate) fn session(&self) -> &str {
        &self.cookies["__Host-session"]
    }

    pub(crate) fn csrf(&self) -> Option<String> {
        self.cookies.get("__Host-CSRF-TOKEN").cloned()
    }

    pub(crate) fn forget(&mut self) {
        self.cookies.clear();
    }
}
