//! docs/threats.md promises nothing without a test: every name of a test in it is one.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every function in the `.rs` files below `place` that stands behind a `#[test]`, or in a block of property tests.
fn tests_in(place: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(place).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                let function = line.trim_start_matches("async ").strip_prefix("fn ");
                match function.and_then(|rest| rest.split_once('(')) {
                    Some((name, _)) if is_test => drop(found.insert(name.to_owned())),
                    _ => {}
                }
                is_test = line == "#[test]"
                    || line.starts_with("#[tokio::test")
                    || (is_test && (line.starts_with("#[") || line.starts_with("//")));
            }
        }
    }
}

/// Words in backticks that begin like the number of a fault.
fn named(text: &str) -> Vec<&str> {
    let is_name = |word: &str| {
        let mut letters = word.chars();
        letters.next().is_some_and(|first| ('a'..='i').contains(&first))
            && letters.next().is_some_and(|second| second.is_ascii_digit())
            && word.contains('_')
    };
    text.split('`').skip(1).step_by(2).filter(|word| is_name(word)).collect()
}

#[test]
fn every_promise_names_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for place in ["src", "tests"] {
        tests_in(&root.join(place), &mut tests);
    }
    let text = fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let names = named(&text);
    assert!(names.len() > 50, "the page names its tests: {}", names.len());
    let missing: Vec<&str> = names.into_iter().filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/threats.md names what is no test: {missing:#?}");
    // Every row of a table of promises has a test, or says why it needs none (the page's own tables of people and CVEs).
    let promises = text.split("## Promises").nth(1).unwrap().split("## What history").next().unwrap();
    for row in promises.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| threat")) {
        assert!(!named(row).is_empty(), "no test: {row}");
    }
}
