//! The doc lines with which tests name faults.

use super::items;

/// The numbers that a test names, or a module.
pub(super) struct Mark {
    pub(super) items: Vec<String>,
    path: String,
    /// The test's name; none where the line is the module's own.
    test: Option<String>,
}

/// A test that names more faults than this at once can hardly show each of them.
pub(super) const LONGEST: usize = 5;

impl Mark {
    pub(super) fn is_long_list(&self) -> bool {
        self.items.len() > LONGEST
    }

    pub(super) fn place(&self) -> String {
        match &self.test {
            Some(test) => format!("{} {test}", self.path),
            None => self.path.clone(),
        }
    }

    /// A cell of the table: the test, then where it is.
    pub(super) fn cell(&self) -> String {
        let cell = match &self.test {
            Some(test) => format!("`{test}` ({})", self.path),
            None => format!("all of {}", self.path),
        };
        if self.is_long_list() {
            format!("{cell}, in a list of {}", self.items.len())
        } else {
            cell
        }
    }
}

/// Finds the marks of a file; reports those that are not above a test.
pub(super) fn read(path: &str, source: &str, marks: &mut Vec<Mark>, problem: &mut dyn FnMut(&str)) {
    let mark = |items: Vec<&str>, test| Mark {
        items: items.into_iter().map(str::to_owned).collect(),
        path: path.to_owned(),
        test,
    };
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        if let Some(text) = line.strip_prefix("//! ") {
            marks.extend(items::numbers(text).map(|items| mark(items, None)));
        }
        let Some(text) = line.strip_prefix("/// ") else {
            continue;
        };
        let place = || format!("{path}:{}: `{text}`", at + 1);
        match items::numbers(text) {
            Some(items) => match test_below(&lines[at + 1..]) {
                Some(name) => match marks.last_mut() {
                    // A second line of numbers above the same test.
                    Some(last) if last.path == path && last.test.as_ref() == Some(&name) => {
                        last.items.extend(items.into_iter().map(str::to_owned));
                    }
                    _ => marks.push(mark(items, Some(name))),
                },
                None => problem(&format!("{} is not above a test", place())),
            },
            None if begins_with_a_number(text) => {
                problem(&format!("{} is no list of items", place()));
            }
            None => {}
        }
    }
}

/// Whether a doc line was probably meant to be a mark.
fn begins_with_a_number(text: &str) -> bool {
    let word = text.split([' ', ',', ':', '.', ';']).next();
    word.is_some_and(items::is_number)
}

/// The name of the test function that attributes and doc lines lead to.
fn test_below(lines: &[&str]) -> Option<String> {
    let mut is_test = false;
    for line in lines {
        if line.is_empty() || line.ends_with('}') || line.ends_with(';') {
            return None;
        }
        if let Some(attribute) = line.strip_prefix("#[") {
            let name = attribute.split(['(', ']']).next().unwrap_or_default();
            is_test |= name == "test" || name.ends_with("::test");
        }
        let signature = line.split_once("fn ").filter(|_| !line.starts_with("//"));
        if let Some((_, rest)) = signature {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            return is_test.then(|| name.to_owned());
        }
    }
    None
}

#[test]
fn a_mark_in_a_long_list_says_so() {
    let source = "/// A1, A2, A3, A4, A5\n#[test]\nfn five() {\n}\n/// A1, A2, A3, A4\n/// A5, A6\n#[test]\nfn six() {\n}";
    let mut marks = Vec::new();
    read("x.rs", source, &mut marks, &mut |problem| {
        panic!("{problem}")
    });
    let cells: Vec<String> = marks.iter().map(Mark::cell).collect();
    assert_eq!(cells, ["`five` (x.rs)", "`six` (x.rs), in a list of 6"]);
}

#[test]
fn a_mark_counts_only_above_a_test() {
    let source = [
        "//! D39",
        "/// A1, B22",
        "/// More.",
        "#[tokio::test(flavor = \"current_thread\")]",
        "async fn first() {",
        "}",
        "proptest! {",
        "    /// C3",
        "    #[test]",
        "    fn second(",
        "        x in 0..1,",
        "    ) {}",
        "}",
        "/// D4",
        "fn helper() {}",
        "/// E5 and E6",
        "#[test]",
        "fn third() {}",
    ]
    .join("\n");
    let (mut marks, mut problems) = (Vec::new(), Vec::new());
    read("x.rs", &source, &mut marks, &mut |problem| {
        problems.push(problem.to_owned());
    });
    let found: Vec<String> = marks
        .iter()
        .map(|mark| format!("{} {}", mark.place(), mark.items.join(" ")))
        .collect();
    assert_eq!(found, ["x.rs D39", "x.rs first A1 B22", "x.rs second C3"]);
    assert_eq!(
        problems,
        [
            "x.rs:14: `D4` is not above a test",
            "x.rs:16: `E5 and E6` is no list of items"
        ]
    );
}
