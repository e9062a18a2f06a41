//! How the client authenticates with a key, a certificate or an assertion.

use std::path::PathBuf;

use idp_http::IdpClient;
use secrecy::{ExposeSecret as _, SecretString};
use service_kit::config::Reader;
use token_cache::{
    AssertionAlgorithm, AssertionKey, AssertionType, CertificateHeader, ClientAuth, ClientBuilder,
    SecretSource,
};

/// What `CLIENT_AUTH_METHOD` can name.
pub const AUTH_METHODS: [(&str, ClientAuth); 6] = [
    ("client_secret_basic", ClientAuth::SecretBasic),
    ("client_secret_basic_raw", ClientAuth::SecretBasicRaw),
    ("client_secret_post", ClientAuth::SecretPost),
    ("private_key_jwt", ClientAuth::PrivateKeyJwt),
    ("client_assertion", ClientAuth::ClientAssertion),
    ("tls_client_auth", ClientAuth::TlsClientCertificate),
];

const KEY_FILE: &str = "CLIENT_KEY_FILE";
const CERTIFICATE_FILE: &str = "CLIENT_CERTIFICATE_FILE";
const ASSERTION_FILE: &str = "CLIENT_ASSERTION_FILE";

const ALGORITHMS: [AssertionAlgorithm; 5] = [
    AssertionAlgorithm::Rs256,
    AssertionAlgorithm::Ps256,
    AssertionAlgorithm::Es256,
    AssertionAlgorithm::Es384,
    AssertionAlgorithm::EdDsa,
];

/// What the methods without a shared secret need. All files are read again for every token request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientKeys {
    /// `CLIENT_KEY_FILE`: the private key of `private_key_jwt`.
    pub key_file: Option<PathBuf>,
    /// `CLIENT_KEY_ALGORITHM`; without it the key's kind decides.
    pub algorithm: Option<AssertionAlgorithm>,
    /// `CLIENT_KEY_ID`.
    pub key_id: Option<String>,
    /// `CLIENT_CERTIFICATE_FILE`: the certificate, with its key for `tls_client_auth`.
    pub certificate_file: Option<PathBuf>,
    /// `ASSERTION_AUDIENCE`; without it the issuer.
    pub audience: Option<String>,
    /// `ASSERTION_HEADERS`.
    pub headers: Vec<CertificateHeader>,
    /// `ASSERTION_TYP`.
    pub typ: Option<String>,
    /// `CLIENT_ASSERTION_FILE`: the assertion of `client_assertion`.
    pub assertion_file: Option<PathBuf>,
    /// `CLIENT_ASSERTION_TYPE`.
    pub assertion_type: AssertionType,
    /// `CLIENT_ID_IN_FORM`.
    pub client_id_in_form: bool,
}

impl ClientKeys {
    /// Reads the variables, and says which of them the method lacks.
    pub fn read(reader: &mut Reader<'_>, auth: ClientAuth) -> Self {
        let names = ALGORITHMS.map(|one| (one.name(), Some(one)));
        let algorithm = reader.one_of("CLIENT_KEY_ALGORITHM", &names, None);
        let key = reader.text_file(KEY_FILE);
        let certificate = reader.text_file(CERTIFICATE_FILE);
        let headers = headers(reader);
        if !headers.is_empty() && certificate.is_none() && !reader.has_problem(CERTIFICATE_FILE) {
            let need = format!("needs {CERTIFICATE_FILE}, which these members name");
            reader.problem("ASSERTION_HEADERS", need);
        }
        let chain = certificate.as_ref().filter(|_| !headers.is_empty());
        check_key(reader, text(&key), algorithm, chain.map(|(_, text)| text));
        if let Some(pem) = text(&certificate).filter(|_| auth == ClientAuth::TlsClientCertificate) {
            check_identity(reader, pem);
        }
        let assertion_file = reader.text_file(ASSERTION_FILE).map(|(path, _)| path);
        let needed = match auth {
            ClientAuth::PrivateKeyJwt => Some((KEY_FILE, key.is_some())),
            ClientAuth::TlsClientCertificate => Some((CERTIFICATE_FILE, certificate.is_some())),
            ClientAuth::ClientAssertion => Some((ASSERTION_FILE, assertion_file.is_some())),
            _ => None,
        };
        if let Some((name, false)) = needed
            && !reader.has_problem(name)
        {
            let method = AUTH_METHODS.iter().find(|(_, one)| *one == auth);
            let method = method.map_or("", |(name, _)| name);
            reader.problem(
                name,
                format!("is required with CLIENT_AUTH_METHOD={method}"),
            );
        }
        Self {
            key_file: key.map(|(path, _)| path),
            algorithm,
            key_id: reader.optional("CLIENT_KEY_ID"),
            certificate_file: certificate.map(|(path, _)| path),
            audience: reader.optional("ASSERTION_AUDIENCE"),
            headers,
            typ: reader.optional("ASSERTION_TYP"),
            assertion_file,
            assertion_type: reader.one_of(
                "CLIENT_ASSERTION_TYPE",
                &[
                    ("jwt-bearer", AssertionType::JwtBearer),
                    ("jwt-spiffe", AssertionType::JwtSpiffe),
                ],
                AssertionType::default(),
            ),
            client_id_in_form: reader.bool("CLIENT_ID_IN_FORM", true),
        }
    }

