//! Host names, and whether anybody answers behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::HeaderMap;
use idp_http::{FetchError, FetchErrorKind, IdpClient, UrlProblem, is_loopback};
use service_kit::config::advice_on_fetch;
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::{Host, Url};

use super::{Examination, Findings, Reach};
use crate::report::{Finding, Status};

/// What the system's resolver gets before it counts as broken.
const RESOLVE_LIMIT: Duration = Duration::from_secs(3);
/// Who answers with more has been reached as well.
const MAX_BODY: usize = 64 * 1024;

/// An address of the provider, and the variable that it comes from.
struct Target {
    variable: &'static str,
    url: Url,
}

impl Examination {
    pub(super) async fn connection(&self, findings: &mut Findings<'_>) -> Reach {
        let targets = self.targets();
        let unresolved = resolve(&targets, findings).await;
        let mut seen = BTreeSet::new();
        let mut down = BTreeSet::new();
        for target in &targets {
            let origin = target.url.origin().ascii_serialization();
            if !seen.insert(origin.clone()) {
                continue;
            }
            let is_unresolved = target
                .url
                .host_str()
                .is_some_and(|host| unresolved.contains(host));
            let finding = if is_unresolved {
                Finding::not_checked("connection", format!("{origin} has no address, see names"))
            } else {
                self.connect(target, &origin).await
            };
            if matches!(finding.status, Status::Failed | Status::NotChecked) {
                down.insert(origin);
            }
            findings.add(finding);
        }
        Reach { down }
    }

    /// The configured addresses. What discovery finds is asked when its turn comes.
    fn targets(&self) -> Vec<Target> {
        let provider = &self.public.provider;
        let fixed = |variable: Option<&'static str>, url: &Option<Url>| {
            variable
                .zip(url.clone())
                .map(|(variable, url)| Target { variable, url })
        };
        let token_endpoint = fixed(self.origins.token_endpoint, &provider.token_endpoint);
        let jwks_uri = fixed(self.origins.jwks_uri, &provider.jwks_uri);
        let issuer = Url::parse(&provider.issuer).ok().map(|url| Target {
            variable: self.origins.issuer,
            url,
        });
        // An issuer whose endpoints are both named need not be a place.
        let issuer = issuer.filter(|_| token_endpoint.is_none() || jwks_uri.is_none());
        [issuer, token_endpoint, jwks_uri]
            .into_iter()
            .flatten()
            .collect()
    }

    async fn connect(&self, target: &Target, origin: &str) -> Finding {
        const CHECK: &str = "connection";
        let variable = target.variable;
        let is_https = target.url.scheme() == "https";
        if let Err(problem) = self.http.check_url(&target.url) {
            let change = match problem {
                UrlProblem::NoTrustRoots => {
                    format!(
                        "install the system's root certificates, or set IDP_CA_FILE; {variable} is https"
                    )
                }
                _ => format!("correct {variable}"),
            };
            return Finding::failed(CHECK, format!("{origin} {problem}"), change);
        }
        let mut url = target.url.clone();
        url.set_path("/");
        match self.http.get(&url, HeaderMap::new(), MAX_BODY).await {
            Ok(_) if is_https => Finding::passed(CHECK, format!("{origin}, TLS is in order")),
            Ok(_) if is_loopback(&url) => {
                Finding::passed(CHECK, format!("{origin}, http on loopback"))
            }
            Ok(_) => Finding::warning(
                CHECK,
                format!("{origin}, http without TLS: the secret crosses the network in the clear"),
            )
            .change(format!("write https:// in {variable}")),
            Err(error) if error.kind() == FetchErrorKind::TooLarge => {
                Finding::passed(CHECK, origin)
            }
            Err(error) => {
                let change = self.advice(&error, &url, variable).await;
                Finding::failed(CHECK, format!("{origin}: {error}"), change)
            }
        }
    }

    async fn advice(&self, error: &FetchError, url: &Url, variable: &str) -> String {
        let is_https = url.scheme() == "https";
        match error.kind() {
            FetchErrorKind::NotTls if speaks_plain_http(url).await => format!(
                "it speaks plain http: write http:// in {variable} (taken for loopback addresses, or \
                 with ALLOW_INSECURE_HTTP=true)"
            ),
            FetchErrorKind::Truncated | FetchErrorKind::NotHttp
                if !is_https && speaks_tls(&self.http, url).await =>
            {
                format!("it speaks TLS: write https:// in {variable}")
            }
            FetchErrorKind::Connect | FetchErrorKind::Timeout if variable == "DEV_IDP_ADDR" => {
                "is `cargo up` running? else start it, or set DEV_IDP_ADDR to where dev-idp is"
                    .to_owned()
            }
            FetchErrorKind::Connect | FetchErrorKind::Timeout => {
                format!("is the provider running? check host and port in {variable}")
            }
            kind if let Some(advice) = advice_on_fetch(kind) => advice.to_owned(),
            _ => format!("something else than a provider answers; check {variable}"),
        }
    }
}

/// Looks up every host name once. Returns those that have no address.
async fn resolve(targets: &[Target], findings: &mut Findings<'_>) -> BTreeSet<String> {
    const CHECK: &str = "names";
    let mut hosts: BTreeMap<String, (&'static str, u16)> = BTreeMap::new();
    for target in targets {
        if let Some(Host::Domain(name)) = target.url.host() {
            let port = target.url.port_or_known_default().unwrap_or_default();
            hosts
                .entry(name.to_owned())
                .or_insert((target.variable, port));
        }
    }
    if hosts.is_empty() {
        findings.add(Finding::passed(
            CHECK,
            "none to resolve: addresses are configured",
        ));
    }
    let mut unresolved = BTreeSet::new();
    for (host, (variable, port)) in hosts {
        let found = timeout(RESOLVE_LIMIT, lookup_host((host.as_str(), port))).await;
        let found = found.map(|found| found.map(|mut addresses| addresses.next()));
        let problem = match found {
            Ok(Ok(Some(address))) => {
                let found = format!("{host} is {}", address.ip());
                findings.add(Finding::passed(CHECK, found));
                continue;
            }
            Ok(Ok(None)) => "has no address".to_owned(),
            Ok(Err(error)) => format!("does not resolve: {error}"),
            Err(_) => "does not resolve in time".to_owned(),
        };
        findings.add(Finding::failed(
            CHECK,
            format!("{host} {problem}"),
            format!("correct the host in {variable}, or this machine's name resolution"),
        ));
        unresolved.insert(host);
    }
    unresolved
}

/// Asks without TLS. No secret is in the request.
async fn speaks_plain_http(url: &Url) -> bool {
    let mut plain = url.clone();
    let port = url.port_or_known_default();
    // The port has to be named: that of https is no longer implied.
    if plain.set_scheme("http").is_err() || plain.set_port(port).is_err() {
        return false;
    }
    let Ok(http) = IdpClient::builder().dangerous_allow_http(true).build() else {
        return false;
    };
    http.get(&plain, HeaderMap::new(), MAX_BODY).await.is_ok()
}

async fn speaks_tls(http: &IdpClient, url: &Url) -> bool {
    let mut secure = url.clone();
    let port = url.port_or_known_default();
    if secure.set_scheme("https").is_err() || secure.set_port(port).is_err() {
        return false;
    }
    match http.get(&secure, HeaderMap::new(), MAX_BODY).await {
        Ok(_) => true,
        Err(error) => matches!(
            error.kind(),
            FetchErrorKind::Certificate(_) | FetchErrorKind::TlsAlert | FetchErrorKind::Tls
        ),
    }
}
