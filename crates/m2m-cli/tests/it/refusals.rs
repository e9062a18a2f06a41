//! Token requests that are refused in the words of many providers.

use dev_idp::{DevClient, DevIdp, Endpoint, Fault};
use m2m_cli::report::Status;
use rcgen::PublicKeyData as _;
use serde_json::json;

use crate::world::{Variables, examine, idp, lines, of, status, variables, with};

/// A refusal: its name, the status, the body and what the line must say.
type Refusal = (&'static str, u16, &'static str, &'static str);

/// The line about the token endpoint where it refuses everything so, and how often it was asked.
async fn refused(idp: &DevIdp, variables: &Variables, refusal: &Refusal) -> (String, u64) {
    let (name, status, body, _) = *refusal;
    let kind = match body.starts_with('<') {
        true => "text/html",
        false => "application/json",
    };
    let fault = Fault::on(Endpoint::Token).status(status);
    idp.fault(fault.header("content-type", kind).body(body));
    let before = idp.requests().token;
    let report = examine(variables).await;
    idp.clear_faults();
    assert_eq!(report.failures(), 1, "{name}: {:#?}", lines(&report));
    let found = of(&report, "token endpoint")[0];
    assert_eq!(
        found.status,
        Status::Failed,
        "{name}: {:#?}",
        lines(&report)
    );
    (found.line(false), idp.requests().token - before)
}

/// N73
#[tokio::test]
async fn every_wording_of_wrong_credentials_leads_to_the_secret_after_every_method() {
    let secret = "correct CLIENT_SECRET";
    let refusals: [Refusal; 18] = [
        ("RFC 6749", 401, r#"{"error":"invalid_client"}"#, secret),
        ("with 400", 400, r#"{"error":"invalid_client"}"#, secret),
        (
            "Keycloak",
            401,
            r#"{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}"#,
            secret,
        ),
        (
            "Auth0",
            401,
            r#"{"error":"access_denied","error_description":"Unauthorized"}"#,
            secret,
        ),
        (
            "UAA",
            401,
            r#"{"error":"unauthorized","error_description":"Bad credentials"}"#,
            secret,
        ),
        (
            "Spring",
            401,
            r#"{"timestamp":"2026-01-01T00:00:00Z","status":401,"error":"Unauthorized","path":"/oauth2/token"}"#,
            secret,
        ),
        (
            "Okta",
            401,
            r#"{"errorCode":"invalid_client","errorSummary":"Invalid value for 'client_id' parameter.","errorId":"x"}"#,
            secret,
        ),
        (
            "Entra, secret",
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.","error_codes":[7000215]}"#,
            secret,
        ),
        (
            "Entra, id",
            400,
            r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application with identifier 'x' was not found in the directory 'y'."}"#,
            secret,
        ),
        (
            "Google",
            400,
            r#"{"error":"invalid_request","error_description":"Could not determine client ID from request."}"#,
            secret,
        ),
        (
            "Salesforce",
            400,
            r#"{"error":"invalid_client_id","error_description":"client identifier invalid"}"#,
            secret,
        ),
        (
            "GitHub",
            200,
            r#"{"error":"incorrect_client_credentials"}"#,
            secret,
        ),
        (
            "a gateway's missing key",
            401,
            r#"{"message":"No API key found in request"}"#,
            secret,
        ),
        ("a gateway's 403", 403, r#"{"message":"Forbidden"}"#, secret),
        ("401 with nothing", 401, "", secret),
        ("403 with nothing", 403, "", secret),
        (
            "401 with a page",
            401,
            "<html><body><h1>401 Authorization Required</h1></body></html>",
            secret,
        ),
        (
            "400 about a secret",
            400,
            r#"{"error":"access_denied","error_description":"client secret does not match"}"#,
            secret,
        ),
    ];
    let idp = idp().await;
    let variables = variables(idp.issuer());
    for refusal in refusals {
        let (name, says) = (refusal.0, refusal.3);
        let (line, asked) = refused(&idp, &variables, &refusal).await;
        assert!(line.contains(says), "{name}: {line}");
        assert!(
            line.contains("client_secret_basic, client_secret_post"),
            "{name}: {line}"
        );
        assert_eq!(asked, 2, "{name}: {line}");
    }
}

/// N73, N74
#[tokio::test]
async fn a_refusal_for_another_reason_leads_to_its_own_setting() {
    let refusals: [Refusal; 12] = [
        (
            "Spring's path",
            404,
            r#"{"status":404,"error":"Not Found","path":"/token"}"#,
            "set TOKEN_ENDPOINT",
        ),
        (
            "a realm",
            404,
            r#"{"error":"Realm does not exist"}"#,
            "set TOKEN_ENDPOINT",
        ),
        (
            "an OAuth code",
            404,
            r#"{"error":"invalid_client"}"#,
            "set TOKEN_ENDPOINT",
        ),
        (
            "a method",
            405,
            r#"{"error":"method_not_allowed"}"#,
            "set TOKEN_ENDPOINT",
        ),
        (
            "a web application firewall",
            403,
            "<html><title>403 Forbidden</title></html>",
            "a firewall or proxy",
        ),
        ("a mesh", 403, "RBAC: access denied", "a firewall or proxy"),
        (
            "Auth0, no audience",
            403,
            r#"{"error":"access_denied","error_description":"No audience parameter was provided, and no default audience has been configured"}"#,
            "set TOKEN_AUDIENCE",
        ),
        (
            "Auth0, an API",
            403,
            r#"{"error":"access_denied","error_description":"Client is not authorized to access \"https://api.example\"."}"#,
            "name the API in TOKEN_AUDIENCE",
        ),
        (
            "Entra, no scope",
            400,
            r#"{"error":"invalid_request","error_description":"AADSTS90014: The required field 'scope' is missing from the credential."}"#,
            "set TOKEN_SCOPE",
        ),
        (
            "Okta, no scope",
            400,
            r#"{"error":"invalid_scope","error_description":"'scope' must be provided."}"#,
            "set TOKEN_SCOPE",
        ),
        (
            "a resource",
            400,
            r#"{"error":"invalid_resource","error_description":"AADSTS500011: The resource principal named x was not found."}"#,
            "set TOKEN_RESOURCE",
        ),
        (
            "a grant",
            400,
            r#"{"error":"unauthorized_client","error_description":"Grant type 'client_credentials' not allowed for the client."}"#,
            "allow CLIENT_ID the client credentials grant",
        ),
    ];
    let idp = idp().await;
    let variables = variables(idp.issuer());
    for refusal in refusals {
        let (name, says) = (refusal.0, refusal.3);
        let (line, asked) = refused(&idp, &variables, &refusal).await;
        let (_, change) = line.split_once(" → ").unwrap();
        assert!(change.contains(says), "{name}: {line}");
        assert!(!change.contains("correct CLIENT_SECRET"), "{name}: {line}");
        assert_eq!(asked, 1, "{name}: {line}");
    }
    let fixed = [("TOKEN_ENDPOINT", &*idp.token_endpoint())];
    let refusal = ("a path", 404, r#"{"error":"not_found"}"#, "");
    let (line, _) = refused(&idp, &with(variables, &fixed), &refusal).await;
    assert!(line.contains("correct TOKEN_ENDPOINT"), "{line}");
}

/// Some answer a scope that they do not know with 401 or 403, and nothing else.
#[tokio::test]
async fn a_bare_refusal_may_be_about_the_scope() {
    let idp = idp().await;
    // Both methods with the scope are refused so; then none is asked for.
    idp.fault(Fault::on(Endpoint::Token).times(2).status(403).body(""));
    let scope = [("TOKEN_SCOPE", "data:admin")];
    let report = examine(&with(variables(idp.issuer()), &scope)).await;
    let line = of(&report, "scope")[0].line(false);
    assert!(
        line.contains("take data:admin out of TOKEN_SCOPE"),
        "{line}"
    );
    assert_eq!(status(&report, "token endpoint"), Status::Passed);
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));
    assert_eq!(idp.requests().token, 3);
}

/// N75
#[tokio::test]
async fn metadata_without_a_list_of_methods_leave_all_to_be_tried_and_a_list_leaves_those() {
    let idp = idp().await;
    for (name, listed, asked) in [
        ("no list", None, 3),
        ("null", Some(json!(null)), 3),
        ("a list", Some(json!(["client_secret_basic"])), 2),
        ("another list", Some(json!(["client_secret_post"])), 2),
        (
            "both",
            Some(json!(["client_secret_post", "client_secret_basic"])),
            3,
        ),
        ("others", Some(json!(["private_key_jwt"])), 1),
    ] {
        let mut metadata = json!({
            "issuer": idp.issuer(),
            "token_endpoint": idp.token_endpoint(),
            "jwks_uri": idp.jwks_uri(),
        });
        if let Some(listed) = listed {
            metadata["token_endpoint_auth_methods_supported"] = listed;
        }
        idp.fault(Fault::on(Endpoint::Metadata).body(metadata.to_string()));
        // Its characters make the two forms of basic differ.
        let wrong = [("CLIENT_SECRET", "hunter/2")];
        let before = idp.requests().token;
        let report = examine(&with(variables(idp.issuer()), &wrong)).await;
        idp.clear_faults();
        let line = of(&report, "token endpoint")[0].line(false);
        assert_eq!(idp.requests().token - before, asked, "{name}: {line}");
        assert_eq!(report.failures(), 1, "{name}: {:#?}", lines(&report));
    }
}

/// M3
#[tokio::test]
async fn a_type_of_assertions_that_is_refused_leads_to_the_other_one() {
    let key = rcgen::KeyPair::generate().unwrap();
    let client = DevClient::new("keyed", "").public_key(key.subject_public_key_info());
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.serialize_pem()).unwrap();
    let mut variables = with(
        variables(idp.issuer()),
        &[
            ("CLIENT_ID", "keyed"),
            ("CLIENT_AUTH_METHOD", "private_key_jwt"),
            ("CLIENT_KEY_FILE", file.path().to_str().unwrap()),
        ],
    );
    variables.remove("CLIENT_SECRET");
    let report = examine(&variables).await;
    let line = of(&report, "token endpoint")[0].line(false);
    assert!(line.ends_with("with private_key_jwt"), "{line}");
    assert_eq!(report.failures(), 0, "{:#?}", lines(&report));

    let refusal = Fault::on(Endpoint::Token).status(401);
    idp.fault(refusal.times(1).body(r#"{"error":"invalid_client"}"#));
    let report = examine(&variables).await;
    let line = of(&report, "token endpoint")[0].line(false);
    assert!(line.ends_with("set ASSERTION_TYP=JWT"), "{line}");
    assert_eq!(status(&report, "validation"), Status::Passed);

    idp.set_client(DevClient::new("keyed", ""));
    let before = idp.requests().token;
    let report = examine(&variables).await;
    let line = of(&report, "token endpoint")[0].line(false);
    assert!(line.contains("correct CLIENT_KEY_FILE"), "{line}");
    assert_eq!(idp.requests().token - before, 2);
}

/// N70
#[tokio::test]
async fn what_is_odd_about_an_id_or_a_secret_is_repeated_where_they_are_refused() {
    let idp = idp().await;
    for (name, variable, value, says) in [
        (
            "quotes",
            "CLIENT_SECRET",
            "\"dev-secret\"",
            "CLIENT_SECRET: has quotes around it",
        ),
        (
            "single quotes",
            "CLIENT_SECRET",
            "'dev-secret'",
            "CLIENT_SECRET: has quotes around it",
        ),
        (
            "a space",
            "CLIENT_SECRET",
            "dev-secret ",
            "CLIENT_SECRET: has a space at an end",
        ),
        (
            "quotes of the id",
            "CLIENT_ID",
            "'dev-client'",
            "CLIENT_ID: has quotes around it",
        ),
        (
            "a space in the id",
            "CLIENT_ID",
            "dev client",
            "CLIENT_ID: has a space inside",
        ),
    ] {
        let report = examine(&with(variables(idp.issuer()), &[(variable, value)])).await;
        let line = of(&report, "token endpoint")[0].line(false);
        let (_, change) = line.split_once(" → ").unwrap();
        assert!(change.contains(says), "{name}: {line}");
        let warned = of(&report, "configuration");
        let warned = warned.iter().any(|one| one.line(false).contains(says));
        assert!(warned, "{name}: {:#?}", lines(&report));
        assert_eq!(report.failures(), 1, "{name}: {:#?}", lines(&report));
        assert!(!lines(&report).concat().contains("-secret"), "{name}");
    }
}
