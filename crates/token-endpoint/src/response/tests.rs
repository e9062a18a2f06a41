mod providers;

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

fn read_for(scopes: &[&str], reply: &Reply) -> Result<TokenReply, EndpointError> {
    let key = HeaderValue::from_static("k3y-canary");
    let response = Response {
        reply: reply.clone(),
        sent: Sent {
            credential: "s3cret".into(),
            basic: None,
            headers: HeaderMap::from_iter([(header::HeaderName::from_static("x-api-key"), key)]),
        },
        wait: None,
        oddity: None,
    };
    response.token(&Expected {
        token_types: &["N_A".to_owned()],
        max_token_size: 12_288,
        scopes,
    })
}

fn read(status: u16, body: impl Into<Bytes>) -> Result<TokenReply, EndpointError> {
    read_for(&[], &answer(status, "application/json", body))
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
    assert_eq!(kind(200, success), Some(TokenErrorKind::TokenType));
    let issued = read(200, success.replace("\"example\"", "\"Bearer\"")).unwrap();
    assert_eq!(issued.lifetime, Some(Duration::from_secs(3_600)));
    let refused = r#"{"error":"invalid_request"}"#;
    assert_eq!(kind(400, refused), Some(TokenErrorKind::OAuth));
}

/// A17
#[test]
fn a_reply_without_a_usable_access_token_is_invalid() {
    for token in [json!(null), json!(7), json!(""), json!({}), json!(["x"])] {
        let body = json!({"access_token": token, "token_type": "Bearer"}).to_string();
        let expected = TokenErrorKind::MissingToken;
        assert_eq!(kind(200, body), Some(expected), "{token}");
    }
    let expected = TokenErrorKind::MissingToken;
    assert_eq!(kind(200, r#"{"token_type":"Bearer"}"#), Some(expected));
}

/// A20
#[test]
fn bearer_tokens_are_taken_in_any_letter_case_and_where_nothing_says_so() {
    for (token_type, ok) in [
        (json!("Bearer"), true),
        (json!("BEARER"), true),
        (json!("bearer"), true),
        (json!("DPoP"), false),
        (json!("mac"), false),
        (json!("n_a"), true),
        (json!("N"), false),
        (json!(null), true),
        (json!(1), false),
        (json!(""), false),
    ] {
        let body = json!({"access_token": "t", "token_type": token_type}).to_string();
        assert_eq!(read(200, body).is_ok(), ok, "{token_type}");
    }
    assert!(read(200, r#"{"access_token":"t"}"#).is_ok());
}

fn expiring(text: &str) -> String {
    format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{text}}}"#)
}

/// A21, A22, A23
#[test]
fn expires_in_is_read_in_every_spelling_of_a_number() {
    let far = Duration::from_secs(u32::MAX.into());
    for (text, expected) in [
        ("null", None),
        ("3600", Some(Duration::from_secs(3_600))),
        ("3599.5", Some(Duration::from_secs(3_599))),
        ("\"3599.5\"", Some(Duration::from_secs(3_599))),
        ("0.5", Some(Duration::ZERO)),
        ("\"3600\"", Some(Duration::from_secs(3_600))),
        ("3600.0", Some(Duration::from_secs(3_600))),
        ("0", Some(Duration::ZERO)),
        ("-0.0", Some(Duration::ZERO)),
        ("-5", Some(Duration::ZERO)),
        ("\"-5\"", Some(Duration::ZERO)),
        ("1e300", Some(far)),
        ("9223372036854775808", Some(far)),
        ("\"99999999999999999999999999\"", Some(far)),
    ] {
        let issued = read(200, expiring(text)).unwrap();
        assert_eq!(issued.lifetime, expected, "{text}");
    }
    for text in [
        r#"" 3600""#,
        r#""""#,
        r#""-""#,
        r#"".5""#,
        r#""5.""#,
        r#""1e3""#,
        r#""inf""#,
        "true",
        "[]",
    ] {
        let expected = TokenErrorKind::ExpiresIn;
        assert_eq!(kind(200, expiring(text)), Some(expected), "{text}");
    }
    let missing = read(200, r#"{"access_token":"t","token_type":"Bearer"}"#).unwrap();
    assert_eq!(missing.lifetime, None);
}

/// A15, A26, A27
#[test]
fn what_is_not_one_strict_json_object_is_no_token() {
    let portal = answer(
        200,
        "text/html; charset=utf-8",
        "<html>Please log in</html>",
    );
    let error = read_for(&[], &portal).unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::ContentType);
    assert!(error.kind().is_transient());
    let unlabelled = answer(200, "application/json", " \n<!DOCTYPE html>");
    let error = read_for(&[], &unlabelled).unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::ContentType);
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
            Some(TokenErrorKind::Json),
            "{body}"
        );
    }
}

