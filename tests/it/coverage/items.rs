//! The list of faults, as `tests/faults.md` holds it.

use std::collections::BTreeSet;

/// Text in a file that CI acts on.
pub(super) struct Gate {
    pub(super) file: String,
    pub(super) text: String,
}

pub(super) struct Item {
    pub(super) group: String,
    /// A letter and a number: `D19`.
    pub(super) number: String,
    pub(super) fault: String,
    pub(super) answer: String,
    /// The feature that the item waits for.
    pub(super) later: Option<String>,
    /// The feature that it waits for until a test names it.
    pub(super) unless_named: Option<String>,
    pub(super) gates: Vec<Gate>,
}

pub(super) struct Faults {
    pub(super) items: Vec<Item>,
    /// What the file itself says to be missing.
    pub(super) missing: BTreeSet<String>,
}

const MISSING: &str = "## Missing";

/// Begins the line of a group whose items may do without a test until a feature is there.
const UNLESS_NAMED: &str = "A test names an item, or it waits: later: ";

/// Whether a text is the number of an item.
pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(|c: char| c.is_ascii_uppercase());
    digits.is_some_and(|digits| {
        (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The numbers in a comma-separated list, if it is nothing else.
pub(super) fn numbers(text: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = text.split(", ").collect();
    parts.iter().all(|part| is_number(part)).then_some(parts)
}

impl Faults {
    /// Reads the tables and the list of missing items; reports what it cannot read.
    pub(super) fn read(source: &str, problem: &mut dyn FnMut(&str)) -> Self {
        let (tables, missing) = source.split_once(MISSING).unwrap_or((source, ""));
        let mut items: Vec<Item> = Vec::new();
        let mut group = String::new();
        let mut unless_named = None;
        for line in tables.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                title.clone_into(&mut group);
                unless_named = None;
            }
            if let Some(feature) = line.strip_prefix(UNLESS_NAMED) {
                unless_named = Some(feature.to_owned());
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let ["", number, fault, answer, instead, ""] = cells[..] else {
                if line.starts_with('|') {
                    problem(&format!("a row without four cells: {line}"));
                }
                continue;
            };
            if number == "item" || number.starts_with("---") {
                continue;
            }
            let of_group = || items.iter().filter(|item| item.group == group);
            let fits = match group.get(..1) {
                // Its numbers are handed out in tens.
                Some("N") => of_group().all(|item| item.number != number),
                _ => number.get(1..) == Some(&*(of_group().count() + 1).to_string()),
            };
            if !fits || number.get(..1) != group.get(..1) {
                problem(&format!("{number}: out of order in group {group}"));
            }
            items.push(Item {
                group: group.clone(),
                number: number.to_owned(),
                fault: fault.to_owned(),
                answer: answer.to_owned(),
                later: instead.strip_prefix("later: ").map(str::to_owned),
                unless_named: unless_named.clone(),
                gates: gates(number, instead, problem),
            });
        }
        let missing = missing.lines().filter_map(numbers).flatten();
        Self {
            items,
            missing: missing.map(str::to_owned).collect(),
        }
    }
}

fn gates(number: &str, cell: &str, problem: &mut dyn FnMut(&str)) -> Vec<Gate> {
    if cell.is_empty() || cell.starts_with("later: ") {
        return Vec::new();
    }
    let mut gates = Vec::new();
    for part in cell.split("; ") {
        let gate = part.strip_prefix("gate: ").and_then(|p| p.split_once(": "));
        let Some((file, text)) = gate else {
            problem(&format!(
                "{number}: neither `later: …` nor `gate: file: text`: {part}"
            ));
            continue;
        };
        gates.push(Gate {
            file: file.to_owned(),
            text: text.to_owned(),
        });
    }
    gates
}

/// The same file with these items as the missing ones.
pub(super) fn with_missing<'a>(source: &str, missing: impl Iterator<Item = &'a str>) -> String {
    let (tables, _) = source.split_once(MISSING).unwrap_or((source, ""));
    let mut missing: Vec<&str> = missing.collect();
    missing.sort_by_key(|number| (number.as_bytes()[0], number[1..].parse::<u32>().unwrap()));
    let tables = tables.trim_end();
    if missing.is_empty() {
        return format!("{tables}\n");
    }
    format!(
        "{tables}\n\n{MISSING}\n\nNeither tested nor gated yet; the list may only shrink.\n\n{}\n",
        missing.join(", ")
    )
}
