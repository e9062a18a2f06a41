//! What the manifests, the lock file and CI promise about dependencies, checked without other tools.
//!
//! cargo-deny checks more where it is installed; these hold wherever the tests run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::tree;

const BUILD_TIME: &str = "tests/build-time.txt";

/// Name and version of every package in the lock file.
fn locked() -> Vec<(String, String)> {
    let lock = tree::read("Cargo.lock");
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key));
        line.map(|text| text.trim_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|package| Some((value(package, "name = ")?, value(package, "version = ")?)))
        .collect()
}

/// The numbers of a version, for comparison. A missing one counts as zero.
fn version(text: &str) -> [u64; 3] {
    let mut parts = text.split(['.', '-', '+']);
    [(); 3].map(|()| parts.next().and_then(|part| part.parse().ok()).unwrap_or(0))
}

/// The crates that `deny.toml` refuses, each with its floor if it is not refused altogether.
fn denied() -> BTreeMap<String, Option<String>> {
    let rules = tree::read("deny.toml");
    let entries = rules.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix("{ crate = \"")?.split_once('"')?;
        rest.starts_with(", reason").then_some(name)
    });
    entries
        .map(|entry| match entry.split_once(":<") {
            Some((name, floor)) => (name.to_owned(), Some(floor.to_owned())),
            None => (entry.to_owned(), None),
        })
        .filter(|(name, _)| !name.contains('@'))
        .collect()
}

/// I2, I5, I6
#[test]
fn no_locked_version_is_below_its_floor_and_no_banned_crate_is_locked() {
    let denied = denied();
    let floors = denied.values().flatten().count();
    assert!(floors >= 5 && denied.contains_key("rsa"), "{denied:?}");
    for (name, found) in locked() {
        match denied.get(&name) {
            // A library that only tests compare with may bring it; cargo-deny looks at what is built.
            Some(None) if name == "ring" => {}
            Some(None) => panic!("{name} is banned and in Cargo.lock"),
            Some(Some(floor)) => assert!(
                version(&found) >= version(floor),
                "{name} {found} is below {floor}"
            ),
            None => {}
        }
    }
}

/// I7
#[test]
fn there_is_one_of_each_library_that_must_not_be_there_twice() {
    let locked = locked();
    for name in ["aws-lc-rs", "hyper", "jsonwebtoken", "reqwest", "rustls"] {
        let found = locked.iter().filter(|(found, _)| found == name).count();
        assert_eq!(found, 1, "{name}");
    }
    assert!(tree::read(".ci/run").contains("cargo deny --offline check bans"));
}

fn manifests() -> Vec<String> {
    let mut found = tree::files(&["crates", "services", "tests"], "toml");
    // The fuzz targets are a workspace of their own, with their reasons beside the dependencies.
    found.retain(|path| {
        path.ends_with("/Cargo.toml") && !tree::read(path).contains("\n[workspace]\n")
    });
    found
}

/// The lines of a manifest's dependency tables, each with the line above it.
fn dependency_lines(manifest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut in_table, mut above) = (false, String::new());
    for line in manifest.lines() {
        if let Some(title) = line.strip_prefix('[') {
            in_table = title.contains("dependencies");
        } else if in_table && line.starts_with(|c: char| c.is_ascii_lowercase()) {
            found.push((above.clone(), line.to_owned()));
        }
        line.clone_into(&mut above);
    }
    found
}

/// I4
#[test]
fn every_direct_dependency_is_in_one_table_with_its_reason() {
    for (above, line) in dependency_lines(&tree::read("Cargo.toml")) {
        let is_ours = line.contains("path = ");
        assert!(
            is_ours || above.starts_with("# "),
            "no reason above `{line}`"
        );
    }
    for path in manifests() {
        for (_, line) in dependency_lines(&tree::read(&path)) {
            let is_inherited =
                line.contains(".workspace = true") || line.contains("workspace = true,");
            assert!(
                is_inherited,
                "{path}: `{line}` belongs into the root's table"
            );
        }
    }
    let lock = tree::read("Cargo.lock");
    let sources: BTreeSet<&str> = lock
        .lines()
        .filter(|line| line.starts_with("source = "))
        .collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(lock.lines().filter(|l| l.starts_with("source")).count() > 100);
}

/// The crates that can be published, each after those that it depends on.
const PUBLISHED: [&str; 7] = [
    "crates/clock",
    "crates/idp-http",
    "crates/sealing",
    "crates/token-endpoint",
    "crates/token-cache",
    "crates/jwks-validator",
    "crates/web-session",
];

/// What stands behind `key = ` at the start of a line.
fn value<'m>(manifest: &'m str, key: &str) -> &'m str {
    let lines = manifest.lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    found.next().unwrap_or_default().trim_matches('"')
}

