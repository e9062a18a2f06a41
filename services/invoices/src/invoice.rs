//! An invoice, and what may be one.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use crate::date::Date;
use crate::money::Amount;

/// The name of an invoice in addresses: 26 characters of Crockford's base 32, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

impl Id {
    /// Returns one that nobody has. It is unlikely to come twice, and no secret.
    #[must_use]
    pub fn new() -> Self {
        let mut rest = fastrand::u128(..);
        let digit = || {
            let digit = ALPHABET[usize::try_from(rest & 31).unwrap_or_default()];
            rest >>= 5;
            char::from(digit)
        };
        Self(std::iter::repeat_with(digit).take(LENGTH).collect())
    }

    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte));
        is_one.then(|| Self(text.to_owned()))
    }

    /// Returns its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When an invoice is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Terms {
    /// At once.
    DueOnReceipt,
    /// Within 7 days.
    #[serde(rename = "NET_7")]
    Net7,
    /// Within 15 days.
    #[serde(rename = "NET_15")]
    Net15,
    /// Within 30 days.
    #[serde(rename = "NET_30")]
    Net30,
}

impl Terms {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DueOnReceipt, Self::Net7, Self::Net15, Self::Net30];

    /// Returns the name in documents and forms.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DueOnReceipt => "DUE_ON_RECEIPT",
            Self::Net7 => "NET_7",
            Self::Net15 => "NET_15",
            Self::Net30 => "NET_30",
        }
    }

    /// Returns the words for people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::DueOnReceipt => "Due on receipt",
            Self::Net7 => "Net 7 days",
            Self::Net15 => "Net 15 days",
            Self::Net30 => "Net 30 days",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|terms| terms.as_str() == text)
    }
}

/// What became of an invoice. From `SENT` it goes to one of the others, and from those nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It was sent.
    Sent,
    /// It was paid.
    Paid,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    /// Returns the name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "SENT",
            Self::Paid => "PAID",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Returns the word for people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Sent => "Sent",
            Self::Paid => "Paid",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Tells whether an invoice may go from here to there.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self == Self::Sent && next != Self::Sent
    }
}

/// What a person says of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// At most 100 characters.
    pub customer_name: String,
    /// At most 100 characters.
    pub customer_email: String,
    /// When it is to be paid.
    pub terms: Terms,
    /// The last day for that.
    pub due_date: Date,
    /// At most 500 characters.
    pub message: String,
    /// What is to be paid.
    pub total_due: Amount,
}

/// An invoice of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// Its name in addresses.
    pub id: Id,
    /// Its number, per tenant, from 1001.
    pub number: u32,
    /// What a person said of it.
    pub details: Details,
    /// What became of it.
    pub status: Status,
    /// Who wrote it: `sub`.
    pub created_by: String,
    /// When, in milliseconds since 1970.
    pub created_at: u64,
}

/// Messages about fields, by the names that they have in forms and documents.
pub type FieldErrors = BTreeMap<&'static str, &'static str>;

/// An invoice as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// See [`Details::customer_name`].
    pub customer_name: String,
    /// See [`Details::customer_email`].
    pub customer_email: String,
    /// See [`Details::terms`].
    pub terms: String,
    /// See [`Details::due_date`].
    pub due_date: String,
    /// See [`Details::message`].
    pub message: String,
    /// See [`Details::total_due`].
    pub total_due: String,
}

const LINE: usize = 100;
const MESSAGE: usize = 500;

impl Typed {
    /// Returns what it says.
    ///
    /// # Errors
    ///
    /// Fails with a message for each field that cannot be taken.
    pub fn check(&self) -> Result<Details, FieldErrors> {
        let mut errors = FieldErrors::new();
        let mut refuse = |name, text| {
            errors.insert(name, text);
        };
        let name = self.customer_name.trim();
        if !is_text(name, LINE, false) {
            refuse(
                "customerName",
                "Enter a name of at most 100 characters, in one line.",
            );
        }
        let email = self.customer_email.trim();
        if !is_text(email, LINE, false) || !is_email(email) {
            refuse(
                "customerEmail",
                "Enter an e-mail address such as anna@example.com, of at most 100 characters.",
            );
        }
        let terms = Terms::parse(&self.terms);
        if terms.is_none() {
            refuse("terms", "Choose when it is to be paid.");
        }
        let due_date = Date::parse(self.due_date.trim());
        if due_date.is_none() {
            refuse(
                "dueDate",
                "Enter a day that exists, such as 2026-11-30, from the year 2000 on.",
            );
        }
        // Browsers send line ends as two characters and count one.
        let message = self.message.replace("\r\n", "\n");
        let message = message.trim();
        if !is_text(message, MESSAGE, true) {
            refuse("message", "Enter a message of at most 500 characters.");
        }
        let total_due = Amount::parse(self.total_due.trim());
        if total_due.is_none() {
            refuse(
                "totalDue",
                "Enter an amount from 0.01 to 1000000.00, such as 250.00.",
            );
        }
        match (terms, due_date, total_due) {
            (Some(terms), Some(due_date), Some(total_due)) if errors.is_empty() => Ok(Details {
                customer_name: name.to_owned(),
                customer_email: email.to_owned(),
                terms,
                due_date,
                message: message.to_owned(),
                total_due,
            }),
            _ => Err(errors),
        }
    }
}

