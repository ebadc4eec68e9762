//! A strict reader of OpenMetrics text: what it does not know is an error.

use std::collections::{BTreeMap, BTreeSet};

/// What was read.
#[derive(Debug, Default)]
pub struct Page {
    /// Type of each family.
    pub families: BTreeMap<String, String>,
    /// Value of each sample, by name and labels.
    pub samples: BTreeMap<(String, Labels), f64>,
}

pub type Labels = BTreeMap<String, String>;

impl Page {
    /// Of a sample; panics where there is none.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?}"))
    }

    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// Every value of a label among the samples of this name.
    pub fn values_of<'a>(&'a self, name: &str, label: &str) -> BTreeSet<&'a str> {
        let named = self.samples.keys().filter(|(of, _)| of == name);
        named.filter_map(|(_, labels)| labels.get(label).map(String::as_str)).collect()
    }
}

/// The samples' suffixes of a type.
fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        "histogram" => &["_sum", "_count", "_bucket"],
        other => panic!("type {other}"),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

pub fn read(text: &str) -> Page {
    let mut page = Page::default();
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF and a line feed");
    // Of the family that is open: name, help, type, unit.
    let (mut name, mut kind) = (String::new(), String::new());
    for line in body.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, of, text) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(is_name(of), "{line}");
            match what {
                "HELP" => {
                    assert!(!text.is_empty() && !text.contains(['\\', '"']), "{line}");
                    (name, kind) = (of.to_owned(), String::new());
                }
                "TYPE" => {
                    assert_eq!(of, name, "{line}");
                    kind = text.to_owned();
                    suffixes(&kind);
                    let twice = page.families.insert(name.clone(), kind.clone());
                    assert!(twice.is_none(), "{line}: a family stands in one place");
                }
                "UNIT" => assert!(of == name && of.ends_with(&format!("_{text}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (sample, labels, value) = sample(line);
        assert!(!kind.is_empty(), "{line}: before the type of {name}");
        assert!(suffixes(&kind).iter().any(|suffix| sample == format!("{name}{suffix}")), "{line}: in {name}");
        let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(kind != "counter" || value >= 0.0, "{line}");
        let twice = page.samples.insert((sample, labels), value);
        assert!(twice.is_none(), "{line}: twice");
    }
    histograms(&page);
    page
}

fn sample(line: &str) -> (String, Labels, &str) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (key, after) = inside.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(key), "{line}");
            let (value, after) = quoted(after, line);
            assert!(labels.insert(key.to_owned(), value).is_none(), "{line}: {key} twice");
            match after.strip_prefix(',') {
                Some(more) => inside = more,
                None => break rest = after.strip_prefix('}').unwrap_or_else(|| panic!("{line}")),
            }
        }
    }
    (name.to_owned(), labels, rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}")))
}

/// Up to the closing quote, with `\\`, `\"` and `\n` resolved, and what follows.
fn quoted<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().map(|(_, c)| c) {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("{line}: escape of {other:?}"),
            }),
            c => value.push(c),
        }
    }
    panic!("{line}: no closing quote")
}

/// Buckets rise, and the last one holds all.
fn histograms(page: &Page) {
    for (family, _) in page.families.iter().filter(|(_, kind)| *kind == "histogram") {
        let count = format!("{family}_count");
        for ((_, labels), count) in page.samples.iter().filter(|((name, _), _)| *name == count) {
            let bucket = format!("{family}_bucket");
            let mine = page.samples.iter().filter(|((name, of), _)| {
                let mut of = of.clone();
                of.remove("le");
                *name == bucket && of == *labels
            });
            let number = |le: &str| if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
            let mut buckets: Vec<(f64, f64)> = mine.map(|((_, of), value)| (number(&of["le"]), *value)).collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|low, high| low.0 < high.0 && low.1 <= high.1), "{family}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{family}");
        }
    }
}
