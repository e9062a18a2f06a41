//! JSON and base64url, read slowly and strictly.

use super::Broken;

/// RFC 4648 section 5 without padding; the unused bits of the last character are zero.
pub(crate) fn base64url(text: &str) -> Result<Vec<u8>, Broken> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for char in text.chars() {
        let value = match char {
            'A'..='Z' => char as u32 - 'A' as u32,
            'a'..='z' => char as u32 - 'a' as u32 + 26,
            '0'..='9' => char as u32 - '0' as u32 + 52,
            '-' => 62,
            '_' => 63,
            _ => return Err("base64url's alphabet"),
        };
        bits = bits << 6 | value;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    match (held, bits) {
        (6, _) => Err("base64url's length"),
        (_, 0) => Ok(bytes),
        _ => Err("base64url's last character"),
    }
}

/// A JSON value; an object keeps its members in their order.
#[derive(Debug)]
pub(crate) enum Json {
    Null,
    Bool,
    Number(f64),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find(|(member, _)| member == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<String>, Broken> {
        match self.member(name) {
            None => Ok(None),
            Some(Self::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err("identities and scopes are strings"),
        }
    }

    /// RFC 7519 section 2, in the years 1970 to 9999, rounded down.
    pub(super) fn date(&self, name: &str) -> Result<Option<i64>, Broken> {
        match self.member(name) {
            None => Ok(None),
            Some(Self::Number(number)) if (0.0..=253_402_300_799.0).contains(&number.floor()) => {
                Ok(Some(number.floor() as i64))
            }
            Some(Self::Number(_)) => Err("dates lie in the years 1970 to 9999"),
            Some(_) => Err("dates are numbers"),
        }
    }
}

/// Reads RFC 8259, strictly: one object, no member name twice in any object, and no more than 127
/// levels.
pub(crate) fn object(bytes: &[u8]) -> Result<Json, Broken> {
    let text = std::str::from_utf8(bytes).map_err(|_| "UTF-8")?;
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
    };
    reader.space();
    if reader.peek() != Some('{') {
        return Err("a JSON object");
    }
    let value = reader.value(1)?;
    reader.space();
    if reader.peek().is_some() {
        return Err("nothing after the object");
    }
    Ok(value)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

const NOT_JSON: Broken = "RFC 8259's grammar";

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Result<char, Broken> {
        let next = self.peek().ok_or(NOT_JSON)?;
        self.at += 1;
        Ok(next)
    }

    fn expect(&mut self, text: &str) -> Result<(), Broken> {
        for char in text.chars() {
            if self.next()? != char {
                return Err(NOT_JSON);
            }
        }
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, level: usize) -> Result<Json, Broken> {
        if level > 127 && matches!(self.peek(), Some('{' | '[')) {
            return Err("127 levels");
        }
        match self.peek().ok_or(NOT_JSON)? {
            '{' => self.members(level),
            '[' => self.elements(level),
            '"' => self.string().map(Json::Text),
            't' => self.expect("true").map(|()| Json::Bool),
            'f' => self.expect("false").map(|()| Json::Bool),
            'n' => self.expect("null").map(|()| Json::Null),
            _ => self.number(),
        }
    }

    fn members(&mut self, level: usize) -> Result<Json, Broken> {
        let mut members: Vec<(String, Json)> = Vec::new();
        self.expect("{")?;
        self.space();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(":")?;
            self.space();
            let value = self.value(level + 1)?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err("no member twice");
            }
            // Nothing in an RFC: whoever reads such a member with serde_json reads another one.
            if name.starts_with("$serde_json::private::") {
                return Err("no name that a library takes for its own");
            }
            members.push((name, value));
            self.space();
            match self.next()? {
                ',' => {}
                '}' => return Ok(Json::Object(members)),
                _ => return Err(NOT_JSON),
            }
        }
    }

    fn elements(&mut self, level: usize) -> Result<Json, Broken> {
        let mut elements = Vec::new();
        self.expect("[")?;
        self.space();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            self.space();
            elements.push(self.value(level + 1)?);
            self.space();
            match self.next()? {
                ',' => {}
                ']' => return Ok(Json::Array(elements)),
                _ => return Err(NOT_JSON),
            }
        }
    }

    fn string(&mut self) -> Result<String, Broken> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            text.push(match self.next()? {
                '"' => return Ok(text),
                '\\' => match self.next()? {
                    char @ ('"' | '\\' | '/') => char,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => self.escaped()?,
                    _ => return Err(NOT_JSON),
                },
                '\0'..='\u{1f}' => return Err(NOT_JSON),
                char => char,
            });
        }
    }

    fn escaped(&mut self) -> Result<char, Broken> {
        let first = self.hex()?;
        if let Some(char) = char::from_u32(first) {
            return Ok(char);
        }
        // A surrogate: only a high one with a low one behind it is a character.
        if first > 0xdbff || self.expect("\\u").is_err() {
            return Err("no lone surrogate");
        }
        let second = self.hex()?;
        if !(0xdc00..=0xdfff).contains(&second) {
            return Err("no lone surrogate");
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(NOT_JSON)
    }

    fn hex(&mut self) -> Result<u32, Broken> {
        (0..4).try_fold(0, |sum, _| {
            let digit = self.next()?.to_digit(16).ok_or(NOT_JSON)?;
            Ok(sum << 4 | digit)
        })
    }

    fn number(&mut self) -> Result<Json, Broken> {
        let start = self.at;
        if self.peek() == Some('-') {
            self.at += 1;
        }
        if self.peek() == Some('0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some('.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        let number: f64 = text.parse().map_err(|_| NOT_JSON)?;
        if number.is_finite() {
            Ok(Json::Number(number))
        } else {
            Err("numbers that a double holds")
        }
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let start = self.at;
        while self.peek().is_some_and(|char| char.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(NOT_JSON);
        }
        Ok(())
    }
}
