//! Templates: a text with places that an alarm fills: `{"text": "{{message}}"}`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest template, in bytes.
const MAX: usize = 16 << 10;

/// Most places.
const MAX_PLACES: usize = 32;

/// The names that a place may have.
pub const NAMES: [&str; 17] = [
    "job",
    "on",
    "reason",
    "message",
    "subject",
    "host",
    "at",
    "run",
    "slot",
    "outcome",
    "code",
    "since",
    "count",
    "next_attempt",
    "next_slot",
    "tail",
    "json",
];

/// A text with places.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    text: String,
    /// It is JSON: what fills a place is written as the inside of a JSON string.
    json: bool,
}

/// Without its text: it may hold a secret.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({} bytes)", self.text.len())
    }
}

/// A part of a template.
enum Part<'a> {
    Text(&'a str),
    Place(&'a str),
}

impl Template {
    /// Reads a template; a sentence says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX {
            return Err(format!("at most {} KiB", MAX >> 10));
        }
        let json = text.trim_start().starts_with(['{', '[']) && !text.trim_start().starts_with("{{");
        let template = Self { text: text.to_owned(), json };
        if template.parts().filter(|part| matches!(part, Part::Place(_))).count() > MAX_PLACES {
            return Err(format!("at most {MAX_PLACES} places"));
        }
        for part in template.parts() {
            if let Part::Place(name) = part
                && !NAMES.contains(&name)
            {
                let known = NAMES.join(" ");
                return Err(format!("it has a place '{{{{…}}}}' of an unknown name\nknown names: {known}"));
            }
        }
        // `0` is a number outside a string, and harmless within one.
        if json && serde_json::from_str::<serde_json::Value>(&template.fill(|_| "0".into())).is_err() {
            return Err("it begins as JSON and is none\nwrite places within quotes: {\"text\": \"{{message}}\"}".into());
        }
        Ok(template)
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It makes JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The text with every place filled by `value`. What is JSON stays JSON, whatever fills it: within quotes a value is the
    /// inside of a string; elsewhere it is a number where it is one, nothing is `null`, and all else is a string of its own.
    pub fn fill(&self, mut value: impl FnMut(&str) -> String) -> String {
        let mut filled = String::with_capacity(self.text.len());
        let mut quotes = Quotes::default();
        for part in self.parts() {
            match part {
                Part::Text(text) => {
                    filled.push_str(text);
                    quotes.pass(text);
                }
                Part::Place(name) if !self.json => filled.push_str(&value(name)),
                Part::Place(name) if quotes.within => filled.push_str(&inside(&value(name))),
                // The alarms as JSON are a value of their own.
                Part::Place(name) if name == "json" => filled.push_str(&value(name)),
                Part::Place(name) => filled.push_str(&alone(value(name))),
            }
        }
        filled
    }

    /// A `{{` without its `}}` is text.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut rest = self.text.as_str();
        let mut place = None;
        std::iter::from_fn(move || {
            if let Some(name) = place.take() {
                return Some(Part::Place(name));
            }
            if rest.is_empty() {
                return None;
            }
            let found = rest.split_once("{{").and_then(|(before, after)| {
                let (name, after) = after.split_once("}}")?;
                Some((before, name.trim(), after))
            });
            let Some((before, name, after)) = found else { return Some(Part::Text(std::mem::take(&mut rest))) };
            (rest, place) = (after, Some(name));
            Some(Part::Text(before))
        })
    }
}

/// Whether a place of a JSON text is within a string.
#[derive(Default)]
struct Quotes {
    within: bool,
    escaped: bool,
}

impl Quotes {
    fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            let escaped = std::mem::take(&mut self.escaped);
            match byte {
                b'\\' if self.within => self.escaped = !escaped,
                b'"' if !escaped => self.within = !self.within,
                _ => {}
            }
        }
    }
}

/// A text as a value of JSON.
fn alone(text: String) -> String {
    match text.as_str() {
        "" => "null".to_owned(),
        number if number.parse::<i64>().is_ok_and(|read| read.to_string() == number) => text,
        _ => serde_json::Value::from(text).to_string(),
    }
}

/// A text as the inside of a JSON string.
fn inside(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_json_stays_json() {
        let template =
            Template::parse(r#"{"text": "{{ job }}: {{message}}", "n": {{count}}, "all": {{json}}}"#).unwrap();
        let text = template.fill(|name| match name {
            "count" => "3".into(),
            "json" => r#"{"a":"\n"}"#.into(),
            name => format!("{name} \"x\"\r\n\u{1}\\"),
        });
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["text"], "job \"x\"\r\n\u{1}\\: message \"x\"\r\n\u{1}\\");
        assert_eq!((read["n"].as_i64(), &read["all"]["a"]), (Some(3), &"\n".into()));
        let plain = Template::parse("{{job}} is \"{{on}}\" {{").unwrap();
        assert_eq!((plain.is_json(), plain.fill(|name| name.into())), (false, "job is \"on\" {{".into()));
        // What fills a place is not looked at again.
        assert_eq!(plain.fill(|_| "{{job}}".into()), "{{job}} is \"{{job}}\" {{");
    }

    #[test]
    fn i118_json_stays_json_whatever_fills_it() {
        let text =
            r#"{"code": {{code}}, "in": "\\\"{{code}}", "why": {{reason}}, "of": "{{ json }}", "all": {{json}}}"#;
        let template = Template::parse(text).unwrap();
        for hostile in ["", "7", "-1", "007", "1, \"channel\": 2", "\"", "\\", "null", "true", "[1]", "\n\u{1}\u{2028}"]
        {
            let filled = template.fill(|name| match name {
                "json" => r#"{"alarms": ["\\\""]}"#.into(),
                _ => hostile.into(),
            });
            let read: serde_json::Value = serde_json::from_str(&filled).unwrap_or_else(|why| panic!("{why}: {filled}"));
            let (code, why) = (&read["code"], &read["why"]);
            assert_eq!(read.as_object().unwrap().len(), 5, "{filled}");
            assert_eq!(code, why);
            assert!(
                match hostile {
                    "" => code.is_null(),
                    "7" | "-1" => code.as_i64() == hostile.parse().ok(),
                    _ => code == hostile,
                },
                "{filled}"
            );
            assert_eq!(read["in"], format!("\\\"{hostile}"));
            assert_eq!((&read["of"], &read["all"]["alarms"][0]), (&r#"{"alarms": ["\\\""]}"#.into(), &"\\\"".into()));
        }
    }

    #[test]
    fn what_is_no_template() {
        for bad in ["{{jobs}}", "{{}}", "{\"a\": {{job}", "{\"a\": \"{{job}}\"", "[1, {{x}}]", &"x".repeat(20_000)] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
