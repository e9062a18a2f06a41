//! The patches of `tests/plant` still fit the code that they break.

use crate::tree;

const TABLE: &str = "docs/PLANTED-BUGS.md";

/// The blocks of lines that a patch expects in each file that it changes.
fn expected_blocks(patch: &str) -> Vec<(String, Vec<String>)> {
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("--- a/") {
            files.push((path.to_owned(), Vec::new()));
        } else if let Some((_, blocks)) = files.last_mut() {
            if line.starts_with("@@ ") {
                blocks.push(String::new());
            } else if let Some(block) = blocks.last_mut()
                && let Some(kept) = line.strip_prefix([' ', '-'])
            {
                block.push_str(kept);
                block.push('\n');
            }
        }
    }
    files
}

/// Compared here and not by `git apply --check`, so that it holds without git too.
#[test]
fn every_planted_bug_applies() {
    let patches = tree::files(&["tests/plant"], "patch");
    assert!(patches.len() >= 20, "{patches:?}");
    let table = tree::read(TABLE);
    let mut problems = Vec::new();
    for path in &patches {
        let patch = tree::read(path);
        for name in ["what: ", "tests: "] {
            if patch.lines().filter(|line| line.starts_with(name)).count() != 1 {
                problems.push(format!("{path}: needs one line `{name}…`"));
            }
        }
        let files = expected_blocks(&patch);
        assert!(!files.is_empty(), "{path} changes nothing");
        for (file, blocks) in files {
            let text = tree::read(&file);
            for block in blocks {
                if text.matches(&block).count() != 1 {
                    problems.push(format!("{path}: not once in {file}:\n{block}"));
                }
            }
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let row = format!("| {} |", name.trim_end_matches(".patch"));
        if !table.contains(&row) {
            problems.push(format!("{TABLE} lacks {name}; `just plant` writes it"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(!table.contains("NOT CAUGHT"), "{TABLE}");
    let rows = table.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(rows, patches.len() + 1, "rows of {TABLE}");
}
