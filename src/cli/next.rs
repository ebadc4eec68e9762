//! `rota next`: when a schedule text, or with `--job` a job, is due, told beforehand.
//!
//! A table for people, with what changes of the clock do to the slots; with `--json` an array of RFC 3339 instants and
//! nothing else. Exit status 0 if the text is a schedule (also one that never fires), 1 if something is wrong with it,
//! the time zone or the start. Needs no daemon but for `--job`. Foreign text is shown with its control characters written out.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use clap_complete::engine::ArgValueCandidates;

use super::socket::Place;
use super::{Error, Exit, completions};
use crate::job::JobName;
use crate::schedule::{Dialect, Dst, Event, Kind, Lost, Schedule, ScheduleError, Slot, escape, parse_zone};

/// Show when a schedule is due next.
#[derive(Debug, clap::Args)]
pub struct Next {
    /// The schedule, as one argument: '*/15 * * * *'
    #[arg(value_name = "SCHEDULE", allow_hyphen_values = true, required_unless_present = "job")]
    pub expr: Option<String>,

    /// The schedule, dialect and time zone of this job, as the daemon has armed it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["expr", "dialect", "dst", "timezone"])]
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    pub job: Option<String>,

    /// Whose rules the schedule follows; see rotad-job(5)
    #[arg(long, value_name = "DIALECT", default_value = "robfig", value_parser = dialects())]
    pub dialect: Dialect,

    /// What to do with times that do not exist, or come twice, where clocks change [default: as the dialect's original]
    #[arg(long, value_name = "RULE", value_parser = rules())]
    pub dst: Option<Dst>,

    /// The time zone: its name in the tz database, UTC or local [default: local]
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,

    /// Begin after this instant, as in 2026-03-08T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    pub from: Option<String>,

    /// How many to show, at most 10000
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub count: u16,

    /// Print a JSON array of instants
    #[arg(long)]
    pub json: bool,
}

fn dialects() -> impl TypedValueParser<Value = Dialect> {
    let names = Dialect::ALL.map(|dialect| match dialect {
        Dialect::Cronexpr => PossibleValue::new(dialect.name()).alias("gorhill"),
        _ => PossibleValue::new(dialect.name()),
    });
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Dialect>())
}

fn rules() -> impl TypedValueParser<Value = Dst> {
    PossibleValuesParser::new(Dst::ALL.map(|dst| PossibleValue::new(dst.name()))).try_map(|name| name.parse::<Dst>())
}

/// Whose slots are asked for.
#[derive(Debug)]
struct Subject {
    text: String,
    /// Absent: the text is a time.
    dialect: Option<Dialect>,
    dst: Option<Dst>,
    /// Absent: the local one.
    timezone: Option<String>,
    /// What `~` draws from.
    seed: String,
    /// The next slot, where a daemon tells it: `@every` counts from the time a job was armed.
    next: Option<Timestamp>,
}

impl Subject {
    /// A schedule by itself. Its seed is its text: there is no name, and the answer should not change from call to call.
    fn of_text(args: &Next) -> Subject {
        let text = args.expr.clone().unwrap_or_default();
        let (dialect, dst, timezone) = (Some(args.dialect), args.dst, args.timezone.clone());
        Subject { seed: text.clone(), text, dialect, dst, timezone, next: None }
    }

    /// The schedule of a job.
    fn of_job(name: &str, place: &Place) -> Result<Subject, Error> {
        let job = place.client()?.job(name)?;
        let refused = |why| Err(Error::new(Exit::Failed, format!("{} {why}", job.name)));
        let Some(text) = job.schedule else { return refused("has no schedule: it runs when it is asked to") };
        if !job.enable {
            return refused("is disabled: it is never due");
        }
        let dialect = job.dialect.as_deref().map(|name| name.parse().unwrap_or_default());
        let (dst, timezone, seed, next) = (job.dst, job.timezone, job.name.to_string(), job.next);
        Ok(Subject { text, dialect, dst, timezone, seed, next })
    }
}

impl Subject {
    fn schedule(&self, zone: &TimeZone) -> Result<Schedule, ScheduleError> {
        let Some(dialect) = self.dialect else { return Schedule::once(&self.text, zone) };
        let schedule = Schedule::parse(&self.text, dialect, zone, &self.seed)?;
        Ok(self.dst.map_or(schedule.clone(), |dst| schedule.with_dst(dst)))
    }
}

