//! What a schedule says of an instant, for people.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::table;
use super::term::{Colour, Term, visible};
use crate::engine::ExplanationView;

/// The instant and whether it is due; a table of the fields; then a line for each rule, for what a change of the clock does
/// and for the slots around it. Times are those of the schedule's zone.
pub fn text(view: &ExplanationView, term: &Term) -> String {
    let due = if view.due { term.paint(Colour::Green, "due") } else { term.paint(Colour::Yellow, "not due") };
    let mut text = format!("{} in {}: {due}\n", view.wall.strftime("%a %Y-%m-%d %H:%M:%S%.f"), visible(&view.zone));
    let rows = view.fields.iter().map(|field| {
        let fits = if field.fits { ("fits", Colour::Plain) } else { ("does not fit", Colour::Yellow) };
        let plain = |text: &str| (visible(text), Colour::Plain);
        [plain(&field.name), plain(&field.text), plain(&field.value), (fits.0.to_owned(), fits.1)]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        text.push_str(&table(term, ["FIELD", "SCHEDULE", "CLOCK", ""], rows));
    }
    // Writing to a string does not fail.
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<7} {}", visible(value));
    };
    for rule in &view.rules {
        line("rule", rule);
    }
    if let Some(clock) = &view.clock {
        line("clock", clock);
    }
    line("before", &view.before.map_or_else(|| "none".to_owned(), |at| stamp(at, &view.zone)));
    line("after", &view.after.map_or_else(|| "never again".to_owned(), |at| stamp(at, &view.zone)));
    text
}

/// In the zone of that name, where this machine knows it.
fn stamp(at: Timestamp, zone: &str) -> String {
    match crate::schedule::parse_zone(zone).unwrap_or(TimeZone::UTC) {
        zone if zone == TimeZone::UTC => at.strftime("%a %Y-%m-%d %H:%M:%S%.fZ").to_string(),
        zone => at.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M:%S%.f%:z").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Dialect, Schedule, parse_zone};

    #[test]
    fn an_instant_is_explained_field_by_field() {
        let zone = parse_zone("Europe/Berlin").unwrap();
        let schedule = Schedule::parse("30 2 * * 1-5", Dialect::Robfig, &zone, "").unwrap();
        let term = Term { terminal: false, colour: false, width: None };
        let at: Timestamp = "2027-03-28T01:00:00Z".parse().unwrap();
        let expected = "\
Sun 2027-03-28 03:00:00 in Europe/Berlin: not due
FIELD         SCHEDULE  CLOCK
second        0         0        fits
minute        30        0        does not fit
hour          2         3        does not fit
day of month  *         28       fits
month         *         3 (Mar)  fits
day of week   1-5       0 (Sun)  does not fit
clock   clocks have just gone forward from 02:00 to 03:00, and leave no time of the schedule out
before  Fri 2027-03-26 02:30:00+01:00
after   Mon 2027-03-29 02:30:00+02:00
";
        assert_eq!(text(&schedule.explain(at, at), &term), expected);
    }

    #[test]
    fn e75_foreign_text_does_not_act_on_a_terminal() {
        let schedule = Schedule::once("2026-12-01T02:30Z", &TimeZone::UTC).unwrap();
        let at: Timestamp = "2026-12-01T02:30:00Z".parse().unwrap();
        let mut view = schedule.explain(at, at);
        view.zone = "x\u{1b}[2J".to_owned();
        view.rules.push("\u{202e}".to_owned());
        let shown = text(&view, &Term { terminal: true, colour: false, width: Some(80) });
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
        assert!(shown.contains(": due\n") && shown.contains("after   never again"), "{shown}");
    }
}
