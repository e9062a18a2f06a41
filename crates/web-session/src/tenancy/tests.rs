use super::*;

fn named(name: &str) -> Choice {
    let name = Some(TenantName::parse(name).unwrap());
    Choice::At(LoginTenant {
        name,
        custom_domain: None,
    })
}

/// K4
#[test]
fn what_a_login_says_about_its_tenant_has_to_agree() {
    let tenancy = Tenancy::required();
    let (acme, evil) = (Some("acme"), Some("globex"));
    let label = TenantName::parse("acme").unwrap();
    let asked = |tenant_name, tenant_domain, label| Asked {
        tenant_name,
        tenant_domain,
        label,
        ..Asked::default()
    };
    for good in [
        asked(acme, None, None),
        asked(None, acme, None),
        asked(acme, Some("ACME"), None),
        asked(acme, None, Some(&label)),
        asked(None, None, Some(&label)),
    ] {
        assert_eq!(tenancy.choose(&good), Ok(named("acme")), "{good:?}");
    }
    for bad in [
        asked(acme, evil, None),
        asked(evil, None, Some(&label)),
        asked(None, evil, Some(&label)),
        asked(Some("a.b"), None, None),
    ] {
        assert_eq!(tenancy.choose(&bad), Err(BadTenant), "{bad:?}");
    }
}

/// K5
#[test]
fn only_listed_custom_domains_are_taken() {
    let tenancy = Tenancy::required()
        .custom_domains(["login.acme.example", "*.idp.example"])
        .unwrap();
    let choose = |domain| {
        tenancy.choose(&Asked {
            custom_domain: Some(domain),
            ..Asked::default()
        })
    };
    for good in [
        "login.acme.example",
        "LOGIN.acme.example",
        "a.idp.example",
        "a.b.idp.example",
    ] {
        assert!(matches!(choose(good), Ok(Choice::At(_))), "{good}");
    }
    for bad in [
        "",
        "acme.example",
        "idp.example",
        "evil-idp.example",
        "a.idp.example.",
        "a.idp.example:1",
        "user@a.idp.example",
        "a.idp.example/x",
        "127.0.0.1",
        "a.idp.example.evil",
        "[::1]",
        "1.2",
        ".idp.example",
        "a..idp.example",
        "x\\a.idp.example",
    ] {
        assert_eq!(choose(bad), Err(BadTenant), "{bad}");
    }
    assert!(
        Tenancy::required()
            .choose(&Asked {
                custom_domain: Some("a.b"),
                ..Asked::default()
            })
            .is_err()
    );
    assert!(Tenancy::required().custom_domains(["*.com"]).is_err());
}

/// K6
#[test]
fn without_a_tenant_the_person_is_asked() {
    let url: Url = "https://idp.example/login".parse().unwrap();
    let asked = Asked::default();
    let tenancy = Tenancy::required();
    assert_eq!(tenancy.choose(&asked), Ok(Choice::Unknown));
    let tenancy = tenancy.application_login_url(url.clone());
    assert_eq!(tenancy.choose(&asked), Ok(Choice::AskAt(url)));
    let tenancy = tenancy.default_name(TenantName::parse("acme").unwrap());
    assert_eq!(tenancy.choose(&asked), Ok(named("acme")));
    let hint = Asked {
        hint: Some("globex"),
        ..Asked::default()
    };
    assert_eq!(tenancy.choose(&hint), Ok(named("globex")));
    let hint = Asked {
        hint: Some("no name"),
        ..Asked::default()
    };
    assert_eq!(tenancy.choose(&hint), Ok(named("acme")));
    let tenancy = tenancy.default_custom_domain("login.acme.example").unwrap();
    let custom_domain = CustomDomain::parse("login.acme.example");
    let expected = LoginTenant {
        name: None,
        custom_domain,
    };
    assert_eq!(tenancy.choose(&asked), Ok(Choice::At(expected)));
    assert_eq!(
        Tenancy::off().choose(&hint),
        Ok(Choice::At(LoginTenant::default()))
    );
}

/// K31
#[test]
fn the_tenant_that_comes_back_is_the_one_that_was_begun() {
    let tenancy = Tenancy::required();
    let name = TenantName::parse("acme").ok();
    let began = LoginTenant {
        name,
        custom_domain: None,
    };
    let came = |tenant_name, tenant_domain| Asked {
        tenant_name,
        tenant_domain,
        ..Asked::default()
    };
    assert!(tenancy.is_as_begun(&began, &came(None, None)));
    assert!(tenancy.is_as_begun(&began, &came(Some("acme"), None)));
    assert!(tenancy.is_as_begun(&began, &came(None, Some("acme"))));
    assert!(!tenancy.is_as_begun(&began, &came(Some("globex"), None)));
    assert!(!tenancy.is_as_begun(&began, &came(None, Some("globex"))));
    assert!(!tenancy.is_as_begun(&began, &came(Some("acme"), Some("globex"))));
    let other = Asked {
        custom_domain: Some("login.acme.example"),
        ..Asked::default()
    };
    assert!(!tenancy.is_as_begun(&began, &other));
}
