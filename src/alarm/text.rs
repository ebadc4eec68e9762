//! Alarms as texts: for people, as JSON for programs, and for templates. Bounded: [`TAIL`] of what a run printed, [`WHOLE`] in
//! all. What jobs print and are called is foreign: control characters do not get through.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::group::Message;
use super::happening::{Alarm, Told};
use super::rule::On;
use super::template::Template;

/// Bytes of output in an alarm.
pub const TAIL: usize = 4 << 10;
/// Bytes of a text.
pub const WHOLE: usize = 64 << 10;
/// The same before it is written as JSON, and before headers.
const ROOM: usize = 48 << 10;
/// Longest value of a place where a template's text is too long otherwise, in characters: it has at most 32 places.
const SHORT: usize = 200;
/// Longest reason, in characters.
const REASON: usize = 500;

/// Who speaks, and by which clock.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// The name of the machine.
    pub host: String,
    /// Its zone.
    pub zone: TimeZone,
}

/// The end of what was printed: whole lines where that leaves any, at most `most` bytes, as text.
pub fn tail(bytes: &[u8], most: usize) -> String {
    let start = bytes.len().saturating_sub(most);
    let mut kept = bytes.get(start..).unwrap_or_default();
    if start > 0
        && let Some(line) = kept.iter().position(|byte| *byte == b'\n').filter(|at| at + 1 < kept.len())
    {
        kept = kept.get(line + 1..).unwrap_or_default();
    }
    let text = String::from_utf8_lossy(kept);
    let mut text: String = text.chars().map(harmless).collect();
    // What was no text has grown.
    let over = text.len().saturating_sub(most);
    let over = (over..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(over);
    text.drain(..over);
    text
}

/// The last place up to `at` where no character is cut.
pub fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A character of foreign text: neither does anything to a terminal, nor ends a string for the operating system.
fn harmless(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// A text on one line.
pub fn one_line(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One line for all of it.
pub fn subject(message: &Message, speaker: &Speaker) -> String {
    let host = &speaker.host;
    if let ([alarm], 0) = (message.alarms.as_slice(), message.unlisted()) {
        return one_line(&format!("[{host}] {}", sentence(alarm)), 300);
    }
    let mut parts = Vec::new();
    for on in On::ALL {
        let listed = message.alarms.iter().filter(|alarm| alarm.on == on).count() as u64;
        let count = listed + message.more.get(&on).copied().unwrap_or(0);
        if count > 0 {
            parts.push(format!("{count} {on}"));
        }
    }
    let names: Vec<&str> = message.alarms.iter().take(3).map(|alarm| alarm.job.as_str()).collect();
    one_line(&format!("[{host}] {}: {}, …", parts.join(", "), names.join(", ")), 300)
}

/// What happened: `backup failed with exit code 3`.
pub fn sentence(alarm: &Alarm) -> String {
    format!("{} {}", alarm.job, one_line(&alarm.reason, REASON))
}

/// All of it for people.
pub fn body(message: &Message, speaker: &Speaker) -> String {
    let each = tail_room(message);
    let mut text = String::new();
    for alarm in &message.alarms {
        paragraph(&mut text, alarm, speaker, each);
    }
    if message.unlisted() > 0 {
        let more: Vec<String> = message.more.iter().map(|(on, count)| format!("{count} {on}")).collect();
        let _ = write!(text, "and {} more ({})", message.unlisted(), more.join(", "));
        let mut named = String::new();
        let names = message.named.iter().take_while(|name| {
            named.push_str(name);
            named.len() < 8 << 10
        });
        let _ = writeln!(text, ": {}", names.map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    cut(text)
}

fn paragraph(text: &mut String, alarm: &Alarm, speaker: &Speaker, tail_room: usize) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", sentence(alarm));
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {key:<14}{}", one_line(&value, REASON));
        }
    };
    let time = |at: Timestamp| at.to_zoned(speaker.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    let told = alarm.told.as_ref();
    line("host", Some(speaker.host.clone()));
    line("at", Some(time(alarm.at)));
    line("run", told.map(|told| told.run.clone()).filter(|run| !run.is_empty()));
    line("slot", alarm.slot.map(time));
    line("started", told.and_then(|told| told.started).map(time));
    line("since", alarm.since.filter(|since| *since != alarm.at).map(time));
    line("in a row", (alarm.count > 1 && on_runs(alarm.on)).then(|| alarm.count.to_string()));
    line("next attempt", told.and_then(|told| told.next_attempt).map(time));
    line("next slot", alarm.next_slot.map(time));
    let said = tail(alarm.tail.as_bytes(), tail_room);
    if !said.trim().is_empty() {
        let _ = writeln!(text, "  last output:");
        // Each line costs its indent.
        let skip = said.lines().count().saturating_sub(tail_room / 20);
        for line in said.lines().skip(skip) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text.push('\n');
}

fn on_runs(on: On) -> bool {
    matches!(on, On::Failure | On::StillFailing)
}

/// Bytes of output that each alarm may have, so that all of them have room.
fn tail_room(message: &Message) -> usize {
    (ROOM / 2 / message.alarms.len().max(1)).min(TAIL)
}

/// All of it for programs: at most [`WHOLE`] bytes. Output goes first where that is not enough, then the last alarms, which are
/// counted then.
pub fn json(message: &Message, speaker: &Speaker) -> String {
    let (mut room, mut listed) = (tail_room(message), message.alarms.len());
    loop {
        let alarms: Vec<Value> =
            message.alarms.iter().take(listed).map(|alarm| json_of(alarm, speaker, room)).collect();
        let dropped = message.unlisted() + message.alarms.len().saturating_sub(listed) as u64;
        let mut whole = json!({"version": 1, "host": speaker.host, "alarms": alarms, "dropped": dropped});
        if !message.more.is_empty() {
            let more = message.more.iter().map(|(on, count)| (on.word().to_owned(), Value::from(*count))).collect();
            whole["dropped_by"] = Value::Object(more);
        }
        let text = whole.to_string();
        if text.len() <= WHOLE || listed == 0 {
            return text;
        }
        // What is written as escapes takes six times its room.
        if room > 16 { room /= 4 } else { listed /= 2 }
    }
}

fn json_of(alarm: &Alarm, speaker: &Speaker, tail_room: usize) -> Value {
    let nothing = Told::default();
    let told = alarm.told.as_ref().unwrap_or(&nothing);
    let word = |word: &str| (!word.is_empty()).then(|| word.to_owned());
    json!({
        "job": alarm.job.as_str(),
        "host": speaker.host,
        "on": alarm.on,
        "at": alarm.at,
        "reason": one_line(&alarm.reason, REASON),
        "run": word(&told.run),
        "slot": alarm.slot,
        "started": told.started,
        "outcome": word(told.outcome),
        "code": told.code,
        "attempt": (told.attempt > 0).then_some(told.attempt),
        "since": alarm.since,
        "count": alarm.count,
        "next_attempt": told.next_attempt,
        "next_slot": alarm.next_slot,
        "tail": tail(alarm.tail.as_bytes(), tail_room),
    })
}

/// What a template makes of it. Places about one alarm are filled by the first.
pub fn filled(template: &Template, message: &Message, speaker: &Speaker) -> String {
    let whole = template.fill(|name| value(name, message, speaker));
    if whole.len() <= WHOLE {
        return whole;
    }
    // JSON cannot be cut at its end.
    let short = |name: &str| match name {
        "json" => {
            json!({"version": 1, "host": speaker.host, "alarms": [], "dropped": message.alarms.len()}).to_string()
        }
        name => value(name, message, speaker).chars().take(SHORT).collect(),
    };
    template.fill(short)
}

fn value(name: &str, message: &Message, speaker: &Speaker) -> String {
    let Some(alarm) = message.alarms.first() else { return String::new() };
    let told = alarm.told.as_ref();
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    match name {
        "job" => alarm.job.to_string(),
        "on" => alarm.on.to_string(),
        "reason" => one_line(&alarm.reason, REASON),
        "subject" => subject(message, speaker),
        "message" => brief(message, speaker),
        "host" => speaker.host.clone(),
        "at" => alarm.at.to_string(),
        "run" => told.map(|told| told.run.clone()).unwrap_or_default(),
        "slot" => time(alarm.slot),
        "outcome" => told.map(|told| told.outcome.to_owned()).unwrap_or_default(),
        "code" => told.and_then(|told| told.code).map(|code| code.to_string()).unwrap_or_default(),
        "since" => time(alarm.since),
        "count" => alarm.count.to_string(),
        "next_attempt" => time(told.and_then(|told| told.next_attempt)),
        "next_slot" => time(alarm.next_slot),
        "tail" => tail(alarm.tail.as_bytes(), tail_room(message)),
        "json" => json(message, speaker),
        _ => String::new(),
    }
}

/// A few lines for a chat: the sentences, and what a single run printed.
fn brief(message: &Message, speaker: &Speaker) -> String {
    let mut lines = vec![subject(message, speaker)];
    match message.alarms.as_slice() {
        [alarm] if message.unlisted() == 0 => {
            let said = tail(alarm.tail.as_bytes(), 1 << 10);
            if !said.trim().is_empty() {
                lines.push(said.trim_end().to_owned());
            }
        }
        alarms => {
            lines.extend(alarms.iter().map(sentence));
            if message.unlisted() > 0 {
                lines.push(format!("and {} more", message.unlisted()));
            }
        }
    }
    lines.join("\n")
}

/// At most [`WHOLE`] bytes.
fn cut(mut text: String) -> String {
    if text.len() > WHOLE {
        text.truncate(floor(&text, WHOLE - 16));
        text.push_str("\n…\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::alarm::tests::{alarm, target};

    fn speaker() -> Speaker {
        Speaker { host: "db1".into(), zone: TimeZone::UTC }
    }

    fn many(count: usize, tail: &str) -> Message {
        let alarms = (0..count).map(|n| Alarm { tail: tail.into(), ..alarm(&format!("j{n}"), On::Failure) }).collect();
        let more = BTreeMap::from([(On::Failure, 150)]);
        Message {
            alarms,
            more,
            named: vec!["x".into(), "y".into()],
            ..Message::of(target("ops"), alarm("a", On::Start))
        }
    }

    #[test]
    fn one_for_people_and_for_programs() {
        let message = Message::of(target("ops"), alarm("a", On::Failure));
        assert_eq!(subject(&message, &speaker()), "[db1] a failed with exit code 7");
        let text = body(&message, &speaker());
        assert!(text.starts_with("a failed with exit code 7\n") && text.contains("    boom\n"), "{text}");
        assert!(text.contains("slot          2026-11-20 10:00:00 UTC"), "{text}");
        let read: Value = serde_json::from_str(&json(&message, &speaker())).unwrap();
        assert_eq!((&read["version"], &read["host"], &read["dropped"]), (&1.into(), &"db1".into(), &0.into()));
        let one = &read["alarms"][0];
        assert_eq!((&one["job"], &one["on"], &one["code"]), (&"a".into(), &"failure".into(), &7.into()));
        assert_eq!((&one["outcome"], &one["tail"]), (&"failure".into(), &"boom\n".into()));
        assert_eq!(one["slot"], "2026-11-20T10:00:00Z");
        let template = Template::parse(r#"{"text": "{{message}}", "code": {{code}}}"#).unwrap();
        let read: Value = serde_json::from_str(&filled(&template, &message, &speaker())).unwrap();
        assert_eq!((&read["text"], &read["code"]), (&"[db1] a failed with exit code 7\nboom".into(), &7.into()));
    }

    #[test]
    fn i117_many_are_named_or_counted() {
        let message = many(50, "");
        assert!(subject(&message, &speaker()).starts_with("[db1] 200 failure: j0, j1, j2"));
        let text = body(&message, &speaker());
        assert!((0..50).all(|n| text.contains(&format!("j{n} failed"))), "{text}");
        assert!(text.contains("and 150 more (150 failure): x, y"), "{text}");
        let read: Value = serde_json::from_str(&json(&message, &speaker())).unwrap();
        assert_eq!((&read["dropped"], &read["dropped_by"]["failure"]), (&150.into(), &150.into()));
    }

    #[test]
    fn i118_whatever_jobs_print_texts_have_their_bounds_and_no_control_characters() {
        for said in ["x".repeat(1 << 20), "\u{1}\u{1b}[2J".repeat(10_000), "\"\\".repeat(50_000), "é\n".repeat(50_000)]
        {
            for count in [1, 50] {
                let message = many(count, &said);
                let text = body(&message, &speaker());
                assert!(text.len() <= WHOLE && text.contains("and 150 more"), "{}", text.len());
                assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
                let text = json(&message, &speaker());
                let read: Value = serde_json::from_str(&text).unwrap();
                let listed = read["alarms"].as_array().unwrap().len() as u64;
                assert!(text.len() <= WHOLE);
                let template = format!("[{}]", vec!["\"{{tail}}\", {{json}}"; 16].join(", "));
                let text = filled(&Template::parse(&template).unwrap(), &message, &speaker());
                assert!(text.len() <= WHOLE && serde_json::from_str::<Value>(&text).is_ok(), "{}", text.len());
                assert_eq!(listed + read["dropped"].as_u64().unwrap(), count as u64 + 150);
            }
        }
        assert_eq!(tail(b"one\ntwo\nthree\n", 10), "three\n");
        assert_eq!(tail(b"a\xff\0b", 100), "a\u{fffd}\u{fffd}b");
        assert!(tail(&[0xff; 9000], TAIL).len() <= TAIL);
    }
}
