//! Endpoints that reject the client's credentials.

use axum::Router;
use secrecy::SecretString;
use token_cache::{
    ClientAuth, ClientCredentials, SecretSource, TokenCache, TokenRequest, TokenSource as _,
};
use tokio::net::TcpListener;

const TOKEN: &str = r#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#;

/// Returns where the token endpoint is.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    url
}

/// A12, B20
#[tokio::test]
async fn every_401_makes_a_replaced_secret_count_at_once() {
    for refusal in [
        r#"{"error":"unauthorized_client"}"#,
        r#"{"error":"access_denied"}"#,
        "",
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        std::fs::write(&path, "one").unwrap();
        let app = Router::new().fallback({
            let path = path.clone();
            move |form: String| async move {
                if form.ends_with("client_secret=two") {
                    return (http::StatusCode::OK, TOKEN);
                }
                // Replaced while the old one was under way.
                std::fs::write(&path, "two").unwrap();
                (http::StatusCode::UNAUTHORIZED, refusal)
            }
        });
        let url = serve(app).await;
        let source = ClientCredentials::builder("client", SecretSource::File(path))
            .token_endpoint(&url)
            .auth(ClientAuth::SecretPost)
            .build()
            .unwrap();
        let cache = TokenCache::builder(source).build().unwrap();
        let token = cache.token().await;
        assert_eq!(token.unwrap().secret(), "abc", "{refusal}");
    }
}

/// J1
#[tokio::test]
async fn an_echo_of_what_was_sent_is_left_out_of_the_error_in_every_spelling() {
    let app = Router::new().fallback(|headers: http::HeaderMap, form: String| async move {
        let sent = match headers.get("authorization") {
            Some(value) => value.to_str().unwrap().replace("Basic ", ""),
            None => form,
        };
        // Upper and lower case are the same percent-encoding; padding is not always repeated.
        let sent = match sent.contains('%') {
            true => sent.replace("%2F", "%2f"),
            false => sent.trim_end_matches('=').to_owned(),
        };
        let body = serde_json::json!({"error": "invalid_client", "error_description": sent});
        (http::StatusCode::UNAUTHORIZED, body.to_string())
    });
    let url = serve(app).await;
    for auth in [
        ClientAuth::SecretBasic,
        ClientAuth::SecretBasicRaw,
        ClientAuth::SecretPost,
        ClientAuth::ClientAssertion,
    ] {
        let source = ClientCredentials::builder("client", SecretString::from("can/ary+s3 cret%"))
            .token_endpoint(&url)
            .auth(auth)
            .build()
            .unwrap();
        let error = source.fetch(&TokenRequest::new()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the provider rejected the client's credentials: invalid_client",
            "{auth:?}"
        );
    }
}
