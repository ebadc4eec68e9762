//! A schedule text field by field: what stands in each, and whether a wall time fits it.
//!
//! Read anew from the text when somebody asks: what a schedule needs to be armed is less, and there are ten thousand.

use jiff::civil::DateTime;

use super::calendar::{Seconds, Span};
use super::days::Days;
use super::explain::Field;
use super::field::{Set, Unit, Word};
use super::{Dialect, Schedule, cronexpr, robfig, systemd, vixie};

/// What a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Year,
}

/// What a field asks for.
#[derive(Debug)]
pub(super) enum Test {
    Values(Set),
    Seconds(Seconds),
    /// Any of these boxes.
    Days(Vec<Days>),
    Years(Vec<Span>),
}

/// A field as written.
#[derive(Debug)]
pub(super) struct Part {
    name: Name,
    text: String,
    test: Test,
}

impl Part {
    pub(super) fn new(name: Name, text: &str, test: Test) -> Part {
        Part { name, text: text.to_string(), test }
    }
}

/// All of a text.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) parts: Vec<Part>,
    /// A day fits that fits the day of month or the day of week; else it must fit both.
    pub(super) either_day: bool,
    /// How fields are joined and what a name stands for, where that needs saying.
    pub(super) rules: Vec<String>,
}

impl Layout {
    /// `None` for a schedule without fields.
    pub(super) fn of(schedule: &Schedule) -> Option<Layout> {
        if !schedule.follows_the_wall() {
            return None;
        }
        let text = schedule.text();
        let mut layout = match schedule.dialect()? {
            Dialect::Robfig => robfig::layout(text),
            Dialect::Cronexpr => cronexpr::layout(text),
            Dialect::Vixie => vixie::layout(text, schedule.0.seed.as_deref().unwrap_or_default()),
            Dialect::Systemd => systemd::layout(text),
        }?;
        layout.say_how_days_are_joined();
        Some(layout)
    }

    fn say_how_days_are_joined(&mut self) {
        let restricted = |part: &&Part| match (&part.test, part.name) {
            (Test::Values(set), Name::DayOfMonth) => *set != Unit::DOM.all(),
            (Test::Values(set), Name::DayOfWeek) => *set != Unit::DOW.all(),
            (Test::Days(_), _) => true,
            _ => false,
        };
        let both = self.parts.iter().filter(restricted).count() == 2;
        if self.either_day {
            self.rules
                .push("day of month and day of week are both given: a day that fits either of them is enough".into());
        } else if both {
            self.rules.push("day of month and day of week must both fit".into());
        }
    }

    /// The fields against a wall time.
    pub(super) fn fields(&self, wall: DateTime) -> Vec<Field> {
        let field = |part: &Part| Field {
            name: part.name.text().to_string(),
            text: part.text.clone(),
            value: part.name.shown(wall),
            fits: part.fits(wall),
        };
        self.parts.iter().map(field).collect()
    }

    /// Do they all fit, by the rules?
    pub(super) fn fits(&self, wall: DateTime) -> bool {
        let (days, others): (Vec<&Part>, Vec<&Part>) = self.parts.iter().partition(|part| part.name.is_day());
        let mut days = days.iter().map(|part| part.fits(wall));
        let day = if self.either_day { days.any(|fits| fits) } else { days.all(|fits| fits) };
        day && others.iter().all(|part| part.fits(wall))
    }
}

impl Part {
    fn fits(&self, wall: DateTime) -> bool {
        match &self.test {
            Test::Values(set) => set.contains(self.name.value(wall)),
            Test::Years(spans) => {
                let year = self.name.value(wall);
                spans.iter().any(|span| span.at_or_after(year) == Some(year))
            }
            Test::Days(boxes) => boxes.iter().any(|days| days.has(wall.date())),
            Test::Seconds(seconds) => {
                let nanos = i64::from(wall.second()) * 1_000_000_000 + i64::from(wall.subsec_nanosecond());
                nanos % 1000 == 0 && seconds.has(nanos / 1000)
            }
        }
    }
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Name::Second => Unit::SECOND.name,
            Name::Minute => Unit::MINUTE.name,
            Name::Hour => Unit::HOUR.name,
            Name::DayOfMonth => Unit::DOM.name,
            Name::Month => Unit::MONTH.name,
            Name::DayOfWeek => Unit::DOW.name,
            Name::Year => "year",
        }
    }

    fn is_day(self) -> bool {
        matches!(self, Name::DayOfMonth | Name::DayOfWeek)
    }

    /// What the clock says, as a number; Sunday is 0.
    fn value(self, wall: DateTime) -> u32 {
        let number = match self {
            Name::Second => wall.second(),
            Name::Minute => wall.minute(),
            Name::Hour => wall.hour(),
            Name::DayOfMonth => wall.day(),
            Name::Month => wall.month(),
            Name::DayOfWeek => wall.weekday().to_sunday_zero_offset(),
            Name::Year => return u32::try_from(wall.year()).unwrap_or(0),
        };
        u32::from(number.unsigned_abs())
    }

    fn shown(self, wall: DateTime) -> String {
        match self {
            Name::Second => wall.strftime("%-S%.f").to_string(),
            Name::Month => wall.strftime("%-m (%b)").to_string(),
            Name::DayOfWeek => wall.strftime("%w (%a)").to_string(),
            _ => self.value(wall).to_string(),
        }
    }
}

/// The five fields that the cron dialects share, in their order.
pub(super) fn five(words: [Word; 5], tests: [Test; 5]) -> Vec<Part> {
    let names = [Name::Minute, Name::Hour, Name::DayOfMonth, Name::Month, Name::DayOfWeek];
    let parts = names.into_iter().zip(words).zip(tests);
    parts.map(|((name, word), test)| Part::new(name, word.text, test)).collect()
}

/// The sentence for a word that stands for fields.
pub(super) fn stands_for(word: &str, fields: &str) -> String {
    format!("`{word}` stands for `{fields}`")
}
