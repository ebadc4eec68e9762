//! Reads rotad.yaml. It decides whom programs run as, so as root it must be root's and nobody else may write to it.

#![expect(clippy::result_large_err, reason = "a finding is made once per broken file, never in a loop that counts")]

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::unistd::{Uid, User};

use super::config::{Config, DEFAULT_PATH, HistoryConfig, Reader as ApiReader};
use super::crond::{self, Crond};
use super::jobs_config::Identity;
use super::keys::{self, KEYS};
use super::standing::Standing;
use super::trust::{Distrust, Trust, What, walk};
use super::units;
use super::yaml::key::below;
use super::yaml::{self, Field, Fields, Kind, Node, Reader};
use crate::alarm::read;
use crate::job::{Finding, LogTarget, user_name};

/// Longest `stop_timeout`.
const MAX_STOP: Duration = Duration::from_secs(86_400);
/// Longest path of a unix socket (unix(7)).
const MAX_SOCKET: usize = 107;

/// Opens, checks and reads the file.
pub(super) fn load(path: &Path, standing: &Standing) -> Result<(Config, Vec<Finding>), Vec<Finding>> {
    let shown = path.display().to_string();
    let bytes = open_and_read(path, standing.root).map_err(|finding| vec![finding])?;
    let text = yaml::decode(&shown, &bytes).map_err(|finding| vec![finding])?;
    let (config, mut findings) = read(&shown, text, standing)?;
    findings.extend(exchangeable(path, standing.root));
    Ok((config, findings))
}

/// Root's file in a directory of somebody else's: they cannot write it, but put another of root's in its place.
fn exchangeable(path: &Path, root: bool) -> Option<Finding> {
    let path = std::path::absolute(path).ok().filter(|_| root)?;
    if walk(path.parent()?, None).is_ok() {
        return None;
    }
    let shown = path.display();
    let message = "others than root may write to a directory above it, and put another file of root's in its place";
    let hint = format!("install -o root -g root -m 0644 {shown} {DEFAULT_PATH}, and start rotad without -c");
    Some(Finding::warning("exchangeable", shown.to_string(), message).hint(hint))
}

/// A file that root does not believe: how to go on, word for word.
fn refused(why: Distrust, path: &Path, stat: &FileStat, root: bool) -> Finding {
    let shown = path.display().to_string();
    let owner = User::from_uid(Uid::from_raw(stat.st_uid)).ok().flatten();
    let finding = Finding::error(why.code, &shown, format!("refused: {}", why.message));
    match owner {
        Some(user) if root && why.code == "wrong-owner" => finding.hint(format!(
            "chown root:root {shown} && chmod 0644 {shown}; or run all of rotad as {0}: runuser -u {0} -- rotad -c {shown} \
             (a unit: User={0})",
            user.name
        )),
        _ if root => finding.hint(format!("chown root:root {shown} && chmod 0644 {shown}")),
        _ => finding.hint(why.hint),
    }
}

fn open_and_read(path: &Path, root: bool) -> Result<Vec<u8>, Finding> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| {
        let finding = Finding::error("unreadable", &shown, format!("cannot be read: {error}"));
        match error.kind() {
            std::io::ErrorKind::NotFound => finding.hint("name another with -c, or create it; every key has a default"),
            _ => finding,
        }
    };
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let stat = fstat(opened.as_fd()).map_err(|errno| failed(errno.into()))?;
    let trust = if root { Trust::of_root_alone() } else { Trust::of_user() };
    trust.judge(What::File, &stat).map_err(|why| refused(why, path, &stat, root))?;
    let mut bytes = Vec::new();
    let limit = yaml::MAX_FILE as u64 + 1;
    std::fs::File::from(opened).take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The text of the file. Pure but for names of users in `standing`.
