//! mysql-crond's one file of jobs becomes job files.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_yaml::{Mapping, Value};

use super::{Draft, Imported};
use crate::conf::directory::Reading;
use crate::conf::edit::EditError;
use crate::conf::jobs_config::{self, Identity, Item};
use crate::conf::yaml::key::names;
use crate::job::file::Schedules;
use crate::job::keys::KEYS;
use crate::job::{Finding, Job, JobName, Place, Program};

/// Most that the labels of a job hold beside its own, in bytes.
const MAX_LABEL: usize = 1000;

/// The file, and what is known of it besides its text.
#[derive(Debug, Clone, Copy)]
pub struct MysqlCrond<'a> {
    /// Where it was read, for comments and findings.
    pub origin: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The `jobs_user` of the `runtime.yaml` that names it.
    pub jobs_user: Option<&'a str>,
}

/// Turns every entry into a job file with the same meaning, and tells where the meaning differs.
pub fn import_mysql_crond(source: &MysqlCrond<'_>, zone: &TimeZone, now: Timestamp) -> Imported {
    let mut import = Import { source, zone, now, done: Imported::default() };
    let mut schedules = Schedules::default();
    let read = jobs_config::read(source.origin, source.text.as_bytes(), now, zone, now, &mut schedules);
    match read {
        Ok(read) => {
            import.done.findings.extend(read.findings);
            read.items.into_iter().for_each(|item| import.item(item));
            import.whole(&read.identity);
        }
        Err(findings) => import.done.findings.extend(findings),
    }
    import.done
}

struct Import<'a> {
    source: &'a MysqlCrond<'a>,
    zone: &'a TimeZone,
    now: Timestamp,
    done: Imported,
}

