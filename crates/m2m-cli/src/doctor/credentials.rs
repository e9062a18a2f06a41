//! A token, and how the client has to authenticate for it.

use std::time::SystemTime;

use idp_http::{Reply, json};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service_kit::with_sources;
use token_cache::{ClientAuth, Exchange, IssuedToken, TokenError, TokenErrorKind, TokenRequest};
use url::Url;

use super::discovery::Endpoints;
use super::refusal::{About, about};
use super::{Examination, Findings, Reach};
use crate::jwt::UnverifiedToken;
use crate::report::Finding;

const CHECK: &str = "token endpoint";

/// A fresh token and what came with it.
pub(super) struct Obtained {
    pub(super) issued: IssuedToken,
    pub(super) unverified: UnverifiedToken,
    /// `scope` of the reply.
    pub(super) granted: Option<String>,
    /// Why it is not the token that was asked for: less scope was granted, or none could be asked for.
    pub(super) scope_error: Option<TokenError>,
    /// The reply's `Date`.
    pub(super) date: Option<SystemTime>,
    /// When the reply came, by our clock.
    pub(super) received: SystemTime,
}

/// What became of a token request.
enum Outcome {
    Token(Box<Obtained>),
    /// The provider does not take these credentials in this way.
    Unauthenticated(TokenError),
    /// The credentials are right, the scope is not.
    Scope(TokenError),
    Failed(TokenError, About),
}

type Method = (&'static str, ClientAuth);

/// Some servers refuse the `typ` of assertions that newer ones ask for.
const TYP_JWT: &str = "private_key_jwt of ASSERTION_TYP=JWT";

/// The names that metadata have for a method (OpenID Connect Core section 9, RFC 8705 section 2).
fn names(auth: ClientAuth) -> &'static [&'static str] {
    match auth {
        ClientAuth::SecretPost => &["client_secret_post"],
        // Two ways of one name, which differ only for certain characters.
        ClientAuth::SecretBasic | ClientAuth::SecretBasicRaw => &["client_secret_basic"],
        ClientAuth::PrivateKeyJwt => &["private_key_jwt"],
        ClientAuth::ClientAssertion => &["private_key_jwt", "spiffe_jwt"],
        ClientAuth::TlsClientCertificate => &["tls_client_auth", "self_signed_tls_client_auth"],
        _ => &[],
    }
}

impl Examination {
    pub(super) async fn credentials(
        &self,
        reach: &Reach,
        endpoints: &Endpoints,
        findings: &mut Findings<'_>,
    ) -> Option<Obtained> {
        let unknown = "no token endpoint is known, see discovery";
        let url = match reach.endpoint(endpoints.token.as_ref(), unknown) {
            Ok(url) => url,
            Err(why) => {
                findings.add(Finding::not_checked(CHECK, why));
                return None;
            }
        };
        let methods = self.methods(endpoints.methods.as_deref());
        let mut refusal = None;
        let mut tried = Vec::new();
        for (name, auth) in methods {
            tried.push(name);
            let method = (name, auth);
            let outcome = match self.ask(url, method, &self.public.request).await {
                Ok(Outcome::Scope(error)) => self.ask_without_scope(url, method, error).await,
                other => other,
            };
            match outcome {
                Ok(Outcome::Token(obtained)) => {
                    findings.add(self.authenticated(url, &tried, endpoints));
                    return Some(*obtained);
                }
                Ok(Outcome::Unauthenticated(error)) => {
                    // The configured method's refusal says most.
                    refusal.get_or_insert(error);
                }
                Ok(Outcome::Scope(error)) => {
                    let change = self.advice_on_refusal(&error, About::Scope);
                    findings.add(Finding::failed(CHECK, format!("{url}: {error}"), change));
                    return None;
                }
                Ok(Outcome::Failed(error, about)) => {
                    let change = self.advice_on_refusal(&error, about);
                    findings.add(Finding::failed(CHECK, format!("{url}: {error}"), change));
                    return None;
                }
                Err(found) => {
                    let change = "check IDP_CA_FILE, ISSUER and TOKEN_ENDPOINT";
                    findings.add(Finding::failed(CHECK, found, change));
                    return None;
                }
            }
        }
        let error = refusal?;
        // Without a code it may be the scope that is refused so.
        if error.oauth_code().is_none_or(str::is_empty)
            && let Ok(Outcome::Token(obtained)) = self
                .ask_without_scope(url, ("", self.public.client_auth), error.clone())
                .await
        {
            findings.add(self.authenticated(url, &tried[..1], endpoints));
            return Some(*obtained);
        }
        findings.add(self.unauthenticated(&error, &tried, endpoints));
        None
    }