/// A12, A13, A14, A16, A28, A37
#[test]
fn every_status_and_code_has_its_kind() {
    use TokenErrorKind as Kind;
    for (status, body, expected) in [
        (401, r#"{"error":"invalid_client"}"#, Kind::InvalidClient),
        (400, r#"{"error":"invalid_client"}"#, Kind::InvalidClient),
        (200, r#"{"error":"invalid_client"}"#, Kind::InvalidClient),
        (400, r#"{"error":"invalid_scope"}"#, Kind::OAuth),
        (400, r#"{"error":"invalid_target"}"#, Kind::OAuth),
        (400, r#"{"error":"unauthorized_client"}"#, Kind::OAuth),
        (400, r#"{"error":"unsupported_grant_type"}"#, Kind::OAuth),
        (200, r#"{"error":"access_denied"}"#, Kind::OAuth),
        (
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            Kind::Status5xx,
        ),
        (401, "<html>", Kind::InvalidClient),
        (400, "<html>", Kind::Status4xx),
        (404, "", Kind::Status4xx),
        (404, r#"{"error":"invalid_client"}"#, Kind::Status4xx),
        (
            405,
            r#"{"error":"Method Not Allowed","path":"/token"}"#,
            Kind::Status4xx,
        ),
        (
            400,
            r#"{"error":"Bad Request","status":400}"#,
            Kind::Status4xx,
        ),
        (500, "<html>", Kind::Status5xx),
        (503, r#"{"error":"invalid_client"}"#, Kind::Status5xx),
        (429, "", Kind::Throttled),
        (408, "", Kind::Status5xx),
        (425, "", Kind::Status5xx),
        (301, "", Kind::Redirect),
        (307, "", Kind::Redirect),
        (204, "", Kind::UnexpectedStatus),
        (
            206,
            r#"{"access_token":"t","token_type":"Bearer"}"#,
            Kind::UnexpectedStatus,
        ),
        (304, "", Kind::UnexpectedStatus),
        (
            500,
            r#"{"access_token":"t","token_type":"Bearer"}"#,
            Kind::UnexpectedStatus,
        ),
        (
            400,
            r#"{"access_token":"t","error":"invalid_scope"}"#,
            Kind::UnexpectedStatus,
        ),
    ] {
        assert_eq!(kind(status, body), Some(expected), "{status} {body}");
    }
}

/// A12, A13, A14, A37
#[test]
fn an_answer_decides_how_soon_the_next_request_comes_and_whether_at_once() {
    let odd_lifetime = r#"{"access_token":"t","expires_in":true}"#;
    for (status, body, expected, retried) in [
        (401, "", Answer::Refused, false),
        (403, r#"{"error":"access_denied"}"#, Answer::Refused, false),
        (400, r#"{"error":"invalid_scope"}"#, Answer::Refused, false),
        (400, "<html>", Answer::Unusable, false),
        (404, "", Answer::Unusable, false),
        (
            405,
            r#"{"message":"no such path"}"#,
            Answer::Unusable,
            false,
        ),
        (503, "", Answer::Unusable, true),
        (408, "", Answer::Unusable, true),
        (429, "", Answer::Refused, false),
        // A provider counts the tokens that it issues.
        (200, odd_lifetime, Answer::Refused, false),
        (201, odd_lifetime, Answer::Refused, false),
        (500, r#"{"access_token":"t"}"#, Answer::Refused, false),
        (200, "<html>", Answer::Refused, false),
        (200, "{}", Answer::Refused, false),
        (204, "", Answer::Refused, false),
    ] {
        let error = read(status, body).unwrap_err();
        assert_eq!(error.kind().answer(), expected, "{status} {body}");
        assert_eq!(error.kind().is_worth_a_retry(), retried, "{status} {body}");
    }
}

/// A24
#[test]
fn a_granted_scope_must_hold_every_requested_one() {
    for (granted, missing) in [
        (json!("write read other"), None),
        (json!("write,read,other"), None),
        (json!("read"), Some("write")),
        (json!("read,other"), Some("write")),
        (json!("read,other write"), Some("read")),
        (json!(null), None),
        (json!("read writer"), Some("write")),
        (json!(""), Some("read")),
    ] {
        let body =
            json!({"access_token": "t", "token_type": "Bearer", "scope": granted}).to_string();
        let reply = answer(200, "application/json", body);
        let got = read_for(&["read", "write"], &reply).unwrap();
        assert_eq!(got.missing_scope.as_deref(), missing, "{granted}");
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
    let echo = r#"{"error":"invalid_client","error_description":"no key k3y-canary"}"#;
    assert!(!format!("{0} {0:?}", read(401, echo).unwrap_err()).contains("canary"));
    let html = read(403, "<html>body-canary</html>").unwrap_err();
    assert!(!format!("{html} {html:?}").contains("canary"));
}

/// K35, K81
#[test]
fn tokens_of_a_person_come_with_a_refresh_token_and_an_id_token_that_can_be_used() {
    let read = |more: &str| {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer"{more}}}"#);
        let response = Response {
            reply: answer(200, "application/json", body),
            sent: Sent {
                credential: "s3cret".into(),
                basic: None,
                headers: HeaderMap::new(),
            },
            wait: None,
            oddity: None,
        };
        response.user_tokens(&Expected {
            token_types: &[],
            max_token_size: 12_288,
            scopes: &[],
        })
    };
    let tokens = read(r#","refresh_token":"r~/+ =","id_token":"a.b.c""#).unwrap();
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "r~/+ =");
    assert_eq!(tokens.id_token.unwrap().expose_secret(), "a.b.c");
    for none in ["", r#","refresh_token":null"#, r#","refresh_token":"""#] {
        let tokens = read(none).unwrap();
        assert!(tokens.refresh_token.is_none() && tokens.id_token.is_none());
    }
    assert!(read(&format!(r#","refresh_token":"{}""#, "r".repeat(8_192))).is_ok());
    for bad in [
        r#","refresh_token":7"#.to_owned(),
        r#","refresh_token":"a\tb""#.to_owned(),
        r#","refresh_token":"é""#.to_owned(),
        format!(r#","refresh_token":"{}""#, "r".repeat(8_193)),
        r#","id_token":{}"#.to_owned(),
        r#","id_token":"a\u0000""#.to_owned(),
    ] {
        let error = read(&bad).unwrap_err();
        assert!(!error.kind().is_about_credentials(), "{bad:.40}");
    }
    let debug = format!(
        "{:?}",
        read(r#","refresh_token":"canary","id_token":"canary""#)
    );
    assert!(!debug.contains("canary"));
}
