//! The files of this workspace, by their paths from its root.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The whole text of a file; empty if there is none.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

pub(crate) fn write(path: &str, text: &str) {
    std::fs::write(root().join(path), text).unwrap();
}

/// Whether `UPDATE_DOCS=1` asks tests to write the files that they otherwise compare with.
#[expect(clippy::disallowed_methods, reason = "a switch of tests")]
pub(crate) fn updating() -> bool {
    std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1")
}

/// The files below these folders with this extension, in order. Build output is left out.
pub(crate) fn files(folders: &[&str], extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            let is_hidden = name.to_string_lossy().starts_with('.');
            if is_hidden || name == "target" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let path = path.strip_prefix(root()).unwrap();
                found.push(path.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}
