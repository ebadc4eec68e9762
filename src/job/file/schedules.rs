//! The schedule of a job file, and one copy of each schedule for ten thousand files that say the same.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::conf::yaml::{Field, Fields, Reader};
use crate::job::Finding;
use crate::schedule::{Dialect, Dst, Schedule, ScheduleError, parse_zone};

/// Most schedules kept; when there are more, all are let go and kept anew.
const MAX_KEPT: usize = 20_000;
/// How long a forecast is taken for true: it names dates, which pass.
const FORECAST_HOLDS: SignedDuration = SignedDuration::from_hours(12);

/// Which schedule: dialect, zone, text, and the job's own rule for changes of the clock.
type Key = (Dialect, String, String, Option<Dst>);

/// Schedules that were parsed before.
#[derive(Debug, Default)]
pub struct Schedules {
    kept: HashMap<Key, Kept>,
}

/// A schedule, and what it will do when clocks change, as seen on a day.
#[derive(Debug)]
struct Kept {
    schedule: Schedule,
    forecast: Option<String>,
    seen: Timestamp,
}

/// The zone of a job: the name that it gives, or none for the daemon's own.
struct Zone {
    name: String,
    zone: TimeZone,
}

impl Schedules {
    /// What `schedule` or `at`, `dialect`, `dst` and `timezone` say together. What is wrong is told to the reader.
    pub(super) fn of_fields(
        &mut self,
        r: &mut Reader<'_>,
        fields: &Fields<'_>,
        zone: &TimeZone,
        now: Timestamp,
        seed: &str,
    ) -> Option<Schedule> {
        let dialect = r.read(fields.get("dialect"), |text| text.parse::<Dialect>());
        let dst = r.read(fields.get("dst"), |text| text.parse::<Dst>());
        let zone = zone_of(r, fields, zone);
        let (schedule, at) = (fields.get("schedule"), fields.get("at"));
        let without_effect: &[&str] = match (schedule, at) {
            (Some(_), Some(at)) => {
                let finding =
                    Finding::error("conflict", r.file(), "'schedule' and 'at' cannot both say when it is due");
                r.tell(finding.hint("keep one of them"), at.key_id);
                return None;
            }
            (Some(_), None) => &[],
            (None, Some(_)) => &["dialect", "dst"],
            (None, None) => &["dialect", "dst", "timezone"],
        };
        for unused in without_effect.iter().filter_map(|key| fields.get(key)) {
            let message = format!("'{}' says nothing without a 'schedule'", unused.key);
            r.tell(Finding::warning("no-effect", r.file(), message), unused.key_id);
        }
        let field = schedule.or(at)?;
        let text = r.scalar(field)?;
        let zone = zone?;
        if at.is_some() {
            return once(r, field, text, &zone.zone, now);
        }
        if dialect.is_none() && fields.get("dialect").is_some() || dst.is_none() && fields.get("dst").is_some() {
            return None;
        }
        match self.parse(text, (dialect.unwrap_or_default(), dst), &zone, seed, now) {
            Ok((schedule, forecast)) => {
                if let (Some(unused), false) = (fields.get("dst"), schedule.follows_the_wall()) {
                    let message = "'dst' says nothing here: the schedule does not go by the time of day";
                    r.tell(Finding::warning("no-effect", r.file(), message), unused.key_id);
                }
                tell_doubts(r, field, text, &schedule, now);
                tell_forecast(r, field, forecast);
                Some(schedule)
            }
            Err(error) => {
                refuse(r, field, text, error);
                None
            }
        }
    }

    /// The schedule, and what it will do when clocks change.
    fn parse(
        &mut self,
        text: &str,
        (dialect, dst): (Dialect, Option<Dst>),
        zone: &Zone,
        seed: &str,
        now: Timestamp,
    ) -> Result<(Schedule, Option<String>), ScheduleError> {
        let parse = || {
            let schedule = Schedule::parse(text, dialect, &zone.zone, seed)?;
            Ok(dst.map_or(schedule.clone(), |dst| schedule.with_dst(dst)))
        };
        // `~` draws from the seed: equal texts are not equal schedules.
        if text.contains('~') {
            let schedule: Schedule = parse()?;
            let forecast = schedule.forecast(now);
            return Ok((schedule, forecast));
        }
        let key = (dialect, zone.name.clone(), text.to_owned(), dst);
        if let Some(kept) = self.kept.get_mut(&key) {
            if now.duration_since(kept.seen).abs() > FORECAST_HOLDS {
                (kept.forecast, kept.seen) = (kept.schedule.forecast(now), now);
            }
            return Ok((kept.schedule.clone(), kept.forecast.clone()));
        }
        let schedule = parse()?;
        let forecast = schedule.forecast(now);
        if self.kept.len() >= MAX_KEPT {
            self.kept.clear();
        }
        self.kept.insert(key, Kept { schedule: schedule.clone(), forecast: forecast.clone(), seen: now });
        Ok((schedule, forecast))
    }
}

/// `timezone`, or the daemon's own. `None`: it is wrong, which has been told.
fn zone_of(r: &mut Reader<'_>, fields: &Fields<'_>, own: &TimeZone) -> Option<Zone> {
    let Some(field) = fields.get("timezone") else { return Some(Zone { name: String::new(), zone: own.clone() }) };
    r.read(Some(field), |text| match parse_zone(text) {
        Ok(zone) => Ok(Zone { name: text.to_owned(), zone }),
        Err(_) => {
            Err("no such time zone on this machine\nwrite a name of the tz database: Europe/Berlin, UTC".to_owned())
        }
    })
}

/// `at`.
fn once(r: &mut Reader<'_>, field: Field<'_>, text: &str, zone: &TimeZone, now: Timestamp) -> Option<Schedule> {
    match Schedule::once(text, zone) {
        Ok(schedule) => {
            if schedule.never_fires(now) {
                let finding = Finding::warning("at-passed", r.file(), "this time has passed");
                r.tell(finding.hint("the job still runs on demand"), field.node.id);
            }
            if let Some(forecast) = schedule.forecast(now) {
                r.tell(Finding::note("dst", r.file(), forecast), field.node.id);
            }
            Some(schedule)
        }
        Err(error) => {
            refuse(r, field, text, error);
            None
        }
    }
}

/// What is accepted but seldom meant.
fn tell_doubts(r: &mut Reader<'_>, field: Field<'_>, text: &str, schedule: &Schedule, now: Timestamp) {
    for doubt in schedule.doubts() {
        let finding = Finding::warning(doubt.code, r.file(), doubt.message.clone());
        r.tell_inside(finding, field.node.id, text, doubt.at.start);
    }
    if schedule.never_fires(now) {
        let finding = Finding::warning("never-fires", r.file(), "this schedule is never due");
        r.tell(finding.hint("the job still runs on demand"), field.node.id);
    }
}

fn tell_forecast(r: &mut Reader<'_>, field: Field<'_>, forecast: Option<String>) {
    if let Some(forecast) = forecast {
        let hint = "say what you want with 'dst: skip', 'dst: once' or 'dst: both'";
        r.tell(Finding::note("dst", r.file(), forecast).hint(hint), field.node.id);
    }
}

fn refuse(r: &mut Reader<'_>, field: Field<'_>, text: &str, error: ScheduleError) {
    let mut finding = Finding::error("bad-schedule", r.file(), format!("'{}': {}", field.key, error.message));
    finding.hint = error.hint;
    r.tell_inside(finding, field.node.id, text, error.at.start);
}
