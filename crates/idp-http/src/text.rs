//! Foreign text made fit for a log line, and times for people.

use std::time::{Duration, UNIX_EPOCH};

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

/// Returns a time in seconds since 1970, such as one of a token's dates, in the form of RFC 3339; `None` before 1970
/// and after 9999, for which it has no form.
#[must_use]
pub fn calendar(unix_seconds: i64) -> Option<String> {
    let seconds = u64::try_from(unix_seconds).ok()?;
    let has_form = seconds < 253_402_300_800;
    let time = has_form.then(|| UNIX_EPOCH + Duration::from_secs(seconds))?;
    Some(humantime::format_rfc3339_seconds(time).to_string())
}

/// Returns a span of time to the second, as people say it: "1 h 30 s". One before zero is zero.
#[must_use]
pub fn span(seconds: i64) -> String {
    let mut rest = seconds.max(0);
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] {
        let count = rest / length;
        rest %= length;
        if count > 0 || (unit == "s" && parts.is_empty()) {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_as_people_read_them() {
        for (seconds, expected) in [
            (-1, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_601, "1 h 1 s"),
            (86_400, "1 d"),
            (90_061, "1 d 1 h 1 min 1 s"),
        ] {
            assert_eq!(span(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn dates_beyond_the_calendar_have_no_form() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(calendar(seconds).unwrap(), expected);
        }
        for beyond in [-1, i64::MIN, 253_402_300_800, i64::MAX] {
            assert_eq!(calendar(beyond), None, "{beyond}");
        }
    }

    /// A13
    #[test]
    fn control_characters_and_length_are_tamed() {
        assert_eq!(printable("bad\u{1b}[31m\r\nline é"), "bad?[31m??line ?");
        assert_eq!(printable(&"x".repeat(5_000)).len(), 200);
    }
}
