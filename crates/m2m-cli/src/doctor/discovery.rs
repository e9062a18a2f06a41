//! The issuer's metadata, and whether it is the issuer that is configured.

use idp_http::{Discovery, DiscoveryError, Metadata, Reader};
use url::Url;

use super::{Examination, Findings, Reach};
use crate::report::Finding;

const CHECK: &str = "discovery";

/// Where the provider is asked, and how.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    pub(super) token: Option<Url>,
    pub(super) keys: Option<Url>,
    /// How clients may authenticate, where the metadata has a list. Without one RFC 8414 section 2 means
    /// `client_secret_basic`, and providers that leave it out mean anything.
    pub(super) methods: Option<Vec<String>>,
}

impl Examination {
    pub(super) async fn discovery(&self, reach: &Reach, findings: &mut Findings<'_>) -> Endpoints {
        let provider = &self.public.provider;
        let mut endpoints = Endpoints {
            token: provider.token_endpoint.clone(),
            keys: provider.jwks_uri.clone(),
            methods: None,
        };
        let is_needed = endpoints.token.is_none() || endpoints.keys.is_none();
        let issuer = &provider.issuer;
        let place = match &provider.metadata_url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(issuer),
        };
        if place.is_ok_and(|url| reach.is_down(&url)) {
            findings.add(Finding::not_checked(CHECK, "the issuer cannot be reached"));
            return endpoints;
        }
        let found = match provider.discovery(self.http.clone()) {
            Ok(discovery) => {
                let discovery = match (&endpoints.token, &endpoints.keys) {
                    (None, Some(_)) => discovery.for_reader(Reader::Client),
                    (Some(_), None) => discovery.for_reader(Reader::Validator),
                    _ => discovery,
                };
                discovery.metadata().await
            }
            Err((name, problem)) => {
                let name = match name {
                    "ISSUER" => self.origins.issuer,
                    name => name,
                };
                let change = format!("correct {name}");
                findings.add(Finding::failed(
                    CHECK,
                    format!("the issuer {problem}"),
                    change,
                ));
                return endpoints;
            }
        };
        match found {
            Ok(metadata) => {
                findings.add(self.published(&metadata, &endpoints));
                endpoints.token = endpoints.token.or(metadata.token_endpoint.clone());
                endpoints.keys = endpoints.keys.or(metadata.jwks_uri.clone());
                endpoints.methods = metadata.token_endpoint_auth_methods.clone();
            }
            Err(error) if is_needed || error.is_issuer_mismatch() => {
                let change = self.advice_on_metadata(&error).await;
                findings.add(Finding::failed(CHECK, error.to_string(), change));
            }
            Err(error) => findings.add(Finding::passed(
                CHECK,
                format!("not needed, both endpoints are configured ({error})"),
            )),
        }
        endpoints
    }

    /// The metadata is the issuer's; says what it lacks.
    fn published(&self, metadata: &Metadata, configured: &Endpoints) -> Finding {
        let issuer = &metadata.issuer;
        let mut missing = Vec::new();
        if configured.token.is_none() && metadata.token_endpoint.is_none() {
            missing.push(("token_endpoint", "TOKEN_ENDPOINT"));
        }
        if configured.keys.is_none() && metadata.jwks_uri.is_none() {
            missing.push(("jwks_uri", "JWKS_URI"));
        }
        if missing.is_empty() {
            let found = format!(
                "the metadata names the issuer as {} does",
                self.origins.issuer
            );
            return Finding::passed(CHECK, found);
        }
        let (members, variables): (Vec<&str>, Vec<&str>) = missing.into_iter().unzip();
        Finding::failed(
            CHECK,
            format!(
                "the metadata of {issuer} has no {}",
                members.join(" and no ")
            ),
            format!("set {}", variables.join(" and ")),
        )
    }

    /// Tells whether this is an issuer that publishes metadata under its own name. Sends nothing secret.
    pub(super) async fn publishes(&self, issuer: &str) -> bool {
        match Discovery::new(self.http.clone(), issuer) {
            Ok(discovery) => discovery.metadata().await.is_ok(),
            Err(_) => false,
        }
    }

    async fn advice_on_metadata(&self, error: &DiscoveryError) -> String {
        let variable = self.origins.issuer;
        let configured = &self.public.provider.issuer;
        if let Some(published) = error.published_issuer() {
            let near = near_miss(configured, published);
            let differ = near.map(|near| format!("they differ in {near}: "));
            if self.public.provider.metadata_url.is_some() {
                return format!("set ISSUER={published}, which is whose metadata METADATA_URL has");
            }
            // Nothing is proposed that was not tried.
            if self.publishes(published).await {
                return match differ {
                    Some(differ) => format!("{differ}set ISSUER={published}"),
                    None => format!(
                        "set ISSUER={published} if that is the provider you mean, else correct the host in \
                         {variable}"
                    ),
                };
            }
            return format!(
                "{}\"{published}\" was asked too and publishes nothing under that name: correct {variable}, or \
                 let the provider name itself as it is reached",
                differ.unwrap_or_default()
            );
        }
        if error.status() == Some(403) {
            return "a firewall or proxy in front of the provider refuses this machine: let it pass there, or \
                    set TOKEN_ENDPOINT and JWKS_URI"
                .to_owned();
        }
        if error.fetch_error().is_some() || error.is_overloaded() {
            return format!("is this the provider, and is it well? check {variable}");
        }
        if configured.starts_with("http:") {
            return format!(
                "check scheme and path of {variable}: many providers answer https only; or set \
                 TOKEN_ENDPOINT and JWKS_URI"
            );
        }
        format!("check the path of {variable}, or set TOKEN_ENDPOINT and JWKS_URI")
    }
}

/// Says in what little two issuers differ.
fn near_miss(configured: &str, published: &str) -> Option<&'static str> {
    let without_slash = |text: &str| text.trim_end_matches('/').to_owned();
    if without_slash(configured) == without_slash(published) {
        return Some("the slash at the end");
    }
    let (ours, theirs) = (Url::parse(configured).ok()?, Url::parse(published).ok()?);
    // Parsing makes the host lower-case and drops the scheme's own port.
    if without_slash(ours.as_str()) == without_slash(theirs.as_str()) {
        return Some(if configured.eq_ignore_ascii_case(published) {
            "the letter case of the host"
        } else {
            "the spelling of host or port"
        });
    }
    let same_place = ours.host_str() == theirs.host_str()
        && without_slash(ours.path()) == without_slash(theirs.path());
    if same_place && ours.scheme() != theirs.scheme() {
        return Some("http and https");
    }
    if same_place {
        return Some("the port");
    }
    if ours.origin() == theirs.origin() {
        return Some("the path");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::near_miss;

    #[test]
    fn near_misses_are_named() {
        let published = "https://idp.example/realms/main";
        for (configured, expected) in [
            (
                "https://idp.example/realms/main/",
                Some("the slash at the end"),
            ),
            ("http://idp.example/realms/main", Some("http and https")),
            ("http://idp.example/realms/main/", Some("http and https")),
            (
                "https://IDP.example/realms/main",
                Some("the letter case of the host"),
            ),
            (
                "https://idp.example:443/realms/main",
                Some("the spelling of host or port"),
            ),
            ("https://idp.example:8443/realms/main", Some("the port")),
            ("https://idp.example/realms/Main", Some("the path")),
            ("https://idp.example", Some("the path")),
            ("https://other.example/realms/main", None),
            ("", None),
        ] {
            assert_eq!(near_miss(configured, published), expected, "{configured}");
        }
    }
}
