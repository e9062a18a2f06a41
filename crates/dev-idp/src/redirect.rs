//! Where a browser may be sent: the addresses that a client registered, exactly.

use url::form_urlencoded::Serializer;

use crate::people::is_tenant_name;

/// Stands for the tenant's name, as the first label of a registered address.
pub(crate) const TENANT_NAME: &str = "{tenant_name}";

/// Tells whether a registered address names `asked`: the same text, with a tenant's name in the place of
/// [`TENANT_NAME`]. It must be `tenant`'s where that is known.
pub(crate) fn matches(registered: &str, asked: &str, tenant: Option<&str>) -> bool {
    let Some((before, after)) = template(registered) else {
        return registered == asked;
    };
    let label = asked
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    label.is_some_and(|label| is_tenant_name(label) && tenant.is_none_or(|tenant| tenant == label))
}

/// The parts of a registered address around the placeholder, if it stands as the first label of the host.
fn template(registered: &str) -> Option<(&str, &str)> {
    let (before, after) = registered.split_once(TENANT_NAME)?;
    (before.ends_with("://") && after.starts_with('.')).then_some((before, after))
}

/// Returns an address with further parameters behind those that it has.
pub(crate) fn with_parameters<T: AsRef<str>>(
    address: &str,
    parameters: impl IntoIterator<Item = (T, T)>,
) -> String {
    let mut serializer = Serializer::new(String::new());
    let parameters = serializer.extend_pairs(parameters).finish();
    if parameters.is_empty() {
        return address.to_owned();
    }
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{parameters}")
}

/// Returns an address's origin as a source of a content security policy, where `*` stands for every tenant.
pub(crate) fn csp_source(registered: &str) -> Option<String> {
    let (scheme, rest) = registered.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.replacen(TENANT_NAME, "*", 1);
    let of_source = |byte: u8| byte.is_ascii_alphanumeric() || b".-:*[]".contains(&byte);
    let is_source = matches!(scheme, "http" | "https") && authority.bytes().all(of_source);
    is_source.then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_stands_for_one_label_and_nothing_else() {
        let template = "http://{tenant_name}.localhost:6004/cb";
        for (asked, tenant, expected) in [
            ("http://acme.localhost:6004/cb", Some("acme"), true),
            ("http://acme.localhost:6004/cb", None, true),
            ("http://acme.localhost:6004/cb", Some("globex"), false),
            ("http://a.b.localhost:6004/cb", None, false),
            ("http://evil.example/.localhost:6004/cb", None, false),
            ("http://a@b.localhost:6004/cb", None, false),
            ("http://.localhost:6004/cb", None, false),
            ("http://acme.localhost:6004/cb2", None, false),
            ("http://acme.localhost:6005/cb", None, false),
            ("https://acme.localhost:6004/cb", None, false),
            ("http://{tenant_name}.localhost:6004/cb", None, false),
        ] {
            assert_eq!(matches(template, asked, tenant), expected, "{asked}");
        }
        // Elsewhere the placeholder is a text like another.
        let odd = "http://localhost/{tenant_name}";
        assert!(!matches(odd, "http://localhost/acme", None));
        assert!(matches(odd, odd, None));
    }

    #[test]
    fn parameters_go_behind_those_that_are_there() {
        let added = [("a", "1&2"), ("b", "ü")];
        assert_eq!(
            with_parameters("http://x/y", added),
            "http://x/y?a=1%262&b=%C3%BC"
        );
        assert_eq!(
            with_parameters("http://x/y?z", added),
            "http://x/y?z&a=1%262&b=%C3%BC"
        );
        assert_eq!(with_parameters::<&str>("http://x/y", []), "http://x/y");
    }

    #[test]
    fn a_source_of_a_policy_is_an_origin() {
        for (address, expected) in [
            ("http://localhost:6004/a", Some("http://localhost:6004")),
            ("https://a.example?x", Some("https://a.example")),
            (
                "http://{tenant_name}.localhost:6004/a",
                Some("http://*.localhost:6004"),
            ),
            ("http://a; script-src *", None),
            ("javascript:alert(1)", None),
            ("urn:x", None),
        ] {
            assert_eq!(csp_source(address).as_deref(), expected, "{address}");
        }
    }
}
