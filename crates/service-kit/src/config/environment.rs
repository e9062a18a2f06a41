//! The process environment, then `.env`.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use dot_env::{Nearest, dollar_problems};
use idp_http::file;

use super::misspelt::{self, UnknownVariable};
use super::{Problem, Strings};

/// More than any list of variables, and a bound on what a wrong file can cost.
const MAX_FILE: u64 = 1024 * 1024;

/// The process environment first, then the nearest `.env` in the working directory or above it. The way up ends at
/// the first folder that another user owns than the working directory, and such a user's file counts only in the
/// working directory itself; a warning says when one is left out for that.
///
/// A variable of the process wins even when it is empty, which then counts as unset: that is how a
/// value in `.env` is switched off. The process environment itself is never changed. Of a variable that
/// `.env` has twice, the first counts, as with dotenvy. A `$` that dotenvy would take for the beginning of a
/// variable's name is a problem: the value would be another than the one written.
pub struct Environment {
    file: BTreeMap<String, String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("names", &self.file.keys())
            .field("problems", &self.problems)
            .field("warnings", &self.warnings)
            .finish()
    }
}

impl Environment {
    /// Reads `.env`, if there is one. A file that cannot be read or parsed becomes a problem that
    /// [`Reader`](super::Reader) reports, and so does a name in it that is none of [`VARIABLES`](super::VARIABLES) and
    /// at most two letters away from one; no `.env` is no problem.
    pub fn load() -> Self {
        match std::env::current_dir() {
            Ok(directory) => Self::load_from(&directory),
            Err(_) => Self::empty(),
        }
    }

    /// The same as [`Environment::load`], searching from `directory`.
    pub fn load_from(directory: &Path) -> Self {
        let mut environment = Self::empty();
        match Nearest::of(directory) {
            Nearest::File(path) => {
                if let Err(text) = environment.read(&path) {
                    environment.problem(text);
                }
            }
            Nearest::Foreign => {
                let text = "in a folder above is not read: it, or its folder, is another user's";
                environment.warnings.push(Problem::new(".env", text));
            }
            Nearest::Nothing => {}
        }
        environment
    }

    fn empty() -> Self {
        Self {
            file: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Returns the variables that are not among `known` and are worth a warning: of `.env`, which is the
    /// programs' own, those that resemble none of [`VARIABLES`](super::VARIABLES) (others are problems already);
    /// of the process environment, which is shared with everything else, those one letter away from a known name
    /// of at least eight.
    ///
    /// A name in `.env` with small letters is left out: the rest of a secret that was broken over two lines
    /// reads like a name.
    pub fn unknown(&self, known: &[&str]) -> Vec<UnknownVariable> {
        let in_process = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        misspelt::unknown(self.file.keys(), in_process, known)
    }

    fn read(&mut self, path: &Path) -> Result<(), Cow<'static, str>> {
        let bytes = file::read(path, MAX_FILE).map_err(|problem| problem.to_string())?;
        let text = str::from_utf8(&bytes).map_err(|_| "must be UTF-8 text")?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for problem in dollar_problems(text) {
            self.problem(problem);
        }
        let lines = Rc::new(Cell::new(0_usize));
        let reader = LineByLine {
            rest: text.as_bytes(),
            lines: Rc::clone(&lines),
        };
        for entry in dotenvy::from_read_iter(reader) {
            match entry {
                Ok((name, value)) => {
                    // Without a scope check, say, that was meant, a start would not be safe.
                    if let Some(nearest) = misspelt::resembled(&name) {
                        self.problem(format!("{name} is not a known variable; {nearest} is"));
                    }
                    let line = lines.get();
                    if cuts_value(text.lines().nth(line.saturating_sub(1)), &name, &value) {
                        let text = format!(
                            "line {line}: what follows the # is a comment and no part of {name}; if it should \
                             be, put the value into single quotes"
                        );
                        self.warnings.push(Problem::new(".env", text));
                    }
                    self.file.entry(name).or_insert(value);
                }
                Err(dotenvy::Error::LineParse(refused, _)) => {
                    // A quote that is never closed takes in the rest of the file.
                    let beyond = refused.trim_end().matches('\n').count();
                    let line = lines.get().saturating_sub(beyond);
                    self.problem(format!(
                        "line {line} must be NAME=value; a value with spaces or a backslash needs single quotes"
                    ));
                }
                Err(_) => return Err("every line must be NAME=value".into()),
            }
        }
        Ok(())
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::new(".env", text));
    }
}

