//! What the provider is asked, and what its answers are worth.

use std::time::Duration;

use http::StatusCode;
use idp_http::json;
use secrecy::SecretString;
use serde_json::Value;
use token_endpoint::{Expected, UserTokens};
use url::{Url, form_urlencoded};

use super::{Endpoints, ErrorClass, Provider, ProviderError};
use crate::tenancy::LoginTenant;

const MAX_ACCESS_TOKEN: usize = 16 * 1024;

/// What a token is asked for with.
#[derive(Clone, Copy)]
pub(crate) enum Grant<'a> {
    /// RFC 6749 section 4.1.3, with RFC 7636.
    Code {
        code: &'a str,
        redirect_uri: &'a str,
        verifier: &'a str,
    },
    /// RFC 6749 section 6.
    Refresh(&'a str),
}

impl Grant<'_> {
    fn form(self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        match self {
            Self::Code {
                code,
                redirect_uri,
                verifier,
            } => form.extend_pairs([
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", redirect_uri),
                ("code_verifier", verifier),
            ]),
            Self::Refresh(token) => {
                form.extend_pairs([("grant_type", "refresh_token"), ("refresh_token", token)])
            }
        };
        form.finish()
    }
}

/// A sound reply.
pub(crate) struct Granted {
    pub(crate) access: SecretString,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) refresh: Option<SecretString>,
    pub(crate) id_token: Option<SecretString>,
}

impl Provider {
    /// Returns the address that a person is sent to, without what the tenant adds.
    pub(crate) fn authorization_parameters(&self) -> Vec<(&'static str, &str)> {
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.client_id()),
            ("scope", &self.scopes),
        ];
        let further = [("audience", &self.audience), ("resource", &self.resource)];
        for (name, value) in further {
            if let Some(value) = value {
                parameters.push((name, value));
            }
        }
        parameters
    }

    /// Returns where to send a person with these parameters. Where the provider wants requests pushed, that is
    /// done first (RFC 9126).
    pub(crate) async fn authorization_url(
        &self,
        endpoints: &Endpoints,
        tenant: &LoginTenant,
        parameters: &[(&str, &str)],
    ) -> Result<Url, ProviderError> {
        let mut url = endpoints.authorization_url(tenant).ok_or_else(|| {
            ProviderError::refused("AUTHORIZATION_ENDPOINT needs a tenant's name".to_owned())
        })?;
        let Some(push_to) = &endpoints.pushed else {
            url.query_pairs_mut().extend_pairs(parameters);
            return Ok(url);
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let response = self
            .client
            .post(push_to, form)
            .await
            .map_err(ProviderError::from)?;
        let reply = response.reply();
        let request_uri = match json::from_slice(&reply.body) {
            Ok(Value::Object(mut members)) if reply.status == StatusCode::CREATED => {
                members.remove("request_uri")
            }
            _ => None,
        };
        let Some(Value::String(request_uri)) = request_uri else {
            let text = format!(
                "the pushed authorization request got status {}",
                reply.status.as_u16()
            );
            return Err(ProviderError::away(text));
        };
        url.query_pairs_mut()
            .append_pair("client_id", self.client_id())
            .append_pair("request_uri", &request_uri);
        Ok(url)
    }

    /// Asks for tokens. It is asked once more only where nothing was sent.
    pub(crate) async fn grant(
        &self,
        endpoints: &Endpoints,
        grant: Grant<'_>,
    ) -> Result<Granted, ProviderError> {
        let form = grant.form();
        let first = self.exchange(endpoints, form.clone()).await;
        let tokens = match first {
            Err(error) if error.class == ErrorClass::Unsent => {
                self.exchange(endpoints, form).await?
            }
            other => other?,
        };
        Ok(Granted {
            access: SecretString::from(tokens.access.access_token.as_str()),
            lifetime: tokens.access.lifetime,
            refresh: tokens.refresh_token,
            id_token: tokens.id_token,
        })
    }

    async fn exchange(
        &self,
        endpoints: &Endpoints,
        form: String,
    ) -> Result<UserTokens, ProviderError> {
        let response = self.client.post(&endpoints.token, form).await?;
        Ok(response.user_tokens(&Expected {
            token_types: &[],
            max_token_size: MAX_ACCESS_TOKEN,
            scopes: &[],
        })?)
    }

    /// Revokes a refresh token (RFC 7009). Tells whether that is done, or cannot be.
    pub(crate) async fn revoke(&self, token: &str) -> Result<(), ProviderError> {
        let endpoints = self.endpoints().await?;
        let Some(url) = &endpoints.revocation else {
            return Ok(());
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "refresh_token")
            .finish();
        let response = self.client.post(url, form).await?;
        let reply = response.reply();
        match reply.is_overloaded() {
            true => Err(ProviderError::away(format!(
                "revocation answered {}",
                reply.status.as_u16()
            ))),
            false if reply.status.is_success() => Ok(()),
            false => Err(ProviderError::refused(format!(
                "revocation answered {}",
                reply.status.as_u16()
            ))),
        }
    }
}
