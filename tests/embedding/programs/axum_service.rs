//! An axum service that guards a route, and names every error of its start.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use dev_idp::{DEFAULT_AUDIENCE, DevIdp, TokenSpec};
use jwks_validator::{
    BuildError, Discovery, IdpClient, IdpClientBuildError, IdpClientBuilder, Jwt, JwtLayer,
    JwtValidator, Proxy, Reader, RemoteJwks, RequireScopes, SecretString, UrlProblem,
};

use crate::{serve, status};

#[derive(Debug)]
#[expect(dead_code, reason = "shown by `Debug` alone")]
enum StartError {
    Client(IdpClientBuildError),
    Url(UrlProblem),
    Validator(BuildError),
}

impl From<IdpClientBuildError> for StartError {
    fn from(error: IdpClientBuildError) -> Self {
        Self::Client(error)
    }
}

impl From<UrlProblem> for StartError {
    fn from(error: UrlProblem) -> Self {
        Self::Url(error)
    }
}

impl From<BuildError> for StartError {
    fn from(error: BuildError) -> Self {
        Self::Validator(error)
    }
}

struct Settings {
    issuer: String,
    audience: String,
    proxy: Option<(String, SecretString)>,
}

impl Settings {
    fn http(&self) -> Result<IdpClientBuilder, StartError> {
        let settings = IdpClient::builder().timeout(Duration::from_secs(2));
        let Some((url, credentials)) = &self.proxy else {
            return Ok(settings);
        };
        let url = url.parse().map_err(|_| UrlProblem::Syntax)?;
        Ok(settings.proxy(Proxy::new(url)?.credentials(credentials.clone())))
    }

    fn validator(&self) -> Result<JwtValidator, StartError> {
        let http = self.http()?.build()?;
        let metadata = Discovery::new(http.clone(), &self.issuer)?.for_reader(Reader::Validator);
        let validator = JwtValidator::builder()
            .issuer(&self.issuer, RemoteJwks::discover(http, metadata))
            .audience(self.audience.as_str())
            .build()?;
        Ok(validator)
    }

    fn service(&self) -> Result<Router, StartError> {
        let validator = self.validator()?;
        validator.start();
        let scopes = RequireScopes::all(["data:read"])?;
        Ok(Router::new()
            .route("/data", get(hello).layer(scopes))
            .layer(JwtLayer::new(validator)))
    }
}

async fn hello(claims: Jwt) -> String {
    format!("hello {}", claims.client_id().unwrap_or("client"))
}

#[tokio::test]
async fn an_axum_service_answers_tokens_of_its_issuer_alone() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut settings = Settings {
        issuer: idp.issuer().to_owned(),
        audience: DEFAULT_AUDIENCE.to_owned(),
        proxy: None,
    };
    let url = format!("{}/data", serve(settings.service().unwrap()).await);
    let token = idp.mint(TokenSpec::new());
    let answer = reqwest::Client::new().get(&url).bearer_auth(token);
    let answer = answer.send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, format!("hello {}", dev_idp::DEFAULT_CLIENT_ID));
    assert_eq!(status(&url, None).await, 401);
    let unscoped = idp.mint(TokenSpec::new().claim("scope", "data:write"));
    assert_eq!(status(&url, Some(&unscoped)).await, 403);

    settings.proxy = Some(("ftp://proxy".to_owned(), "user:secret".into()));
    let wrong = settings.service().unwrap_err();
    assert!(matches!(wrong, StartError::Url(UrlProblem::ProxyScheme)));
    settings.proxy = None;
    settings.issuer = "http://idp.example".to_owned();
    let wrong = settings.service().unwrap_err();
    assert!(matches!(wrong, StartError::Url(UrlProblem::Scheme)));
}