    /// Returns the source of the method's credential; `secret` is that of the methods with a shared one. `None`
    /// where it is not configured.
    #[must_use]
    pub fn credential(
        &self,
        auth: ClientAuth,
        secret: Option<SecretSource>,
    ) -> Option<SecretSource> {
        let file = match auth {
            ClientAuth::PrivateKeyJwt => &self.key_file,
            ClientAuth::ClientAssertion => &self.assertion_file,
            ClientAuth::TlsClientCertificate => &self.certificate_file,
            _ => return secret,
        };
        file.clone().map(SecretSource::File)
    }

    /// Sets what the variables say, but for the audience.
    #[must_use]
    pub fn apply(&self, client: ClientBuilder) -> ClientBuilder {
        let mut client = client
            .client_assertion_type(self.assertion_type)
            .client_id_in_form(self.client_id_in_form);
        if let Some(algorithm) = self.algorithm {
            client = client.assertion_algorithm(algorithm);
        }
        if let Some(key_id) = &self.key_id {
            client = client.assertion_key_id(key_id);
        }
        if let Some(typ) = &self.typ {
            client = client.assertion_typ(typ);
        }
        match &self.certificate_file {
            Some(path) if !self.headers.is_empty() => {
                let certificate = SecretSource::File(path.clone());
                client.assertion_certificate(certificate, self.headers.iter().copied())
            }
            _ => client,
        }
    }
}

fn text(file: &Option<(PathBuf, SecretString)>) -> Option<&str> {
    file.as_ref().map(|(_, text)| text.expose_secret())
}

fn headers(reader: &mut Reader<'_>) -> Vec<CertificateHeader> {
    let one = |name: &str| match name {
        "x5t" => Some(CertificateHeader::X5t),
        "x5t#S256" => Some(CertificateHeader::X5tS256),
        "x5c" => Some(CertificateHeader::X5c),
        _ => None,
    };
    let read = |value: &str| value.split_whitespace().map(one).collect();
    let expected = "x5t, x5t#S256 or x5c, or several of them separated by spaces";
    reader
        .parse("ASSERTION_HEADERS", expected, read)
        .unwrap_or_default()
}

fn check_key(
    reader: &mut Reader<'_>,
    key: Option<&str>,
    algorithm: Option<AssertionAlgorithm>,
    certificate: Option<&SecretString>,
) {
    let key = match key.map(|pem| AssertionKey::from_pem(pem, algorithm)) {
        Some(Ok(key)) => key,
        Some(Err(problem)) => {
            reader.problem(KEY_FILE, format!("names a file that {problem}"));
            return;
        }
        None => return,
    };
    if let Some(Err(problem)) = certificate.map(|pem| key.check_certificate(pem.expose_secret())) {
        reader.problem(CERTIFICATE_FILE, format!("names a file that {problem}"));
    }
}

/// A certificate that is presented needs its key beside it.
fn check_identity(reader: &mut Reader<'_>, pem: &str) {
    let settings = IdpClient::builder().client_certificate_pem(pem.as_bytes());
    if settings.is_err() {
        let problem = "names a file that holds no certificate with its private key, as PEM";
        reader.problem(CERTIFICATE_FILE, problem);
        return;
    }
    // Keys of other forms than PKCS#8 are compared when they are used.
    if let Ok(key) = AssertionKey::from_pem(pem, None)
        && let Err(problem) = key.check_certificate(pem)
    {
        reader.problem(CERTIFICATE_FILE, format!("names a file that {problem}"));
    }
}

#[cfg(test)]
mod tests;