#[test]
fn published_crates_say_what_the_registry_asks_and_ci_packages_each() {
    let ci = tree::read(".ci/run");
    assert!(ci.contains("step cargo package ") && ci.contains("\"${published[@]/#/--package=}\""));
    let mut lines = ci.lines();
    let list = lines.find_map(|line| line.strip_prefix("published=(")?.strip_suffix(')'));
    let listed: Vec<&str> = list.unwrap_or_default().split(' ').collect();
    assert_eq!(listed.len(), PUBLISHED.len(), "{listed:?}");
    let root = tree::read("Cargo.toml");
    for folder in PUBLISHED {
        let manifest = tree::read(&format!("{folder}/Cargo.toml"));
        let name = value(&manifest, "name");
        assert!(listed.contains(&name), "{name} in .ci/run");
        // A dependency without a version cannot be published.
        let version = value(&manifest, "version");
        let dependency = format!("path = \"{folder}\", version = \"{version}\" }}");
        assert!(root.contains(&dependency), "{name}: {dependency}");
        assert!(!value(&manifest, "description").is_empty(), "{name}");
        // The registry takes five at most.
        for list in ["keywords", "categories"] {
            let words = value(&manifest, list).matches('"').count() / 2;
            assert!((1..=5).contains(&words), "{name}: {words} {list}");
        }
        assert_eq!(value(&manifest, "rust-version.workspace"), "true", "{name}");
        assert_eq!(value(&manifest, "license.workspace"), "true", "{name}");
        assert_eq!(value(&manifest, "all-features"), "true", "{name}");
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
            let text = tree::read(&format!("{folder}/{file}"));
            assert!(text.len() > 500, "{folder}/{file}");
        }
        let readme = tree::read(&format!("{folder}/README.md"));
        assert!(readme.starts_with(&format!("# {name}\n")), "{name}");
        // Its program is compiled with the tests, and run where it needs no provider.
        assert!(readme.contains("\nfn main() ") || readme.contains("\nasync fn main() "));
        let library = tree::read(&format!("{folder}/src/lib.rs"));
        let is_tested = "#[cfg(doctest)]\n#[doc = include_str!(\"../README.md\")]\n";
        assert!(library.contains(is_tested), "{name}");
    }
}

#[test]
fn programs_that_embed_the_libraries_depend_on_no_crate_behind_them() {
    let manifest = tree::read("tests/embedding/Cargo.toml");
    let lines = dependency_lines(&manifest);
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|(_, line)| line.split(['.', ' ']).next())
        .collect();
    assert!(names.contains(&"token-cache") && names.contains(&"jwks-validator"));
    for behind in ["async-trait", "clock", "idp-http", "secrecy", "url"] {
        assert!(!names.contains(&behind), "{behind}");
    }
}

/// I11, I12
#[test]
fn only_sources_are_published_no_key_is_in_the_tree_and_every_crate_forbids_unsafe_code() {
    for path in manifests() {
        let manifest = tree::read(&path);
        let is_published = PUBLISHED.contains(&path.trim_end_matches("/Cargo.toml"));
        let packaged = "[\"/src\", \"/README.md\", \"/LICENSE-*\"]";
        if is_published {
            assert_eq!(value(&manifest, "include"), packaged, "{path}");
        } else {
            assert!(manifest.contains("\npublish.workspace = true\n"), "{path}");
        }
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{path}");
    }
    assert!(tree::read("Cargo.toml").contains("\npublish = false\n"));
    for extension in ["der", "key", "p12", "pem", "pfx"] {
        let found = tree::files(&[""], extension);
        assert!(found.is_empty(), "{found:?}");
    }
    for extension in ["json", "md", "rs", "sh", "toml", "yml"] {
        for path in tree::files(&[""], extension) {
            // A key begins like this and goes on; a test of refusals names the beginning alone.
            let text = tree::read(&path).replace("\\n", "\n");
            let mut after = text.split("PRIVATE KEY-----\n").skip(1);
            let is_key = after.any(|rest| {
                let line = rest.lines().next().unwrap_or_default();
                line.len() > 40 && !line.contains(' ')
            });
            assert!(!is_key, "{path} contains a private key");
        }
    }
}

/// I8
#[test]
fn every_step_of_ci_takes_the_lock_file_as_it_is() {
    let mut steps = 0;
    for path in [
        ".ci/run",
        ".ci/deploy",
        ".ci/interop",
        ".ci/page",
        ".ci/browser",
        ".ci/stores",
        ".ci/with-pair",
    ] {
        for line in tree::read(path).lines() {
            let line = line.trim();
            let words = ["cargo test ", "cargo build ", "cargo clippy ", "cargo doc "];
            let is_step = words.iter().any(|word| line.contains(word));
            if !is_step || line.starts_with('#') {
                continue;
            }
            steps += 1;
            assert!(line.contains("--locked"), "{path}: {line}");
        }
    }
    assert!(steps >= 5, "{steps} steps");
}

