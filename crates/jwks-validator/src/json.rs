//! One object of strict JSON, read in one pass and without copying what needs no unescaping.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A member's value as far as claims, headers and keys need to tell values apart.
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

/// The bytes are not one strict JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotStrict;

/// Calls `member` for every member of the object that `bytes` hold.
///
/// Refuses duplicate members at any depth, also when one of the two names is spelled with escapes;
/// nesting deeper than 127 levels (serde_json's limit); anything but UTF-8 without a byte order mark; lone
/// surrogates; numbers that no `f64` holds; member names that serde_json reads as something else; and
/// bytes after the object. `member` may have been called before a fault further on is found.
pub(crate) fn members<'a>(
    bytes: &'a [u8],
    member: impl FnMut(&str, Item<'a>),
) -> Result<(), NotStrict> {
    // Once for all: the reader then does not validate string by string.
    members_of_text(std::str::from_utf8(bytes).map_err(|_| NotStrict)?, member)
}

/// The same where the bytes are known to be UTF-8.
pub(crate) fn members_of_text<'a>(
    text: &'a str,
    member: impl FnMut(&str, Item<'a>),
) -> Result<(), NotStrict> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_map(Members(member))
        .and_then(|()| deserializer.end())
        .map_err(|_| NotStrict)
}

struct Members<F>(F);

impl<'de, F: FnMut(&str, Item<'de>)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value_seed(AnyItem)?;
            (self.0)(&name, value);
            names.insert::<A::Error>(name)?;
        }
        Ok(())
    }
}

struct AnyItem;

