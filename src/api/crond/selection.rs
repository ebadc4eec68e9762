//! Which rows `GET /entries` lists: mysql-crond's rules, its traps included, because its clients were written against them.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use regex::{Regex, RegexBuilder};

use crate::engine::{Entry, Pause};
use crate::job::Job;

/// Largest compiled expression in bytes.
const MAX_REGEX: usize = 1 << 20;
/// Longest time that an expression may take for all names. Time is linear in both, but the largest expression takes half a
/// second for the longest name.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is listed.
#[derive(Debug)]
pub enum Selection {
    /// The active job of this name.
    Name(String),
    /// Jobs by name and state.
    Some {
        /// Whose name matches as a whole.
        pattern: Option<Regex>,
        /// Active ones.
        enabled: bool,
        /// Disabled and paused ones.
        disabled: bool,
        /// And a row for each pause.
        pauses: bool,
    },
}

/// A row of the list.
#[derive(Debug)]
pub struct Row<'a> {
    /// Of the entry; −1: none.
    pub id: i64,
    /// The row of the pause, not of the job.
    pub pause: bool,
    /// Its job.
    pub job: &'a Arc<Job>,
    /// Next slot, or the end of the pause.
    pub next: Option<Timestamp>,
    /// Slot before.
    pub previous: Option<Timestamp>,
}

impl Selection {
    /// From the query's parameters, each empty where absent.
    pub fn new(name: &str, pattern: &str, status: &str) -> Result<Selection, String> {
        if !name.is_empty() {
            return Ok(Selection::Name(name.to_owned()));
        }
        let has = |word: &str| status.split(',').any(|given| given == word);
        let all = has("all");
        let either = status.is_empty() || all;
        Ok(Selection::Some {
            pattern: if pattern.is_empty() { None } else { Some(whole(pattern)?) },
            enabled: either || has("enabled"),
            disabled: either || has("disabled"),
            pauses: all,
        })
    }

    /// The rows, `None` standing for `null`: the answer to a name that is not active.
    pub fn rows<'a>(&self, entries: &'a [Entry]) -> Result<Vec<Option<Row<'a>>>, String> {
        self.rows_by(entries, Instant::now() + PATIENCE)
    }

    pub(super) fn rows_by<'a>(&self, entries: &'a [Entry], until: Instant) -> Result<Vec<Option<Row<'a>>>, String> {
        let late = Cell::new(false);
        let rows = match self {
            Selection::Name(name) => {
                let found = entries.iter().find(|entry| entry.job.name.as_str() == name && entry.id.is_some());
                vec![found.map(active)]
            }
            Selection::Some { pattern, enabled, disabled, pauses } => {
                let fits = |name: &str| {
                    pattern.as_ref().is_none_or(|pattern| {
                        late.set(late.get() || Instant::now() >= until);
                        !late.get() && pattern.is_match(name)
                    })
                };
                let ends = pattern.is_none() && *enabled && *disabled && !pauses;
                let mut rows: Vec<Row<'_>> = Vec::with_capacity(entries.len());
                if *enabled {
                    let entries = entries.iter().filter(|entry| entry.id.is_some());
                    rows.extend(entries.filter(|entry| fits(entry.job.name.as_str())).map(active));
                }
                if *pauses {
                    let paused = entries.iter().filter_map(|entry| Some((entry, entry.pause.as_ref()?)));
                    rows.extend(paused.filter(|(entry, _)| fits(&pause_name(&entry.job))).map(pause));
                    rows.sort_by_key(|row| (row.next.is_none(), row.next));
                }
                if *disabled {
                    let entries = entries.iter().filter(|entry| entry.id.is_none());
                    rows.extend(entries.filter(|entry| fits(entry.job.name.as_str())).map(|entry| Row {
                        id: -1,
                        pause: false,
                        job: &entry.job,
                        next: entry.pause.as_ref().filter(|_| ends).and_then(|pause| pause.until),
                        previous: None,
                    }));
                }
                rows.into_iter().map(Some).collect()
            }
        };
        if late.get() { Err("invalid regex: it takes too long for all names".into()) } else { Ok(rows) }
    }
}

fn active(entry: &Entry) -> Row<'_> {
    Row { id: number(entry.id), pause: false, job: &entry.job, next: entry.next, previous: entry.previous }
}

fn pause<'a>((entry, pause): (&'a Entry, &Pause)) -> Row<'a> {
    Row { id: number(Some(pause.id)), pause: true, job: &entry.job, next: pause.until, previous: None }
}

fn number(id: Option<u64>) -> i64 {
    id.map_or(-1, |id| i64::try_from(id).unwrap_or(i64::MAX))
}

/// How the row of a pause is called.
pub fn pause_name(job: &Job) -> String {
    format!("{}@@PAUSE", job.name)
}

/// The expression with `^` and `$` unless it has them. So `a|b` is `^a|b$`, there as here.
fn whole(pattern: &str) -> Result<Regex, String> {
    let begin = if pattern.starts_with('^') { "" } else { "^" };
    let end = if pattern.ends_with('$') { "" } else { "$" };
    let whole = format!("{begin}{pattern}{end}");
    RegexBuilder::new(&whole).size_limit(MAX_REGEX).build().map_err(|error| {
        // The last line says what; those before it show where.
        let error = error.to_string();
        let what = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("invalid regex `{whole}`: error parsing regexp: {what}")
    })
}
