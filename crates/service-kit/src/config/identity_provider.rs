//! The settings about the identity provider that all services share.

use std::path::Path;

use ::url::Url;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::Reader;
use super::environment::cannot_read;
use super::url::{ENDPOINT_FORM, endpoint};

/// Where tokens come from and which keys they are checked with.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// The issuer, byte for byte as it was given: it is compared with `iss` and with the discovery
    /// document as text (RFC 8414 section 3.3).
    pub issuer: String,
    /// The token endpoint; `None` leaves it to discovery.
    pub token_endpoint: Option<Url>,
    /// The address of the key set; `None` leaves it to discovery.
    pub jwks_uri: Option<Url>,
    /// PEM certificates that are trusted beside the system's when the provider is called; at least one,
    /// and each usable as a root.
    pub ca_pem: Option<Vec<u8>>,
    /// `http` is taken for hosts that are not loopback.
    pub allow_insecure_http: bool,
}

const DOMAIN_FORM: &str = "a host or host:port and nothing else, such as login.example.com";

impl IdentityProvider {
    /// The variables that [`IdentityProvider::read`] reads.
    pub const VARIABLES: [&'static str; 6] = [
        "ISSUER",
        "APPLICATION_VANITY_DOMAIN",
        "TOKEN_ENDPOINT",
        "JWKS_URI",
        "IDP_CA_FILE",
        "ALLOW_INSECURE_HTTP",
    ];

    /// Reads [`IdentityProvider::VARIABLES`].
    ///
    /// `APPLICATION_VANITY_DOMAIN=D` stands for the issuer `https://D`, the token endpoint
    /// `https://D/api/v1/oauth2/token` and the keys `https://D/api/v1/oauth2/jwks`. `ISSUER`,
    /// `TOKEN_ENDPOINT` and `JWKS_URI` each override their part. An `ISSUER` on another host than D is
    /// a problem: the client's secret would go to one provider and trust to another.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let allow_insecure_http = reader.bool("ALLOW_INSECURE_HTTP", false);
        if allow_insecure_http {
            reader.warning(
                "ALLOW_INSECURE_HTTP",
                "is on: over http whoever is on the way can read and replace secrets, tokens and keys",
            );
        }
        let domain = reader.parse("APPLICATION_VANITY_DOMAIN", DOMAIN_FORM, origin);
        let issuer = reader.parse("ISSUER", ENDPOINT_FORM, |value| {
            endpoint(value, allow_insecure_http).map(|url| (value.to_owned(), url))
        });
        match (&issuer, &domain) {
            (Some((_, issuer)), Some((_, domain))) if issuer.origin() != domain.origin() => {
                let text = "is on another host than APPLICATION_VANITY_DOMAIN; set one";
                reader.problem("ISSUER", text);
            }
            (None, None)
                if !["ISSUER", "APPLICATION_VANITY_DOMAIN"]
                    .into_iter()
                    .any(|name| reader.has_problem(name)) =>
            {
                reader.problem("ISSUER", "is required, or APPLICATION_VANITY_DOMAIN");
            }
            _ => {}
        }
        let issuer = issuer
            .as_ref()
            .or(domain.as_ref())
            .map(|(text, _)| text.clone());
        let below_domain = |path| domain.as_ref().and_then(|(_, url)| url.join(path).ok());
        let token_endpoint = reader
            .endpoint("TOKEN_ENDPOINT", allow_insecure_http)
            .or_else(|| below_domain("/api/v1/oauth2/token"));
        let jwks_uri = reader
            .endpoint("JWKS_URI", allow_insecure_http)
            .or_else(|| below_domain("/api/v1/oauth2/jwks"));
        Self {
            issuer: issuer.unwrap_or_default(),
            token_endpoint,
            jwks_uri,
            ca_pem: read_ca(reader),
            allow_insecure_http,
        }
    }
}

/// The issuer text and URL of a vanity domain.
fn origin(domain: &str) -> Option<(String, Url)> {
    let is_plain = domain
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    let text = format!("https://{domain}");
    let url = endpoint(&text, false)?;
    (is_plain && url.path() == "/" && !domain.ends_with(':')).then_some((text, url))
}

fn read_ca(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    const NAME: &str = "IDP_CA_FILE";
    let path = reader.optional(NAME)?;
    let pem = match std::fs::read(Path::new(&path)) {
        Ok(pem) => pem,
        Err(error) => {
            reader.problem(NAME, cannot_read(&error));
            return None;
        }
    };
    if holds_roots(&pem) {
        Some(pem)
    } else {
        reader.problem(NAME, "names a file without a usable PEM certificate");
        None
    }
}

/// Every certificate counts, as in the HTTP client: one that it refuses would stop the start later.
fn holds_roots(pem: &[u8]) -> bool {
    let mut roots = RootCertStore::empty();
    let all_are_good = CertificateDer::pem_slice_iter(pem)
        .all(|certificate| certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()));
    all_are_good && !roots.is_empty()
}
