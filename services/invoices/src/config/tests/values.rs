//! What each variable may be by itself.

use super::*;

/// K20
#[test]
fn every_variable_takes_what_it_should_and_nothing_else() {
    let long = "x".repeat(400);
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "INVOICES_ADDR",
            &["127.0.0.1:0", "[::1]:1"],
            &["6004", "localhost:1"],
        ),
        ("INVOICES_ADMIN_ADDR", &["off", "127.0.0.1:0"], &["on"]),
        ("ADMIN_ALLOWED_HOSTS", &["a.example b.example"], &["a:1"]),
        (
            "AUTHORIZATION_ENDPOINT",
            &["https://a.example/x"],
            &["a.example", "http://a.example"],
        ),
        (
            "END_SESSION_ENDPOINT",
            &["https://a.example/x"],
            &["/x", "https://{tenant_name}/"],
        ),
        (
            "USERINFO_ENDPOINT",
            &["https://a.example/x"],
            &["x", "http://a.example"],
        ),
        (
            "REVOCATION_ENDPOINT",
            &["https://a.example/x"],
            &["x", "ftp://a.example"],
        ),
        ("TOKEN_ENDPOINT", &["https://a.example/x"], &["x"]),
        ("JWKS_URI", &["https://a.example/x"], &["x"]),
        ("METADATA_URL", &["https://a.example/x"], &["x"]),
        (
            "APPLICATION_LOGIN_URL",
            &["https://a.example/login"],
            &["login"],
        ),
        ("SIGNUP_URL", &["https://a.example/signup?x=1"], &["signup"]),
        (
            "CLIENT_AUTH_METHOD",
            &["client_secret_post", "client_secret_basic_raw"],
            &["basic", "none"],
        ),
        ("CLIENT_KEY_ALGORITHM", &["ES256"], &["HS256"]),
        ("TOKEN_PARAMETERS", &["a=b c=d"], &["a"]),
        ("TOKEN_TYPE_NAMES", &["access_token"], &["DPoP"]),
        ("ACCEPT_NARROWER_SCOPE", &["true"], &["some"]),
        ("MAX_TOKEN_SIZE", &["32KiB"], &["33KiB"]),
        (
            "LOGIN_SCOPES",
            &["openid offline_access", "openid"],
            &["profile", "open", "openid a\"b"],
        ),
        ("LOGIN_AUDIENCE", &["https://api.example"], &[]),
        (
            "LOGIN_RESOURCE",
            &["https://api.example"],
            &["api", "https://api.example#x"],
        ),
        ("DOMAIN_FORMAT", &["LOCALHOST"], &["localhost", "TENANT"]),
        (
            "PUBLIC_URL",
            &[
                "https://app.example",
                "http://localhost:1",
                "http://a.localhost:1",
            ],
            &[
                "app.example",
                "http://app.example",
                "https://app.example/x",
                "https://u@app.example",
                "https://{tenant_name}.app.example",
            ],
        ),
        ("TENANTS", &["off", "required"], &["on"]),
        ("TENANT_ID_CLAIM", &["org_id"], &["org id"]),
        ("TENANT_NAME_CLAIM", &["org_name"], &["org name"]),
        (
            "ROLE_PERMISSIONS",
            &["a=b", "a=b,c;d=e;"],
            &["a", "=b", "a=", "a=b;a=c", "a=b,", "a:b=c", "a=b c"],
        ),
        ("SESSION_SECRETS", &[SECRET], &["short", &SECRET[1..]]),
        (
            "SESSION_STORE",
            &["memory", "redis://h", "sqlite:x", "postgres://u@h/d"],
            &["redis", "redis://h/x", "sqlite:", "postgres://h", "Memory"],
        ),
        ("SESSION_STORE_PASSWORD_FILE", &[], &["/x"]),
        ("SESSION_IDLE_TIMEOUT", &["1s", "12h"], &["0s", "13h", "60"]),
        ("SESSION_LIFETIME", &["1h", "30days"], &["900ms", "2years"]),
        ("SESSION_MAX_STALE", &["5m"], &["0s", "x"]),
        ("SESSION_MAX", &["1", "100000"], &["0", "-1"]),
        ("SESSIONS_PER_USER", &["1"], &["0", "1001"]),
        ("SESSION_SAME_SITE", &["lax", "strict"], &["none", "Lax"]),
        (
            "TRUSTED_ORIGINS",
            &["https://a.example https://b.example:1"],
            &[
                "a.example",
                "https://a.example/",
                "https://a.example:443",
                "null",
            ],
        ),
        ("DANGEROUS_INSECURE_COOKIES", &["true", "false"], &["yes"]),
        ("DANGEROUS_TOKEN_ENDPOINT", &["true"], &["1"]),
        ("API_AUDIENCE", &["a b"], &[]),
        (
            "PROTECTED_DATA_URL",
            &["https://x.example/base"],
            &["x", "http://x.example"],
        ),
        ("ALLOWED_ALGORITHMS", &["RS256 ES256"], &["HS256"]),
        ("TOKEN_SCOPE", &["a b"], &["a\\"]),
        ("TOKEN_RESOURCE", &["https://x.example"], &["x"]),
        ("APPLICATION_CUSTOM_DOMAIN", &["false"], &["true", "maybe"]),
        ("DEFAULT_TENANT_NAME", &[], &["acme", "-a", &long]),
    ];
    for (name, good, bad) in cases {
        for value in *good {
            let (_, problems, _) = read(&with(&[(name, value)]));
            assert_eq!(problems, [""; 0], "{name}={value}");
        }
        for value in *bad {
            let (_, problems, _) = read(&with(&[(name, value)]));
            let names = named(&problems);
            assert!(names.contains(name), "{name}={value}: {problems:?}");
            let others: Vec<&&str> = names
                .iter()
                .filter(|it| {
                    let goes_along = *name == "SESSION_LIFETIME" && **it == "SESSION_IDLE_TIMEOUT";
                    *it != name && !goes_along
                })
                .collect();
            assert!(others.is_empty(), "{name}={value}: {problems:?}");
        }
    }
}
