//! One table of a benchmark.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::plot::{self, Bar};

/// What was measured, beside what, and what it should be.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Time of one operation.
    pub ns: Option<f64>,
    /// Instead of a time: what there is to tell.
    pub text: String,
    /// How many times as long as something else, and what that is.
    pub ratio: Option<(f64, String)>,
    /// Allocations of one operation.
    pub allocations: Option<f64>,
    /// What is to be reached.
    pub goal: String,
}

/// Rows that were measured in one run.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// In the order in which they are shown.
    pub rows: Vec<Row>,
}

/// Returns `target/bench`, given the folder that cargo names in `CARGO_TARGET_TMPDIR`.
#[must_use]
pub fn folder(target_tmpdir: &str) -> PathBuf {
    let tmp = Path::new(target_tmpdir);
    tmp.parent().unwrap_or(tmp).join("bench")
}

impl Row {
    fn figure(&self) -> String {
        match self.ns {
            Some(ns) if ns < 1e3 => format!("{ns:.1} ns"),
            Some(ns) if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
            Some(ns) => format!("{:.1} ms", ns / 1e6),
            None if self.text.is_empty() => "not run".to_owned(),
            None => self.text.clone(),
        }
    }

    fn beside(&self) -> String {
        self.ratio
            .as_ref()
            .map_or_else(String::new, |(ratio, name)| format!("{ratio:.3} × {name}"))
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = self.rows.iter().map(|row| {
            let allocations = row.allocations.map(|count| format!("{count:.1}"));
            [
                row.what.clone(),
                row.figure(),
                row.beside(),
                allocations.unwrap_or_default(),
                row.goal.clone(),
            ]
        });
        let head = ["what", "figure", "ratio", "allocations", "goal"].map(str::to_owned);
        let lines: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| {
            let widths = lines.iter().map(|line| line[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..5).map(width).collect();
        for (n, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                if (1..4).contains(&column) {
                    write!(f, "| {cell:>width$} ")?;
                } else {
                    write!(f, "| {cell:<width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if n == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let right = if (1..4).contains(&column) { ":" } else { "-" };
                    write!(f, "|-{:-<width$}{right}", "")?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

impl Table {
    /// Writes `NAME.json` with every row and `NAME.svg` with the rows that have a time.
    ///
    /// # Errors
    ///
    /// Fails when the folder cannot be made or written to.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let rows = self.rows.iter().map(|row| {
            json!({
                "what": row.what,
                "ns": row.ns,
                "text": row.text,
                "ratio": row.ratio.as_ref().map(|(ratio, _)| ratio),
                "beside": row.ratio.as_ref().map(|(_, name)| name),
                "allocations": row.allocations,
                "goal": row.goal,
            })
        });
        let document = json!({ "name": name, "rows": rows.collect::<Vec<_>>() });
        std::fs::write(
            folder.join(format!("{name}.json")),
            format!("{document:#}\n"),
        )?;
        let bars: Vec<Bar<'_>> = self
            .rows
            .iter()
            .filter_map(|row| {
                Some(Bar {
                    name: &row.what,
                    value: row.ns? / 1e3,
                    label: format!("{}  {}", row.figure(), row.beside()),
                })
            })
            .collect();
        plot::bars(&folder.join(format!("{name}.svg")), name, "µs", &bars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_shows_figures_ratios_and_goals() {
        let table = Table {
            rows: vec![
                Row {
                    what: "verify".into(),
                    ns: Some(41_234.0),
                    ..Row::default()
                },
                Row {
                    what: "validate".into(),
                    ns: Some(612.0),
                    ratio: Some((1.05, "verify".into())),
                    allocations: Some(7.0),
                    goal: "≤ 1.06 × verify".into(),
                    ..Row::default()
                },
            ],
        };
        let expected = "\
| what     |   figure |          ratio | allocations | goal            |
|----------|---------:|---------------:|------------:|-----------------|
| verify   | 41.23 µs |                |             |                 |
| validate | 612.0 ns | 1.050 × verify |         7.0 | ≤ 1.06 × verify |
";
        assert_eq!(table.to_string(), expected);
    }
}
