//! JSON with duplicate members refused.
//!
//! RFC 8259 section 4 leaves duplicate members undefined, and parsers disagree on which one counts.
//! Two readers of one document must not see different values, so here a duplicate is an error. It is one
//! reader for every document: what a value becomes is the caller's choice ([`Tree`]), what is accepted is not.
//!
//! Refused are duplicate members at any depth, also where one of the two names is spelled with escapes; nesting
//! deeper than 127 levels; anything but UTF-8 without a byte order mark; lone surrogates; numbers that no `f64`
//! holds; member names that serde_json reads as something else; and bytes after the document. Numbers are what
//! they are in every build, also where another crate of the program turns on serde_json's `arbitrary_precision`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::iter;
use std::marker::PhantomData;
use std::str::Utf8Error;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

/// Why a document was refused. Holds a position, never a byte of the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not strict JSON (line {line}, column {column})")]
pub struct JsonError {
    line: usize,
    column: usize,
}

impl JsonError {
    fn not_utf8(bytes: &[u8], error: Utf8Error) -> Self {
        let good = &bytes[..error.valid_up_to()];
        let mut lines = good.split(|&byte| byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        Self {
            line: lines.count() + 1,
            column: last.len() + 1,
        }
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// What JSON values become, for callers who need less of them than a [`Value`] keeps.
///
/// Whatever has these conversions is one: of `null`, `true` and `false`, of integers (`i64` where
/// they are negative), of other numbers (always finite; `-0` and integers beyond 64 bits are among them), of
/// strings (borrowed from the document unless they hold escapes), of arrays, and of objects, whose names are
/// unique and in the order of the document. The last two have to take all that their iterator gives: a document
/// of which they leave something is refused.
pub trait Tree<'a>:
    From<()>
    + From<bool>
    + From<i64>
    + From<u64>
    + From<f64>
    + From<Cow<'a, str>>
    + FromIterator<Self>
    + FromIterator<(Cow<'a, str>, Self)>
{
}

impl<'a, T> Tree<'a> for T where
    T: From<()>
        + From<bool>
        + From<i64>
        + From<u64>
        + From<f64>
        + From<Cow<'a, str>>
        + FromIterator<T>
        + FromIterator<(Cow<'a, str>, T)>
{
}

/// Reads one JSON value and nothing after it.
///
/// # Errors
///
/// Fails where the bytes are not what the [module](self) accepts.
pub fn from_slice(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = text(bytes)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict(PhantomData).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads one JSON object, without copying what needs no unescaping, and calls `member` for each of its members
/// in their order.
///
/// # Errors
///
/// Fails where the bytes are not what the [module](self) accepts, or no object. `member` may have been called
/// before the fault is found, for one of two members of the same name too.
pub fn members<'a, T: Tree<'a>>(
    bytes: &'a [u8],
    member: impl FnMut(&str, T),
) -> Result<(), JsonError> {
    members_of_text(text(bytes)?, member)
}

/// The same as [`members`] where the bytes are known to be UTF-8.
///
/// # Errors
///
/// Fails as [`members`] does.
pub fn members_of_text<'a, T: Tree<'a>>(
    text: &'a str,
    member: impl FnMut(&str, T),
) -> Result<(), JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Members(member, PhantomData))?;
    deserializer.end()?;
    Ok(())
}

/// Once for all: the reader then does not validate string by string.
fn text(bytes: &[u8]) -> Result<&str, JsonError> {
    str::from_utf8(bytes).map_err(|error| JsonError::not_utf8(bytes, error))
}

struct Members<F, T>(F, PhantomData<T>);

impl<'de, T: Tree<'de>, F: FnMut(&str, T)> Visitor<'de> for Members<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value_seed(Strict(PhantomData))?;
            (self.0)(&name, value);
            names.insert::<A::Error>(name)?;
        }
        Ok(())
    }
}

struct Strict<T>(PhantomData<T>);

impl<'de, T: Tree<'de>> DeserializeSeed<'de> for Strict<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Tree<'de>> Visitor<'de> for Strict<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::from(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::from(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::from(number))
    }

    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::from(value))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::from(()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        iter::from_fn(|| seq.next_element_seed(Strict::<T>(PhantomData)).transpose()).collect()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut next = map.next_key()?;
        if matches!(&next, Some(Name(name)) if name == NUMBER) {
            let text = map.next_value_seed(NumberText)?;
            return number(&text).ok_or_else(|| A::Error::custom("number out of range"));
        }
        let mut names = Names::default();
        let mut member = || {
            let Some(Name(name)) = next.take() else {
                return Ok(None);
            };
            names.insert::<A::Error>(name.clone())?;
            let value: T = map.next_value_seed(Strict(PhantomData))?;
            next = map.next_key()?;
            Ok(Some((name, value)))
        };
        iter::from_fn(|| member().transpose()).collect()
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
fn number<'a, T: Tree<'a>>(text: &str) -> Option<T> {
    if text != "-0" {
        if let Ok(number) = text.parse::<u64>() {
            return Some(T::from(number));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Some(T::from(number));
        }
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then(|| T::from(number))
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
/// and the reader of an accepted document would find members in it that were never checked.
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
mod tests;
