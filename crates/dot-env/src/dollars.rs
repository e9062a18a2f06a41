//! Where a `.env` has a `$` that dotenvy replaces.

/// Returns a problem for each line with a `$` that dotenvy would replace. It quotes nothing of the line.
pub fn dollar_problems(text: &str) -> impl Iterator<Item = String> {
    lines_with_dollars(text).into_iter().map(|line| {
        format!(
            "line {line} has a $ that would stand for a variable; put the value into single quotes"
        )
    })
}

/// Returns the numbers of the lines with a `$` that stands for a variable: one that is neither in single
/// quotes, nor behind a backslash, nor in a comment. dotenvy 0.15 replaces it, by nothing where there is no
/// such variable, and cannot be told not to.
fn lines_with_dollars(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    // A quote that is open at the end of a line stays open.
    let mut quote = None;
    for (index, line) in text.lines().enumerate() {
        let value = match (quote, line.split_once('=')) {
            (Some(_), _) => line,
            (None, Some((name, value))) if !name.trim_start().starts_with('#') => value,
            (None, _) => continue,
        };
        let mut escaped = false;
        // What stands right behind the `=` can begin a comment, too.
        let mut after_space = quote.is_none();
        for letter in value.chars() {
            let was_after_space = after_space;
            after_space = (after_space || !escaped) && letter.is_whitespace();
            match (letter, quote) {
                _ if escaped => escaped = false,
                ('\\', None | Some('"')) => escaped = true,
                ('\'' | '"', None) => quote = Some(letter),
                (_, Some(open)) if letter == open => quote = None,
                ('#', None) if was_after_space => break,
                ('$', None | Some('"')) => {
                    found.push(index + 1);
                }
                _ => {}
            }
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// dotenvy itself is asked: it replaces what this finds, and nothing else.
    #[test]
    fn a_dollar_is_found_where_dotenvy_replaces_it() {
        for (value, is_found) in [
            ("a$bcd", true),
            ("a$", true),
            ("$$", true),
            ("${NO}x", true),
            ("\"a$b c\"", true),
            ("'a'$b", true),
            ("a\\\\$b", true),
            ("b#$c", true),
            ("\\ #$c", true),
            ("\"x\ny$z\"", true),
            (" x$y # z", true),
            ("a\\$b", false),
            ("\"a\\$b\"", false),
            ("'a$b'", false),
            ("'x\ny$z'", false),
            ("'it'\\''s $b'", false),
            ("a # $b", false),
            ("#$b", false),
            ("  # $b", false),
            ("'a' # it's $b", false),
            ("\"'\"$b", true),
            ("ab", false),
        ] {
            let text = format!("# it's $no\nX={value}\nlast=1\n");
            // What the value is when no `$` is special.
            let kept = text.replace("\\\\", "\u{2}").replace('$', "\u{1}");
            let kept = kept.replace("\\\u{1}", "\u{1}");
            // A name that ends at a double quote takes it along, and dotenvy then misses the quote.
            let read = |text: &str| match dotenvy::from_read_iter(text.as_bytes()).next() {
                Some(Ok((_, value))) => Some(value),
                _ => None,
            };
            let without = read(&kept).unwrap();
            let without = without.replace('\u{1}', "$").replace('\u{2}', "\\");
            assert_eq!(read(&text) != Some(without), is_found, "{value}");
            assert_eq!(!lines_with_dollars(&text).is_empty(), is_found, "{value}");
        }
    }

    #[test]
    fn every_line_is_named_once() {
        let text = "A=$x$y\r\nB='$'\n\nC=\"\n$\"\nexport D=$z";
        assert_eq!(lines_with_dollars(text), [1, 5, 6]);
    }
}
