//! Foreign text made fit for a log line.

/// Returns at most 200 printable ASCII characters of `text`; everything else becomes `?`.
///
/// For what a provider says about itself (an `error_description`, an issuer): it may hold control
/// characters that forge log lines, and it has no length limit of its own.
#[must_use]
pub fn printable(text: &str) -> String {
    const LIMIT: usize = 200;
    text.chars()
        .take(LIMIT)
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() {
                c
            } else {
                '?'
            }
        })
        .collect()
}

/// Says what hardly belongs to an id or a secret, and is there when one was copied carelessly. Completes "it …".
#[must_use]
pub fn copying_slip(text: &str) -> Option<&'static str> {
    let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        Some("has a space at an end")
    } else if is_quoted('"') || is_quoted('\'') {
        Some("has quotes around it")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A13
    #[test]
    fn control_characters_and_length_are_tamed() {
        assert_eq!(printable("bad\u{1b}[31m\r\nline é"), "bad?[31m??line ?");
        assert_eq!(printable(&"x".repeat(5_000)).len(), 200);
    }
}