impl Import<'_> {
    fn doubt(&mut self, code: &'static str, name: &JobName, message: &str, hint: &str) {
        let place = self.place_of(name);
        let finding = Finding::warning(code, self.source.origin, format!("'{name}': {message}"));
        self.done.findings.push(finding.hint(hint).at(place));
    }

    /// The line that names the job, as far as that is plain.
    fn place_of(&self, name: &JobName) -> Option<Place> {
        let plain = |value: &str| value.trim().trim_matches(['"', '\'']) == name.as_str();
        let names = |line: &str| {
            let value = line.trim_start_matches(['-', ' ', '{']).strip_prefix("name:")?;
            // In braces the next key may follow.
            Some(plain(value) || value.split([',', '}']).next().is_some_and(plain))
        };
        let (at, line) = self.source.text.lines().enumerate().find(|(_, line)| names(line) == Some(true))?;
        let column = line.chars().take_while(|c| *c == ' ' || *c == '-').count() + 1;
        Some(Place { line: at + 1, column, snippet: line.chars().take(200).collect() })
    }

    fn item(&mut self, item: Item) {
        let (name, job) = match (item.name, item.reading) {
            (Some(name), Reading::Good { job, warnings, .. }) => {
                // What it says of keys that nobody knows is told below, with what becomes of them.
                let rest = warnings.into_iter().filter(|finding| finding.code != "unknown-key");
                self.done.findings.extend(rest);
                (name, job)
            }
            (_, Reading::Broken(findings)) => return self.done.findings.extend(findings),
            (None, Reading::Good { .. }) => return,
        };
        let text = match jobs_config::item_text(self.source.text, &name) {
            Ok(text) => text,
            Err(error) => return self.lost(&name, &error),
        };
        let Ok(keys) = serde_yaml::from_str::<Mapping>(&text) else { return self.lost(&name, &EditError::NotAMap) };
        let mut draft = self.draft(&name, keys);
        if job.work_dir.is_none() {
            self.doubt(
                "work-dir",
                &name,
                "mysql-crond starts it in the directory where it was itself started, rotad in /",
                "set work_dir, if it uses relative paths",
            );
        }
        self.program(&name, &job);
        // Said by that file for all its jobs.
        if let Some(user) = self.source.jobs_user
            && job.user.is_none()
        {
            draft.set("user", user);
        }
        let origin = match self.place_of(&name) {
            Some(place) => format!("{}, line {}", self.source.origin, place.line),
            None => self.source.origin.to_owned(),
        };
        match draft.finish(name.clone(), &origin, self.zone, self.now) {
            Ok(file) => self.done.files.push(file),
            Err(findings) => {
                let place = self.place_of(&name);
                let findings = findings.into_iter().map(|finding| {
                    let hint = finding.hint.unwrap_or_else(|| "write its job file by hand".to_owned());
                    let message = format!("'{name}': {}", finding.message);
                    Finding::error(finding.code, self.source.origin, message).hint(hint).at(place.clone())
                });
                self.done.findings.extend(findings);
            }
        }
    }

    fn lost(&mut self, name: &JobName, why: &EditError) {
        let finding = Finding::error("not-taken-over", self.source.origin, format!("'{name}': {why}"));
        let place = self.place_of(name);
        self.done.findings.push(finding.hint("write its job file by hand").at(place));
    }

    /// Its keys as they stand; those that mean nothing here become labels.
    fn draft(&mut self, name: &JobName, keys: Mapping) -> Draft {
        let (mut draft, mut labels) = (Draft::default(), Mapping::new());
        for (key, value) in keys {
            let Some(key) = key.as_str().map(str::to_owned) else { continue };
            if names(KEYS).any(|known| known == key) {
                // Written always there, and saying nothing.
                if !(key == "work_dir" && (value.is_null() || value == "")) {
                    draft.set(&key, value);
                }
                continue;
            }
            match label(&value).filter(|_| !key.is_empty() && !key.chars().any(char::is_control)) {
                Some(text) => {
                    labels.insert(key.as_str().into(), text.into());
                    let message = format!("key '{}' has no meaning; it is kept as a label", key.escape_debug());
                    self.doubt("unknown-key", name, &message, "labels are shown by rota show");
                }
                None => {
                    let message = format!("key '{}' has no meaning and is no line of text", key.escape_debug());
                    self.doubt("unknown-key", name, &message, "it is left out: note it in a comment");
                }
            }
        }
        if !labels.is_empty() {
            // Its own labels, if somebody had given some, count.
            if let Some(Value::Mapping(own)) = draft.keys.get("labels") {
                labels.extend(own.clone());
            }
            draft.set("labels", Value::Mapping(labels));
        }
        draft
    }

    fn program(&mut self, name: &JobName, job: &Job) {
        let Program::Exec { command, args } = &job.program else { return };
        if let Some(word) = args.iter().find(|arg| is_of_a_shell(arg)).filter(|_| !is_shell(command)) {
            let message = format!("'{}' among its args is passed on as it is, there as here", word.escape_debug());
            self.doubt("shell-words", name, &message, "if a shell should read it, write a script: instead");
        }
        if command.contains('/') && !command.starts_with('/') {
            let message = format!("the path '{}' is relative, there as here to the directory it runs in", command);
            self.doubt("relative-command", name, &message, "write the whole path");
        }
    }

    /// What is to be said of the file as a whole.
    fn whole(&mut self, identity: &Identity) {
        let Imported { files, findings } = &mut self.done;
        if *identity != Identity::default() {
            let keys = [
                identity.bk_biz_id.map(|id| format!("bk_biz_id: {id}")),
                identity.immute_domain.as_ref().map(|text| format!("immute_domain: {text}")),
                identity.machine_type.as_ref().map(|text| format!("machine_type: {text}")),
                identity.role.as_ref().map(|text| format!("role: {text}")),
            ];
            let keys = keys.into_iter().flatten().collect::<Vec<_>>().join(", ");
            let message = format!("what it says of the machine belongs into rotad.yaml: {keys}");
            let hint = "write these lines there, so that beats to bk-monitor keep their dimensions; or keep the file as jobs_config";
            findings.push(Finding::warning("identity", self.source.origin, message).hint(hint));
        }
        if files.is_empty() {
            return;
        }
        let mut say = |code, message: String, hint: &str| {
            findings.push(Finding::warning(code, self.source.origin, message).hint(hint));
        };
        match self.source.jobs_user {
            Some(user) => say(
                "user",
                format!("the jobs run as {user}, with the groups of that user; mysql-crond dropped them"),
                "the user must be in allowed_users of rotad.yaml, or be its jobs_user",
            ),
            None => say(
                "user",
                "the jobs name no user and run as jobs_user of rotad.yaml".to_owned(),
                "import runtime.yaml instead, or set user",
            ),
        }
        say(
            "environment",
            "mysql-crond hands its own environment on (PATH, HOME, USER are those of whoever started it); here they are of \
             the job's user, and nothing else is"
                .to_owned(),
            "set environment or environment_file, if a job needs more",
        );
        say(
            "overlap",
            "a run that is due while the one before goes on is skipped, and that holds over edits and reloads too; there a \
             changed definition could run beside the old one"
                .to_owned(),
            "on_overlap: allow lets them overlap",
        );
        say(
            "background",
            "what a program leaves in the background keeps its run going for 5 seconds at most; there for as long as it held \
             the output open"
                .to_owned(),
            "a program that stays is a service of systemd, not a job",
        );
    }
}

/// A value as the text of a label.
fn label(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => return None,
    };
    (text.len() <= MAX_LABEL && !text.chars().any(char::is_control)).then_some(text)
}

/// A shell would act on it, and somebody may think that one does.
fn is_of_a_shell(arg: &str) -> bool {
    let redirects = |arg: &str| {
        let rest = arg.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        rest.starts_with('>') || rest.starts_with('<')
    };
    let variable = |arg: &str| {
        arg.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_alphabetic() || "_{(".contains(c)))
    };
    let joined = ["&&", "||", "|", ";", "&"].contains(&arg) || arg.contains(" && ") || arg.contains(" | ");
    let pattern = arg.contains('*') && (arg.contains('/') || arg.starts_with('*'));
    redirects(arg)
        || variable(arg)
        || joined
        || pattern
        || arg.contains('`')
        || arg.contains(" > ")
        || arg.contains(" 2>")
}

/// It reads its arguments as a shell does.
fn is_shell(command: &str) -> bool {
    let base = command.rsplit('/').next().unwrap_or(command);
    ["sh", "bash", "dash", "zsh", "ksh"].contains(&base)
}
