//! Days of the calendar.

use std::fmt;

/// A day from 2000-01-01 to 9999-12-31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl Date {
    /// Reads `2026-11-30`; the day must exist.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_form = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_form {
            return None;
        }
        let date = Self {
            year: text[..4].parse().ok()?,
            month: text[5..7].parse().ok()?,
            day: text[8..].parse().ok()?,
        };
        let exists = date.year >= 2000
            && (1..=12).contains(&date.month)
            && (1..=days(date.year, date.month)).contains(&date.day);
        exists.then_some(date)
    }

    /// Returns the day as people read it: `30 Nov 2026`.
    #[must_use]
    pub fn in_words(self) -> String {
        let month = MONTHS[usize::from(self.month - 1)];
        format!("{} {month} {}", self.day, self.year)
    }
}

fn days(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `2026-11-30`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// K125
    #[test]
    fn a_day_must_exist() {
        for (text, exists) in [
            ("2026-11-30", true),
            ("2028-02-29", true),
            ("2000-02-29", true),
            ("9999-12-31", true),
            ("2026-02-29", false),
            ("2100-02-29", false),
            ("2026-11-31", false),
            ("2026-13-01", false),
            ("2026-00-10", false),
            ("2026-01-00", false),
            ("1999-12-31", false),
            ("2026-1-01", false),
            ("2026-11-30T00:00", false),
            ("30.11.2026", false),
            ("2026/11/30", false),
            ("+026-11-30", false),
            ("2026-11-3é", false),
            ("", false),
        ] {
            assert_eq!(Date::parse(text).is_some(), exists, "{text:?}");
        }
        assert_eq!(Date::parse("2026-11-30").unwrap().in_words(), "30 Nov 2026");
    }

    proptest! {
        /// K125
        #[test]
        fn no_text_panics_and_what_is_read_is_written_the_same(text in "[0-9-]{8,11}|.*") {
            if let Some(date) = Date::parse(&text) {
                prop_assert_eq!(date.to_string(), text);
            }
        }
    }
}
