//! Advice for exchanges with an identity provider that fail.

use idp_http::{CertificateProblem, FetchErrorKind, ProxyProblem};

/// Returns the change that ends this failure, by the names of the variables of
/// [`IdentityProvider`](super::IdentityProvider), where it follows from the failure alone; `None` where
/// it depends on the request, as with a server that does not answer.
#[must_use]
pub fn advice_on_fetch(kind: FetchErrorKind) -> Option<&'static str> {
    Some(match kind {
        FetchErrorKind::Certificate(CertificateProblem::UnknownAuthority) => {
            "set IDP_CA_FILE to the authority that signed the provider's certificate, and let the provider \
             send the certificates between"
        }
        FetchErrorKind::Certificate(CertificateProblem::Expired) => {
            "renew the provider's certificate; if it is new, set the clock of this machine"
        }
        FetchErrorKind::Certificate(CertificateProblem::NotYetValid) => {
            "set the clock of this machine; if it is right, the provider's certificate begins too late"
        }
        FetchErrorKind::Certificate(CertificateProblem::WrongName) => {
            "write the host that the certificate names in ISSUER or the address that overrides it, or \
             give the provider a certificate for this one"
        }
        FetchErrorKind::Certificate(CertificateProblem::IsAuthority) => {
            "give the provider's server a certificate of its own that this authority signed"
        }
        FetchErrorKind::Certificate(_) => "give the provider's server another certificate",
        FetchErrorKind::TlsAlert => {
            "check the host in ISSUER or the address that overrides it: its server does not take this \
             name, or wants a client certificate"
        }
        FetchErrorKind::NotTls => {
            "check the port in ISSUER or the address that overrides it: https leads to something that \
             speaks no TLS"
        }
        FetchErrorKind::Tls => {
            "let the provider's server speak TLS 1.2 or 1.3 with a cipher suite of today"
        }
        FetchErrorKind::NotHttp => {
            "check scheme and port in ISSUER or the address that overrides it: what answers there does \
             not speak HTTP/1"
        }
        FetchErrorKind::Proxy(ProxyProblem::Unreachable) => {
            "is the proxy running? check host and port of IDP_PROXY"
        }
        FetchErrorKind::Proxy(ProxyProblem::Credentials) => {
            "set IDP_PROXY_CREDENTIALS_FILE to what the proxy takes: it is the proxy that asks for it, and \
             not the provider"
        }
        FetchErrorKind::Proxy(ProxyProblem::Refused) => {
            "let the proxy of IDP_PROXY connect to the provider's host and port"
        }
        _ => return None,
    })
}

/// Returns advice for metadata of another issuer, with both values as the lines to set: one of the two was meant.
/// `published` is shown as it is, so it has to be
/// [`printable`](idp_http::printable).
#[must_use]
pub fn advice_on_issuer(configured: &str, published: &str) -> String {
    format!(
        "configured is ISSUER={configured}, the metadata say ISSUER={published}: set that, if they are the \
         metadata that you mean"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N20
    #[test]
    fn only_an_unknown_authority_leads_to_the_file_of_authorities() {
        let unknown = FetchErrorKind::Certificate(CertificateProblem::UnknownAuthority);
        assert!(advice_on_fetch(unknown).unwrap().contains("IDP_CA_FILE"));
        let mut seen = Vec::new();
        for kind in [
            FetchErrorKind::Certificate(CertificateProblem::Expired),
            FetchErrorKind::Certificate(CertificateProblem::NotYetValid),
            FetchErrorKind::Certificate(CertificateProblem::WrongName),
            FetchErrorKind::Certificate(CertificateProblem::IsAuthority),
            FetchErrorKind::Certificate(CertificateProblem::Other),
            FetchErrorKind::TlsAlert,
            FetchErrorKind::NotTls,
            FetchErrorKind::Tls,
            FetchErrorKind::NotHttp,
            FetchErrorKind::Proxy(ProxyProblem::Credentials),
            FetchErrorKind::Proxy(ProxyProblem::Refused),
        ] {
            let advice = advice_on_fetch(kind).unwrap();
            assert!(!advice.contains("IDP_CA_FILE"), "{kind:?}: {advice}");
            assert!(!advice.contains("running"), "{kind:?}: {advice}");
            assert!(!seen.contains(&advice), "{kind:?}: {advice}");
            seen.push(advice);
        }
    }
}
