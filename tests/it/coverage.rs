//! Every numbered fault is named by a test, and `docs/FAULTS-COVERAGE.md` says by which.
//!
//! `UPDATE_DOCS=1 cargo test -p tests --test it coverage` writes that file anew and takes items that have
//! a test by now off the list of missing ones.

mod items;
mod marks;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::tree;

use items::{Faults, Item};
use marks::{LONGEST, Mark};

const FAULTS: &str = "tests/faults.md";
const TABLE: &str = "docs/FAULTS-COVERAGE.md";

/// The lines that a reader of a failure has to act on.
#[derive(Default)]
struct Problems(String);

impl Problems {
    fn add(&mut self, problem: &str) {
        writeln!(self.0, "- {problem}").unwrap();
    }
}

fn tests_of<'a>(item: &Item, marks: &'a [Mark]) -> Vec<&'a Mark> {
    marks
        .iter()
        .filter(|mark| mark.items.contains(&item.number))
        .collect()
}

/// The feature that an item waits for.
fn awaited<'a>(item: &'a Item, marks: &[Mark]) -> Option<&'a str> {
    let of_group = item.unless_named.as_deref();
    let of_group = of_group.filter(|_| tests_of(item, marks).is_empty());
    item.later.as_deref().or(of_group)
}

/// Items that no test names, that wait for nothing and that no gate covers.
fn without_test(faults: &Faults, marks: &[Mark]) -> BTreeSet<String> {
    let is_open = |item: &&Item| {
        let waits = awaited(item, marks).is_some();
        !waits && item.gates.is_empty() && tests_of(item, marks).is_empty()
    };
    let open = faults.items.iter().filter(is_open);
    open.map(|item| item.number.clone()).collect()
}

fn table(faults: &Faults, marks: &[Mark]) -> String {
    let missing = without_test(faults, marks);
    let named = |item: &&Item| !tests_of(item, marks).is_empty();
    let named = faults.items.iter().filter(named).count();
    let in_short_list = |item: &&Item| {
        tests_of(item, marks)
            .iter()
            .any(|mark| !mark.is_long_list())
    };
    let in_short_lists = faults.items.iter().filter(in_short_list).count();
    let waits = |item: &&Item| awaited(item, marks).is_some();
    let later = faults.items.iter().filter(waits).count();
    let mut text = format!(
        "# Faults and the tests that name them\n\n\
         {} items: {in_short_lists} are named by a test, alone or in a list of at most {LONGEST}, {} only in longer lists, \
         {} are covered by a step of CI alone, {later} wait for a feature, {} are missing. A test names an item in \
         a doc line; what it shows of it, the test says. Written by `tests/it/coverage.rs` from `{FAULTS}` and the \
         tests; do not edit.\n",
        faults.items.len(),
        named - in_short_lists,
        faults.items.len() - named - later - missing.len(),
        missing.len(),
    );
    let mut group = None;
    for item in &faults.items {
        if group != Some(&item.group) {
            group = Some(&item.group);
            write!(
                text,
                "\n## {}\n\n| item | fault | answer | named by |\n|---|---|---|---|\n",
                item.group
            )
            .unwrap();
        }
        let mut covered: Vec<String> = tests_of(item, marks).into_iter().map(Mark::cell).collect();
        let gate = |gate: &items::Gate| format!("`{}` in `{}`", gate.text, gate.file);
        covered.extend(item.gates.iter().map(gate));
        if let Some(feature) = awaited(item, marks) {
            covered.push(format!("waits for {feature}"));
        }
        if missing.contains(&item.number) {
            covered.push("**missing**".to_owned());
        }
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            item.number,
            item.fault,
            item.answer,
            covered.join("<br>")
        )
        .unwrap();
    }
    text
}

#[test]
fn every_numbered_fault_is_named_by_a_test_and_the_document_says_by_which() {
    let mut problems = Problems::default();
    let source = tree::read(FAULTS);
    let faults = Faults::read(&source, &mut |problem| problems.add(problem));
    let mut marks = Vec::new();
    for path in tree::files(&["crates", "services", "tests"], "rs") {
        marks::read(&path, &tree::read(&path), &mut marks, &mut |problem| {
            problems.add(problem);
        });
    }
    let known: BTreeSet<&str> = faults.items.iter().map(|i| i.number.as_str()).collect();
    for mark in &marks {
        for number in &mark.items {
            if !known.contains(number.as_str()) {
                problems.add(&format!(
                    "{number}: {} names it, {FAULTS} does not",
                    mark.place()
                ));
            }
        }
    }
    for item in &faults.items {
        for gate in &item.gates {
            if !tree::read(&gate.file).contains(&gate.text) {
                problems.add(&format!(
                    "{}: its gate is gone: {} lacks `{}`",
                    item.number, gate.file, gate.text
                ));
            }
        }
        if item.later.is_some() && !tests_of(item, &marks).is_empty() {
            problems.add(&format!("{}: has a test, and is marked later", item.number));
        }
    }

    let missing = without_test(&faults, &marks);
    for number in missing.difference(&faults.missing) {
        problems.add(&format!("{number}: no test names it"));
    }
    let expected = table(&faults, &marks);
    if tree::updating() {
        let still = faults.missing.intersection(&missing);
        tree::write(
            FAULTS,
            &items::with_missing(&source, still.map(String::as_str)),
        );
        tree::write(TABLE, &expected);
    } else {
        for number in faults.missing.difference(&missing) {
            problems.add(&format!(
                "{number}: has a test now; take it off the missing ones"
            ));
        }
        if tree::read(TABLE) != expected {
            problems.add(&format!("{TABLE} is not what the tests say"));
        }
    }
    for document in ["README.md", "SECURITY.md"] {
        let count = format!("{} faults and hostile inputs", faults.items.len());
        if !tree::read(document).contains(&count) {
            problems.add(&format!("{document} does not say {count:?}"));
        }
    }
    let Problems(problems) = problems;
    assert!(
        problems.is_empty(),
        "faults and tests disagree (UPDATE_DOCS=1 writes {TABLE} anew):\n{problems}"
    );
}
