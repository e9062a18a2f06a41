//! `REQUIRED_CLAIMS`.

use jwks_validator::ClaimValue;
use service_kit::config::Reader;

const NAME: &str = "REQUIRED_CLAIMS";

/// Reads claims such as `token_use=access limited=false role=ADMIN|OWNER`.
pub(super) fn required(reader: &mut Reader<'_>) -> Vec<(String, Vec<ClaimValue>)> {
    let expected = "claims with their values, such as token_use=access limited=false role=ADMIN|OWNER, each once";
    reader.parse(NAME, expected, all).unwrap_or_default()
}

fn all(text: &str) -> Option<Vec<(String, Vec<ClaimValue>)>> {
    let mut claims: Vec<(String, Vec<ClaimValue>)> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let (name, values) = word.split_once('=')?;
        // Twice the same would be "and", and no claim has two values.
        if name.is_empty() || claims.iter().any(|(known, _)| known == name) {
            return None;
        }
        let values: Option<Vec<_>> = values.split('|').map(value).collect();
        claims.push((name.to_owned(), values?));
    }
    Some(claims)
}

/// A boolean, else a string; `%74rue` is the string.
fn value(text: &str) -> Option<ClaimValue> {
    match text {
        "" => None,
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        _ => percent_decoded(text).map(ClaimValue::from),
    }
}

/// Strict: a `%` that begins nothing is a mistake and not a character.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> ClaimValue {
        value.into()
    }

    /// N52
    #[test]
    fn claims_are_split_at_the_first_equals_sign_and_decoded() {
        let read = |text| all(text).unwrap();
        assert_eq!(
            read("token_use=access  limited=false role=ADMIN|OWNER"),
            [
                ("token_use".to_owned(), vec![text("access")]),
                ("limited".to_owned(), vec![false.into()]),
                ("role".to_owned(), vec![text("ADMIN"), text("OWNER")]),
            ]
        );
        for (word, name, value) in [
            ("a=b=c", "a", text("b=c")),
            (
                "https://ns.example/role=x",
                "https://ns.example/role",
                text("x"),
            ),
            ("a=b%20c", "a", text("b c")),
            ("a=%7C", "a", text("|")),
            ("a=%c3%A9", "a", text("\u{e9}")),
            ("a=true", "a", true.into()),
            ("a=%74rue", "a", text("true")),
            ("a=True", "a", text("True")),
            ("a=1", "a", text("1")),
            ("a=b+c", "a", text("b+c")),
        ] {
            assert_eq!(read(word), [(name.to_owned(), vec![value])], "{word}");
        }
        for wrong in [
            "a", "=a", "a=", "a=b|", "a=|b", "a=%", "a=%4", "a=%zz", "a=%ff", "a=b a=c", "a=%+1",
        ] {
            assert_eq!(all(wrong), None, "{wrong}");
        }
    }
}
