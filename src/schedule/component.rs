//! The numbers of systemd's calendar expressions: `5`, `1..5`, `0/15`, `1..20/3`, in comma-separated lists.
//!
//! Order matters and is systemd's: a range is first cut to a multiple of its step, a range of one value becomes that
//! value, and only then are the limits checked. So `1..3/30` is 1, while `1/30` is refused because it never repeats.

use super::calendar::Span;
use super::error::{ScheduleError, quote};
use super::field::{Set, Word};

/// Where a list of components stands, and so what it may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) name: &'static str,
    pub(super) min: u32,
    pub(super) max: u32,
    /// Written in seconds with decimals, counted in microseconds.
    pub(super) micros: bool,
    /// Two digits mean a year of 1970 to 2069.
    short_years: bool,
    /// Counted from the month's end.
    from_end: bool,
}

impl Scale {
    const fn plain(name: &'static str, min: u32, max: u32) -> Scale {
        Scale { name, min, max, micros: false, short_years: false, from_end: false }
    }

    pub(super) const YEAR: Scale = Scale { short_years: true, ..Scale::plain("year", 1970, 2199) };
    pub(super) const MONTH: Scale = Scale::plain("month", 1, 12);
    pub(super) const DAY: Scale = Scale::plain("day of month", 1, 31);
    /// No further back than the shortest month is long.
    pub(super) const DAY_FROM_END: Scale = Scale { from_end: true, ..Scale::plain("day from the month's end", 1, 28) };
    pub(super) const HOUR: Scale = Scale::plain("hour", 0, 23);
    pub(super) const MINUTE: Scale = Scale::plain("minute", 0, 59);
    pub(super) const SECOND: Scale = Scale { micros: true, ..Scale::plain("second", 0, 59_999_999) };
}

/// One element of a list, as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component<'a> {
    pub(super) start: u32,
    pub(super) stop: Option<u32>,
    /// 0 if it does not repeat.
    pub(super) step: u32,
    pub(super) word: Word<'a>,
}

/// systemd's own limit on the length of a list.
const MOST: usize = 241;

/// A list, up to a character that ends one. `None` is `*`. Also gives what follows.
pub(super) fn list<'a>(word: Word<'a>, micros: bool) -> Result<(Option<Vec<Component<'a>>>, Word<'a>), ScheduleError> {
    if word.text.starts_with('*') {
        let star = Component { start: 0, stop: None, step: 1_000_000, word: Word { text: "*", start: word.start } };
        return Ok((micros.then(|| vec![star]), word.from(1)));
    }
    let mut components = Vec::new();
    let mut rest = word;
    loop {
        let (component, after) = element(rest, micros)?;
        components.push(component);
        if components.len() > MOST {
            return Err(word.error(format!("a list has at most {MOST} elements")));
        }
        match after.text.strip_prefix(',') {
            Some(_) => rest = after.from(1),
            None => return Ok((Some(components), after)),
        }
    }
}

fn element(word: Word, micros: bool) -> Result<(Component, Word), ScheduleError> {
    let (start, mut rest) = number(word, micros)?;
    let mut stop = None;
    let mut step = 0;
    if rest.text.starts_with("..") {
        let (value, after) = number(rest.from(2), micros)?;
        (stop, rest) = (Some(value), after);
        step = if micros { 1_000_000 } else { 1 };
    }
    let explicit = rest.text.starts_with('/');
    if explicit {
        let (value, after) = number(rest.from(1), micros)?;
        if value == 0 {
            return Err(rest.error("a step of 0 never gets anywhere"));
        }
        (step, rest) = (value, after);
    }
    let text = &word.text[..rest.start - word.start];
    let word = Word { text, start: word.start };
    if !matches!(rest.text.as_bytes().first(), None | Some(b' ' | b',' | b'-' | b'~' | b':')) {
        let at = rest.start..rest.start + rest.text.chars().next().map_or(0, char::len_utf8);
        return Err(ScheduleError::new(at.clone(), format!("{} is out of place here", quote(&rest.text[..at.len()]))));
    }
    if micros && !explicit && stop.is_some_and(|stop| u64::from(start) + 1_000_000 > u64::from(stop)) {
        return Err(word.error("a range of seconds is longer than a second").hint("or give a step: `0..0.5/0.1`"));
    }
    Ok((Component { start, stop, step, word }, rest))
}

