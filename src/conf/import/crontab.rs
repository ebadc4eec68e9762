//! A crontab becomes job files.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::line::{Entry, Line, read};
use super::{Draft, Imported, Names};
use crate::job::{Finding, Place, user_name};
use crate::schedule::parse_zone;

/// The shell that cron and `script` run.
const SHELL: &str = "/bin/sh";
/// Names that cron itself acts on, or sets.
const ITS_OWN: [&str; 10] = [
    "MAILTO",
    "MAILFROM",
    "SHELL",
    "CRON_TZ",
    "RANDOM_DELAY",
    "CONTENT_TYPE",
    "CONTENT_TRANSFER_ENCODING",
    "LOGNAME",
    "USER",
    "HOME",
];

/// A crontab, and what is known of it besides its text.
#[derive(Debug, Clone, Default)]
pub struct Crontab<'a> {
    /// Where it was read, for comments and findings.
    pub origin: &'a str,
    /// Its text.
    pub text: &'a str,
    /// It has a user before each command (`/etc/crontab`, `/etc/cron.d`).
    pub system: bool,
    /// Whose it is, where it is a user's own.
    pub user: Option<&'a str>,
    /// Home directories that are known, by user: cron starts its jobs there.
    pub homes: BTreeMap<String, String>,
}

/// Turns every entry into a job file with the same meaning, and tells where the meaning differs.
pub fn import_crontab(crontab: &Crontab<'_>, zone: &TimeZone, now: Timestamp) -> Imported {
    let mut import = Import { crontab, settings: BTreeMap::new(), names: Names::default(), done: Imported::default() };
    for (at, text) in crontab.text.lines().enumerate() {
        let place = Place { line: at + 1, column: 1, snippet: text.chars().take(200).collect() };
        match read(text, crontab.system) {
            Line::Nothing => {}
            Line::Setting(name, value) => import.setting(name, value, place),
            Line::Nonsense(why) => import.tell(Finding::error("not-taken-over", crontab.origin, why), place),
            Line::Entry(entry) => import.entry(&entry, place, zone, now),
        }
    }
    import.whole();
    import.done
}

struct Import<'a> {
    crontab: &'a Crontab<'a>,
    /// As they stand at the line that is read: cron's settings count for what comes below them.
    settings: BTreeMap<String, String>,
    names: Names,
    done: Imported,
}

