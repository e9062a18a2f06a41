use super::*;
use crate::backoff::Answer;

fn paths(issuer: &str) -> Vec<String> {
    candidates(&issuer.parse().unwrap())
        .iter()
        .map(|url| url.path().to_owned())
        .collect()
}

#[test]
fn an_issuer_without_a_path_has_two_well_known_addresses() {
    let expected = [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ];
    assert_eq!(paths("https://idp.example"), expected);
    assert_eq!(paths("https://idp.example/"), expected);
}

#[test]
fn an_issuer_with_a_path_has_three() {
    assert_eq!(
        paths("https://idp.example/realms/main"),
        [
            "/realms/main/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server/realms/main",
            "/realms/main/.well-known/oauth-authorization-server",
        ]
    );
}

fn read(issuer: &str, document: &str) -> Result<Metadata, DiscoveryError> {
    let client = IdpClient::builder().build().unwrap();
    Discovery::new(client, issuer)
        .unwrap()
        .read(document.as_bytes())
}

/// D26
#[test]
fn the_published_issuer_must_be_the_configured_one_byte_for_byte() {
    for published in [
        "https://idp.example/",
        "https://IDP.example",
        "https://idp.example:443",
        "https://idp.example\\u0000",
        "https://evil.example",
    ] {
        let error = read(
            "https://idp.example",
            &format!(r#"{{"issuer":"{published}"}}"#),
        )
        .unwrap_err();
        assert!(error.is_issuer_mismatch(), "{published}");
        let shown = published.replace("\\u0000", "?");
        assert_eq!(error.published_issuer(), Some(&*shown));
        assert_eq!(error.answer(), Answer::Unusable);
    }
    assert!(read("https://idp.example", r#"{"issuer":"https://idp.example"}"#).is_ok());
}

#[test]
fn one_byte_order_mark_before_metadata_is_skipped() {
    let document = r#"{"issuer":"https://idp.example"}"#;
    let marked = |marks: usize| format!("{}{document}", "\u{feff}".repeat(marks));
    assert!(read("https://idp.example", &marked(1)).is_ok());
    assert!(read("https://idp.example", &marked(2)).is_err());
}

/// D25
#[test]
fn endpoints_of_a_configured_issuer_are_https_addresses_anywhere() {
    for (uri, ok) in [
        ("https://keys.example/jwks", true),
        ("http://idp.example/jwks", false),
        ("http://10.0.0.1/jwks", false),
        ("http://127.0.0.1/jwks", true),
        ("https://10.96.0.1/openid/v1/jwks", true),
        ("https://[fd00::1]:6443/openid/v1/jwks", true),
        ("https://user:pw@idp.example/jwks", false),
        ("file:///etc/passwd", false),
        ("/jwks", false),
    ] {
        let document = format!(r#"{{"issuer":"https://idp.example","jwks_uri":"{uri}"}}"#);
        assert_eq!(read("https://idp.example", &document).is_ok(), ok, "{uri}");
    }
    let local = r#"{"issuer":"http://127.0.0.1:1","jwks_uri":"http://127.0.0.1:1/jwks"}"#;
    assert!(read("http://127.0.0.1:1", local).is_ok());
}

/// D25
#[test]
fn endpoints_of_an_issuer_from_outside_stay_on_allowed_origins() {
    let keys: Url = "https://keys.example/".parse().unwrap();
    for (uri, ok) in [
        ("https://idp.example/jwks", true),
        ("https://idp.example:443/other", true),
        ("https://keys.example/jwks", true),
        ("https://idp.example:8443/jwks", false),
        ("http://idp.example/jwks", false),
        ("https://evil.example/jwks", false),
        ("https://idp.example.evil.example/jwks", false),
        ("https://sub.idp.example/jwks", false),
        ("https://keys.example:1/jwks", false),
        ("https://169.254.169.254/latest", false),
        ("https://idp.example@evil.example/jwks", false),
    ] {
        let document = format!(r#"{{"issuer":"https://idp.example","jwks_uri":"{uri}"}}"#);
        let client = IdpClient::builder().build().unwrap();
        let discovery = Discovery::new(client, "https://idp.example")
            .unwrap()
            .restrict_to_origins([&keys]);
        assert_eq!(discovery.read(document.as_bytes()).is_ok(), ok, "{uri}");
    }
}

/// D25
#[test]
fn an_endpoint_that_its_reader_does_not_ask_is_left_out_where_it_is_unusable() {
    let client = IdpClient::builder().build().unwrap();
    let read = |reader, token: &str, keys: &str| {
        let document = format!(
            r#"{{"issuer":"https://idp.example","token_endpoint":{token},"jwks_uri":{keys}}}"#
        );
        let discovery = Discovery::new(client.clone(), "https://idp.example").unwrap();
        let metadata = discovery.for_reader(reader).read(document.as_bytes())?;
        Ok::<_, DiscoveryError>((metadata.token_endpoint, metadata.jwks_uri))
    };
    let good = r#""https://idp.example/x""#;
    let url: Option<Url> = "https://idp.example/x".parse().ok();
    for bad in [
        "null",
        "7",
        r#""/x""#,
        r#""http://idp.example/x""#,
        r#""ftp://idp.example/x""#,
    ] {
        let keys_only = read(Reader::Validator, bad, good).unwrap();
        assert_eq!(keys_only, (None, url.clone()), "{bad}");
        assert!(read(Reader::Validator, good, bad).is_err(), "{bad}");
        for client in [Reader::Client, Reader::MutualTlsClient] {
            let token_only = read(client, good, bad).unwrap();
            assert_eq!(token_only, (url.clone(), None), "{bad}");
            assert!(read(client, bad, good).is_err(), "{bad}");
        }
    }
}

/// RFC 8705 section 5.
#[test]
fn a_client_with_a_certificate_uses_the_alias_where_there_is_one() {
    let client = IdpClient::builder().build().unwrap();
    let read = |reader, aliases: &str| {
        let document = format!(
            r#"{{"issuer":"https://idp.example","token_endpoint":"https://idp.example/token"{aliases}}}"#
        );
        let discovery = Discovery::new(client.clone(), "https://idp.example").unwrap();
        let metadata = discovery.for_reader(reader).read(document.as_bytes())?;
        Ok::<_, DiscoveryError>(metadata.token_endpoint.unwrap().to_string())
    };
    let plain = "https://idp.example/token";
    let alias = "https://mtls.idp.example/token";
    let with_alias =
        r#","mtls_endpoint_aliases":{"token_endpoint":"https://mtls.idp.example/token"}"#;
    assert_eq!(read(Reader::MutualTlsClient, with_alias).unwrap(), alias);
    assert_eq!(read(Reader::Client, with_alias).unwrap(), plain);
    for none in [
        "",
        r#","mtls_endpoint_aliases":{}"#,
        r#","mtls_endpoint_aliases":{"revocation_endpoint":"https://mtls.idp.example/r"}"#,
    ] {
        assert_eq!(
            read(Reader::MutualTlsClient, none).unwrap(),
            plain,
            "{none}"
        );
    }
    for bad in [
        "null",
        r#""http://idp.example/t""#,
        r#""https://user@idp.example/t""#,
    ] {
        let bad = format!(r#","mtls_endpoint_aliases":{{"token_endpoint":{bad}}}"#);
        assert!(read(Reader::MutualTlsClient, &bad).is_err(), "{bad}");
        assert_eq!(read(Reader::Client, &bad).unwrap(), plain, "{bad}");
    }
}

#[test]
fn authentication_methods_are_those_that_are_strings() {
    for (member, expected) in [
        ("", None),
        (
            r#","token_endpoint_auth_methods_supported":["client_secret_post",7,"none"]"#,
            Some(vec!["client_secret_post", "none"]),
        ),
        (
            r#","token_endpoint_auth_methods_supported":[]"#,
            Some(vec![]),
        ),
        (r#","token_endpoint_auth_methods_supported":"x""#, None),
    ] {
        let document = format!(r#"{{"issuer":"https://idp.example"{member}}}"#);
        let metadata = read("https://idp.example", &document).unwrap();
        let methods = metadata.token_endpoint_auth_methods;
        let expected: Option<Vec<String>> =
            expected.map(|methods| methods.into_iter().map(str::to_owned).collect());
        assert_eq!(methods, expected, "{member}");
    }
}

#[test]
fn unusable_documents_are_refused() {
    for document in [
        "",
        "[]",
        "<html>",
        "{}",
        r#"{"issuer":1}"#,
        r#"{"issuer":"https://idp.example","issuer":"https://idp.example"}"#,
        r#"{"issuer":"https://idp.example","jwks_uri":7}"#,
    ] {
        assert!(read("https://idp.example", document).is_err(), "{document}");
    }
}

#[test]
fn an_issuer_url_has_no_query_fragment_or_credentials() {
    let client = IdpClient::builder().build().unwrap();
    for (issuer, expected) in [
        ("idp.example", UrlProblem::Syntax),
        ("http://idp.example", UrlProblem::Scheme),
        ("https://idp.example?tenant=1", UrlProblem::Query),
        ("https://idp.example#a", UrlProblem::Fragment),
        ("https://a@idp.example", UrlProblem::Credentials),
    ] {
        assert_eq!(
            Discovery::new(client.clone(), issuer).unwrap_err(),
            expected,
            "{issuer}"
        );
    }
}

/// N24
#[test]
fn metadata_elsewhere_are_of_the_configured_issuer_whatever_its_name_is() {
    let client = IdpClient::builder().build().unwrap();
    let place: Url = "https://login.example/x?p=policy".parse().unwrap();
    for issuer in [
        "https://sts.example/tenant",
        "http://adfs.example/adfs/services/trust",
        "urn:example:issuer",
        "spiffe://trust.example",
        "gitlab",
    ] {
        let discovery = Discovery::at(client.clone(), issuer, place.clone()).unwrap();
        assert_eq!(
            discovery.candidates,
            std::slice::from_ref(&place),
            "{issuer}"
        );
        let document = |issuer: &str| {
            format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://keys.example/x?p=policy"}}"#)
        };
        let found = discovery.read(document(issuer).as_bytes()).unwrap();
        let keys = found.jwks_uri.unwrap();
        assert_eq!(keys.as_str(), "https://keys.example/x?p=policy", "{issuer}");
        let error = discovery.read(document("other").as_bytes()).unwrap_err();
        assert_eq!(error.published_issuer(), Some("other"), "{issuer}");
    }
    for (url, problem) in [
        ("http://login.example/x", UrlProblem::Scheme),
        ("https://user@login.example/x", UrlProblem::Credentials),
        ("https://login.example/x#y", UrlProblem::Fragment),
    ] {
        let found = Discovery::at(client.clone(), "urn:x", url.parse().unwrap());
        assert_eq!(found.map(drop), Err(problem), "{url}");
    }
}

#[test]
fn a_login_reads_where_people_go_and_leaves_out_what_could_not_be_asked() {
    let document = r#"{
        "issuer": "https://idp.example",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/jwks",
        "authorization_endpoint": "https://idp.example/authorize",
        "userinfo_endpoint": "http://idp.example/userinfo",
        "revocation_endpoint": null,
        "end_session_endpoint": "https://idp.example/logout",
        "require_pushed_authorization_requests": true,
        "authorization_response_iss_parameter_supported": "true"
    }"#;
    let client = IdpClient::builder().build().unwrap();
    let read = |reader| {
        let discovery = Discovery::new(client.clone(), "https://idp.example").unwrap();
        discovery
            .for_reader(reader)
            .read(document.as_bytes())
            .unwrap()
            .login
    };
    let expected = LoginMetadata {
        authorization_endpoint: "https://idp.example/authorize".parse().ok(),
        end_session_endpoint: "https://idp.example/logout".parse().ok(),
        require_pushed_authorization_requests: true,
        ..LoginMetadata::default()
    };
    assert_eq!(read(Reader::Login), expected);
    assert_eq!(read(Reader::Client), LoginMetadata::default());
}
