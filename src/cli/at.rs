//! `rota at TIME -- COMMAND`: run a program once, at a time.

use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_yaml::{Mapping, Value};

use super::lint::lint;
use super::pause::instant;
use super::socket::Place;
use super::term::{print, visible};
use super::{Error, Exit, when};
use crate::client::Client;
use crate::conf::units;

/// Characters of a program's name that the name of its job has.
const MAX_STEM: usize = 40;
/// Jobs of the same minute and program that are told apart by a number.
const MAX_SAME: usize = 100;

/// Arguments of `rota at`.
#[derive(Debug, clap::Args)]
pub struct At {
    /// When: `18:00`, `'2026-11-30 08:00'`, `2026-11-30T08:00:00+01:00`, or in how long: `2h`, `'now + 90m'`
    ///
    /// A time without an offset is one of the local clock, or of `--timezone`; without a date it is the next one.
    time: String,
    /// The new job's name. Without it, one is made of the time and the program
    #[arg(long)]
    name: Option<String>,
    /// The user that it runs as
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Keep the job when it has run, for `rota run`
    #[arg(long)]
    keep: bool,
    /// The zone of the time, as in Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl At {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let now = Timestamp::now();
        let at = self.at(now)?;
        let client = place.client()?;
        let name = match &self.name {
            Some(name) => is_new(&client, name).map(|()| name.clone())?,
            None => unused(&client, &stem(&at, self.command.first().map_or("", String::as_str)))?,
        };
        let text = self.text(&name, &at)?;
        lint("the new job", None, &text)?;
        let edited = client.define(&name, &text, true)?;
        let file = edited.file.map(|file| format!(" ({})", visible(&file))).unwrap_or_default();
        print(format!("'{}' runs at {}{file}\n", edited.name, when::both(at.timestamp(), now)))?;
        Ok(Exit::Ok)
    }

    fn at(&self, now: Timestamp) -> Result<Zoned, Error> {
        let zone = match self.timezone.as_deref() {
            Some(name) => TimeZone::get(name).map_err(|_| {
                Error::new(Exit::Usage, format!("'{}' is no time zone", visible(name))).hint("--timezone Europe/Berlin")
            })?,
            None => TimeZone::system(),
        };
        moment(&self.time, now, &zone)
    }

    /// The job's file. The time has its offset, so that it means the same wherever the daemon's clock is.
    fn text(&self, name: &str, at: &Zoned) -> Result<String, Error> {
        let mut keys = Mapping::new();
        let mut set = |key: &str, value: Value| drop(keys.insert(key.into(), value));
        set("name", name.into());
        set("at", at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().into());
        if !self.keep {
            set("when_done", "remove".into());
        }
        let (command, args) = self.command.split_first().ok_or_else(|| Error::new(Exit::Usage, "what is to run?"))?;
        set("command", command.as_str().into());
        if !args.is_empty() {
            set("args", args.to_vec().into());
        }
        if let Some(user) = &self.user {
            set("user", user.as_str().into());
        }
        serde_yaml::to_string(&keys).map_err(|error| Error::new(Exit::Failed, error.to_string()))
    }
}

