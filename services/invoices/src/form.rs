//! The form of a new invoice.

use url::form_urlencoded;

use crate::invoice::{Id, Typed};

/// The name of the field with the one-time key.
pub(crate) const KEY_FIELD: &str = "form_key";

/// What a form sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) typed: Typed,
    /// The one-time key, if it can be one.
    pub(crate) key: Option<Id>,
}

impl Sent {
    /// Reads the fields. Of a field that is there twice the first counts, and unknown ones are left alone.
    pub(crate) fn read(body: &[u8]) -> Self {
        let mut sent = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            let typed = &mut sent.typed;
            let place = match &*name {
                "customerName" => &mut typed.customer_name,
                "customerEmail" => &mut typed.customer_email,
                "terms" => &mut typed.terms,
                "dueDate" => &mut typed.due_date,
                "message" => &mut typed.message,
                "totalDue" => &mut typed.total_due,
                KEY_FIELD => {
                    sent.key = sent.key.or_else(|| Id::parse(&value));
                    continue;
                }
                _ => continue,
            };
            if !seen.iter().any(|earlier| *earlier == *name) {
                *place = value.into_owned();
                seen.push(name.into_owned());
            }
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_by_their_names_and_the_first_counts() {
        let key = Id::new();
        let body = format!("customerName=A%26B&customerName=C&totalDue=5&x=y&form_key={key}");
        let sent = Sent::read(body.as_bytes());
        assert_eq!(sent.typed.customer_name, "A&B");
        assert_eq!(sent.typed.total_due, "5");
        assert_eq!(sent.key, Some(key));
        assert_eq!(Sent::read(b"form_key=short").key, None);
    }

    proptest! {
        /// K125
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Sent::read(&body).typed.check();
        }
    }
}
