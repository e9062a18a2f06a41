//! What variables may be beside each other.

use super::*;

/// K20
#[test]
fn settings_that_contradict_each_other_are_named() {
    let vanity = ("APPLICATION_VANITY_DOMAIN", "app.idp.example");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[("DOMAIN_FORMAT", "VANITY_DOMAIN")], &["TENANTS"]),
        (
            &[("CLIENT_AUTH_METHOD", "private_key_jwt")],
            &["CLIENT_KEY_FILE"],
        ),
        (
            &[("CLIENT_AUTH_METHOD", "tls_client_auth")],
            &["CLIENT_CERTIFICATE_FILE"],
        ),
        (
            &[
                ("WEB_CLIENT_ID", "web"),
                ("WEB_CLIENT_SECRET", "secret"),
                ("WEB_CLIENT_AUTH_METHOD", "private_key_jwt"),
            ],
            &["WEB_CLIENT_AUTH_METHOD"],
        ),
        (
            &[("DOMAIN_FORMAT", "VANITY_DOMAIN"), ("TENANTS", "required")],
            &[],
        ),
        (
            &[
                ("DOMAIN_FORMAT", "VANITY_DOMAIN"),
                ("TENANTS", "required"),
                ("PUBLIC_URL", "https://app.example"),
            ],
            &["PUBLIC_URL"],
        ),
        (
            &[
                ("DOMAIN_FORMAT", "VANITY_DOMAIN"),
                ("TENANTS", "required"),
                ("PUBLIC_URL", "https://{tenant_domain}.app.example"),
            ],
            &[],
        ),
        (
            &[(
                "AUTHORIZATION_ENDPOINT",
                "https://{tenant_name}.idp.example/a",
            )],
            &["TENANTS"],
        ),
        (
            &[
                (
                    "AUTHORIZATION_ENDPOINT",
                    "https://{tenant_name}.idp.example/a",
                ),
                ("TENANTS", "required"),
            ],
            &[],
        ),
        (
            &[
                ("AUTHORIZATION_ENDPOINT", "https://b.{tenant_name}.example/"),
                ("TENANTS", "required"),
            ],
            &["AUTHORIZATION_ENDPOINT"],
        ),
        (
            &[("TENANT_CUSTOM_DOMAINS", "idp.acme.example")],
            &["TENANT_CUSTOM_DOMAINS"],
        ),
        (
            &[
                ("TENANT_CUSTOM_DOMAINS", "*.idp.example login.acme.example"),
                ("TENANTS", "required"),
            ],
            &[],
        ),
        (
            &[
                ("TENANT_CUSTOM_DOMAINS", "10.0.0.1"),
                ("TENANTS", "required"),
            ],
            &["TENANT_CUSTOM_DOMAINS"],
        ),
        (
            &[("DEFAULT_TENANT_CUSTOM_DOMAIN", "login.acme.example")],
            &["DEFAULT_TENANT_CUSTOM_DOMAIN"],
        ),
        (
            &[
                ("DEFAULT_TENANT_CUSTOM_DOMAIN", "acme:1"),
                ("TENANTS", "required"),
            ],
            &["DEFAULT_TENANT_CUSTOM_DOMAIN"],
        ),
        (
            &[("DEFAULT_TENANT_NAME", "acme"), ("TENANTS", "required")],
            &[],
        ),
        (
            &[
                ("PUBLIC_URL", "http://app.example"),
                ("ALLOW_INSECURE_HTTP", "true"),
            ],
            &["DANGEROUS_INSECURE_COOKIES"],
        ),
        (
            &[
                ("PUBLIC_URL", "http://app.example"),
                ("ALLOW_INSECURE_HTTP", "true"),
                ("DANGEROUS_INSECURE_COOKIES", "true"),
            ],
            &[],
        ),
        (
            &[("SESSION_IDLE_TIMEOUT", "2h"), ("SESSION_LIFETIME", "1h")],
            &["SESSION_IDLE_TIMEOUT"],
        ),
        (
            &[("SESSION_SECRETS_FILE", "/none")],
            &["SESSION_SECRETS_FILE"],
        ),
        (&[("WEB_CLIENT_SECRET", "x")], &["WEB_CLIENT_ID"]),
        (&[("WEB_CLIENT_ID", "x")], &["WEB_CLIENT_SECRET"]),
        (
            &[
                ("WEB_CLIENT_ID", "x"),
                ("WEB_CLIENT_SECRET", "y"),
                ("CLIENT_ID", ""),
            ],
            &["CLIENT_ID"],
        ),
        (
            &[
                ("WEB_CLIENT_ID", "x"),
                ("WEB_CLIENT_SECRET", "y"),
                ("CLIENT_ID", ""),
                ("CLIENT_SECRET", ""),
            ],
            &[],
        ),
        (
            &[("CLIENT_ID", ""), ("CLIENT_SECRET", "")],
            &["CLIENT_ID", "CLIENT_SECRET"],
        ),
        (
            &[
                vanity,
                ("ISSUER", ""),
                ("APPLICATION_DOMAIN", "other.example"),
            ],
            &["APPLICATION_DOMAIN"],
        ),
        (
            &[vanity, ("ISSUER", ""), ("APPLICATION_DOMAIN", vanity.1)],
            &[],
        ),
        (&[vanity], &["ISSUER"]),
        (&[vanity, ("ISSUER", ""), ("TENANTS", "off")], &["TENANTS"]),
        (
            &[
                ("APPLICATION_VANITY_DOMAIN", "app.idp.example:8443"),
                ("ISSUER", ""),
            ],
            &["APPLICATION_VANITY_DOMAIN"],
        ),
        (
            &[("APPLICATION_DOMAIN", "a b"), ("ISSUER", "")],
            &["APPLICATION_DOMAIN"],
        ),
        (&[("ISSUER", "")], &["ISSUER"]),
    ];
    for (more, expected) in cases {
        let (_, problems, _) = read(&with(more));
        assert_eq!(named(&problems), *expected, "{more:?}: {problems:?}");
    }
}