    /// The configured method first, then those that the provider lists and we have.
    fn methods(&self, listed: Option<&[String]>) -> Vec<Method> {
        let known = public_data::AUTH_METHODS;
        let configured = known
            .into_iter()
            .filter(|(_, auth)| *auth == self.public.client_auth);
        let is_listed = |name: &str| match listed {
            Some(listed) => listed.iter().any(|one| one == name),
            None => true,
        };
        let is_basic = |auth| names(auth) == names(ClientAuth::SecretBasic);
        let others = known.into_iter().filter(|(_, auth)| {
            *auth != self.public.client_auth
                && self.public.has_credential(*auth)
                && names(*auth).iter().any(|name| is_listed(name))
                && (!is_basic(*auth)
                    || !is_basic(self.public.client_auth) && *auth == ClientAuth::SecretBasic
                    || self.encoding_matters())
        });
        let as_jwt = self.public.client_keys.typ.is_none()
            && self.public.client_auth == ClientAuth::PrivateKeyJwt;
        let as_jwt = as_jwt.then_some((TYP_JWT, ClientAuth::PrivateKeyJwt));
        configured.chain(as_jwt).chain(others).collect()
    }

    /// Tells whether `client_secret_basic` and its raw form differ on the wire.
    fn encoding_matters(&self) -> bool {
        let is_plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        let secret = self.public.client_secret.as_ref();
        let secret_is_plain = secret.is_none_or(|setting| {
            let secret = setting.read();
            secret.is_ok_and(|secret| is_plain(secret.expose_secret()))
        });
        !(secret_is_plain && is_plain(&self.public.client_id))
    }

    async fn ask(
        &self,
        url: &Url,
        (name, auth): Method,
        request: &TokenRequest,
    ) -> Result<Outcome, String> {
        let mut config = self.public.clone();
        if name == TYP_JWT {
            config.client_keys.typ = Some("JWT".to_owned());
        }
        config.provider.token_endpoint = Some(url.clone());
        config.client_auth = auth;
        let source = config
            .token_source()
            .map_err(|error| with_sources(&error))?;
        let Exchange { result, reply, .. } = source.exchange(request).await;
        let received = self.clock.now();
        let error = match result {
            Ok(issued) => {
                let obtained = obtained(issued, reply.as_ref(), received);
                return Ok(Outcome::Token(Box::new(obtained)));
            }
            Err(error) => error,
        };
        if error.kind() == TokenErrorKind::ScopeNotGranted {
            return Ok(match narrower(reply.as_ref(), received) {
                Some(obtained) => Outcome::Token(Box::new(Obtained {
                    scope_error: Some(error),
                    ..obtained
                })),
                None => Outcome::Failed(error, About::Other),
            });
        }
        let about = reply.map_or(About::Other, |reply| about(&error, &reply));
        Ok(match about {
            About::Credentials => Outcome::Unauthenticated(error),
            About::Scope => Outcome::Scope(error),
            about => Outcome::Failed(error, about),
        })
    }

    /// Finds out what is granted when nothing is asked for, so that the checks can go on.
    async fn ask_without_scope(
        &self,
        url: &Url,
        method: Method,
        refused: TokenError,
    ) -> Result<Outcome, String> {
        if self.public.request.scopes().next().is_none() {
            return Ok(Outcome::Scope(refused));
        }
        let request = self.public.request.clone().without_scopes();
        Ok(match self.ask(url, method, &request).await? {
            Outcome::Token(obtained) => Outcome::Token(Box::new(Obtained {
                scope_error: Some(refused),
                ..*obtained
            })),
            _ => Outcome::Scope(refused),
        })
    }

    fn authenticated(&self, url: &Url, tried: &[&str], endpoints: &Endpoints) -> Finding {
        match tried {
            [configured] => {
                let found = format!("{url} gives a token, with {configured}");
                let is_listed = endpoints.methods.as_ref().is_none_or(|listed| {
                    let names = names(self.public.client_auth);
                    listed.iter().any(|one| names.contains(&one.as_str()))
                });
                if is_listed {
                    Finding::passed(CHECK, found)
                } else {
                    Finding::warning(CHECK, format!("{found}, which its metadata does not list"))
                }
            }
            [configured, .., works] => Finding::failed(
                CHECK,
                format!("the provider refuses this client with {configured} and takes {works}"),
                match *works {
                    TYP_JWT => "set ASSERTION_TYP=JWT".to_owned(),
                    works => format!("set CLIENT_AUTH_METHOD={works}"),
                },
            ),
            [] => Finding::not_checked(CHECK, "no method is known"),
        }
    }

