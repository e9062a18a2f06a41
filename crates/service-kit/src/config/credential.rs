//! Ids and other texts that may be in files, and checks of credentials.

use std::path::PathBuf;

use idp_http::copying_slip;
use secrecy::{ExposeSecret as _, SecretString};

use super::Reader;

impl Reader<'_> {
    /// Reads a client's id from `NAME`, or from the file that `NAME_FILE` names, which is returned too; both at
    /// once is a problem, and so is neither. The rules of [`Reader::required_secret`] hold for the file.
    pub fn required_id(&mut self, name: &str) -> (String, Option<PathBuf>) {
        let file_name = format!("{name}_FILE");
        let value = self.optional(name);
        match (value, self.optional(&file_name)) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("and {file_name} exclude each other; set one"));
                (String::new(), None)
            }
            (Some(value), None) => {
                self.check_credential(name, &value);
                (value, None)
            }
            (None, Some(path)) => {
                let path = PathBuf::from(path);
                let value = self.secret_file(&file_name, &path);
                let value = value.map(|value| value.expose_secret().to_owned());
                let value = value.unwrap_or_default();
                self.check_credential(&file_name, &value);
                (value, Some(path))
            }
            (None, None) => {
                if !self.has_problem(name) {
                    self.problem(name, format!("is required, or {file_name}"));
                }
                (String::new(), None)
            }
        }
    }

    /// Returns the path of a file with secret lines, and what it holds now. The rules of
    /// [`Reader::required_secret`] hold for it.
    pub fn text_file(&mut self, name: &str) -> Option<(PathBuf, SecretString)> {
        let path = PathBuf::from(self.optional(name)?);
        let text = self.secret_file(name, &path)?;
        Some((path, text))
    }

    /// Refuses a credential that no provider can have issued (RFC 6749 appendix A.1 and A.2), and warns of
    /// characters that were likely copied with it.
    pub(super) fn check_credential(&mut self, name: &str, text: &str) {
        if text.contains(char::is_control) {
            self.problem(name, "has a control character, such as a second line");
        } else {
            self.warn_of_slip(name, text);
        }
    }

    /// Warns of characters that were likely copied with a value.
    pub(super) fn warn_of_slip(&mut self, name: &str, text: &str) {
        if let Some(slip) = copying_slip(text) {
            self.warning(name, format!("{slip}, which is taken for a part of it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// N70
    #[test]
    fn a_value_that_was_hardly_meant_so_is_a_warning_beside_its_problem() {
        let variables = BTreeMap::from([
            ("QUOTED", "'hunter2'"),
            ("URL", "\"https://idp.example\""),
            ("LIST", " hunter2  hunter3 "),
            ("NAMES", "'hunter2 hunter3'"),
        ]);
        let mut reader = Reader::new(&variables);
        assert_eq!(reader.required("QUOTED"), "'hunter2'");
        assert_eq!(reader.endpoint("URL", false), None);
        assert_eq!(reader.list("LIST"), ["hunter2", "hunter3"]);
        let _ = reader.list("NAMES");
        let error = reader.finish().unwrap_err();
        let error = error.with_warnings(&["MISSPELT is not a known variable"]);
        let lines: Vec<String> = error.lines().collect();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        let start = "URL: must be an absolute https URL";
        assert!(lines[0].starts_with(start), "{lines:#?}");
        for (line, name) in lines[1..4].iter().zip(["QUOTED", "URL", "NAMES"]) {
            let text = "has quotes around it, which is taken for a part of it";
            assert_eq!(*line, format!("{name}: {text}"));
        }
        assert_eq!(lines[4], "MISSPELT is not a known variable");
        assert!(!lines.concat().contains("hunter"), "{lines:#?}");
    }

    /// N36
    #[test]
    fn an_id_or_secret_that_cannot_be_is_a_problem_and_an_odd_one_a_warning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (text, problem, warning) in [
            ("canary", "", ""),
            ("can ary", "", ""),
            ("canary\u{1}", "has a control character", ""),
            ("canary\nmore", "has a control character", ""),
            ("canary ", "", "has a space at an end"),
            ("\u{a0}canary", "", "has a space at an end"),
            ("\"canary\"", "", "has quotes around it"),
            ("'canary'", "", "has quotes around it"),
            ("'canary", "", ""),
        ] {
            std::fs::write(path, format!("{text}\n")).unwrap();
            for (name, value) in [
                ("CLIENT_ID", text),
                ("CLIENT_ID_FILE", path),
                ("CLIENT_SECRET", text),
                ("CLIENT_SECRET_FILE", path),
            ] {
                let map = BTreeMap::from([(name, value)]);
                let mut reader = Reader::new(&map);
                if name.starts_with("CLIENT_ID") {
                    let (id, file) = reader.required_id("CLIENT_ID");
                    assert_eq!(id, text);
                    assert_eq!(file.is_some(), name.ends_with("FILE"));
                } else {
                    assert!(reader.required_secret("CLIENT_SECRET").is_some());
                }
                let odd = |line: &str| line.starts_with(&format!("{name}: has"));
                let warnings: Vec<String> =
                    reader.warnings().iter().map(ToString::to_string).collect();
                assert!(!warnings.concat().contains("canary"), "{warnings:?}");
                let warned = warnings
                    .into_iter()
                    .filter(|line| odd(line))
                    .collect::<String>();
                assert!(warned.contains(warning), "{name} {text:?}: {warned}");
                assert_eq!(
                    warned.is_empty(),
                    warning.is_empty(),
                    "{name} {text:?}: {warned}"
                );
                match reader.finish() {
                    Ok(()) => assert_eq!(problem, "", "{name} {text:?}"),
                    Err(error) => {
                        let error = error.to_string();
                        assert!(error.contains(problem), "{name} {text:?}: {error}");
                        assert!(!problem.is_empty(), "{name} {text:?}: {error}");
                        assert!(!error.contains("canary"), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_id_is_a_value_or_a_file_and_not_both() {
        for (variables, expected) in [
            (&[][..], "CLIENT_ID: is required, or CLIENT_ID_FILE"),
            (
                &[("CLIENT_ID", "a"), ("CLIENT_ID_FILE", "/x")],
                "CLIENT_ID: and CLIENT_ID_FILE exclude each other; set one",
            ),
            (
                &[("CLIENT_ID_FILE", "/nonexistent/canary")],
                "CLIENT_ID_FILE: names a file that does not exist",
            ),
        ] {
            let map: BTreeMap<&str, &str> = variables.iter().copied().collect();
            let mut reader = Reader::new(&map);
            reader.required_id("CLIENT_ID");
            assert_eq!(reader.finish().unwrap_err().to_string(), expected);
        }
    }
}
