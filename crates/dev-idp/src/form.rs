//! `application/x-www-form-urlencoded`, read strictly: an invalid escape or a byte sequence that is
//! not UTF-8 is an error, where the `url` crate would replace it.

use std::collections::HashSet;

/// The text is not form-urlencoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

/// Parameters in the order they were sent.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form or a query string.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        text.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns the value of a parameter. An empty value counts as none (RFC 6749 section 3.2).
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Returns the values of a parameter that may be repeated, without empty ones.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Returns the form without some parameters.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// Returns the form with a parameter in the place of those of its name.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        let mut form = self.without(&[name]);
        form.0.push((name.to_owned(), value.to_owned()));
        form
    }

    /// Returns the form as it is sent.
    pub(crate) fn to_query(&self) -> String {
        let mut serializer = url::form_urlencoded::Serializer::new(String::new());
        serializer.extend_pairs(&self.0).finish()
    }

    /// Tells whether a parameter other than `repeatable` occurs twice, empty or not.
    pub(crate) fn repeats_any_but(&self, repeatable: &str) -> bool {
        let mut seen = HashSet::new();
        self.0
            .iter()
            .any(|(name, _)| name != repeatable && !seen.insert(name))
    }
}

/// Decodes one name or value, as RFC 6749 appendix B encodes it.
pub(crate) fn decode(text: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next())? << 4 | hex(rest.next())?,
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Malformed)
}

fn hex(digit: Option<u8>) -> Result<u8, Malformed> {
    let value = digit.and_then(|digit| char::from(digit).to_digit(16));
    value
        .and_then(|value| u8::try_from(value).ok())
        .ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6749_appendix_b_decodes() {
        assert_eq!(decode("+%25%26%2B%C2%A3%E2%82%AC"), Ok(" %&+£€".to_owned()));
    }

    #[test]
    fn broken_escapes_and_bytes_are_errors() {
        for text in ["%", "%4", "%zz", "%+1", "%ff", "a%C2"] {
            assert_eq!(decode(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn an_empty_value_counts_as_absent_but_not_as_unrepeated() {
        let form = Form::parse("scope=&a=1&&resource=x&resource=y").unwrap();
        assert_eq!(form.value("scope"), None);
        assert_eq!(form.values("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert!(!form.repeats_any_but("resource"));
        assert!(
            Form::parse("scope=&scope=a")
                .unwrap()
                .repeats_any_but("resource")
        );
        assert!(Form::parse("r=1&r=2").unwrap().repeats_any_but("resource"));
    }
}