    fn advice_on_refusal(&self, error: &TokenError, about: About) -> String {
        if let Some(cause) = self.oddity_of(&["TOKEN_SCOPE", "TOKEN_AUDIENCE", "TOKEN_RESOURCE"])
            && matches!(
                about,
                About::Scope | About::Audience | About::Resource | About::Other
            )
        {
            return cause;
        }
        match about {
            About::Scope if self.public.request.scopes().next().is_none() => {
                "set TOKEN_SCOPE to what the provider names for the API".to_owned()
            }
            About::Audience if !self.names_api => {
                "set TOKEN_AUDIENCE to the API's identifier at the provider".to_owned()
            }
            About::Audience => {
                "correct TOKEN_AUDIENCE, or allow CLIENT_ID that API at the provider".to_owned()
            }
            About::Resource => {
                "set TOKEN_RESOURCE (or TOKEN_SCOPE) to an API that the provider knows".to_owned()
            }
            About::Place => match self.origins.token_endpoint {
                Some(variable) => format!("correct {variable}: nothing there gives tokens"),
                None => "set TOKEN_ENDPOINT: where the metadata lead, nothing gives tokens".to_owned(),
            },
            About::Firewall => {
                "a firewall or proxy in front of the provider refuses this machine: let it pass there"
                    .to_owned()
            }
            About::Credentials | About::Scope | About::Other => {
                public_data::advice(error).to_owned()
            }
        }
    }

    fn unauthenticated(
        &self,
        error: &TokenError,
        tried: &[&str],
        endpoints: &Endpoints,
    ) -> Finding {
        let secret = match self.public.client_auth {
            ClientAuth::PrivateKeyJwt => "CLIENT_KEY_FILE",
            ClientAuth::ClientAssertion => "CLIENT_ASSERTION_FILE",
            ClientAuth::TlsClientCertificate => "CLIENT_CERTIFICATE_FILE",
            _ => self.origins.secret,
        };
        let tried = tried.join(", ");
        if let Some(cause) = self.oddity_of(&["CLIENT_ID", secret]) {
            return Finding::failed(CHECK, format!("{error}; tried with {tried}"), cause);
        }
        let mut change = format!(
            "correct {secret} (was it rotated?), or CLIENT_ID if that is not this client's"
        );
        let known = |name: &String| {
            let mut known = public_data::AUTH_METHODS.into_iter();
            known.any(|(_, auth)| names(auth).contains(&name.as_str()))
        };
        if let Some(listed) = &endpoints.methods
            && !listed.iter().any(known)
        {
            let listed: Vec<String> = listed.iter().map(|one| idp_http::printable(one)).collect();
            change = format!(
                "the provider lists only {}, which CLIENT_AUTH_METHOD has not; allow the client another \
                 method there",
                listed.join(", ")
            );
        }
        Finding::failed(CHECK, format!("{error}; tried with {tried}"), change)
    }
}

fn obtained(issued: IssuedToken, reply: Option<&Reply>, received: SystemTime) -> Obtained {
    let members = reply.and_then(|reply| json::from_slice(&reply.body).ok());
    let granted = members.as_ref().and_then(|members| members.get("scope"));
    Obtained {
        unverified: UnverifiedToken::read(issued.access_token()),
        granted: granted.and_then(Value::as_str).map(idp_http::printable),
        scope_error: None,
        date: reply.and_then(date),
        received,
        issued,
    }
}

/// Takes the token out of a reply that was refused for its scope alone.
fn narrower(reply: Option<&Reply>, received: SystemTime) -> Option<Obtained> {
    let reply = reply?;
    let members = json::from_slice(&reply.body).ok()?;
    let token = members.get("access_token")?.as_str()?;
    let lifetime = members.get("expires_in").and_then(Value::as_u64);
    let lifetime = lifetime.map(std::time::Duration::from_secs);
    let issued = IssuedToken::new(token.to_owned(), lifetime).ok()?;
    Some(obtained(issued, Some(reply), received))
}

/// Reads `Date` (RFC 9110 section 6.6.1).
pub(super) fn date(reply: &Reply) -> Option<SystemTime> {
    let value = reply.headers.get(http::header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(value).ok()
}