/// Does it, on the standard streams.
pub fn run(args: &Next, place: &Place) -> Result<Exit, Error> {
    let subject = match &args.job {
        Some(name) => Subject::of_job(name, place)?,
        None => Subject::of_text(args),
    };
    Ok(match render_subject(&subject, args, Timestamp::now()) {
        Ok(output) => {
            // Who closes the pipe has seen enough.
            let _ = std::io::stderr().lock().write_all(output.notes.as_bytes());
            let _ = std::io::stdout().lock().write_all(output.text.as_bytes());
            Exit::Ok
        }
        Err(message) => {
            let _ = std::io::stderr().lock().write_all(message.as_bytes());
            Exit::Failed
        }
    })
}

/// What goes to standard output, and the notes beside it.
#[derive(Debug)]
pub struct Output {
    /// For standard output.
    pub text: String,
    /// For standard error: what is doubtful in the schedule.
    pub notes: String,
}

/// The output for a schedule text, or what to say instead; whole lines. `now` is where the table starts unless `--from`
/// says otherwise.
pub fn render(args: &Next, now: Timestamp) -> Result<Output, String> {
    render_subject(&Subject::of_text(args), args, now)
}

fn render_subject(subject: &Subject, args: &Next, now: Timestamp) -> Result<Output, String> {
    let zone = match &subject.timezone {
        None => parse_zone("local").map_err(|message| format!("rota next: {message}\n"))?,
        Some(name) => parse_zone(name).map_err(|message| format!("rota next: --timezone: {message}\n"))?,
    };
    let from = match &args.from {
        None => now,
        Some(text) => parse_from(text)?,
    };
    let schedule = subject.schedule(&zone).map_err(|error| explain(&subject.text, &error))?;
    // One period before the slot that is known; what is no `@every` has no anchor.
    let period_before = |next: Timestamp| next.checked_sub(schedule.next(next, next)?.duration_since(next)).ok();
    let anchor = subject.next.and_then(period_before).unwrap_or(from);
    let events = schedule.upcoming(from, anchor, usize::from(args.count));
    if args.json {
        return Ok(Output { text: json(&events, &schedule), notes: String::new() });
    }
    let mut notes = String::new();
    for doubt in schedule.doubts() {
        let _ = writeln!(notes, "rota next: note: {doubt}");
    }
    let text = if args.count == 0 {
        String::new()
    } else if schedule.is_reboot() {
        "when the machine starts\n".to_string()
    } else if slots(&events).next().is_none() {
        let whole_second = Timestamp::from_second(from.as_second()).unwrap_or(from);
        table(&events, &schedule, from) + &format!("never after {}\n", stamp(whole_second, schedule.zone()))
    } else {
        table(&events, &schedule, from)
    };
    Ok(Output { text, notes })
}

fn parse_from(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(80).flat_map(escape).collect();
        format!(
            "rota next: --from: `{shown}` is not an instant; write it with its offset, as in 2026-03-08T00:00:00Z\n"
        )
    })
}

/// The error in one line, then the text with a caret under the offending place.
fn explain(expr: &str, error: &ScheduleError) -> String {
    const BEFORE: usize = 60;
    const SHOWN: usize = 120;
    let start = expr.get(..error.at.start).map_or(0, |before| before.chars().count());
    let length = expr.get(error.at.clone()).map_or(0, |at| at.chars().count());
    let cut = if expr.chars().count() > SHOWN { start.saturating_sub(BEFORE) } else { 0 };
    let (mut line, mut carets) = (String::from("  "), String::from("  "));
    for (index, c) in expr.chars().enumerate().skip(cut).take(SHOWN) {
        let caret = if index >= start && (index - start < length.max(1)) { '^' } else { ' ' };
        for shown in escape(c) {
            line.push(shown);
            carets.extend(std::iter::repeat_n(caret, columns(shown)));
        }
    }
    if length == 0 && start >= expr.chars().count() {
        carets.push('^');
    }
    let mut text = format!("rota next: {error}\n{}\n{}\n", line.trim_end(), carets.trim_end());
    if JobName::parse(expr).is_ok() && expr.chars().all(|c| c.is_alphanumeric() || "._-".contains(c)) {
        let _ = writeln!(text, "  (the slots of a job: rota next --job {expr})");
    }
    text
}

