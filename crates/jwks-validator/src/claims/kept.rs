//! The text of a token's claims, kept once.

/// A payload and, behind it, the claims that are spelled otherwise in it (with escapes).
///
/// A cached token costs its payload and a few numbers, and no allocation per claim.
#[derive(Clone)]
pub(super) struct KeptText {
    text: Box<str>,
    payload: usize,
}

/// Where a claim stands in the text that it was [put](Keeper::put) into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    // Enough for any token, and half of what a slice takes.
    start: u32,
    end: u32,
}

impl KeptText {
    pub(super) fn at(&self, span: Span) -> &str {
        let range = span.start as usize..span.end as usize;
        self.text.get(range).unwrap_or_default()
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.text.as_bytes()[..self.payload]
    }

    pub(super) fn payload_text(&self) -> &str {
        self.text.get(..self.payload).unwrap_or_default()
    }
}

/// Makes a [`KeptText`].
pub(super) struct Keeper<'p> {
    payload: &'p str,
    text: String,
}

impl<'p> Keeper<'p> {
    pub(super) fn new(payload: &'p str) -> Self {
        // Exactly as long, so that no byte is allocated for nothing.
        let mut text = String::with_capacity(payload.len());
        text.push_str(payload);
        Self { payload, text }
    }

    /// Returns where the claim stands in the payload if it was borrowed from there, else appends it.
    pub(super) fn put(&mut self, claim: &str) -> Span {
        let start = claim.as_ptr().addr();
        let start = start.wrapping_sub(self.payload.as_ptr().addr());
        // Whatever the addresses say, it is the text that counts.
        let borrowed = self.payload.get(start..start.wrapping_add(claim.len()));
        let start = if borrowed == Some(claim) {
            start
        } else {
            self.text.push_str(claim);
            self.text.len() - claim.len()
        };
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        Span {
            start: number(start),
            end: number(start + claim.len()),
        }
    }

    pub(super) fn finish(self) -> KeptText {
        KeptText {
            payload: self.payload.len(),
            text: self.text.into_boxed_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_where_it_stands_and_appended_where_it_does_not() {
        let payload = r#"{"sub":"one","aud":"t\u0077o","scope":""}"#;
        let mut keeper = Keeper::new(payload);
        let spans = [&payload[8..11], "two", &payload[38..38], ""].map(|claim| keeper.put(claim));
        let kept = keeper.finish();
        assert_eq!(kept.payload(), payload.as_bytes());
        assert_eq!(spans.map(|span| kept.at(span)), ["one", "two", "", ""]);
        assert_eq!(kept.text.len(), payload.len() + "two".len());
    }
}
