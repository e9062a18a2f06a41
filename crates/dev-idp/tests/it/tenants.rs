//! The pages for people whose tenant is not known, or not there yet.

use dev_idp::{DEFAULT_PASSWORD, DevClient, DevIdp};
use reqwest::header::CONTENT_SECURITY_POLICY;

use super::person::{Asked, OWNER, get, parameter, provider, sign_in, submit};
use super::{FORM, Reply, http};

fn page(idp: &DevIdp, name: &str) -> String {
    format!("{}/{name}?client_id=dev-web", idp.issuer())
}

#[tokio::test]
async fn a_tenants_name_or_an_address_leads_to_the_login_of_the_application() {
    let idp = provider().await;
    let find = page(&idp, "login");
    get(&find)
        .await
        .assert_page(200, "<h1>Find your tenant</h1>");
    for (typed, tenant, hint) in [
        ("acme", "acme", None),
        (" ACME ", "acme", None),
        (OWNER, "acme", Some(OWNER)),
        (
            "Owner@Globex.example",
            "globex",
            Some("Owner@Globex.example"),
        ),
    ] {
        let location = Reply::of(submit(&find, &[("tenant", typed)]))
            .await
            .location();
        assert!(
            location
                .as_str()
                .starts_with("http://localhost:6004/api/auth/login?")
        );
        assert_eq!(
            parameter(&location, "tenant_name").as_deref(),
            Some(tenant),
            "{typed}"
        );
        assert_eq!(
            parameter(&location, "login_hint").as_deref(),
            hint,
            "{typed}"
        );
    }
    for typed in ["", "umbrella", "nobody@acme.example", "../acme"] {
        let reply = Reply::of(submit(&find, &[("tenant", typed)])).await;
        reply.assert_page(400, "No tenant has this name");
    }
    let several = Reply::of(submit(&find, &[("tenant", "both@example.com")])).await;
    several.assert_page(200, "<h1>Choose a tenant</h1>");
    for tenant in ["acme", "globex"] {
        let login = format!("login?tenant_name={tenant}&#38;login_hint=both%40example.com");
        assert!(several.text.contains(&login), "{}", several.text);
    }
}

#[tokio::test]
async fn a_login_below_a_tenants_host_has_its_name() {
    let client = DevClient::web().application_at("http://{tenant_name}.localhost:7000");
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    let reply = Reply::of(submit(&page(&idp, "login"), &[("tenant", "acme")])).await;
    let expected = "http://acme.localhost:7000/api/auth/login?tenant_name=acme";
    assert_eq!(reply.location().as_str(), expected);
}

#[tokio::test]
async fn a_forgotten_tenant_is_shown_on_the_page() {
    let idp = provider().await;
    let forgot = page(&idp, "forgot-tenant");
    get(&forgot)
        .await
        .assert_page(200, "A real provider would mail them.");
    let reply = Reply::of(submit(&forgot, &[("email", "both@example.com")])).await;
    reply.assert_page(200, "A real provider would mail this to both@example.com");
    assert!(reply.text.contains("(acme)") && reply.text.contains("(globex)"));
    let reply = Reply::of(submit(&forgot, &[("email", "<b>@x.example")])).await;
    reply.assert_page(200, "This e-mail address has no tenant.");
    assert!(!reply.text.contains("<b>"), "{}", reply.text);
}

#[tokio::test]
async fn a_company_signs_up_and_its_owner_signs_in() {
    let idp = provider().await;
    let sign_up = page(&idp, "signup");
    get(&sign_up).await.assert_page(200, "<h1>Sign up</h1>");
    let good = [
        ("company", "<Initech> & Sons"),
        ("tenant_name", "Initech"),
        ("email", "Peter@initech.example"),
        ("password", "red stapler"),
    ];
    let with = |name: &str, value: &'static str| {
        let fields = good.map(|(known, typed)| (known, if known == name { value } else { typed }));
        Reply::of(submit(&sign_up, &fields))
    };
    for (name, value, problem) in [
        ("company", "", "needs a name"),
        ("tenant_name", "-a", "letters from a to z"),
        ("tenant_name", "evil.example", "letters from a to z"),
        ("tenant_name", "acme", "is taken"),
        ("email", "@x", "no e-mail address"),
        ("email", "a@b@c", "no e-mail address"),
        ("email", OWNER, "is taken"),
        ("password", "1234567", "at least 8"),
    ] {
        let reply = with(name, value).await;
        reply.assert_page(400, problem);
        assert!(
            reply.text.contains("value=\"&#60;Initech") || name == "company",
            "{}",
            reply.text
        );
        assert!(!reply.text.contains("red stapler"), "{}", reply.text);
    }
    let location = with("", "").await.location();
    let expected = "http://localhost:6004/api/auth/login?tenant_name=initech&login_hint=Peter%40initech.example";
    assert_eq!(location.as_str(), expected);
    with("", "").await.assert_page(400, "is taken");

    let page = Asked::new().page(&idp, "initech");
    get(&page)
        .await
        .assert_page(200, "Sign in to &#60;Initech&#62; &#38; Sons");
    let fields = [
        ("email", "peter@initech.example"),
        ("password", "red stapler"),
    ];
    let location = Reply::of(submit(&page, &fields)).await.location();
    let code = parameter(&location, "code").unwrap();
    let reply = super::person::post(&idp.token_endpoint(), &super::person::exchange(&code)).await;
    let claims = super::person::userinfo(&idp, &reply.access_token())
        .await
        .json();
    assert_eq!(claims["roles"][0]["name"], "app:dev-web:owner");
}

#[tokio::test]
async fn a_thousand_tenants_are_the_most() {
    let idp = provider().await;
    for number in 0..998 {
        let email = format!("a@{number}.example");
        let person = dev_idp::DevPerson::new(email, DEFAULT_PASSWORD);
        idp.set_person(person.member(format!("t{number}"), ["owner"]));
    }
    let fields = [
        ("company", "One more"),
        ("tenant_name", "one-more"),
        ("email", "a@more.example"),
        ("password", DEFAULT_PASSWORD),
    ];
    let reply = Reply::of(submit(&page(&idp, "signup"), &fields)).await;
    reply.assert_page(400, "No more tenants");
}

/// K130
#[tokio::test]
async fn no_other_sites_page_signs_up_or_asks_for_tenants() {
    let idp = provider().await;
    for name in ["login", "signup", "forgot-tenant"] {
        let request = http().post(page(&idp, name)).header("content-type", FORM);
        let request = request.header("origin", "https://evil.example");
        Reply::of(request.body("tenant=acme"))
            .await
            .assert_page(403, "another site");
        let policy = get(&page(&idp, name)).await;
        let policy = policy.header(CONTENT_SECURITY_POLICY);
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(
            policy.contains("form-action 'self' http://*.localhost:6004"),
            "{policy}"
        );
        let unknown = format!("{}/{name}?client_id=nobody", idp.issuer());
        get(&unknown).await.assert_page(400, "not known here");
    }
    // Nothing but the client's registered address is led to.
    let location = sign_in(&Asked::new().page(&idp, "acme"), OWNER)
        .await
        .location();
    assert_eq!(location.host_str(), Some("localhost"));
}
