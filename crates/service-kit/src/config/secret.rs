//! Secrets given as a value or as a file.

use std::path::{Path, PathBuf};

use idp_http::file::{self, FileProblem};
use secrecy::{ExposeSecret as _, SecretString};

use super::Reader;

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

impl SecretSetting {
    /// Returns the secret as it is now.
    ///
    /// # Errors
    ///
    /// Fails as [`file::read_secret`] does where it comes from a file.
    pub fn read(&self) -> Result<SecretString, FileProblem> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => file::read_secret(path).map(|found| found.secret),
        }
    }
}

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

    /// Reads the file of this variable, and warns where every user may read it.
    pub(super) fn secret_file(&mut self, name: &str, path: &Path) -> Option<SecretString> {
        match file::read_secret(path) {
            Ok(found) => {
                if found.readable_by_all {
                    self.warning(name, "names a file that every user may read");
                }
                Some(found.secret)
            }
            Err(problem) => {
                self.problem(name, format!("names a file that {problem}"));
                None
            }
        }
    }
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
            ("empty", &b""[..], "that is empty"),
            ("only a line end", b"\r\n", "that is empty"),
            (
                "byte order mark",
                b"\xef\xbb\xbfhunter2",
                "a byte order mark",
            ),
            ("not text", b"hunter2\xff", "not UTF-8"),
            ("too large", &[b'h'; 70_000], "larger than 65536 bytes"),
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
            ["CLIENT_SECRET_FILE: names a file that is not a regular file"]
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

    /// H5
    #[test]
    fn a_secret_is_read_again_as_its_file_is_now() {
        let file = file(b"hunter2");
        let setting = SecretSetting::File(file.path().to_owned());
        let read = |setting: &SecretSetting| {
            setting
                .read()
                .map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(read(&setting).as_deref(), Ok("hunter2"));
        std::fs::write(file.path(), "hunter3\r\n").unwrap();
        assert_eq!(read(&setting).as_deref(), Ok("hunter3"));
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(read(&setting), Err(FileProblem::Empty));
        let value = SecretSetting::Value("hunter2".into());
        assert_eq!(read(&value).as_deref(), Ok("hunter2"));
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
}