impl Strings for Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    fn get(&self, name: &str) -> Option<String> {
        match std::env::var(name) {
            Ok(value) => Some(value),
            Err(std::env::VarError::NotPresent) => self.file.get(name).cloned(),
            Err(std::env::VarError::NotUnicode(_)) => None,
        }
    }

    fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    fn is_malformed(&self, name: &str) -> bool {
        matches!(std::env::var(name), Err(std::env::VarError::NotUnicode(_)))
    }
}

/// Tells whether a comment at the end of a line may have been meant as a part of the value: after the # of a comment
/// people leave a space, and a secret is generated.
fn cuts_value(line: Option<&str>, name: &str, value: &str) -> bool {
    let Some((_, written)) = line.and_then(|line| line.split_once('=')) else {
        return false;
    };
    let kept = value.matches('#').count();
    let comment = written.split('#').nth(kept + 1);
    comment.is_some_and(|comment| {
        let is_tight = comment.starts_with(|letter: char| !letter.is_whitespace() && letter != '#');
        is_tight || name == "CLIENT_SECRET"
    })
}

/// Hands out a line per read and counts them: dotenvy says what it refused and not where.
struct LineByLine<'a> {
    rest: &'a [u8],
    lines: Rc<Cell<usize>>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let line = self
            .rest
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|end| end + 1);
        let wanted = line.unwrap_or(self.rest.len());
        let count = wanted.min(buf.len());
        let (now, later) = self.rest.split_at(count);
        buf[..count].copy_from_slice(now);
        self.rest = later;
        if count > 0 && count == wanted {
            self.lines.set(self.lines.get() + 1);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Reader, VARIABLES};

    fn directory_with(env: &[u8]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".env"), env).unwrap();
        directory
    }

    #[test]
    fn a_dotenv_file_beyond_its_limit_is_a_problem() {
        let directory = directory_with(&vec![b'#'; 1024 * 1024 + 1]);
        let environment = Environment::load_from(directory.path());
        let problems: Vec<_> = environment
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(problems, [".env: is larger than 1048576 bytes"]);
    }

    #[test]
    fn a_dotenv_file_is_found_in_a_parent_directory() {
        let directory = directory_with(
            b"\xef\xbb\xbfKIT_TEST_A=one\nKIT_TEST_B='two words'\nKIT_TEST_A=late\n",
        );
        let below = directory.path().join("x/y");
        std::fs::create_dir_all(&below).unwrap();
        let environment = Environment::load_from(&below);
        assert_eq!(environment.get("KIT_TEST_A").as_deref(), Some("one"));
        assert_eq!(environment.get("KIT_TEST_B").as_deref(), Some("two words"));
        assert_eq!(environment.get("KIT_TEST_C"), None);
    }

    #[test]
    fn the_process_environment_wins_over_the_file() {
        let directory = directory_with(b"PATH=hunter2\nKIT_TEST_A=file\n");
        let environment = Environment::load_from(directory.path());
        assert_ne!(environment.get("PATH").as_deref(), Some("hunter2"));
        assert_eq!(environment.get("KIT_TEST_A").as_deref(), Some("file"));
    }

    /// H3, J1
    #[test]
    fn a_malformed_line_is_reported_by_its_number_and_never_shown() {
        for (name, env, line) in [
            (
                "no equals sign",
                &b"GOOD=1\n# comment\nhunter2 canary\n"[..],
                "line 3",
            ),
            (
                "open quote",
                b"GOOD=1\nSECRET=\"hunter2\nMORE=1\n",
                "line 2",
            ),
            ("bad escape", b"GOOD=1\n\nSECRET=hunter2\\q\n", "line 3"),
            (
                "spaces",
                b"SECRET=hunter2 x\n",
                "line 1 must be NAME=value; a value with spaces or a backslash needs",
            ),
            (
                "a variable",
                b"GOOD='$1'\nSECRET=hunter2$q\n",
                "line 2 has a $",
            ),
            ("not text", b"SECRET=hunter2\xff\n", "UTF-8"),
        ] {
            let directory = directory_with(env);
            let environment = Environment::load_from(directory.path());
            let error = Reader::new(&environment).finish().unwrap_err();
            let shown = format!("{error} {error:?} {environment:?}");
            assert!(error.to_string().starts_with(".env: "), "{name}: {error}");
            assert!(shown.contains(line), "{name}: {shown}");
            assert!(!shown.contains("hunter2"), "{name}: {shown}");
        }
    }

    /// H3
    #[test]
    fn a_misspelt_variable_of_the_file_is_a_problem_and_another_unknown_one_a_warning() {
        let directory = directory_with(
            b"API_AUDIENC=hunter2\nISSUER=https://a\nCOMPOSE_FILE=x\nhunter2==\nissuer=x\nJWKS_URI=\nUSER=x\n",
        );
        let environment = Environment::load_from(directory.path());
        let problems: Vec<String> = environment
            .problems()
            .iter()
            .map(Problem::to_string)
            .collect();
        assert_eq!(
            problems,
            [
                ".env: API_AUDIENC is not a known variable; API_AUDIENCE is",
                ".env: issuer is not a known variable; ISSUER is",
            ]
        );
        let unknown: Vec<String> = environment
            .unknown(&VARIABLES)
            .iter()
            .map(ToString::to_string)
            .filter(|line| line.contains(".env"))
            .collect();
        assert_eq!(
            unknown,
            [
                "COMPOSE_FILE in .env is not a known variable",
                "USER in .env is not a known variable",
            ]
        );
    }

    /// N88
    #[test]
    fn a_comment_that_may_be_a_part_of_the_value_is_named() {
        for (env, is_named) in [
            ("API_AUDIENCE=a #hunter2", true),
            ("API_AUDIENCE=#hunter2", true),
            ("API_AUDIENCE='a' #hunter2", true),
            ("CLIENT_SECRET=a # hunter2", true),
            ("API_AUDIENCE=a # that of June", false),
            ("API_AUDIENCE=a ## that of June ##", false),
            ("API_AUDIENCE='a #hunter2'", false),
            ("API_AUDIENCE=a#hunter2", false),
            ("#API_AUDIENCE=a #hunter2", false),
        ] {
            let directory = directory_with(format!("# one\n{env}\nLOG_FORMAT=json\n").as_bytes());
            let environment = Environment::load_from(directory.path());
            let reader = Reader::new(&environment);
            let warnings: Vec<String> = reader.warnings().iter().map(Problem::to_string).collect();
            let line = ".env: line 2: what follows the # is a comment";
            let found = warnings.iter().any(|warning| warning.starts_with(line));
            assert_eq!(
                (found, warnings.len()),
                (is_named, usize::from(is_named)),
                "{env}"
            );
            assert!(!format!("{warnings:?}").contains("hunter2"), "{warnings:?}");
        }
    }

    /// The programs share the file: none may refuse what another reads.
    #[test]
    fn no_known_name_is_taken_for_another() {
        let all: String = VARIABLES.iter().map(|name| format!("{name}=\n")).collect();
        let directory = directory_with(all.as_bytes());
        let environment = Environment::load_from(directory.path());
        assert_eq!(environment.problems(), []);
    }
}