pub(super) fn read(file: &str, text: &str, standing: &Standing) -> Result<(Config, Vec<Finding>), Vec<Finding>> {
    let mut config = Config::defaults(standing);
    let (mut reader, root) = Reader::new(file, text).map_err(|finding| vec![finding])?;
    if matches!(root.kind, Kind::Null) {
        return Ok((config, Vec::new()));
    }
    let r = &mut reader;
    let fields = r.fields("rotad.yaml", &root, KEYS);
    set(&mut config.conf_d, absolute(r, fields.get("conf_d")));
    set(&mut config.state_dir, absolute(r, fields.get("state_dir")));
    set(&mut config.socket, r.read(fields.get("socket"), socket));
    config.port = r.read(fields.get("port"), port).unwrap_or(config.port);
    config.jobs_user = r.read(fields.get("jobs_user"), user_name).unwrap_or(config.jobs_user);
    config.engine_user = r.read(fields.get("engine_user"), user_name).unwrap_or(config.engine_user);
    config.allow_root_jobs = r.truth(fields.get("allow_root_jobs")).unwrap_or(false);
    config.stop_timeout = r.read(fields.get("stop_timeout"), stop_timeout).unwrap_or(config.stop_timeout);
    if let Some(field) = fields.get("allowed_users") {
        config.allowed_users = r.texts(Some(field)).unwrap_or_default();
        for user in &config.allowed_users {
            if let Err(why) = user_name(user) {
                let (why, hint) = why.split_once('\n').map_or((why.as_str(), None), |(m, h)| (m, Some(h)));
                r.error("bad-value", field, format!("'allowed_users': {why}"), hint);
            }
        }
    }
    config.admin_group = r.read(fields.get("admin_group"), group_name);
    if let Some(api) = fields.get("api") {
        readers(r, &mut config, api);
    }
    if let Some(field) = fields.get("history") {
        history(r, &mut config, field);
    }
    if let Some(field) = fields.get("log") {
        log(r, &mut config, field);
    }
    alarms(r, &mut config, &fields);
    config.crond = keys::crond().any(|key| fields.get(key).is_some()).then(|| Crond {
        ip: crond::text(r, fields.get("ip")),
        bk_cloud_id: crond::number(r, fields.get("bk_cloud_id")),
        beat: crond::beat(r, fields.get("bk_monitor_beat")),
        pid_path: crond::text(r, fields.get("pid_path")).map(PathBuf::from),
        jobs_config: absolute(r, fields.get("jobs_config")),
        identity: Identity {
            bk_biz_id: crond::number(r, fields.get("bk_biz_id")),
            immute_domain: crond::text(r, fields.get("immute_domain")),
            machine_type: crond::text(r, fields.get("machine_type")),
            role: crond::text(r, fields.get("role")),
        },
    });
    users(r, &mut config, standing, fields.get("jobs_user"), &root);
    let findings = reader.end()?;
    Ok((config, findings))
}

/// `targets`, `notify` and `sendmail`.
fn alarms(r: &mut Reader<'_>, config: &mut Config, fields: &Fields<'_>) {
    let alarms = &mut config.alarms;
    set(&mut alarms.sendmail, absolute(r, fields.get("sendmail")));
    alarms.targets = read::targets(r, fields.get("targets"));
    let Some(field) = fields.get("notify") else { return };
    let notify = read::notify(r, Some(field), "all jobs").unwrap_or_default();
    let unknown: BTreeSet<&str> = notify.names().filter(|name| !alarms.targets.contains_key(*name)).collect();
    for name in unknown {
        // One that is broken has been told.
        let written = fields.get("targets").is_some_and(|targets| has(targets.node, name));
        if !written {
            let message = format!("'notify' names '{}', which is none of 'targets'", yaml::shown(name));
            r.tell(Finding::error("unknown-target", r.file(), message), field.node.id);
        }
    }
    alarms.notify = Arc::new(notify);
}

fn has(node: &Node, key: &str) -> bool {
    matches!(&node.kind, Kind::Map(map) if map.iter().any(|(known, ..)| known == key))
}