/// How wide a terminal shows a character, near enough to put a caret under it.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x300..0x370 => 0,
        0x1100..0x1160 | 0x2e80..0xa4d0 | 0xac00..0xd7a4 | 0xf900..0xfb00 | 0xff00..0xff61 | 0x1f300..0x1fb00 => 2,
        _ => 1,
    }
}

fn json(events: &[Event], schedule: &Schedule) -> String {
    let instants: Vec<String> = slots(events).map(|slot| stamp(slot.at, schedule.zone())).collect();
    let mut text = serde_json::Value::from(instants).to_string();
    text.push('\n');
    text
}

fn slots(events: &[Event]) -> impl Iterator<Item = &Slot> {
    events.iter().filter_map(|event| match event {
        Event::Slot(slot) => Some(slot),
        Event::Lost(_) => None,
    })
}

/// RFC 3339, with `Z` for UTC and fractions where there are any.
fn stamp(at: Timestamp, zone: &TimeZone) -> String {
    const UTC: [&str; 8] = ["UTC", "Etc/UTC", "UCT", "Etc/UCT", "Universal", "Etc/Universal", "Zulu", "Etc/Zulu"];
    if zone.iana_name().is_some_and(|name| UTC.contains(&name)) {
        return at.to_string();
    }
    at.display_with_offset(zone.to_offset(at)).to_string()
}

fn table(events: &[Event], schedule: &Schedule, from: Timestamp) -> String {
    let rows: Vec<[String; 3]> =
        slots(events).map(|slot| row(&slot.at.to_zoned(schedule.zone().clone()), from)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (wall, zone, relative) = (width(0), width(1), width(2));
    let mut text = String::new();
    let mut rows = rows.iter();
    for event in events {
        let slot = match event {
            Event::Lost(lost) => {
                let _ = writeln!(text, "-- {}", loss(lost));
                continue;
            }
            Event::Slot(slot) => slot,
        };
        let Some(row) = rows.next() else { break };
        let mark = match slot.kind {
            Kind::Plain => "",
            Kind::Gap => "made up: the clock has just jumped over its time",
            Kind::FoldFirst => "first of two such times",
            Kind::FoldSecond => "second of two such times",
        };
        let line = format!("{:wall$}  {:zone$}  {:relative$}  {mark}", row[0], row[1], row[2]);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Wall time, zone, and how long until then.
fn row(at: &Zoned, from: Timestamp) -> [String; 3] {
    let wall = at.strftime("%a %Y-%m-%d %H:%M:%S%.f").to_string();
    let offset = at.strftime("%:z").to_string();
    // Zones without letters of their own are abbreviated to their offset, which stands there already.
    let zone = match at.strftime("%Z").to_string() {
        letters if letters.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("{offset} {letters}"),
        _ => offset,
    };
    [wall, zone, format!("in {}", relative(at.timestamp().duration_since(from).as_secs()))]
}

/// The two largest units of a duration.
fn relative(seconds: i64) -> String {
    const UNITS: [(i64, &str); 5] = [(365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, name) in UNITS.iter().skip(largest).take(2) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 || parts.is_empty() {
            parts.push(format!("{count}{name}"));
        }
    }
    parts.join(" ")
}

fn loss(lost: &Lost) -> String {
    let time = |at: jiff::civil::DateTime| {
        let time = at.time();
        let format = if time.second() == 0 && time.subsec_nanosecond() == 0 { "%H:%M" } else { "%H:%M:%S%.f" };
        time.strftime(format).to_string()
    };
    let date = lost.first.date();
    let whole_days = lost.jump.as_hours() >= 24;
    let why = if whole_days { "the calendar leaves it out" } else { "clocks go forward" };
    if lost.count == 1 {
        return format!("{} does not exist on {date} ({why}), no run", time(lost.first));
    }
    let least = if lost.count == Lost::MOST { "at least " } else { "" };
    let (first, last) = (time(lost.first), time(lost.last));
    format!("{first} to {last} do not exist on {date} ({why}), {least}{} runs left out", lost.count)
}
