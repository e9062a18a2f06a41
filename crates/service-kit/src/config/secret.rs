//! Secrets given as a value or as a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::Reader;
use super::environment::cannot_read;

/// Where a secret comes from.
///
/// A file is kept as its path because the token client reads it again at every exchange, so that a
/// rotated secret needs no restart.
#[derive(Clone, Debug)]
pub enum SecretSetting {
    /// The secret itself.
    Value(SecretString),
    /// A file that held a usable secret when the configuration was read.
    File(PathBuf),
}

/// More than any credential that a provider issues, and a bound on what a wrong path can cost.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

impl Reader<'_> {
    /// Reads a secret from `NAME` or from the file that `NAME_FILE` names; both at once is a problem,
    /// and so is neither.
    ///
    /// The file must be there, readable, UTF-8 without a byte order mark, and hold something other
    /// than one line end. A file that every user of the machine may read is a warning.
    pub fn required_secret(&mut self, name: &str) -> Option<SecretSetting> {
        let file_name = format!("{name}_FILE");
        let setting = self.optional_secret(name);
        if setting.is_none() && !self.has_problem(name) && !self.has_problem(&file_name) {
            self.problem(name, format!("is required, or {file_name}"));
        }
        setting
    }

    /// The same as [`Reader::required_secret`], but neither is `None`.
    pub fn optional_secret(&mut self, name: &str) -> Option<SecretSetting> {
        let file_name = format!("{name}_FILE");
        let value = self.secret(name);
        let path = self.optional(&file_name).map(PathBuf::from);
        match (value, path) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("and {file_name} exclude each other; set one"));
                None
            }
            (Some(value), None) => {
                self.check_credential(name, value.expose_secret());
                Some(SecretSetting::Value(value))
            }
            (None, Some(path)) => {
                let value = self.secret_file(&file_name, &path)?;
                self.check_credential(&file_name, value.expose_secret());
                Some(SecretSetting::File(path))
            }
            (None, None) => None,
        }
    }

    /// Reads what the file of this variable holds, and warns where every user may do so.
    pub(super) fn secret_file(&mut self, name: &str, path: &Path) -> Option<SecretString> {
        match read_secret(path) {
            Ok((secret, readable_by_all)) => {
                if readable_by_all {
                    self.warning(name, "names a file that every user may read");
                }
                Some(secret)
            }
            Err(text) => {
                self.problem(name, text);
                None
            }
        }
    }
}

/// Reads a secret; `true` when every user may.
fn read_secret(path: &Path) -> Result<(SecretString, bool), String> {
    let file = File::open(path).map_err(|error| cannot_read(&error))?;
    let metadata = file.metadata().map_err(|error| cannot_read(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot_read(&error))?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!(
            "names a file of more than {MAX_SECRET_BYTES} bytes"
        ));
    }
    let text = String::from_utf8(bytes)
        .map(SecretString::from)
        .map_err(|_| "names a file that is not UTF-8 text".to_owned())?;
    if text.expose_secret().starts_with('\u{feff}') {
        return Err("names a file that begins with a byte order mark; remove it".to_owned());
    }
    let secret = without_line_end(text.expose_secret());
    if secret.is_empty() {
        return Err("names an empty file".to_owned());
    }
    Ok((secret.into(), is_readable_by_all(&metadata)))
}

/// Removes one trailing LF or CRLF, which editors and `echo` add.
fn without_line_end(text: &str) -> &str {
    let text_without = text.strip_suffix('\n').unwrap_or(text);
    if text_without.len() == text.len() {
        text
    } else {
        text_without.strip_suffix('\r').unwrap_or(text_without)
    }
}

#[cfg(unix)]
fn is_readable_by_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn read(variables: &[(&str, &str)]) -> (Option<SecretSetting>, Vec<String>, Vec<String>) {
        let map: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let mut reader = Reader::new(&map);
        let setting = reader.required_secret("CLIENT_SECRET");
        let warnings = reader.warnings().iter().map(ToString::to_string).collect();
        let problems = match reader.finish() {
            Ok(()) => Vec::new(),
            Err(error) => error.problems().iter().map(ToString::to_string).collect(),
        };
        (setting, problems, warnings)
    }

    /// H5
    #[test]
    fn an_unusable_secret_file_is_a_problem_that_shows_neither_path_nor_content() {
        for (name, content, expected) in [
            ("empty", &b""[..], "an empty file"),
            ("only a line end", b"\r\n", "an empty file"),
            (
                "byte order mark",
                b"\xef\xbb\xbfhunter2",
                "a byte order mark",
            ),
            ("not text", b"hunter2\xff", "not UTF-8"),
            ("too large", &[b'h'; 70_000], "more than 65536 bytes"),
        ] {
            let file = file(content);
            let path = file.path().to_str().unwrap();
            let (setting, problems, _) = read(&[("CLIENT_SECRET_FILE", path)]);
            assert!(setting.is_none(), "{name}");
            assert_eq!(problems.len(), 1, "{name}: {problems:?}");
            assert!(
                problems[0].starts_with("CLIENT_SECRET_FILE: "),
                "{name}: {problems:?}"
            );
            assert!(problems[0].contains(expected), "{name}: {problems:?}");
            assert!(!problems[0].contains(path), "{name}: {problems:?}");
            assert!(!problems[0].contains("hunter2"), "{name}: {problems:?}");
        }
        let (_, problems, _) = read(&[("CLIENT_SECRET_FILE", "/nonexistent/hunter2")]);
        assert_eq!(
            problems,
            ["CLIENT_SECRET_FILE: names a file that does not exist"]
        );
        let directory = tempfile::tempdir().unwrap();
        let (_, problems, _) = read(&[("CLIENT_SECRET_FILE", directory.path().to_str().unwrap())]);
        assert_eq!(
            problems,
            ["CLIENT_SECRET_FILE: names a directory, not a file"]
        );
    }

    /// H5
    #[cfg(unix)]
    #[test]
    fn a_secret_file_that_everybody_may_read_is_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        for (mode, expected) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)] {
            let file = file(b"hunter2\n");
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).unwrap();
            let path = file.path().to_str().unwrap();
            let (setting, problems, warnings) = read(&[("CLIENT_SECRET_FILE", path)]);
            assert!(
                matches!(setting, Some(SecretSetting::File(_))),
                "{mode:o} {problems:?}"
            );
            assert_eq!(warnings.len(), expected, "{mode:o} {warnings:?}");
        }
    }

    #[test]
    fn a_secret_is_a_value_or_a_file_and_not_both() {
        let file = file(b"hunter2");
        let path = file.path().to_str().unwrap();
        let (setting, problems, _) =
            read(&[("CLIENT_SECRET", "hunter2"), ("CLIENT_SECRET_FILE", path)]);
        assert!(setting.is_none());
        assert_eq!(
            problems,
            ["CLIENT_SECRET: and CLIENT_SECRET_FILE exclude each other; set one"]
        );
        let (setting, problems, _) = read(&[]);
        assert!(setting.is_none());
        assert_eq!(
            problems,
            ["CLIENT_SECRET: is required, or CLIENT_SECRET_FILE"]
        );
        let (setting, problems, _) = read(&[("CLIENT_SECRET", "hunter2")]);
        assert!(problems.is_empty());
        assert!(!format!("{setting:?}").contains("hunter2"));
        assert!(matches!(setting, Some(SecretSetting::Value(_))));
    }

    /// H5
    #[test]
    fn exactly_one_line_end_is_removed() {
        for (text, expected) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a\r", "a\r"),
            (" a \n", " a "),
        ] {
            assert_eq!(without_line_end(text), expected, "{text:?}");
        }
    }
}