fn set(place: &mut PathBuf, value: Option<PathBuf>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// What the users say together.
fn users(r: &mut Reader<'_>, config: &mut Config, standing: &Standing, jobs_user: Option<Field<'_>>, root: &Node) {
    let id = jobs_user.map_or(root.id, |field| field.node.id);
    if !standing.root {
        config.engine_user = standing.user.clone();
        if config.jobs_user != standing.user {
            let message = format!("only root can run jobs as '{}'; you are '{}'", config.jobs_user, standing.user);
            let hint = "take jobs_user out, or start rotad as root";
            r.tell(Finding::error("needs-root", r.file(), message).hint(hint), id);
        }
        return;
    }
    if config.jobs_user == "root" && !config.allow_root_jobs {
        let finding = Finding::error("root-jobs", r.file(), "jobs_user is root: every job would run with all rights");
        r.tell(finding.hint("name another user, or add 'allow_root_jobs: true' if that is meant"), id);
    }
    if config.engine_user == "root" {
        let finding = Finding::error("root-engine", r.file(), "the engine reads foreign bytes and must not be root");
        r.tell(finding.hint("leave engine_user out, or name an unprivileged user of its own"), root.id);
    }
    if config.jobs_user == config.engine_user {
        let message = format!("jobs and engine are both '{}': a job could signal the engine", config.jobs_user);
        r.tell(Finding::warning("shared-user", r.file(), message).hint("give jobs a user of their own"), id);
    }
}

/// `api`: who may look besides those who may change.
fn readers(r: &mut Reader<'_>, config: &mut Config, api: Field<'_>) {
    let fields = r.fields("'api'", api.node, below(KEYS, "api"));
    let Some(field) = fields.get("readers") else { return };
    for name in r.texts(Some(field)).unwrap_or_default() {
        let reader = match name.strip_prefix('@') {
            Some(group) => group_name(group).map(ApiReader::Group),
            None if name == "anyone" => Ok(ApiReader::Anyone),
            None => user_name(&name).map(ApiReader::User),
        };
        match reader {
            Ok(reader) => config.readers.push(reader),
            Err(_) => r.error(
                "bad-value",
                field,
                format!("'readers': {} is neither a user nor a group", yaml::shown(&name)),
                Some("write a user's name, a group's as \"@name\", or anyone"),
            ),
        }
    }
}

fn group_name(text: &str) -> Result<String, String> {
    let bad = "no group name: lower-case letters, digits, '_', '.' and '-', beginning with a letter or '_'";
    user_name(text).map_err(|_| bad.to_owned())
}

/// `log` is a word or a map.
fn log(r: &mut Reader<'_>, config: &mut Config, field: Field<'_>) {
    let log = &mut config.log;
    if !matches!(field.node.kind, Kind::Map(_)) {
        log.target = r.read(Some(field), log_target).unwrap_or(log.target);
        return;
    }
    let fields = r.fields("'log'", field.node, below(KEYS, "log"));
    log.target = r.read(fields.get("target"), log_target).unwrap_or(log.target);
    for key in ["log_file_dir", "dir"] {
        if let Some(dir) = absolute(r, fields.get(key)) {
            log.dir = dir;
        }
    }
    log.max_size = r.read(fields.get("max_size"), max_size).unwrap_or(log.max_size);
    log.keep = r.read(fields.get("keep"), keep).unwrap_or(log.keep);
    log.debug = r.truth(fields.get("debug")).unwrap_or(log.debug);
    // mysql-crond's: the terminal, source places and the JSON form are what journal and `rota logs` have anyway.
    for key in ["console", "source", "json"] {
        r.truth(fields.get(key));
    }
}

/// `history` is the word `none` or a map.
fn history(r: &mut Reader<'_>, config: &mut Config, field: Field<'_>) {
    if !matches!(field.node.kind, Kind::Map(_)) {
        let none = |text: &str| match text {
            "none" => Ok(()),
            _ => Err("'none' or a map of keep, rows, size and tail is expected".to_owned()),
        };
        if r.read(Some(field), none).is_some() {
            config.history = None;
        }
        return;
    }
    let fields = r.fields("'history'", field.node, below(KEYS, "history"));
    let mut history = HistoryConfig::default();
    history.keep = r.read(fields.get("keep"), history_keep).unwrap_or(history.keep);
    history.rows = r.read(fields.get("rows"), history_rows).unwrap_or(history.rows);
    history.size = r.read(fields.get("size"), history_size).unwrap_or(history.size);
    history.tail = r.read(fields.get("tail"), history_tail).unwrap_or(history.tail);
    config.history = Some(history);
}

fn history_keep(text: &str) -> Result<Duration, String> {
    let time = units::duration(text)?;
    if time < Duration::from_secs(3600) { Err("at least 1h".to_owned()) } else { Ok(time) }
}

fn history_rows(text: &str) -> Result<u64, String> {
    let rows = text.parse().ok().filter(|rows| (1000..=1_000_000_000).contains(rows));
    rows.ok_or_else(|| "a number from 1000 to 1000000000 is expected".to_owned())
}

fn history_size(text: &str) -> Result<u64, String> {
    let size = units::size(text)?;
    if size < 1 << 20 { Err("at least 1MiB".to_owned()) } else { Ok(size) }
}

fn history_tail(text: &str) -> Result<usize, String> {
    let size = usize::try_from(units::size(text)?).ok();
    size.filter(|size| *size <= crate::history::MAX_TAIL).ok_or_else(|| "at most 64KiB".to_owned())
}

/// The word for a log target.
pub(crate) fn log_target(text: &str) -> Result<LogTarget, String> {
    match text {
        "auto" => Ok(LogTarget::Auto),
        "journal" => Ok(LogTarget::Journal),
        "file" => Ok(LogTarget::File),
        "none" => Ok(LogTarget::None),
        _ => Err("one of auto, file, none".to_owned()),
    }
}

fn absolute(r: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<PathBuf> {
    r.read(field, absolute_path)
}

fn absolute_path(text: &str) -> Result<PathBuf, String> {
    match text.starts_with('/') {
        true => Ok(PathBuf::from(text)),
        false => Err("an absolute path is expected\nbegin it with '/'".to_owned()),
    }
}

fn socket(text: &str) -> Result<PathBuf, String> {
    match text.len() > MAX_SOCKET {
        true => Err(format!("the path of a unix socket has at most {MAX_SOCKET} bytes")),
        false => absolute_path(text),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "a port is a number from 1 to 65535, or 0 for none".to_owned())
}

fn stop_timeout(text: &str) -> Result<Duration, String> {
    let time = units::duration(text)?;
    if time > MAX_STOP { Err("at most one day".to_owned()) } else { Ok(time) }
}

fn max_size(text: &str) -> Result<u64, String> {
    let size = units::size(text)?;
    if size < 4096 { Err("at least 4KiB".to_owned()) } else { Ok(size) }
}

fn keep(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|keep| *keep <= 1000).ok_or_else(|| "a number from 0 to 1000 is expected".to_owned())
}

#[cfg(test)]
mod tests;
