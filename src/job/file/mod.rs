//! A job file becomes a job: bytes in, a job with every default applied out, or everything that is wrong with it.
//!
//! Pure. The keys are mysql-crond's (`name enable command args schedule creator work_dir overlap`) with their meaning, and
//! rotad's own; every other key is an error with its place and the nearest key there is.

mod policy;
mod schedules;
mod words;

pub use schedules::Schedules;
pub use words::{user_name, variable_name};

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::keys::{KEYS, MAX_ARGS, MAX_CODES};
use super::{Finding, Job, JobName, OnOverlap, Program, Severity, WhenDone};
use crate::conf::yaml::{self, Fields, Kind, Node, Reader};

/// Most bytes of all arguments together.
const MAX_ARGS_BYTES: usize = 64 << 10;
/// Most bytes of an environment, names and values.
pub const MAX_ENVIRONMENT: usize = 32 << 10;
/// Most bytes of all labels together.
const MAX_LABELS: usize = 8 << 10;
/// Time between the stop signal and `SIGKILL` unless the file says otherwise.
const KILL_AFTER: Duration = Duration::from_secs(10);

/// The hash that tells whether a file's text has changed.
pub fn hash_of(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Reads a job file: the job and its warnings, or what is wrong. `zone` is the daemon's own; `now` serves to see whether
/// the schedule is ever due.
pub fn read_job(
    file: &str,
    bytes: &[u8],
    zone: &TimeZone,
    now: Timestamp,
) -> Result<(Job, Vec<Finding>), Vec<Finding>> {
    read_job_with(file, bytes, Severity::Error, zone, now, &mut Schedules::default())
}

/// The same with another weight for unknown keys; equal schedules are taken from `schedules`.
pub fn read_job_with(
    file: &str,
    bytes: &[u8],
    unknown: Severity,
    zone: &TimeZone,
    now: Timestamp,
    schedules: &mut Schedules,
) -> Result<(Job, Vec<Finding>), Vec<Finding>> {
    let text = yaml::decode(file, bytes).map_err(|finding| vec![finding])?;
    let (mut reader, root) = Reader::new(file, text).map_err(|finding| vec![finding])?;
    if matches!(root.kind, Kind::Null) {
        let finding = Finding::error("empty", file, "the file is empty");
        return Err(vec![finding.hint("it needs at least a 'command' or a 'script'")]);
    }
    let draft = draft(&mut reader, &root, unknown, zone, now, schedules);
    let warnings = reader.end()?;
    match draft {
        Some(job) => Ok((Job { hash: hash_of(bytes), ..job }, warnings)),
        // Not reached: what is missing has been told as an error.
        None => Err(vec![Finding::error("incomplete", file, "the file defines no job")]),
    }
}

/// Reads one job of a file that holds many: by the same rules, but it must say its name, and unknown keys are doubtful and
/// no more, as other programs write such files. `hash` is of its text. What is wrong is told to the reader.
pub(crate) fn read_item(
    r: &mut Reader<'_>,
    node: &Node,
    hash: u64,
    zone: &TimeZone,
    now: Timestamp,
    schedules: &mut Schedules,
) -> Option<Job> {
    let fields = r.fields_or(Severity::Warning, "a job", node, KEYS);
    if !matches!(node.kind, Kind::Map(_)) {
        return None;
    }
    if fields.get("name").is_none() {
        let finding = Finding::error("missing-name", r.file(), "the job has no name");
        r.tell(finding.hint("add 'name: …'"), node.id);
    }
    Some(Job { hash, ..of_fields(r, &fields, node, zone, now, schedules)? })
}

fn draft(
    r: &mut Reader<'_>,
    root: &Node,
    unknown: Severity,
    zone: &TimeZone,
    now: Timestamp,
    schedules: &mut Schedules,
) -> Option<Job> {
    let fields = r.fields_or(unknown, "a job file", root, KEYS);
    if !matches!(root.kind, Kind::Map(_)) {
        return None;
    }
    of_fields(r, &fields, root, zone, now, schedules)
}

fn of_fields(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    root: &Node,
    zone: &TimeZone,
    now: Timestamp,
    schedules: &mut Schedules,
) -> Option<Job> {
    let name = name(r, fields, root);
    let notify = crate::alarm::read::notify(r, fields.get("notify"), name.as_ref().map_or("", JobName::as_str));
    let program = program(r, fields, root);
    let seed = name.as_ref().map_or("", JobName::as_str);
    let schedule = schedules.of_fields(r, fields, zone, now, seed);
    let after = policy::after(r, fields.get("after"), name.as_ref());
    let job = Job {
        name: name?,
        file: r.file().to_owned(),
        hash: 0,
        enable: r.truth(fields.get("enable")).unwrap_or(true),
        creator: r.read(fields.get("creator"), words::one_line).unwrap_or_default(),
        program: program.unwrap_or(Program::Script(String::new())),
        schedule,
        catch_up: policy::catch_up(r, fields),
        retries: policy::retries(r, fields.get("retries")),
        after,
        when_done: when_done(r, fields),
        on_overlap: on_overlap(r, fields),
        timeout: r.read(fields.get("timeout"), words::timeout),
        stop_signal: r.read(fields.get("stop_signal"), words::signal).unwrap_or(libc::SIGTERM),
        kill_after: r.read(fields.get("kill_after"), words::kill_after).unwrap_or(KILL_AFTER),
        success_codes: success_codes(r, fields),
        user: r.read(fields.get("user"), user_name),
        environment: environment(r, fields),
        environment_file: r.read(fields.get("environment_file"), words::environment_file),
        // mysql-crond writes the key always; empty it says nothing.
        work_dir: r.read(fields.get("work_dir"), words::work_dir).filter(|dir| !dir.is_empty()).map(PathBuf::from),
        umask: umask(r, fields),
        nice: r.read(fields.get("nice"), words::nice).unwrap_or(0),
        limits: words::limits(r, fields.get("limits")),
        no_new_privs: r.truth(fields.get("no_new_privs")).unwrap_or(false),
        log: r.read(fields.get("log"), crate::conf::log_target),
        labels: labels(r, fields),
        notify: notify.map(Arc::new),
    };
    Some(job)
}

/// `name`, or the file's stem with `%XX` read back.
fn name(r: &mut Reader<'_>, fields: &Fields<'_>, root: &Node) -> Option<JobName> {
    if let Some(field) = fields.get("name") {
        return r.read(Some(field), |text| JobName::parse(text).map_err(|error| error.to_string()));
    }
    let last = r.file().rsplit('/').next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let parsed = words::unescape(stem).ok_or_else(|| "its '%' escapes are no text".to_owned());
    match parsed.and_then(|stem| JobName::parse(&stem).map_err(|error| error.to_string())) {
        Ok(name) => Some(name),
        Err(why) => {
            let finding = Finding::error("bad-name", r.file(), format!("the file's name makes no job name: {why}"));
            r.tell(finding.hint("give the job a name: name: backup"), root.id);
            None
        }
    }
}

/// `command` and `args`, or `script`.
fn program(r: &mut Reader<'_>, fields: &Fields<'_>, root: &Node) -> Option<Program> {
    let (command, args, script) = (fields.get("command"), fields.get("args"), fields.get("script"));
    if let (Some(_), Some(script)) = (command, script) {
        let finding = Finding::error("conflict", r.file(), "'command' and 'script' cannot both say what to run");
        r.tell(finding.hint("keep one of them"), script.key_id);
        return None;
    }
    if let (None, Some(args)) = (command, args) {
        let finding = Finding::error("conflict", r.file(), "'args' are arguments of a 'command', which is not there");
        r.tell(finding.hint("a script gets no arguments: write them into it"), args.key_id);
        script?;
    }
    if let Some(script) = script {
        return r.read(Some(script), words::script).map(Program::Script);
    }
    let Some(command) = command else {
        let finding = Finding::error("missing-command", r.file(), "nothing says what to run");
        r.tell(finding.hint("add 'command: /path/to/program' or 'script: …'"), root.id);
        return None;
    };
    let name = r.read(Some(command), words::command);
    let list = match args {
        Some(field) => {
            let list = r.texts(Some(field))?;
            if list.len() > MAX_ARGS || list.iter().map(|arg| arg.len() + 1).sum::<usize>() > MAX_ARGS_BYTES {
                let most = format!("'args': at most {MAX_ARGS} arguments and {} KiB", MAX_ARGS_BYTES >> 10);
                r.error("too-large", field, most, None);
            }
            list
        }
        None => Vec::new(),
    };
    Some(Program::Exec { command: name?, args: list })
}

/// Of a job that runs once.
fn when_done(r: &mut Reader<'_>, fields: &Fields<'_>) -> WhenDone {
    let field = fields.get("when_done");
    if let (Some(unused), None) = (field, fields.get("at")) {
        r.tell(Finding::warning("no-effect", r.file(), "'when_done' says nothing without an 'at'"), unused.key_id);
    }
    r.read(field, words::when_done).unwrap_or_default()
}

/// `on_overlap`, or mysql-crond's `overlap`.
fn on_overlap(r: &mut Reader<'_>, fields: &Fields<'_>) -> OnOverlap {
    let old = r.truth(fields.get("overlap"));
    let new = r.read(fields.get("on_overlap"), words::on_overlap);
    if let (Some(old), Some(_)) = (fields.get("overlap"), fields.get("on_overlap")) {
        let finding = Finding::error("conflict", r.file(), "'overlap' and 'on_overlap' say the same thing twice");
        r.tell(finding.hint("keep on_overlap"), old.key_id);
    }
    match (new, old) {
        (Some(rule), _) => rule,
        (None, Some(true)) => OnOverlap::Allow,
        (None, _) => OnOverlap::Skip,
    }
}

fn success_codes(r: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<i32> {
    let Some(field) = fields.get("success_codes") else { return vec![0] };
    let code = |text: &str| text.parse::<u8>().ok().map(i32::from);
    let codes = match &field.node.kind {
        Kind::List(_) => r.texts(Some(field)).map(|list| list.iter().map(|text| code(text)).collect::<Vec<_>>()),
        _ => r.scalar(field).map(|text| vec![code(text)]),
    };
    match codes.map(|codes| codes.into_iter().collect::<Option<Vec<i32>>>()) {
        Some(Some(codes)) if !codes.is_empty() && codes.len() <= MAX_CODES => codes,
        Some(_) => {
            r.error("bad-value", field, "'success_codes': exit codes from 0 to 255 are expected", Some("write [0, 1]"));
            vec![0]
        }
        None => vec![0],
    }
}

fn environment(r: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(field) = fields.get("environment") else { return BTreeMap::new() };
    let Some(pairs) = r.pairs(Some(field)) else { return BTreeMap::new() };
    for (name, _, id) in &pairs {
        if let Err(why) = variable_name(name) {
            r.tell(Finding::error("bad-value", r.file(), format!("'environment': {why}")), *id);
        }
    }
    if pairs.iter().map(|(name, value, _)| name.len() + value.len() + 2).sum::<usize>() > MAX_ENVIRONMENT {
        r.error("too-large", field, format!("'environment': at most {} KiB", MAX_ENVIRONMENT >> 10), None);
    }
    pairs.into_iter().map(|(name, value, _)| (name, value)).collect()
}

/// A mode is octal: `022`, `"022"` and `0o22` say so, a bare `22` does not.
fn umask(r: &mut Reader<'_>, fields: &Fields<'_>) -> u32 {
    let field = fields.get("umask");
    let bare = field.is_some_and(|field| matches!(field.node.kind, Kind::Number(_)));
    r.read(field, |text| words::umask(text, bare)).unwrap_or(0o022)
}

fn labels(r: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(field) = fields.get("labels") else { return BTreeMap::new() };
    let Some(pairs) = r.pairs(Some(field)) else { return BTreeMap::new() };
    for (name, value, id) in &pairs {
        if name.is_empty() || words::one_line(name).is_err() || words::one_line(value).is_err() {
            let message = "'labels': names and values are one line without control characters";
            r.tell(Finding::error("bad-value", r.file(), message), *id);
        }
    }
    if pairs.iter().map(|(name, value, _)| name.len() + value.len()).sum::<usize>() > MAX_LABELS {
        r.error("too-large", field, format!("'labels': at most {} KiB", MAX_LABELS >> 10), None);
    }
    pairs.into_iter().map(|(name, value, _)| (name, value)).collect()
}

#[cfg(test)]
mod tests;
