use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::job::{Severity, read_job};

/// A good reading of a file: job `name`, definition number `text`.
fn reading(file: &str, name: u8, text: u8) -> Reading {
    let bytes = format!("name: job{name}\ncommand: /bin/{text}\n");
    let (job, warnings) = read_job(file, bytes.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap();
    Reading::Good { job: Box::new(job), since: Timestamp::UNIX_EPOCH, warnings }
}

fn broken(file: &str) -> Reading {
    Reading::Broken(vec![Finding::error("yaml-syntax", file, "broken")])
}

/// A change in short: `+a.yaml`, `~job1 true`, `-job1`.
fn short(changes: &[Change]) -> Vec<String> {
    let one = |change: &Change| match change {
        Change::Armed(armed) => format!("+{} {}", armed.job.name, armed.job.file),
        Change::Broken(name, broken) => format!("~{name} {broken}"),
        Change::Retired(name) => format!("-{name}"),
    };
    changes.iter().map(one).collect()
}

#[test]
fn b20_broken_file_keeps_last_good() {
    let mut directory = Directory::default();
    directory.upsert("a.yaml", reading("a.yaml", 1, 1));
    assert_eq!(short(&directory.settle(Timestamp::UNIX_EPOCH).0), ["+job1 a.yaml"]);
    directory.upsert("a.yaml", broken("a.yaml"));
    let (changes, files) = directory.settle(Timestamp::UNIX_EPOCH);
    assert_eq!(short(&changes), ["~job1 true"]);
    assert_eq!(files[0].1.as_ref().unwrap().job.as_ref().unwrap().as_str(), "job1");
    directory.upsert("a.yaml", reading("a.yaml", 1, 1));
    let (changes, files) = directory.settle(Timestamp::UNIX_EPOCH);
    assert_eq!(short(&changes), ["~job1 false"], "the same text is the same definition");
    assert_eq!(files, [("a.yaml".to_owned(), None)]);
    directory.upsert("a.yaml", broken("a.yaml"));
    directory.settle(Timestamp::UNIX_EPOCH);
    directory.remove("a.yaml");
    assert_eq!(short(&directory.settle(Timestamp::UNIX_EPOCH).0), ["-job1"], "gone is not broken");
}

#[test]
fn b22_first_by_name_wins_and_the_other_takes_over() {
    let mut directory = Directory::default();
    directory.upsert("b.yaml", reading("b.yaml", 1, 1));
    directory.settle(Timestamp::UNIX_EPOCH);
    directory.upsert("a.yaml", reading("a.yaml", 1, 2));
    let (changes, files) = directory.settle(Timestamp::UNIX_EPOCH);
    assert_eq!(short(&changes), ["+job1 a.yaml"]);
    let (file, view) = &files[0];
    assert_eq!((file.as_str(), view.as_ref().unwrap().findings[0].code), ("b.yaml", "duplicate-name"));
    directory.remove("a.yaml");
    let (changes, files) = directory.settle(Timestamp::UNIX_EPOCH);
    assert_eq!(short(&changes), ["+job1 b.yaml"]);
    assert_eq!(files, [("b.yaml".to_owned(), None)]);
}

#[test]
fn b21_a_rename_is_no_retirement() {
    let mut directory = Directory::default();
    directory.upsert("a.yaml", reading("a.yaml", 1, 1));
    directory.settle(Timestamp::UNIX_EPOCH);
    directory.remove("a.yaml");
    directory.upsert("b.yaml", reading("b.yaml", 1, 1));
    assert_eq!(short(&directory.settle(Timestamp::UNIX_EPOCH).0), ["+job1 b.yaml"]);
    directory.upsert("b.yaml", reading("b.yaml", 1, 1));
    assert_eq!(directory.settle(Timestamp::UNIX_EPOCH).0.len(), 0, "saved again, nothing changed");
    directory.upsert("b.yaml", reading("b.yaml", 2, 1));
    assert_eq!(short(&directory.settle(Timestamp::UNIX_EPOCH).0), ["-job1", "+job2 b.yaml"]);
}

#[derive(Debug, Clone)]
enum Step {
    Good(u8, u8, u8),
    Broken(u8),
    Remove(u8),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u8, 0..4u8, 0..3u8).prop_map(|(file, name, text)| Step::Good(file, name, text)),
        2 => (0..6u8).prop_map(Step::Broken),
        2 => (0..6u8).prop_map(Step::Remove),
        1 => Just(Step::Settle),
    ]
}

/// What a job looks like from outside: its file, its definition, whether the file is broken.
type Seen = BTreeMap<String, (String, String, bool)>;

