//! Host names, and whether anybody answers behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::HeaderMap;
use idp_http::{
    Discovery, FetchError, FetchErrorKind, IdpClient, Reply, UrlProblem, is_loopback, json,
};
use serde_json::Value;
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
    kind: Kind,
}

/// What is asked for there.
#[derive(Clone, Copy)]
enum Kind {
    Issuer,
    Metadata,
    Tokens,
    Keys,
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
        let fixed = |variable: Option<&'static str>, url: &Option<Url>, kind| {
            let named = variable.zip(url.clone());
            named.map(|(variable, url)| Target {
                variable,
                url,
                kind,
            })
        };
        let token_endpoint = fixed(
            self.origins.token_endpoint,
            &provider.token_endpoint,
            Kind::Tokens,
        );
        let jwks_uri = fixed(self.origins.jwks_uri, &provider.jwks_uri, Kind::Keys);
        let issuer = Url::parse(&provider.issuer).ok().map(|url| Target {
            variable: self.origins.issuer,
            url,
            kind: Kind::Issuer,
        });
        let metadata = provider.metadata_url.clone().map(|url| Target {
            variable: "METADATA_URL",
            url,
            kind: Kind::Metadata,
        });
        // An issuer whose metadata are elsewhere, or whose endpoints are both named, need not be a place.
        let issuer = metadata.or(issuer);
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
            // A web server says 400 or the like, in the clear, to a client that uses its TLS port without TLS.
            Ok(reply) if !reply.status.is_success() && speaks_tls(&self.http, &url).await => {
                Finding::failed(
                    CHECK,
                    format!("{origin} is asked without TLS, and speaks TLS"),
                    format!("write https:// in {variable}"),
                )
            }
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
                let change = self.advice(&error, target, &url).await;
                Finding::failed(CHECK, format!("{origin}: {error}"), change)
            }
        }
    }

    async fn advice(&self, error: &FetchError, target: &Target, url: &Url) -> String {
        let variable = target.variable;
        match error.kind() {
            // Only of what is no TLS: a certificate proves TLS, and the secret is not to go out in the clear.
            FetchErrorKind::NotTls if speaks_plain_http(target).await => {
                if is_loopback(url) {
                    format!("the provider speaks plain http there: write http:// in {variable}")
                } else {
                    format!(
                        "the provider speaks plain http there: give it TLS, or another port in {variable}; \
                         ALLOW_INSECURE_HTTP=true and http:// would send the secret in the clear"
                    )
                }
            }
            FetchErrorKind::Truncated | FetchErrorKind::NotHttp
                if url.scheme() == "http" && speaks_tls(&self.http, url).await =>
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
            kind => match advice_on_fetch(kind) {
                Some(advice) => advice.to_owned(),
                None => format!("something else than a provider answers; check {variable}"),
            },
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

/// Tells whether the provider itself answers without TLS. No secret is in the request.
async fn speaks_plain_http(target: &Target) -> bool {
    let Some(plain) = with_scheme(&target.url, "http") else {
        return false;
    };
    let Ok(http) = IdpClient::builder().dangerous_allow_http(true).build() else {
        return false;
    };
    match target.kind {
        // Found is enough: where the metadata stands in the clear, it names its issuer as it would be with TLS.
        Kind::Issuer => match Discovery::new(http, plain.as_str()) {
            Ok(discovery) => match discovery.metadata().await {
                Ok(_) => true,
                Err(error) => error.is_issuer_mismatch(),
            },
            Err(_) => false,
        },
        Kind::Metadata => match http.get(&plain, HeaderMap::new(), MAX_BODY).await {
            Ok(reply) => member(&reply, "issuer").is_some_and(|issuer| issuer.is_string()),
            Err(_) => false,
        },
        Kind::Keys => match http.get(&plain, HeaderMap::new(), MAX_BODY).await {
            Ok(reply) => member(&reply, "keys").is_some_and(|keys| keys.is_array()),
            Err(_) => false,
        },
        Kind::Tokens => {
            let form = b"grant_type=client_credentials".to_vec();
            match http
                .post_form(&plain, HeaderMap::new(), form, MAX_BODY)
                .await
            {
                // RFC 6749 section 5.2, to a client that does not say who it is.
                Ok(reply) => member(&reply, "error").is_some_and(|error| error.is_string()),
                Err(_) => false,
            }
        }
    }
}

fn member(reply: &Reply, name: &str) -> Option<Value> {
    match json::from_slice(&reply.body) {
        Ok(Value::Object(mut members)) => members.remove(name),
        _ => None,
    }
}

/// Tells whether a handshake gets as far as TLS, with whatever certificate.
async fn speaks_tls(http: &IdpClient, url: &Url) -> bool {
    let Some(secure) = with_scheme(url, "https") else {
        return false;
    };
    match http.get(&secure, HeaderMap::new(), MAX_BODY).await {
        Ok(_) => true,
        Err(error) => matches!(
            error.kind(),
            FetchErrorKind::Certificate(_) | FetchErrorKind::TlsAlert | FetchErrorKind::Tls
        ),
    }
}

fn with_scheme(url: &Url, scheme: &str) -> Option<Url> {
    let mut other = url.clone();
    // The port has to be named: that of the first scheme is no longer implied.
    let port = url.port_or_known_default();
    other.set_scheme(scheme).ok()?;
    other.set_port(port).ok()?;
    Some(other)
}