/// A decimal number; with `micros`, of seconds in up to six decimals, the seventh of which rounds.
fn number(word: Word, micros: bool) -> Result<(u32, Word), ScheduleError> {
    let (digits, mut rest) = digits(word);
    let error = |message: String| Err(digits.error(message));
    if digits.text.is_empty() {
        return match word.text.chars().next() {
            None => error("a number is missing at the end".to_string()),
            Some(c) => {
                let word = Word { text: &word.text[..c.len_utf8()], start: word.start };
                Err(word.error(format!("a number is needed here, not {}", quote(word.text))))
            }
        };
    }
    let Some(mut value) = digits.number() else { return error(format!("{} is too large", quote(digits.text))) };
    if micros {
        let Some(whole) = value.checked_mul(1_000_000).filter(|&value| i32::try_from(value).is_ok()) else {
            return error(format!("{} is too large", quote(digits.text)));
        };
        value = whole;
        if rest.text.starts_with('.') && !rest.text.starts_with("..") {
            let (fraction, after) = self::digits(rest.from(1));
            if fraction.text.is_empty() {
                return Err(rest.error("decimals are missing after the point"));
            }
            value += decimals(fraction.text);
            rest = after;
        }
    }
    Ok((value, rest))
}

fn decimals(text: &str) -> u32 {
    let digit = |index: usize| text.as_bytes().get(index).map_or(0, |byte| u32::from(byte - b'0'));
    (0..6).fold(0, |value, index| value * 10 + digit(index)) + u32::from(digit(6) >= 5)
}

fn digits(word: Word) -> (Word, Word) {
    let end = word.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.text.len());
    (Word { text: &word.text[..end], start: word.start }, word.from(end))
}

impl Component<'_> {
    /// Brings it into the form in which systemd evaluates it, or says why it cannot be.
    pub(super) fn checked(mut self, scale: &Scale) -> Result<Self, ScheduleError> {
        if scale.short_years {
            self.start = full_year(self.start);
            self.stop = self.stop.map(full_year);
        }
        if let Some(stop) = self.stop
            && stop > self.start
            && self.step > 0
        {
            self.stop = Some(stop - (stop - self.start) % self.step);
        }
        if self.stop == Some(self.start) {
            self.stop = None;
            self.step = 0;
        }
        let outside = |value: u32| value < scale.min || value > scale.max;
        if outside(self.start) || self.stop.is_some_and(outside) {
            let unit = if scale.micros { 1_000_000 } else { 1 };
            return Err(self.word.error(format!(
                "{} is not a {} ({} to {})",
                quote(self.word.text),
                scale.name,
                scale.min / unit,
                scale.max / unit
            )));
        }
        let next = u64::from(self.start) + u64::from(self.step);
        let repeats = match self.stop {
            Some(stop) => next <= u64::from(stop),
            None if scale.from_end => self.start >= self.step + scale.min,
            None => next <= u64::from(scale.max),
        };
        if self.stop.is_some_and(|stop| stop < self.start) {
            return Err(self.word.error(format!("the range {} ends before it begins", quote(self.word.text))));
        }
        if !repeats || self.step > scale.max - scale.min {
            return Err(self.word.error(format!(
                "the step of {} leaves the {} before it is taken once",
                quote(self.word.text),
                scale.name
            )));
        }
        Ok(self)
    }
}

/// 12 is 2012 and 89 is 1989.
fn full_year(year: u32) -> u32 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        _ => year,
    }
}

/// The list as spans.
pub(super) fn spans(components: &[Component], scale: &Scale) -> Result<Box<[Span]>, ScheduleError> {
    components
        .iter()
        .map(|component| {
            let Component { start, stop, step, .. } = component.checked(scale)?;
            let stop = if step == 0 { start } else { stop.unwrap_or(scale.max) };
            Ok(Span { start, stop, step: step.max(1) })
        })
        .collect()
}

/// The list as a set, of units below 64.
pub(super) fn set(components: &[Component], scale: &Scale) -> Result<Set, ScheduleError> {
    let spans = spans(components, scale)?;
    Ok(spans.iter().fold(Set::default(), |set, span| set | Set::span(span.start, span.stop, span.step)))
}

/// The days of months of 31, 30, 29 and 28 days.
pub(super) fn days_by_length(components: &[Component], from_end: bool) -> Result<[Set; 4], ScheduleError> {
    if !from_end {
        return Ok([set(components, &Scale::DAY)?; 4]);
    }
    let mut days = [Set::default(); 4];
    for component in components {
        let Component { start, stop, step, .. } = component.checked(&Scale::DAY_FROM_END)?;
        for (set, length) in days.iter_mut().zip([31, 30, 29, 28]) {
            let day = |back: u32| length + 1 - back;
            *set |= match stop {
                Some(stop) => Set::span(day(stop), day(start), step),
                None if step > 0 => Set::span(day(start), length, step),
                None => Set::one(day(start)),
            };
        }
    }
    Ok(days)
}