proptest! {
    /// After any history, what was told step by step is what a look at all files from scratch tells.
    #[test]
    fn told_step_by_step_is_the_whole(steps in proptest::collection::vec(step(), 0..60)) {
        let mut directory = Directory::default();
        // The slow, obvious model: of each file the last good definition, and whether it is broken.
        let mut files: BTreeMap<String, (Option<(u8, u8)>, bool)> = BTreeMap::new();
        let mut seen: Seen = BTreeMap::new();
        let mut views: BTreeMap<String, FileView> = BTreeMap::new();
        for step in steps.into_iter().chain([Step::Settle]) {
            match step {
                Step::Good(file, name, text) => {
                    let file = format!("{file}.yaml");
                    directory.upsert(&file, reading(&file, name, text));
                    files.insert(file, (Some((name, text)), false));
                }
                Step::Broken(file) => {
                    let file = format!("{file}.yaml");
                    directory.upsert(&file, broken(&file));
                    files.entry(file).or_default().1 = true;
                }
                Step::Remove(file) => {
                    let file = format!("{file}.yaml");
                    directory.remove(&file);
                    files.remove(&file);
                }
                Step::Settle => {
                    let (changes, told) = directory.settle(Timestamp::UNIX_EPOCH);
                    for change in changes {
                        match change {
                            Change::Armed(Armed { job, .. }) => {
                                let definition = format!("{:?}", job.program);
                                let entry = (job.file.clone(), definition, false);
                                let old = seen.insert(job.name.to_string(), entry.clone());
                                prop_assert_ne!(old, Some(entry), "armed without need");
                            }
                            Change::Broken(name, broken) => {
                                let entry = seen.get_mut(name.as_str()).expect("told of before");
                                prop_assert_ne!(entry.2, broken);
                                entry.2 = broken;
                            }
                            Change::Retired(name) => prop_assert!(seen.remove(name.as_str()).is_some()),
                        }
                    }
                    for (file, view) in told {
                        match view {
                            Some(view) => drop(views.insert(file, view)),
                            None => prop_assert!(views.remove(&file).is_some()),
                        }
                    }
                    let mut expected: Seen = BTreeMap::new();
                    let mut losers = 0;
                    for (file, (good, broken)) in &files {
                        let Some((name, text)) = good else { continue };
                        let program = crate::job::Program::Exec { command: format!("/bin/{text}"), args: vec![] };
                        let entry = (file.clone(), format!("{program:?}"), *broken);
                        match expected.contains_key(&format!("job{name}")) {
                            true => losers += 1,
                            false => drop(expected.insert(format!("job{name}"), entry)),
                        }
                    }
                    prop_assert_eq!(&seen, &expected);
                    let told_broken = views.values().filter(|view| view.findings.iter().any(|f| f.code == "yaml-syntax"));
                    prop_assert_eq!(told_broken.count(), files.values().filter(|(_, broken)| *broken).count());
                    let told_double = views.values().filter(|view| view.findings.iter().any(|f| f.code == "duplicate-name"));
                    prop_assert_eq!(told_double.count(), losers);
                    prop_assert!(views.values().all(|view| view.findings.iter().all(|f| f.severity == Severity::Error)));
                    prop_assert_eq!(directory.len(), files.len());
                }
            }
        }
    }
}

fn following(name: &str, more: &str) -> Reading {
    let (file, bytes) = (format!("{name}.yaml"), format!("command: /bin/true\n{more}\n"));
    let (job, warnings) = read_job(&file, bytes.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap();
    Reading::Good { job: Box::new(job), since: Timestamp::UNIX_EPOCH, warnings }
}

/// Files with something new to say, and its codes.
fn said(directory: &mut Directory) -> Vec<(String, Vec<&'static str>)> {
    let (_, views) = directory.settle(Timestamp::UNIX_EPOCH);
    let codes =
        |view: Option<FileView>| view.into_iter().flat_map(|view| view.findings).map(|found| found.code).collect();
    views.into_iter().map(|(file, view)| (file, codes(view))).collect()
}

#[test]
fn what_is_followed_is_looked_for_whenever_either_changes() {
    let mut directory = Directory::default();
    let mut change = |name: &str, more: Option<&str>| {
        match more {
            Some(more) => directory.upsert(&format!("{name}.yaml"), following(name, more)),
            None => directory.remove(&format!("{name}.yaml")),
        }
        said(&mut directory)
    };
    let one = |file: &str, codes: &[&'static str]| vec![(file.to_owned(), codes.to_vec())];
    assert_eq!(change("a", Some("after: {b: success}")), one("a.yaml", &["after-unknown"]));
    assert_eq!(change("b", Some("enable: false")), one("a.yaml", &["after-disabled"]));
    assert_eq!(change("b", Some("")), one("a.yaml", &[]));
    let both = |codes: &[&'static str]| [one("a.yaml", codes), one("b.yaml", codes)].concat();
    assert_eq!(change("b", Some("after: {a: any}")), both(&["after-cycle"]));
    assert_eq!(change("c", Some("after: {b: any}")), [], "it follows a circle and is in none");
    assert_eq!(change("b", Some("nice: 1")), both(&[]));
    assert_eq!(
        change("b", Some("after: {c: any}")),
        [one("b.yaml", &["after-cycle"]), one("c.yaml", &["after-cycle"])].concat()
    );
    assert_eq!(change("c", None), [one("b.yaml", &["after-unknown"]), one("c.yaml", &[])].concat());
    assert_eq!(change("b", None), [one("a.yaml", &["after-unknown"]), one("b.yaml", &[])].concat());
    assert_eq!(change("a", None), one("a.yaml", &[]));
}

#[test]
fn a_definition_in_memory_breaks_a_circle() {
    let mut directory = Directory::default();
    directory.upsert("a.yaml", following("a", "after: {b: any}"));
    directory.upsert("b.yaml", following("b", "after: {a: any}"));
    assert_eq!(said(&mut directory).len(), 2);
    let Reading::Good { job, since, .. } = following("a", "") else { panic!() };
    let name = job.name.clone();
    directory.lay_over(&name, Some(Armed { job: Arc::new(*job), since }));
    assert_eq!(said(&mut directory).len(), 2);
    directory.lay_bare(&name);
    assert_eq!(said(&mut directory).len(), 2);
}
