//! Reading the file: once as a whole, then entry by entry.

use std::collections::HashSet;
use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Identity, Item, JobsConfig, MAX_FILE};
use crate::conf::directory::Reading;
use crate::conf::edit::entry;
use crate::conf::edit::outline::{Form, Shape, line_start, outline};
use crate::conf::nearest::nearest;
use crate::conf::yaml::{self, Bounds, Fields, Kind, Node, Reader};
use crate::job::file::{Schedules, hash_of, read_item};
use crate::job::{Finding, JobName};

/// Keys that mean something. All others are left alone, as mysql-crond does.
const KEYS: [&str; 5] = ["jobs", "bk_biz_id", "immute_domain", "machine_type", "role"];

/// What all items have in common.
struct Common<'a> {
    file: &'a str,
    text: &'a str,
    since: Timestamp,
    zone: &'a TimeZone,
    now: Timestamp,
}

/// Reads the file. `since` is when it was last changed, never in the future. Nothing in it is no jobs. An error is about
/// the file as a whole: then nothing is known about any of its jobs.
pub fn read(
    file: &str,
    bytes: &[u8],
    since: Timestamp,
    zone: &TimeZone,
    now: Timestamp,
    schedules: &mut Schedules,
) -> Result<JobsConfig, Vec<Finding>> {
    let text = yaml::decode_within(file, bytes, MAX_FILE).map_err(|finding| vec![finding])?;
    let (mut reader, root) = Reader::within(file, text, Bounds::JOBS).map_err(|finding| vec![finding])?;
    if matches!(root.kind, Kind::Null) {
        return Ok(JobsConfig::default());
    }
    let fields = reader.entries("the file of jobs", &root);
    let identity = identity(&mut reader, &fields);
    for field in fields.iter().filter(|field| !KEYS.contains(&field.key)) {
        if let Some(near) = nearest(field.key, &KEYS) {
            let message = format!("key '{}' says nothing here", yaml::shown(field.key));
            reader.tell(
                Finding::warning("unknown-key", file, message).hint(format!("did you mean '{near}'?")),
                field.key_id,
            );
        }
    }
    let list = match fields.get("jobs").map(|field| (field, &field.node.kind)) {
        None | Some((_, Kind::Null)) => &[][..],
        Some((_, Kind::List(list))) => list,
        Some((field, other)) => {
            let message = format!("'jobs' is a list, this is {}", other.word());
            reader.error("wrong-type", field, message, Some("write jobs: [], or one '- name: …' a job"));
            &[]
        }
    };
    let parts = parts(text, list.len());
    let common = Common { file, text, since, zone, now };
    let mut names = HashSet::new();
    let mut items = Vec::with_capacity(list.len());
    for (at, node) in list.iter().enumerate() {
        if matches!(node.kind, Kind::Null) {
            let message = format!("entry {} of 'jobs' is empty", at + 1);
            reader.tell(Finding::warning("empty-item", file, message).hint("take it out"), node.id);
            continue;
        }
        let part = parts.get(at);
        let mut item = common.item(node, part, schedules);
        if let Some(name) = &item.name
            && !names.insert(name.clone())
        {
            let message = format!("job '{name}' stands twice in 'jobs'; the first one counts");
            let finding = Finding::error("duplicate-name", file, message).hint("give one of them another name");
            let padded = common.padded(part);
            let place = common.reader(&padded, node, part).place(node.id);
            item = Item { name: None, reading: Reading::Broken(vec![finding.at(place)]) };
        }
        items.push(item);
    }
    let findings = reader.end()?;
    Ok(JobsConfig { items, identity, findings })
}

/// The text of an entry.
struct Part {
    span: Range<usize>,
    /// Lines before it.
    lines: usize,
}

/// Where the entries stand; empty where that is not clear.
fn parts(text: &str, count: usize) -> Vec<Part> {
    let Some(root) = outline(text) else { return Vec::new() };
    let Some(Form::BlockList(_, items) | Form::FlowList(items)) =
        entry(text, &root, "jobs").map(|entry| &entry.value.form)
    else {
        return Vec::new();
    };
    if items.len() != count {
        return Vec::new();
    }
    let (mut at, mut lines) = (0, 0);
    let part = |item: &Shape| {
        let passed = text.as_bytes().get(at..item.span.start).unwrap_or_default();
        (at, lines) = (item.span.start, lines + memchr::memchr_iter(b'\n', passed).count());
        Part { span: item.span.clone(), lines }
    };
    items.iter().map(part).collect()
}

fn identity(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Identity {
    let mut value = |key| {
        let field = fields.get(key)?;
        match &field.node.kind {
            Kind::Bool(text) | Kind::Number(text) | Kind::Text(text) => Some(text.clone()),
            Kind::Null => None,
            other => {
                let message = format!("'{key}' takes one value, this is {}; it is left out", other.word());
                reader.tell(Finding::warning("wrong-type", reader.file(), message), field.node.id);
                None
            }
        }
    };
    let number = value("bk_biz_id");
    let identity = Identity {
        bk_biz_id: number.as_deref().and_then(|text| text.parse().ok()),
        immute_domain: value("immute_domain"),
        machine_type: value("machine_type"),
        role: value("role"),
    };
    if let (Some(_), None, Some(field)) = (number, identity.bk_biz_id, fields.get("bk_biz_id")) {
        let message = "'bk_biz_id' is a whole number; it is left out";
        reader.tell(Finding::warning("wrong-type", reader.file(), message), field.node.id);
    }
    identity
}

impl Common<'_> {
    /// Reads one entry. The hash is of its own text, so that a change of another job is none of this one.
    fn item(&self, node: &Node, part: Option<&Part>, schedules: &mut Schedules) -> Item {
        let own = part.and_then(|part| self.text.get(part.span.clone())).unwrap_or(self.text);
        let padded = self.padded(part);
        let mut reader = self.reader(&padded, node, part);
        let job = read_item(&mut reader, node, hash_of(own.as_bytes()), self.zone, self.now, schedules);
        match (reader.end(), job) {
            (Ok(warnings), Some(job)) => Item {
                name: Some(job.name.clone()),
                reading: Reading::Good { job: Box::new(job), since: self.since, warnings },
            },
            (Ok(findings) | Err(findings), _) => Item { name: named(node), reading: Reading::Broken(findings) },
        }
    }

    /// The text of an entry alone, in the columns where it stands. A finding's place is looked for in it: ten thousand
    /// broken entries would else be ten thousand times the whole file.
    fn padded(&self, part: Option<&Part>) -> String {
        let Some(part) = part else { return String::new() };
        let start = line_start(self.text, part.span.start);
        let before = self.text.get(start..part.span.start).unwrap_or_default();
        let own = self.text.get(part.span.clone()).unwrap_or_default();
        before.chars().map(|_| ' ').chain(own.chars()).collect()
    }

    fn reader<'p>(&'p self, padded: &'p str, node: &Node, part: Option<&Part>) -> Reader<'p> {
        Reader::part(self.file, padded, node.id, part.map_or(0, |part| part.lines))
    }
}

/// The name that a broken entry has all the same.
pub(super) fn named(node: &Node) -> Option<JobName> {
    let Kind::Map(map) = &node.kind else { return None };
    let (.., name) = map.iter().find(|(key, ..)| key == "name")?;
    match &name.kind {
        Kind::Bool(text) | Kind::Number(text) | Kind::Text(text) => JobName::parse(text).ok(),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}
