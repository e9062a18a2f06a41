use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;

use super::*;

fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_str(content_type).unwrap(),
    );
    Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.into(),
    }
}

fn read_for(request: &TokenRequest, reply: &Reply) -> Result<IssuedToken, TokenError> {
    Reading {
        request,
        all_scopes: true,
        secret: "s3cret",
        basic: None,
    }
    .token(reply)
}

fn read(status: u16, body: impl Into<Bytes>) -> Result<IssuedToken, TokenError> {
    read_for(
        &TokenRequest::new(),
        &answer(status, "application/json", body),
    )
}

fn kind(status: u16, body: impl Into<Bytes>) -> Option<TokenErrorKind> {
    read(status, body).err().map(|error| error.kind())
}

/// The examples of RFC 6749 sections 4.4.3 and 5.2.
#[test]
fn the_examples_of_the_rfc_are_read() {
    let success = r#"{
        "access_token":"2YotnFZFEjr1zCsicMWpAA",
        "token_type":"example",
        "expires_in":3600,
        "example_parameter":"example_value"
    }"#;
    // The example's token type is made up; ours must be Bearer.
    assert_eq!(
        kind(200, success),
        Some(TokenErrorKind::Invalid(Invalid::TokenType))
    );
    let issued = read(200, success.replace("\"example\"", "\"Bearer\"")).unwrap();
    assert_eq!(issued.lifetime(), Some(Duration::from_secs(3_600)));
    let refused = r#"{"error":"invalid_request"}"#;
    assert_eq!(
        kind(400, refused),
        Some(TokenErrorKind::Permanent(Permanent::OAuth))
    );
}