impl<'de> DeserializeSeed<'de> for AnyItem {
    type Value = Item<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyItem {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Item<'de>, E> {
        Ok(Item::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Item<'de>, E> {
        Ok(i64::try_from(number).map_or(Item::Huge, Item::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Item<'de>, E> {
        Ok(Item::Float(number))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Item<'de>, E> {
        Ok(Item::Bool(value))
    }

    fn visit_unit<E>(self) -> Result<Item<'de>, E> {
        Ok(Item::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Item<'de>, A::Error> {
        let mut texts = Some(Vec::new());
        while let Some(item) = seq.next_element_seed(Self)? {
            texts = match (texts, item) {
                (Some(mut texts), Item::Text(text)) => {
                    texts.push(text);
                    Some(texts)
                }
                _ => None,
            };
        }
        Ok(texts.map_or(Item::Other, Item::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
        let mut names = Names::default();
        while let Some(Name(name)) = map.next_key()? {
            if name == NUMBER {
                return number(&map.next_value_seed(NumberText)?)
                    .ok_or_else(|| serde::de::Error::custom("number out of range"));
            }
            names.insert::<A::Error>(name)?;
            map.next_value_seed(Self)?;
        }
        Ok(Item::Other)
    }
}

/// With its feature `arbitrary_precision`, which any crate of a program can turn on, serde_json hands numbers
/// over as maps with this one member.
const NUMBER: &str = "$serde_json::private::Number";

/// The text of such a number. Where a document has a member of that name itself, its value is lent or copied
/// from the document and never handed over, and is refused here.
struct NumberText;

impl<'de> DeserializeSeed<'de> for NumberText {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for NumberText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_string<E>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<String, E> {
        Err(E::custom("taken name"))
    }
}

/// What serde_json makes of a number's text otherwise.
fn number(text: &str) -> Option<Item<'static>> {
    if text != "-0" {
        if let Ok(number) = text.parse() {
            return Some(Item::Integer(number));
        }
        if text.parse::<u64>().is_ok() {
            return Some(Item::Huge);
        }
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(Item::Float(number))
}

/// A member name, borrowed unless it holds an escape.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// The names seen in one object.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

/// Comparing with this many names costs less than hashing one; beyond it a hostile object of a
/// thousand members would cost a million comparisons.
const FEW: usize = 16;

/// Where such a name comes first in an object, serde_json's `Value` becomes what the text behind it says,
/// and whoever reads an accepted payload would find members in it that were never checked.
const TAKEN: &str = "$serde_json::private::";

impl<'a> Names<'a> {
    fn insert<E: serde::de::Error>(&mut self, name: Cow<'a, str>) -> Result<(), E> {
        if name.starts_with(TAKEN) {
            return Err(E::custom("taken name"));
        }
        let is_new = if self.few.contains(&name) {
            false
        } else if self.few.len() < FEW {
            if self.few.is_empty() {
                self.few.reserve_exact(FEW);
            }
            self.few.push(name);
            true
        } else {
            self.many.insert(name)
        };
        if is_new {
            Ok(())
        } else {
            Err(E::custom("duplicate member"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(String, Item<'_>)>, NotStrict> {
        let mut read = Vec::new();
        members(bytes, |name, item| read.push((name.to_owned(), item))).map(|()| read)
    }

    #[test]
    fn members_arrive_in_order_with_their_kinds() {
        let text =
            br#" {"a":"x","\u0062":"\u0041","c":-1,"d":18446744073709551615,"e":1.5,"f":["g","h"],"i":[],"j":[1],"k":{"l":null},"m":null,"n":true} "#;
        let read = read(text).unwrap();
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
            let read = read(document.as_bytes()).unwrap();
            assert_eq!(read, [("n".to_owned(), expected.clone())], "{text}");
            assert_eq!(number(text), Some(expected), "{text}");
        }
        assert_eq!(number("1e400"), None);
    }

    /// E24, E25, E26, E27, E28
    #[test]
    fn whatever_is_not_one_strict_object_is_refused() {
        let deep_object = format!("{}1{}", r#"{"a":"#.repeat(129), "}".repeat(129));
        let deep_array = format!(r#"{{"a":{}"#, "[".repeat(300_000));
        let many = format!(
            "{{{}\"m3\":1}}",
            (0..1_000)
                .map(|n| format!("\"m{n}\":1,"))
                .collect::<String>()
        );
        for (name, bytes) in [
            ("empty", b"".as_slice()),
            ("null", b"null"),
            ("array", b"[]"),
            ("string", b"\"a\""),
            ("duplicate", br#"{"a":1,"a":1}"#),
            ("duplicate by escape", br#"{"a":1,"\u0061":1}"#),
            ("duplicate in an object", br#"{"a":{"b":1,"b":2}}"#),
            ("duplicate in an array", br#"{"a":[{},[{"b":1,"b":2}]]}"#),
            ("duplicate among many", many.as_bytes()),
            (
                "name taken by serde_json",
                br#"{"a":[{"$serde_json::private::RawValue":"1"}]}"#,
            ),
            (
                "a number's name",
                br#"{"a":{"$serde_json::private::Number":"1"}}"#,
            ),
            (
                "a number's name with an escape",
                br#"{"a":{"\u0024serde_json::private::Number":"\u0031"}}"#,
            ),
            ("byte order mark", b"\xef\xbb\xbf{}"),
            ("UTF-16", b"{\0}\0"),
            ("invalid UTF-8", b"{\"a\":\"\xff\"}"),
            ("overlong UTF-8", b"{\"a\":\"\xc0\xaf\"}"),
            ("lone surrogate", br#"{"a":"\ud800"}"#),
            ("lone surrogate as name", br#"{"\udc00":1}"#),
            ("lone surrogate inside", br#"{"a":[{"b":"\ud800"}]}"#),
            ("raw control character", b"{\"a\":\"\x01\"}"),
            ("trailing bytes", b"{} x"),
            ("trailing NUL", b"{}\0"),
            ("two objects", b"{}{}"),
            ("comment", b"{/**/}"),
            ("trailing comma", br#"{"a":1,}"#),
            ("NaN", br#"{"a":NaN}"#),
            ("number out of range", br#"{"a":1e400}"#),
            ("number out of range inside", br#"{"a":[{"b":-1e400}]}"#),
            ("leading zero", br#"{"a":01}"#),
            ("deep objects", deep_object.as_bytes()),
            ("deep arrays", deep_array.as_bytes()),
        ] {
            assert_eq!(read(bytes), Err(NotStrict), "{name}");
        }
    }
}
