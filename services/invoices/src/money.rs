//! Amounts, in cents.

use std::fmt;

/// An amount of money that an invoice can have: 0.01 to 1,000,000.00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(u32);

const MAX: u32 = 100_000_000;

impl Amount {
    /// Reads `5`, `5.0` or `5.00`: digits, and at most two more behind a point. No sign, exponent or separator.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, cents) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str, longest: usize| {
            (1..=longest).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_digits(whole, 7) || !is_digits(cents, 2) {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let fraction: u32 = cents.parse().ok()?;
        let scale = if cents.len() == 1 { 10 } else { 1 };
        Self::from_cents(whole * 100 + fraction * scale)
    }

    /// Returns so many cents.
    #[must_use]
    pub fn from_cents(cents: u32) -> Option<Self> {
        (1..=MAX).contains(&cents).then_some(Self(cents))
    }

    /// Returns the amount as people read it: `1,234.50`.
    #[must_use]
    pub fn grouped(self) -> String {
        grouped(u64::from(self.0))
    }

    /// Returns the cents.
    #[must_use]
    pub fn cents(self) -> u32 {
        self.0
    }
}

/// Returns cents as people read them: `1,234.50`.
#[must_use]
pub(crate) fn grouped(cents: u64) -> String {
    let whole = (cents / 100).to_string();
    let mut text = String::with_capacity(whole.len() + 6);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + &format!(".{:02}", cents % 100)
}

/// Decimal text with two places: `1234.50`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// K125
    #[test]
    fn an_amount_is_digits_and_at_most_two_places() {
        for (text, expected) in [
            ("5", Some("5.00")),
            ("5.0", Some("5.00")),
            ("5.00", Some("5.00")),
            ("5.5", Some("5.50")),
            ("0.01", Some("0.01")),
            ("0005.5", Some("5.50")),
            ("1000000", Some("1000000.00")),
            ("1000000.00", Some("1000000.00")),
            ("1000000.01", None),
            ("0", None),
            ("0.00", None),
            ("", None),
            (".", None),
            (".5", None),
            ("5.", None),
            ("5.001", None),
            ("1e3", None),
            ("-0.01", None),
            ("+5", None),
            ("1,000.00", None),
            ("5 ", None),
            ("0x5", None),
            ("NaN", None),
            ("٥", None),
            ("00000005", None),
            (&"9".repeat(100), None),
        ] {
            let read = Amount::parse(text).map(|amount| amount.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn people_read_groups_of_three_digits() {
        for (cents, expected) in [
            (1, "0.01"),
            (99_999, "999.99"),
            (100_000, "1,000.00"),
            (100_000_000, "1,000,000.00"),
        ] {
            assert_eq!(Amount::from_cents(cents).unwrap().grouped(), expected);
        }
    }

    proptest! {
        /// K125
        #[test]
        fn what_is_written_is_read_again(cents in 1..=MAX) {
            let amount = Amount::from_cents(cents).unwrap();
            prop_assert_eq!(Amount::parse(&amount.to_string()), Some(amount));
        }

        /// K125
        #[test]
        fn no_text_is_read_as_an_amount_beyond_the_limits(text in "[0-9.eE+-]{0,12}") {
            if let Some(amount) = Amount::parse(&text) {
                prop_assert!((1..=MAX).contains(&amount.cents()));
            }
        }
    }
}
