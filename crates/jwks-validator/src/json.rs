//! What the values of claims, headers and keys become.

use std::borrow::Cow;

pub(crate) use idp_http::json::{members, members_of_text};

/// A value as far as claims, headers and keys need to tell values apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    /// An integer above `i64::MAX`.
    Huge,
    Float(f64),
    Bool(bool),
    /// An array of strings only, the empty one included.
    Texts(Vec<Cow<'a, str>>),
    Null,
    /// An object, or an array that holds something else than strings.
    Other,
}

impl<'a> Item<'a> {
    pub(crate) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<()> for Item<'_> {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl From<bool> for Item<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Item<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Item<'_> {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Huge, Self::Integer)
    }
}

impl From<f64> for Item<'_> {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl<'a> From<Cow<'a, str>> for Item<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> FromIterator<Self> for Item<'a> {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        let mut texts = Some(Vec::new());
        // To the end in any case: an item that is not taken is not read.
        for item in items {
            match (&mut texts, item) {
                (Some(texts), Self::Text(text)) => texts.push(text),
                _ => texts = None,
            }
        }
        texts.map_or(Self::Other, Self::Texts)
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Self)> for Item<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Self)>>(members: I) -> Self {
        members.into_iter().for_each(drop);
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(String, Item<'_>)> {
        let mut read = Vec::new();
        members(bytes, |name, item| read.push((name.to_owned(), item))).unwrap();
        read
    }

    #[test]
    fn members_arrive_in_order_with_their_kinds() {
        let text =
            br#" {"a":"x","\u0062":"\u0041","c":-1,"d":18446744073709551615,"e":1.5,"f":["g","h"],"i":[],"j":[1],"k":{"l":null},"m":null,"n":true} "#;
        let read = read(text);
        let kinds: Vec<_> = read.iter().map(|(name, item)| (&**name, item)).collect();
        assert_eq!(
            kinds,
            [
                ("a", &Item::Text("x".into())),
                ("b", &Item::Text("A".into())),
                ("c", &Item::Integer(-1)),
                ("d", &Item::Huge),
                ("e", &Item::Float(1.5)),
                ("f", &Item::Texts(vec!["g".into(), "h".into()])),
                ("i", &Item::Texts(vec![])),
                ("j", &Item::Other),
                ("k", &Item::Other),
                ("m", &Item::Null),
                ("n", &Item::Bool(true)),
            ]
        );
    }

    /// N27
    #[test]
    fn numbers_are_what_they_are_however_serde_json_is_built() {
        for (text, expected) in [
            ("0", Item::Integer(0)),
            ("-0", Item::Float(-0.0)),
            ("-7", Item::Integer(-7)),
            ("1.5", Item::Float(1.5)),
            ("1e3", Item::Float(1_000.0)),
            ("9223372036854775808", Item::Huge),
            (
                "18446744073709551616",
                Item::Float(18_446_744_073_709_551_616.0),
            ),
        ] {
            let document = format!(r#"{{"n":{text}}}"#);
            let read = read(document.as_bytes());
            assert_eq!(read, [("n".to_owned(), expected)], "{text}");
        }
    }
}
