//! How the client proves who it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use url::form_urlencoded;
use zeroize::Zeroizing;

/// The client authentication method (RFC 6749 section 2.3.1). One method per request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// `client_secret_basic`: id and secret form-urlencoded, then Basic, as RFC 6749 section 2.3.1
    /// says.
    #[default]
    SecretBasic,
    /// `client_secret_basic` without the encoding, for servers that do not decode it. The same on the
    /// wire as [`SecretBasic`](Self::SecretBasic) when id and secret hold only letters, digits,
    /// `-`, `.` and `_`.
    SecretBasicRaw,
    /// `client_secret_post`: id and secret in the form.
    SecretPost,
    /// `private_key_jwt` (RFC 7523 section 2.2): an assertion signed for every request, for the issuer
    /// alone, that lives for 60 s. The secret source holds the private key as PKCS#8 PEM, or is a signer.
    PrivateKeyJwt,
    /// An assertion that another system makes (RFC 7523 section 2.2), as Kubernetes projects one into a
    /// file. The secret source holds the assertion.
    ClientAssertion,
    /// `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705 section 2). The secret source holds
    /// the certificate, its chain and its private key as PEM.
    TlsClientCertificate,
}

/// What kind of assertion [`ClientAuth::ClientAssertion`] sends: `client_assertion_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssertionType {
    /// `jwt-bearer` (RFC 7523 section 2.2).
    #[default]
    JwtBearer,
    /// `jwt-spiffe`: a JWT-SVID (draft-ietf-oauth-spiffe-client-auth).
    JwtSpiffe,
}

impl AssertionType {
    fn urn(self) -> &'static str {
        match self {
            Self::JwtBearer => "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            Self::JwtSpiffe => "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
        }
    }
}

/// How an assertion is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AssertionForm {
    pub(crate) kind: AssertionType,
    /// Whether `client_id` goes with it, which RFC 7521 section 4.2 leaves open.
    pub(crate) has_client_id: bool,
}

impl ClientAuth {
    /// Tells whether the client proves itself with a secret that the provider knows too.
    #[must_use]
    pub fn has_shared_secret(self) -> bool {
        matches!(
            self,
            Self::SecretBasic | Self::SecretBasicRaw | Self::SecretPost
        )
    }

    /// Adds the credentials to a request. `credential` is the secret, or the assertion; a certificate
    /// travels in the TLS handshake and not here.
    pub(crate) fn apply(
        self,
        id: &str,
        credential: &str,
        assertion: AssertionForm,
        headers: &mut HeaderMap,
        form: &mut form_urlencoded::Serializer<'_, String>,
    ) {
        match self {
            Self::SecretBasic => {
                let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(credential)));
                basic(&pair, headers);
            }
            Self::SecretBasicRaw => {
                let pair = Zeroizing::new(format!("{id}:{credential}"));
                basic(&pair, headers);
            }
            Self::SecretPost => {
                form.append_pair("client_id", id)
                    .append_pair("client_secret", credential);
            }
            Self::TlsClientCertificate => {
                form.append_pair("client_id", id);
            }
            Self::ClientAssertion | Self::PrivateKeyJwt => {
                if assertion.has_client_id {
                    form.append_pair("client_id", id);
                }
                form.append_pair("client_assertion_type", assertion.kind.urn())
                    .append_pair("client_assertion", credential);
            }
        }
    }
}

fn basic(pair: &str, headers: &mut HeaderMap) {
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair)));
    if let Ok(mut value) = HeaderValue::from_str(&value) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
}

/// `application/x-www-form-urlencoded`, with `%20` for a space: a server that decodes by percent
/// rules alone reads it the same way.
fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .map(|piece| if piece == "+" { "%20" } else { piece })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: AssertionForm = AssertionForm {
        kind: AssertionType::JwtBearer,
        has_client_id: true,
    };

    fn applied(auth: ClientAuth, id: &str, secret: &str) -> (Option<String>, String) {
        let mut headers = HeaderMap::new();
        let mut form = form_urlencoded::Serializer::new(String::new());
        auth.apply(id, secret, FORM, &mut headers, &mut form);
        let basic = headers.get(header::AUTHORIZATION).map(|value| {
            assert!(value.is_sensitive());
            let encoded = value
                .to_str()
                .unwrap()
                .strip_prefix("Basic ")
                .unwrap()
                .to_owned();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
        (basic, form.finish())
    }

    /// The example of RFC 6749 section 2.3.1.
    #[test]
    fn basic_is_what_the_rfc_shows() {
        let mut headers = HeaderMap::new();
        let mut form = form_urlencoded::Serializer::new(String::new());
        ClientAuth::SecretBasic.apply(
            "s6BhdRkqt3",
            "7Fjfp0ZBr1KtDRbnfVdmIw",
            FORM,
            &mut headers,
            &mut form,
        );
        assert_eq!(
            headers[header::AUTHORIZATION],
            "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
        );
    }

    /// A32
    #[test]
    fn odd_characters_are_form_urlencoded_before_basic() {
        let (basic, form) = applied(
            ClientAuth::SecretBasic,
            "svc:odd id+%",
            "sp ace+plus/slash:colon%25=amp&~\"q\"ü",
        );
        assert_eq!(
            basic.unwrap(),
            "svc%3Aodd%20id%2B%25:sp%20ace%2Bplus%2Fslash%3Acolon%2525%3Damp%26%7E%22q%22%C3%BC"
        );
        assert_eq!(form, "");
        let (raw, _) = applied(ClientAuth::SecretBasicRaw, "i d", "a+b");
        assert_eq!(raw.unwrap(), "i d:a+b");
    }

    /// A33
    #[test]
    fn post_uses_the_form_and_no_header() {
        let (basic, form) = applied(ClientAuth::SecretPost, "i d", "a&b");
        assert_eq!(basic, None);
        assert_eq!(form, "client_id=i+d&client_secret=a%26b");
    }
}