/// A time to come, to the second: a time as of `--until`, or how long from now.
fn moment(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Zoned, Error> {
    let text = text.trim();
    let length = text.strip_prefix("now").map(|rest| rest.trim_start().strip_prefix('+').unwrap_or(rest).trim());
    let at = match units::duration(length.unwrap_or(text)) {
        Ok(length) => {
            let far = |_| Error::new(Exit::Usage, format!("'{}' is too far away", visible(text)));
            let at = now.checked_add(length).map_err(far)?;
            // Not before so long has passed.
            let whole = at.round(jiff::TimestampRound::new().smallest(jiff::Unit::Second).mode(jiff::RoundMode::Ceil));
            whole.unwrap_or(at)
        }
        Err(_) => instant(text, now, zone)
            .map_err(|error| error.hint("18:00, '2026-11-30 08:00', 2026-11-30T08:00:00+01:00, or in how long: 2h"))?,
    };
    if at <= now {
        let passed = format!("{} has passed", when::local(at, now));
        return Err(Error::new(Exit::Usage, passed));
    }
    Ok(at.to_zoned(zone.clone()))
}

/// `at-20261201-0230-backup.sh`.
fn stem(at: &Zoned, command: &str) -> String {
    let program = Path::new(command).file_name().and_then(|name| name.to_str()).unwrap_or("job");
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let program: String = program.chars().map(plain).take(MAX_STEM).collect();
    let program = program.trim_matches('.');
    format!("at-{}-{}", at.strftime("%Y%m%d-%H%M"), if program.is_empty() { "job" } else { program })
}

/// A name that no job has.
fn unused(client: &Client, stem: &str) -> Result<String, Error> {
    for number in 1..=MAX_SAME {
        let name = if number == 1 { stem.to_owned() } else { format!("{stem}-{number}") };
        match client.job(&name) {
            Err(error) if error.code() == Some("no-such-job") => return Ok(name),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
    Err(Error::new(Exit::Failed, format!("there are {MAX_SAME} jobs '{stem}' already")).hint("give it a name: --name"))
}

/// There is no job of this name.
fn is_new(client: &Client, name: &str) -> Result<(), Error> {
    match client.job(name) {
        Err(error) if error.code() == Some("no-such-job") => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Error::new(Exit::Failed, format!("there is a job '{}' already", visible(name)))
            .hint("leave --name out, or give another")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-20T16:00:00.5Z".parse().unwrap();
        for (text, at) in [
            ("18:00", "2026-11-20T18:00:00+01:00"),
            ("2026-12-01 02:30", "2026-12-01T02:30:00+01:00"),
            ("2026-12-01T02:30:00Z", "2026-12-01T03:30:00+01:00"),
            ("2h", "2026-11-20T19:00:01+01:00"),
            ("now + 90m", "2026-11-20T18:30:01+01:00"),
            ("now+90m", "2026-11-20T18:30:01+01:00"),
        ] {
            let moment = moment(text, now, &zone).unwrap();
            assert_eq!(moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(), at, "{text}");
        }
        for text in ["", "tomorrow", "now", "now - 2h", "2026-11-20 16:00", "999999999h"] {
            assert_eq!(moment(text, now, &zone).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }

    #[test]
    fn the_file_says_what_was_asked_for() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-20T16:00:00Z".parse().unwrap();
        let at = At {
            time: String::new(),
            name: None,
            user: Some("backup".into()),
            keep: false,
            timezone: None,
            command: vec!["/usr/bin/x y".into(), "--force".into(), "yes: no".into()],
        };
        let when = moment("18:00", now, &zone).unwrap();
        let name = stem(&when, "/usr/bin/x y");
        assert_eq!(name, "at-20261120-1800-x-y");
        let text = at.text(&name, &when).unwrap();
        let (job, findings) = crate::job::read_job("x.yaml", text.as_bytes(), &TimeZone::UTC, now).unwrap();
        assert_eq!(findings, []);
        assert_eq!(job.schedule.unwrap().next(now, now), Some("2026-11-20T17:00:00Z".parse().unwrap()));
        assert_eq!((job.name.as_str(), job.when_done), (name.as_str(), crate::job::WhenDone::Remove));
        assert_eq!(
            job.program,
            crate::job::Program::Exec {
                command: "/usr/bin/x y".into(),
                args: vec!["--force".into(), "yes: no".into()]
            }
        );
        let kept = At { keep: true, user: None, ..at }.text(&name, &when).unwrap();
        assert!(!kept.contains("when_done") && !kept.contains("user"), "{kept}");
        assert_eq!(stem(&when, "/"), "at-20261120-1800-job");
    }
}
