//! What the checks found.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Passed,
    /// Worth a look; it stops nothing.
    Warning,
    /// It has to be changed.
    Failed,
    /// It could not be made because of an earlier one, or there is nothing to check.
    NotChecked,
}

impl Status {
    /// Returns the mark that a line begins with. What was not checked has that of a warning.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Passed => '✓',
            Self::Warning | Self::NotChecked => '!',
            Self::Failed => '✗',
        }
    }

    /// Returns a stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::NotChecked => "not_checked",
        }
    }

    fn colour(self) -> u8 {
        match self {
            Self::Passed => 32,
            Self::Warning | Self::NotChecked => 33,
            Self::Failed => 31,
        }
    }
}

/// One check and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The check; a name that does not change.
    pub check: &'static str,
    /// What became of it.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to change, by the names of the variables.
    pub change: Option<String>,
}

impl Finding {
    /// Returns a check that passed.
    #[must_use]
    pub fn passed(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Status::Passed, found)
    }

    /// Returns something that is worth a look.
    #[must_use]
    pub fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, found)
    }

    /// Returns a check that failed, with what to change.
    #[must_use]
    pub fn failed(
        check: &'static str,
        found: impl Into<String>,
        change: impl Into<String>,
    ) -> Self {
        Self::new(check, Status::Failed, found).change(change)
    }

    /// Returns a check that could not be made.
    #[must_use]
    pub fn not_checked(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Status::NotChecked, why)
    }

    /// Adds what to change.
    #[must_use]
    pub fn change(mut self, change: impl Into<String>) -> Self {
        self.change = Some(change.into());
        self
    }

    fn new(check: &'static str, status: Status, found: impl Into<String>) -> Self {
        Self {
            check,
            status,
            found: found.into(),
            change: None,
        }
    }

    /// Returns the finding as one line: its mark, the check, what was found, and after an arrow what to
    /// change.
    #[must_use]
    pub fn line(&self, colour: bool) -> String {
        let mark = coloured(self.status.mark(), self.status.colour(), colour);
        let not_checked = if self.status == Status::NotChecked {
            "not checked: "
        } else {
            ""
        };
        let mut line = format!("{mark} {:<14}  {not_checked}{}", self.check, self.found);
        if let Some(change) = &self.change {
            // Writing to a string cannot fail.
            let _ = write!(line, " → {change}");
        }
        line
    }

    fn json(&self) -> Value {
        json!({
            "check": self.check,
            "status": self.status.as_str(),
            "found": self.found,
            "change": self.change,
        })
    }
}

/// Puts a colour (an ANSI code) around something, where that is wanted.
pub(crate) fn coloured(text: impl std::fmt::Display, code: u8, wanted: bool) -> String {
    if wanted {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_string()
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    /// The configuration could not be used.
    is_config: bool,
}

impl Report {
    /// Returns a report with these findings.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            is_config: false,
        }
    }

    /// Returns the report of a configuration that cannot be used.
    #[must_use]
    pub fn of_configuration(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            is_config: true,
        }
    }

    /// Returns the findings in the order of the checks.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns how many checks failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        let is_failed = |finding: &&Finding| finding.status == Status::Failed;
        self.findings.iter().filter(is_failed).count()
    }

    /// Returns the process's exit code: 0, 1 when a check failed, 64 when the configuration cannot be
    /// used.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.failures() {
            0 => 0,
            _ if self.is_config => service_kit::EXIT_CONFIG,
            _ => service_kit::EXIT_START,
        }
    }

    /// Returns the report as one JSON document: `passed`, `failures`, `exit_code` and `checks`, each
    /// with `check`, `status`, `found` and `change` (a string or null).
    #[must_use]
    pub fn json(&self) -> Value {
        let checks: Vec<Value> = self.findings.iter().map(Finding::json).collect();
        json!({
            "passed": self.exit_code() == 0,
            "failures": self.failures(),
            "exit_code": self.exit_code(),
            "checks": checks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_mark_what_was_found_and_what_to_change() {
        let finding = Finding::failed("scope", "too little", "set TOKEN_SCOPE");
        assert_eq!(
            finding.line(false),
            "✗ scope           too little → set TOKEN_SCOPE"
        );
        assert!(finding.line(true).starts_with("\u{1b}[31m✗\u{1b}[0m scope"));
        let finding = Finding::not_checked("scope", "there is no token");
        assert_eq!(
            finding.line(false),
            "! scope           not checked: there is no token"
        );
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_finding() {
        let passed = Finding::passed("a", "b");
        let failed = Finding::failed("a", "b", "c");
        for (findings, expected, of_configuration) in [
            (vec![passed.clone()], 0, 0),
            (vec![Finding::warning("a", "b")], 0, 0),
            (vec![Finding::not_checked("a", "b")], 0, 0),
            (vec![passed, failed], 1, 64),
        ] {
            assert_eq!(Report::new(findings.clone()).exit_code(), expected);
            let report = Report::of_configuration(findings);
            assert_eq!(report.exit_code(), of_configuration);
            assert_eq!(report.json()["exit_code"], of_configuration);
        }
    }
}