/// A17
#[test]
fn a_reply_without_a_usable_access_token_is_invalid() {
    for token in [json!(null), json!(7), json!(""), json!({}), json!(["x"])] {
        let body = json!({"access_token": token, "token_type": "Bearer"}).to_string();
        let expected = TokenErrorKind::Invalid(Invalid::MissingToken);
        assert_eq!(kind(200, body), Some(expected), "{token}");
    }
    let expected = TokenErrorKind::Invalid(Invalid::MissingToken);
    assert_eq!(kind(200, r#"{"token_type":"Bearer"}"#), Some(expected));
}

/// A20
#[test]
fn only_bearer_tokens_are_taken_in_any_letter_case() {
    for (token_type, ok) in [
        (json!("Bearer"), true),
        (json!("BEARER"), true),
        (json!("bearer"), true),
        (json!("DPoP"), false),
        (json!("mac"), false),
        (json!("N_A"), false),
        (json!(null), false),
        (json!(1), false),
    ] {
        let body = json!({"access_token": "t", "token_type": token_type}).to_string();
        assert_eq!(read(200, body).is_ok(), ok, "{token_type}");
    }
    let expected = TokenErrorKind::Invalid(Invalid::TokenType);
    assert_eq!(kind(200, r#"{"access_token":"t"}"#), Some(expected));
}

/// A21, A22, A23
#[test]
fn expires_in_is_read_in_every_integer_spelling() {
    let far = Duration::from_secs(u32::MAX.into());
    for (text, expected) in [
        ("3600", Some(Duration::from_secs(3_600))),
        ("\"3600\"", Some(Duration::from_secs(3_600))),
        ("3600.0", Some(Duration::from_secs(3_600))),
        ("0", Some(Duration::ZERO)),
        ("-0.0", Some(Duration::ZERO)),
        ("-5", Some(Duration::ZERO)),
        ("\"-5\"", Some(Duration::ZERO)),
        ("1e300", Some(far)),
        ("9223372036854775808", Some(far)),
        ("\"99999999999999999999999999\"", Some(far)),
        ("3599.5", None),
        ("\"3599.5\"", None),
        ("\" 3600\"", None),
        ("\"\"", None),
        ("\"-\"", None),
        ("\"inf\"", None),
        ("true", None),
        ("[]", None),
        ("null", None),
    ] {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{text}}}"#);
        match (read(200, body), expected) {
            (Ok(issued), Some(expected)) => assert_eq!(issued.lifetime(), Some(expected), "{text}"),
            (Err(error), None) => {
                assert_eq!(
                    error.kind(),
                    TokenErrorKind::Invalid(Invalid::ExpiresIn),
                    "{text}"
                );
            }
            (got, _) => panic!("{text}: {got:?}"),
        }
    }
    let missing = read(200, r#"{"access_token":"t","token_type":"Bearer"}"#).unwrap();
    assert_eq!(missing.lifetime(), None);
}

/// A15, A26, A27
#[test]
fn what_is_not_one_strict_json_object_is_no_token() {
    let portal = answer(
        200,
        "text/html; charset=utf-8",
        "<html>Please log in</html>",
    );
    let error = read_for(&TokenRequest::new(), &portal).unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Invalid(Invalid::ContentType));
    assert!(error.is_transient());
    for body in [
        "",
        "[]",
        "\u{feff}{}",
        r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
        r#"{"access_token":"a","token_type":"Bearer","x":{"y":1,"y":2}}"#,
        r#"{"access_token":"a","token_type":"Bearer"} trailing"#,
    ] {
        assert_eq!(
            kind(200, body.to_owned()),
            Some(TokenErrorKind::Invalid(Invalid::Json)),
            "{body}"
        );
    }
}

/// A12, A13, A14, A16, A28, A37
#[test]
fn every_status_and_code_has_its_kind() {
    use TokenErrorKind as Kind;
    for (status, body, expected) in [
        (
            401,
            r#"{"error":"invalid_client"}"#,
            Kind::Permanent(Permanent::InvalidClient),
        ),
        (
            400,
            r#"{"error":"invalid_client"}"#,
            Kind::Permanent(Permanent::InvalidClient),
        ),
        (
            200,
            r#"{"error":"invalid_client"}"#,
            Kind::Permanent(Permanent::InvalidClient),
        ),
        (
            400,
            r#"{"error":"invalid_scope"}"#,
            Kind::Permanent(Permanent::OAuth),
        ),
        (
            400,
            r#"{"error":"invalid_target"}"#,
            Kind::Permanent(Permanent::OAuth),
        ),
        (
            400,
            r#"{"error":"unauthorized_client"}"#,
            Kind::Permanent(Permanent::OAuth),
        ),
        (
            400,
            r#"{"error":"unsupported_grant_type"}"#,
            Kind::Permanent(Permanent::OAuth),
        ),
        (
            200,
            r#"{"error":"access_denied"}"#,
            Kind::Permanent(Permanent::OAuth),
        ),
        (
            200,
            r#"{"error":null,"access_token":"t","token_type":"Bearer"}"#,
            Kind::Permanent(Permanent::OAuth),
        ),
        (
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            Kind::Transient(Transient::Status),
        ),
        (401, "<html>", Kind::Permanent(Permanent::Status)),
        (404, "", Kind::Permanent(Permanent::Status)),
        (500, "<html>", Kind::Transient(Transient::Status)),
        (
            503,
            r#"{"error":"invalid_client"}"#,
            Kind::Transient(Transient::Status),
        ),
        (429, "", Kind::Transient(Transient::Status)),
        (408, "", Kind::Transient(Transient::Status)),
        (425, "", Kind::Transient(Transient::Status)),
        (301, "", Kind::Permanent(Permanent::Redirect)),
        (307, "", Kind::Permanent(Permanent::Redirect)),
        (204, "", Kind::Invalid(Invalid::Status)),
        (
            206,
            r#"{"access_token":"t","token_type":"Bearer"}"#,
            Kind::Invalid(Invalid::Status),
        ),
        (304, "", Kind::Invalid(Invalid::Status)),
    ] {
        assert_eq!(kind(status, body), Some(expected), "{status} {body}");
    }
}

/// A12
#[test]
fn every_401_is_about_the_credentials_and_no_other_status_without_the_code_for_it() {
    for (status, body, expected) in [
        (401, r#"{"error":"invalid_client"}"#, true),
        (401, r#"{"error":"unauthorized_client"}"#, true),
        (401, r#"{"error":"access_denied"}"#, true),
        (401, "<html>", true),
        (400, r#"{"error":"invalid_client"}"#, true),
        (400, r#"{"error":"unauthorized_client"}"#, false),
        (403, r#"{"error":"access_denied"}"#, false),
        (403, "", false),
        (503, r#"{"error":"invalid_client"}"#, false),
    ] {
        let error = read(status, body).unwrap_err();
        assert_eq!(error.is_about_credentials(), expected, "{status} {body}");
        assert!(!expected || error.answer() == Answer::Refused);
    }
}

/// A12, A13, A14
#[test]
fn what_is_no_answer_of_a_token_endpoint_is_asked_again_sooner_than_what_refuses() {
    for (status, body, expected) in [
        (401, "", Answer::Refused),
        (403, r#"{"error":"access_denied"}"#, Answer::Refused),
        (400, r#"{"error":"invalid_scope"}"#, Answer::Refused),
        (403, "<html>", Answer::Unusable),
        (404, "", Answer::Unusable),
        (405, r#"{"message":"no such path"}"#, Answer::Unusable),
        (503, "", Answer::Unusable),
        (204, "", Answer::None),
    ] {
        let answer = read(status, body).unwrap_err().answer();
        assert_eq!(answer, expected, "{status} {body}");
    }
}

/// A24
#[test]
fn a_granted_scope_must_hold_every_requested_one() {
    let request = TokenRequest::new().scope("read write");
    for (granted, ok) in [
        (json!("write read other"), true),
        (json!(null), true),
        (json!("read"), false),
        (json!("read writer"), false),
        (json!(""), false),
    ] {
        let body =
            json!({"access_token": "t", "token_type": "Bearer", "scope": granted}).to_string();
        let reply = answer(200, "application/json", body);
        let got = read_for(&request, &reply);
        assert_eq!(got.is_ok(), ok, "{granted}");
        if let Err(error) = got {
            assert_eq!(
                error.kind(),
                TokenErrorKind::Permanent(Permanent::ScopeNotGranted)
            );
        }
        let lenient = Reading {
            request: &request,
            all_scopes: false,
            secret: "s3cret",
            basic: None,
        };
        assert!(lenient.token(&reply).is_ok(), "{granted}");
    }
}

/// A13, A14
#[test]
fn errors_name_the_code_and_never_the_secret_or_the_body() {
    let body = r#"{"error":"invalid_scope","error_description":"no such scope\u001b[31m"}"#;
    let error = read(400, body).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the provider refused the token request: invalid_scope (no such scope?[31m)"
    );
    let echo = r#"{"error":"invalid_client","error_description":"secret s3cret is wrong"}"#;
    assert!(!format!("{0} {0:?}", read(401, echo).unwrap_err()).contains("s3cret"));
    let html = read(403, "<html>body-canary</html>").unwrap_err();
    assert!(!format!("{html} {html:?}").contains("canary"));
}
