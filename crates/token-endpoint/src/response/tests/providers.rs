//! What providers and gateways answer in practice.

use super::*;

/// A12, N30
#[test]
fn every_wording_of_wrong_credentials_is_one_class() {
    let rejected = TokenErrorKind::InvalidClient;
    for (provider, status, body) in [
        ("the RFC", 401, r#"{"error":"invalid_client"}"#),
        ("RFC, without Basic", 400, r#"{"error":"invalid_client"}"#),
        (
            "Auth0",
            401,
            r#"{"error":"access_denied","error_description":"Unauthorized"}"#,
        ),
        (
            "UAA",
            401,
            r#"{"error":"unauthorized","error_description":"Bad credentials"}"#,
        ),
        (
            "Spring",
            401,
            r#"{"status":401,"error":"Unauthorized","path":"/oauth2/token"}"#,
        ),
        (
            "Spring, forbidden",
            403,
            r#"{"status":403,"error":"Forbidden"}"#,
        ),
        (
            "Okta",
            400,
            r#"{"errorCode":"invalid_client","errorSummary":"Invalid value for 'client_id'."}"#,
        ),
        (
            "Keycloak",
            401,
            r#"{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}"#,
        ),
        (
            "Keycloak of old",
            400,
            r#"{"error":"unauthorized_client","error_description":"Invalid client secret"}"#,
        ),
        (
            "Salesforce, the id",
            400,
            r#"{"error":"invalid_client_id","error_description":"client identifier invalid"}"#,
        ),
        ("GitHub", 200, r#"{"error":"incorrect_client_credentials"}"#),
        (
            "a gateway without its key",
            401,
            r#"{"message":"No API key found in request"}"#,
        ),
        ("another gateway", 403, r#"{"message":"Forbidden"}"#),
        ("nested", 401, r#"{"error":{"code":401,"message":"no"}}"#),
        (
            "nested, forbidden",
            403,
            r#"{"error":{"code":403,"message":"no"}}"#,
        ),
        ("null", 403, r#"{"error":null}"#),
        ("nothing", 401, ""),
        ("nothing, forbidden", 403, ""),
        ("a page", 401, "<html>"),
    ] {
        let error = read(status, body).unwrap_err();
        assert_eq!(error.kind(), rejected, "{provider}");
        assert!(error.kind().is_about_credentials(), "{provider}");
        assert_eq!(error.kind().answer(), Answer::Refused, "{provider}");
    }
    for (name, status, body) in [
        (
            "a permission",
            403,
            r#"{"error":"access_denied","error_description":"Client is not authorized to access the API. You need to create a client-grant."}"#,
        ),
        (
            "a grant",
            400,
            r#"{"error":"unauthorized_client","error_description":"Client may not use the client credentials grant"}"#,
        ),
        ("a scope", 403, r#"{"error":"invalid_scope"}"#),
    ] {
        let kind = read(status, body).unwrap_err().kind();
        assert_eq!(kind, TokenErrorKind::OAuth, "{name}");
    }
}

/// A16, A18, A20, A23, A37
#[test]
fn replies_as_large_providers_write_them_are_taken() {
    for (provider, status, body, token) in [
        (
            "Salesforce",
            200,
            r#"{"access_token":"00Dxx!AQ8AQ.x","token_type":"Bearer","issued_at":"1"}"#,
            "00Dxx!AQ8AQ.x",
        ),
        (
            "Amazon",
            200,
            r#"{"access_token":"Atza|IQEBLj-x","token_type":"bearer","expires_in":3600}"#,
            "Atza|IQEBLj-x",
        ),
        (
            "Shopify",
            200,
            r#"{"access_token":"t","scope":"read_products,write_orders"}"#,
            "t",
        ),
        ("created", 201, r#"{"access_token":"t"}"#, "t"),
        ("nulls", 200, NULLS, "t"),
        (
            "empty errors",
            200,
            r#"{"access_token":"t","error":"","error_description":""}"#,
            "t",
        ),
        (
            "no error",
            200,
            r#"{"access_token":"t","error":false}"#,
            "t",
        ),
        ("no errors", 200, r#"{"access_token":"t","error":[]}"#, "t"),
    ] {
        let issued = read(status, body).unwrap();
        assert_eq!(*issued.access_token, token, "{provider}");
    }
    assert_eq!(read(200, NULLS).unwrap().lifetime, None);
    let labelled = answer(200, "text/html", r#"{"access_token":"t"}"#);
    assert!(read_for(&[], &labelled).is_ok());
}

const NULLS: &str = r#"{"access_token":"t","token_type":null,"expires_in":null,"scope":null,"error":null,"error_description":null}"#;

/// A17, A18, A20, A23, N31
#[test]
fn an_error_names_the_member_and_what_is_wrong_with_it() {
    let encoded = {
        let mut reply = answer(200, "application/json", "\u{1f}\u{8b}..");
        let gzip = HeaderValue::from_static("gzip");
        reply.headers.insert(header::CONTENT_ENCODING, gzip);
        read_for(&[], &reply).unwrap_err()
    };
    let large = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(40_000));
    for (error, expected) in [
        (
            encoded,
            "the body has a content-encoding, though identity was asked for",
        ),
        (
            read(200, large).unwrap_err(),
            "`access_token` has 40000 bytes, more than 12288",
        ),
        (read(200, "[]").unwrap_err(), "the body is an array"),
        (read(200, "{}").unwrap_err(), "`access_token` is missing"),
        (
            read(200, r#"{"access_token":null}"#).unwrap_err(),
            "`access_token` is null",
        ),
        (
            read(200, r#"{"access_token":""}"#).unwrap_err(),
            "`access_token` is empty",
        ),
        (
            read(200, r#"{"access_token":"a b"}"#).unwrap_err(),
            "`access_token` has a character that is not visible ASCII",
        ),
        (
            read(200, r#"{"access_token":"t","token_type":"DPoP"}"#).unwrap_err(),
            "`token_type` is \"DPoP\", not Bearer",
        ),
        (
            read(200, r#"{"access_token":"t","token_type":["Bearer"]}"#).unwrap_err(),
            "`token_type` is an array",
        ),
        (
            read(200, r#"{"access_token":"t","expires_in":"soon"}"#).unwrap_err(),
            "`expires_in` is a text that is no number",
        ),
        (
            read(200, r#"{"access_token":"t","expires_in":{}}"#).unwrap_err(),
            "`expires_in` is an object",
        ),
        (
            read(200, r#"{"error":{"code":"x"}}"#).unwrap_err(),
            "`error` is an object, not a text",
        ),
        (
            read(400, r#"{"error":7}"#).unwrap_err(),
            "`error` is a number, not a text",
        ),
    ] {
        let text = error.to_string();
        assert!(text.ends_with(&format!(": {expected}")), "{text}");
    }
}