impl Import<'_> {
    fn tell(&mut self, finding: Finding, place: Place) {
        self.done.findings.push(finding.at(Some(place)));
    }

    fn doubt(&mut self, code: &'static str, message: impl Into<String>, hint: &str, place: &Place) {
        self.tell(Finding::warning(code, self.crontab.origin, message).hint(hint), place.clone());
    }

    fn setting(&mut self, name: String, value: String, place: Place) {
        match name.as_str() {
            "MAILTO" | "MAILFROM" if !value.is_empty() => {
                let message = format!("nothing is mailed: {name} has no meaning here");
                self.doubt("mail", message, "what a job prints is in the journal: rota logs NAME", &place);
            }
            "RANDOM_DELAY" => self.doubt(
                "random-delay",
                "RANDOM_DELAY has no meaning here: jobs start at their minute",
                "spread them by their schedules",
                &place,
            ),
            _ => {}
        }
        self.settings.insert(name, value);
    }

    fn entry(&mut self, entry: &Entry<'_>, place: Place, zone: &TimeZone, now: Timestamp) {
        let mut draft = Draft::default();
        let Some(name) = self.names.give(&short_name(&entry.command)) else { return };
        draft.set("name", name.as_str());
        self.program(&mut draft, entry, &place);
        draft.set("schedule", entry.schedule.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
        draft.set("dialect", "vixie");
        self.zone(&mut draft, &place);
        self.user(&mut draft, entry, &place);
        self.environment(&mut draft);
        // crond starts a job whether or not the one before has ended.
        draft.set("on_overlap", "allow");
        let origin = format!("{}, line {}", self.crontab.origin, place.line);
        match draft.finish(name, &origin, zone, now) {
            Ok(file) => self.done.files.push(file),
            Err(findings) => {
                for finding in findings {
                    let hint = finding.hint.unwrap_or_else(|| "write its job file by hand".to_owned());
                    self.tell(
                        Finding::error(finding.code, self.crontab.origin, finding.message).hint(hint),
                        place.clone(),
                    );
                }
            }
        }
    }

    fn program(&mut self, draft: &mut Draft, entry: &Entry<'_>, place: &Place) {
        let script = match &entry.input {
            None => entry.command.clone(),
            Some(input) => {
                self.doubt(
                    "percent",
                    "what stands behind '%' becomes a here-document",
                    "look at the script once",
                    place,
                );
                with_input(&entry.command, input)
            }
        };
        match self.settings.get("SHELL").filter(|shell| *shell != SHELL) {
            None => draft.set("script", script),
            Some(shell) => {
                draft.set("command", shell.as_str());
                draft.set("args", vec!["-c".to_owned(), script]);
            }
        }
    }

    fn zone(&mut self, draft: &mut Draft, place: &Place) {
        let Some(zone) = self.settings.get("CRON_TZ").cloned() else { return };
        match parse_zone(&zone) {
            Ok(_) => draft.set("timezone", zone),
            Err(error) => {
                self.tell(Finding::error("timezone", self.crontab.origin, format!("CRON_TZ: {error}")), place.clone())
            }
        }
    }

    fn user(&mut self, draft: &mut Draft, entry: &Entry<'_>, place: &Place) {
        let user = entry.user.or(self.crontab.user);
        if let Some(user) = user {
            // FreeBSD's `user:group/class` and whatever else is no name of a user.
            if user_name(user).is_err() {
                return self
                    .tell(Finding::error("user", self.crontab.origin, format!("'{user}' is no user")), place.clone());
            }
            draft.set("user", user);
        }
        let home = self.settings.get("HOME").or_else(|| self.crontab.homes.get(user?)).cloned();
        match home {
            Some(home) => draft.set("work_dir", home),
            None => self.doubt(
                "home",
                "crond starts it in the home directory of its user, rotad in /",
                "set work_dir, if it uses relative paths",
                place,
            ),
        }
    }

    fn environment(&mut self, draft: &mut Draft) {
        let mut all: BTreeMap<String, String> = self
            .settings
            .iter()
            .filter(|(name, _)| !ITS_OWN.contains(&name.as_str()))
            .map(|(a, b)| (a.clone(), b.clone()))
            .collect();
        // What crond gives where nothing is said; rotad's own is longer.
        all.entry("PATH".to_owned()).or_insert_with(|| "/usr/bin:/bin".to_owned());
        draft.set_map("environment", &all);
    }

    /// What is to be said of the crontab as a whole.
    fn whole(&mut self) {
        if self.done.files.is_empty() {
            return;
        }
        let crontab = self.crontab;
        let say = |code, message: String, hint: &str| Finding::warning(code, crontab.origin, message).hint(hint);
        let mut findings = Vec::new();
        if !self.settings.contains_key("MAILTO") {
            let message = "crond mails what a job prints to its user; rotad does not".to_owned();
            findings.push(say("mail", message, "what a job prints is in the journal: rota logs NAME"));
        }
        let users: std::collections::BTreeSet<&str> = self.users().collect();
        match users.is_empty() {
            true => {
                let message = "the jobs name no user and run as jobs_user of rotad.yaml".to_owned();
                findings.push(say("user", message, "name the crontab's owner with --user"));
            }
            false => {
                let message = format!("the jobs run as {}", users.iter().copied().collect::<Vec<_>>().join(", "));
                let hint = "each must be in allowed_users of rotad.yaml, root in allow_root_jobs";
                findings.push(say("user", message, hint));
            }
        }
        let message = "where the clock is set back or forward: as cronie's crond, entry by entry".to_owned();
        findings.push(say(
            "dst",
            message,
            "rota next --job NAME shows the slots that it concerns; Debian's cron agrees",
        ));
        let message = "runs of a job may overlap, as under crond".to_owned();
        findings.push(say("overlap", message, "on_overlap: skip is mostly what is wanted"));
        self.done.findings.extend(findings);
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        let own = self.crontab.user.into_iter();
        let lines = self.crontab.text.lines().filter(|_| self.crontab.system);
        own.chain(lines.filter_map(|line| match read(line, true) {
            Line::Entry(entry) => entry.user,
            _ => None,
        }))
    }
}

/// A name for people: the program's, without its path and whatever stands before it.
fn short_name(command: &str) -> String {
    let words = command.split(|c: char| c.is_whitespace() || ";&|()<>\"'`".contains(c)).filter(|word| !word.is_empty());
    let mut words =
        words.skip_while(|word| word.contains('=') || ["cd", "test", "[", "-x", "exec", "nice"].contains(word));
    let program = words.find(|word| word.chars().any(char::is_alphanumeric) && !word.starts_with('-')).unwrap_or("job");
    let base = program.rsplit('/').find(|part| !part.is_empty()).unwrap_or("job");
    let clean: String = base.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(60).collect();
    let clean = clean.trim_matches(['.', '-', '_']);
    if clean.is_empty() { "job".to_owned() } else { clean.to_owned() }
}

/// The command with its input as a here-document, whose end no line of the input is.
fn with_input(command: &str, input: &str) -> String {
    let mut end = "END_OF_INPUT".to_owned();
    while input.lines().any(|line| line == end) {
        end.push('_');
    }
    format!("{{ {command}\n}} <<'{end}'\n{input}\n{end}\n")
}