/// How long a release has to be out before it is taken: hijacked ones are mostly found within days.
const MIN_AGE: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Where cargo keeps what it knows of the registry's packages, one folder per registry.
#[expect(clippy::disallowed_methods, reason = "cargo tells where its files are")]
fn registry_indexes() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folder = home.map(|home| home.join("registry/index"));
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let entries = entries.into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path().join(".cache")).collect()
}

/// When a version was published, in RFC 3339, as far as the index on this machine says.
fn published(index: &Path, name: &str, version: &str) -> Option<String> {
    // The layout of the registry's index: by the first letters of the name.
    let folder = match name.len() {
        1 | 2 => name.len().to_string(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    };
    let entry = std::fs::read(index.join(folder.to_lowercase()).join(name.to_lowercase())).ok()?;
    let mut releases = entry
        .split(|byte| *byte == 0)
        .filter_map(|part| serde_json::from_slice::<Value>(part).ok());
    let release = releases.find(|release| release["vers"] == version)?;
    Some(release["pubtime"].as_str()?.to_owned())
}

/// Versions that mend what an advisory is about, and need not wait: name, version, and the advisory's id.
const MENDING: &str = "tests/young-versions.txt";

/// The names and versions of such a list; a line that names no advisory is an error.
fn mending(list: &str) -> Result<BTreeSet<(String, String)>, String> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let is_advisory = |id: &str| {
                ["RUSTSEC-", "CVE-", "GHSA-"]
                    .iter()
                    .any(|it| id.starts_with(it))
            };
            match words[..] {
                [name, version, id] if is_advisory(id) => Ok((name.to_owned(), version.to_owned())),
                _ => Err(format!("{MENDING}: {line:?}")),
            }
        })
        .collect()
}

/// I3
#[test]
fn a_young_version_is_excused_by_an_advisory_alone() {
    let good = "# name version advisory\nring 0.17.12 RUSTSEC-2025-0009\n";
    let excused = [("ring".to_owned(), "0.17.12".to_owned())];
    assert_eq!(mending(good), Ok(excused.into()));
    for bad in [
        "ring 0.17.12",
        "ring RUSTSEC-2025-0009",
        "ring 0.17.12 urgent",
        "",
        " ",
    ] {
        assert!(mending(&format!("{bad}\n")).is_err(), "{bad:?}");
    }
}

/// I3
#[test]
#[expect(clippy::print_stdout, reason = "a person is told that it does not run")]
fn no_locked_version_is_younger_than_two_weeks() {
    let latest = humantime::format_rfc3339_seconds(SystemClock.now() - MIN_AGE).to_string();
    let excused = mending(&tree::read(MENDING)).unwrap();
    let locked = locked();
    let gone: Vec<_> = excused.iter().filter(|one| !locked.contains(one)).collect();
    assert!(
        gone.is_empty(),
        "not locked any more, take them out of {MENDING}: {gone:?}"
    );
    let mut looked_at = 0;
    for index in registry_indexes() {
        for version in &locked {
            let Some(published) = published(&index, &version.0, &version.1) else {
                continue;
            };
            looked_at += 1;
            // Both are in UTC and of one form, so they compare as text.
            let is_young = published > latest;
            let is_excused = excused.contains(version);
            assert!(is_excused || !is_young, "{version:?} came out {published}");
            // Time alone turns no unchanged tree red.
            if is_excused && !is_young {
                println!("old enough, take it out of {MENDING}: {version:?}");
            }
        }
    }
    if looked_at == 0 {
        println!("did not run: cargo has no dates of releases on this machine");
    }
}

/// I10
#[test]
fn crates_that_run_code_at_build_time_are_on_the_list() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        // The list holds for one platform, wherever the tests run.
        .arg("--filter-platform=x86_64-unknown-linux-gnu")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &'static str, of: &Value| of[value].as_array().unwrap().clone();
    let built: BTreeSet<String> = list("nodes", &metadata["resolve"])
        .iter()
        .map(|node| node["id"].to_string())
        .collect();
    let runs_code = |package: &Value| {
        list("targets", package).iter().any(|target| {
            let kinds = list("kind", target);
            kinds
                .iter()
                .any(|k| k == "custom-build" || k == "proc-macro")
        })
    };
    let found: BTreeSet<String> = list("packages", &metadata)
        .iter()
        .filter(|package| built.contains(&package["id"].to_string()) && runs_code(package))
        .map(|package| package["name"].as_str().unwrap().to_owned())
        .collect();
    if tree::updating() {
        let lines: String = found.iter().map(|name| format!("{name}\n")).collect();
        tree::write(BUILD_TIME, &lines);
    }
    let known = tree::read(BUILD_TIME);
    let known: BTreeSet<String> = known.lines().map(str::to_owned).collect();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "{BUILD_TIME} has to be reviewed and written anew with UPDATE_DOCS=1: new {new:?}, gone {gone:?}"
    );
}
