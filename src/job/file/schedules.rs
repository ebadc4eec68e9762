//! The schedule of a job file, and one copy of each schedule for ten thousand files that say the same.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::conf::yaml::{Fields, Reader};
use crate::job::Finding;
use crate::schedule::{Dialect, Schedule, ScheduleError, parse_zone};

/// Most schedules kept; when there are more, all are let go and kept anew.
const MAX_KEPT: usize = 20_000;

/// Schedules that were parsed before, by dialect, zone and text.
#[derive(Debug, Default)]
pub struct Schedules {
    kept: HashMap<(Dialect, String, String), Schedule>,
}

impl Schedules {
    /// What `schedule`, `dialect` and `timezone` say together. What is wrong is told to the reader.
    pub(super) fn of_fields(
        &mut self,
        r: &mut Reader<'_>,
        fields: &Fields<'_>,
        zone: &TimeZone,
        now: Timestamp,
        seed: &str,
    ) -> Option<Schedule> {
        let dialect = r.read(fields.get("dialect"), |text| text.parse::<Dialect>());
        let named = fields.get("timezone");
        let parsed = r.read(named, |text| match parse_zone(text) {
            Ok(zone) => Ok((text.to_owned(), zone)),
            Err(_) => {
                Err("no such time zone on this machine\nwrite a name of the tz database: Europe/Berlin, UTC".to_owned())
            }
        });
        let field = fields.get("schedule");
        if field.is_none() {
            for unused in ["dialect", "timezone"].iter().filter_map(|key| fields.get(key)) {
                let message = format!("'{}' says nothing without a 'schedule'", unused.key);
                r.tell(Finding::warning("no-effect", r.file(), message), unused.key_id);
            }
        }
        let field = field?;
        let text = r.scalar(field)?;
        if named.is_some() && parsed.is_none() || fields.get("dialect").is_some() && dialect.is_none() {
            return None;
        }
        let (zone_name, zone) = parsed.unwrap_or_else(|| (String::new(), zone.clone()));
        match self.parse(text, dialect.unwrap_or_default(), &zone_name, &zone, seed) {
            Ok(schedule) => {
                for doubt in schedule.doubts() {
                    let finding = Finding::warning(doubt.code, r.file(), doubt.message.clone());
                    r.tell_inside(finding, field.node.id, text, doubt.at.start);
                }
                if schedule.never_fires(now) {
                    let finding = Finding::warning("never-fires", r.file(), "this schedule is never due");
                    r.tell(finding.hint("the job still runs on demand"), field.node.id);
                }
                Some(schedule)
            }
            Err(error) => {
                let mut finding = Finding::error("bad-schedule", r.file(), format!("'schedule': {}", error.message));
                finding.hint = error.hint;
                r.tell_inside(finding, field.node.id, text, error.at.start);
                None
            }
        }
    }

    fn parse(
        &mut self,
        text: &str,
        dialect: Dialect,
        zone_name: &str,
        zone: &TimeZone,
        seed: &str,
    ) -> Result<Schedule, ScheduleError> {
        // `~` draws from the seed: equal texts are not equal schedules.
        if text.contains('~') {
            return Schedule::parse(text, dialect, zone, seed);
        }
        let key = (dialect, zone_name.to_owned(), text.to_owned());
        if let Some(kept) = self.kept.get(&key) {
            return Ok(kept.clone());
        }
        let schedule = Schedule::parse(text, dialect, zone, seed)?;
        if self.kept.len() >= MAX_KEPT {
            self.kept.clear();
        }
        self.kept.insert(key, schedule.clone());
        Ok(schedule)
    }
}