/// Counted in Unicode scalar values.
fn is_text(text: &str, longest: usize, has_lines: bool) -> bool {
    let is_allowed = |char: char| !char.is_control() || has_lines && matches!(char, '\n' | '\t');
    (1..=longest).contains(&text.chars().count()) && text.chars().all(is_allowed)
}

fn is_email(text: &str) -> bool {
    match text.split_once('@') {
        Some((name, host)) => !name.is_empty() && !host.is_empty() && !host.contains('@'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good() -> Typed {
        Typed {
            customer_name: "Anna".to_owned(),
            customer_email: "anna@example.com".to_owned(),
            terms: "NET_7".to_owned(),
            due_date: "2026-11-30".to_owned(),
            message: "Thank you.".to_owned(),
            total_due: "250".to_owned(),
        }
    }

    #[test]
    fn an_id_is_26_characters_and_read_again() {
        let (one, other) = (Id::new(), Id::new());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 26);
        assert_eq!(Id::parse(one.as_str()), Some(one.clone()));
        for text in ["", "../x", &one.as_str().to_uppercase(), &one.as_str()[1..]] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    /// K125
    #[test]
    fn each_field_has_its_limits() {
        type Set = fn(&mut Typed, String);
        let fields: [(&str, Set); 6] = [
            ("customerName", |it, text| it.customer_name = text),
            ("customerEmail", |it, text| it.customer_email = text),
            ("terms", |it, text| it.terms = text),
            ("dueDate", |it, text| it.due_date = text),
            ("message", |it, text| it.message = text),
            ("totalDue", |it, text| it.total_due = text),
        ];
        let text = |letters: usize| "é".repeat(letters);
        let cases: [(&str, String, bool); 24] = [
            ("customerName", text(100), true),
            ("customerName", text(101), false),
            ("customerName", String::new(), false),
            ("customerName", "  ".to_owned(), false),
            ("customerName", "a\nb".to_owned(), false),
            ("customerName", "a\0b".to_owned(), false),
            ("customerEmail", format!("{}@b", text(98)), true),
            ("customerEmail", format!("{}@b", text(99)), false),
            ("customerEmail", "@b".to_owned(), false),
            ("customerEmail", "a@".to_owned(), false),
            ("customerEmail", "ab".to_owned(), false),
            ("customerEmail", "a@b@c".to_owned(), false),
            ("terms", "DUE_ON_RECEIPT".to_owned(), true),
            ("terms", "net_7".to_owned(), false),
            ("terms", String::new(), false),
            ("dueDate", "2026-02-29".to_owned(), false),
            ("dueDate", String::new(), false),
            ("message", "\r\n".to_owned() + &text(500), true),
            ("message", text(501), false),
            ("message", String::new(), false),
            ("message", "a\r\nb\tc".to_owned(), true),
            ("totalDue", "1e3".to_owned(), false),
            ("totalDue", "-0.01".to_owned(), false),
            ("totalDue", "9".repeat(100), false),
        ];
        for (name, value, is_good) in cases {
            let set = fields.iter().find(|(field, _)| *field == name).unwrap().1;
            let mut typed = good();
            set(&mut typed, value.clone());
            let refused: Vec<&str> = match typed.check() {
                Ok(_) => Vec::new(),
                Err(errors) => errors.into_keys().collect(),
            };
            let expected: &[&str] = if is_good { &[] } else { &[name] };
            assert_eq!(refused, expected, "{name}: {value:?}");
        }
    }

    /// K125
    #[test]
    fn every_field_that_cannot_be_taken_is_told_at_once() {
        let errors = Typed::default().check().unwrap_err();
        assert_eq!(errors.len(), 6, "{errors:?}");
    }

    #[test]
    fn only_what_was_sent_can_become_something_else() {
        use Status::{Cancelled, Paid, Sent};
        for (from, to, expected) in [
            (Sent, Paid, true),
            (Sent, Cancelled, true),
            (Sent, Sent, false),
            (Paid, Cancelled, false),
            (Paid, Paid, false),
            (Paid, Sent, false),
            (Cancelled, Paid, false),
        ] {
            assert_eq!(from.may_become(to), expected, "{from:?} {to:?}");
        }
    }

    proptest! {
        /// K125
        #[test]
        fn no_text_panics(name in ".*", email in ".*", date in ".*", total in ".*") {
            let typed = Typed {
                customer_name: name,
                customer_email: email,
                due_date: date,
                total_due: total,
                ..good()
            };
            let _ = typed.check();
        }
    }
}
