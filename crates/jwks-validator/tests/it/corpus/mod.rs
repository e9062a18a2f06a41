//! The fuzz targets without a fuzzer: their corpus, edits of it, and random bytes.
//!
//! `M2M_WRITE_CORPUS=1` writes the files that the seeds make.

mod seeds;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use fastrand::Rng;

use crate::fuzz_targets::{TARGETS, Target};
use seeds::{WORDS, seeds};

/// Edits of each file; a fuzzer makes as many in a second.
const EDITS: usize = 60;

fn fuzz_folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz"].iter().collect()
}

/// The files of a target's corpus by name: the seeds, and whatever else was worth keeping.
fn files(target: &str) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(fuzz_folder().join("corpus").join(target)).unwrap();
    files
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap())
        })
        .collect()
}

/// Runs a target and says what it was run with, should it panic.
fn run((name, target): Target, what: &str, bytes: &[u8]) {
    let text = bytes.escape_ascii();
    catch_unwind(AssertUnwindSafe(|| target(bytes)))
        .unwrap_or_else(|_| panic!("{name}, {what}: b\"{text}\""));
}

/// D39, E37
#[test]
fn every_file_of_the_corpus_passes_its_target() {
    for target in TARGETS {
        for (name, bytes) in files(target.0) {
            run(*target, &name, &bytes);
        }
    }
}

/// D39, E37
#[test]
fn edited_files_of_the_corpus_pass_their_target() {
    for target in TARGETS {
        let files: Vec<_> = files(target.0).into_iter().collect();
        for (index, (name, original)) in files.iter().enumerate() {
            let mut rng = Rng::with_seed(index as u64);
            for _ in 0..EDITS {
                let mut bytes = original.clone();
                for _ in 0..rng.usize(1..4) {
                    let other = &files[rng.usize(..files.len())].1;
                    edit(&mut rng, &mut bytes, other);
                }
                run(*target, &format!("{name}, edited"), &bytes);
            }
        }
    }
}

/// D39, E37
#[test]
fn random_bytes_pass_every_target() {
    let mut rng = Rng::with_seed(1);
    for target in TARGETS {
        for len in [0, 1, 2, 3, 16, 300, 8_192, 8_193, 16_384] {
            let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            run(*target, "random", &bytes);
            let text: Vec<u8> = (0..len).map(|_| rng.alphanumeric() as u8).collect();
            run(*target, "random text", &text);
        }
    }
}

fn edit(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let [from, to] = span(rng, bytes.len());
    match rng.u8(..6) {
        0 => bytes[from..to].fill(0),
        1 => drop(bytes.drain(from..to)),
        2 => {
            let copy = bytes[from..to].to_vec();
            bytes.splice(to..to, copy);
        }
        3 => {
            let [start, end] = span(rng, other.len());
            bytes.splice(from..to, other[start..end].iter().copied());
        }
        4 => {
            let word = WORDS[rng.usize(..WORDS.len())];
            bytes.splice(from..from, word.bytes());
        }
        _ => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << rng.u8(..8);
            }
        }
    }
}

/// A short part of so many bytes, which may be empty.
fn span(rng: &mut Rng, len: usize) -> [usize; 2] {
    let from = rng.usize(..=len);
    [from, len.min(from + rng.usize(..32))]
}

#[test]
fn the_corpus_has_the_files_that_its_seeds_make() {
    let mut made: Vec<(PathBuf, Vec<u8>)> = seeds()
        .into_iter()
        .map(|(target, name, bytes)| (["corpus", target, name].iter().collect(), bytes))
        .collect();
    let words = WORDS.iter().map(|word| {
        let word = word.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{word}\"\n")
    });
    made.push(("json.dict".into(), words.collect::<String>().into_bytes()));
    let writes = writes();
    for (path, bytes) in made {
        let file = fuzz_folder().join(&path);
        if writes {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        } else {
            let same = fs::read(file).is_ok_and(|found| found == bytes);
            assert!(same, "{}; M2M_WRITE_CORPUS=1 writes it", path.display());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a person says when to write")]
fn writes() -> bool {
    std::env::var("M2M_WRITE_CORPUS").is_ok_and(|value| value == "1")
}
