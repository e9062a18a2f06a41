//! JSON with duplicate members refused.
//!
//! RFC 8259 section 4 leaves duplicate members undefined, and parsers disagree on which one counts.
//! Two readers of one document must not see different values, so here a duplicate is an error.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a document was refused. Holds a position, never a byte of the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not strict JSON (line {line}, column {column})")]
pub struct JsonError {
    line: usize,
    column: usize,
}

/// Parses one JSON value and nothing after it.
///
/// # Errors
///
/// Fails on duplicate members at any depth, on nesting deeper than 128, on trailing bytes, on a byte
/// order mark, on invalid UTF-8 and on numbers that no `f64` holds.
pub fn from_slice(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Strict
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| JsonError {
            line: error.line(),
            column: error.column(),
        })
}

/// With its feature `arbitrary_precision`, which any crate of a program can turn on, serde_json hands numbers
/// over as maps with this one member.
const NUMBER: &str = "$serde_json::private::Number";

/// Members with such a name are no member of a document's own, but instructions to serde_json.
const TAKEN: &str = "$serde_json::private::";

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
fn number(text: &str) -> Option<Value> {
    let whole = text.parse().map(|number: i64| number.into());
    let whole = whole.or_else(|_| text.parse().map(|number: u64| Value::from(number)));
    match whole {
        Ok(number) if text != "-0" => Some(number),
        _ => Number::from_f64(text.parse().ok()?).map(Value::Number),
    }
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == NUMBER {
                return number(&map.next_value_seed(NumberText)?)
                    .ok_or_else(|| A::Error::custom("number out of range"));
            }
            if name.starts_with(TAKEN) {
                return Err(A::Error::custom("taken name"));
            }
            if members.contains_key(&name) {
                return Err(A::Error::custom("duplicate member"));
            }
            members.insert(name, map.next_value_seed(Self)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_documents_keep_their_values() {
        let text = r#"{"a":[1,-2,1.5,true,null,"x"],"b":{"a":{}}}"#;
        let plain: Value = serde_json::from_str(text).unwrap();
        assert_eq!(from_slice(text.as_bytes()).unwrap(), plain);
    }

    /// N27
    #[test]
    fn numbers_are_what_they_are_however_serde_json_is_built() {
        for (text, integer, float) in [
            ("0", Some(0), Some(0.0)),
            ("-0", None, Some(-0.0)),
            ("-7", Some(-7), Some(-7.0)),
            ("1.5", None, Some(1.5)),
            ("1e3", None, Some(1_000.0)),
            (
                "9223372036854775807",
                Some(i64::MAX),
                Some(9.223_372_036_854_776e18),
            ),
            (
                "18446744073709551615",
                None,
                Some(1.844_674_407_370_955_2e19),
            ),
            (
                "18446744073709551616",
                None,
                Some(1.844_674_407_370_955_2e19),
            ),
        ] {
            let read = from_slice(text.as_bytes()).unwrap();
            assert!(read.is_number(), "{text}");
            assert_eq!((read.as_i64(), read.as_f64()), (integer, float), "{text}");
            let converted = number(text).unwrap();
            assert_eq!(
                (converted.as_i64(), converted.as_f64()),
                (integer, float),
                "{text}"
            );
        }
        assert_eq!(number("1e400"), None);
    }

    /// A26, A27
    #[test]
    fn ambiguous_and_broken_documents_are_refused() {
        let deep = "[".repeat(100_000);
        for (name, bytes) in [
            ("duplicate", br#"{"a":1,"a":1}"#.as_slice()),
            ("duplicate spelled with an escape", br#"{"a":1,"\u0061":1}"#),
            (
                "duplicate far inside",
                br#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#,
            ),
            ("trailing bytes", br#"{"a":1} x"#),
            ("two values", b"{}{}"),
            ("byte order mark", b"\xef\xbb\xbf{}"),
            ("UTF-16", b"\xff\xfe{\0}\0"),
            ("invalid UTF-8", b"{\"a\":\"\xff\"}"),
            ("lone surrogate", br#"{"a":"\ud800"}"#),
            ("number out of range", br#"{"a":1e400}"#),
            ("NaN", br#"{"a":NaN}"#),
            (
                "a name of serde_json's",
                br#"{"$serde_json::private::RawValue":"1"}"#,
            ),
            (
                "a number's name",
                br#"{"a":{"$serde_json::private::Number":"1"}}"#,
            ),
            (
                "a number's name with an escape",
                br#"{"a":{"\u0024serde_json::private::Number":"\u0031"}}"#,
            ),
            ("comment", b"{/**/}"),
            ("empty", b""),
            ("deep nesting", deep.as_bytes()),
        ] {
            assert!(from_slice(bytes).is_err(), "{name}");
        }
    }
}
