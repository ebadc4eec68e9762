//! What robfig's parser says of a text that it refuses. Operators grep for these sentences, and monitors match them.

/// The sentence of version 3; `None` for a text that it takes, or that only we refuse.
pub fn of(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("empty spec string".into());
    }
    let mut text = text;
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        let (zone, rest) = text.split_once(' ')?;
        let zone = zone.split_once('=')?.1;
        if !zone.is_empty() && zone != "Local" && crate::schedule::parse_zone(zone).is_err() {
            return Some(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        text = rest.trim();
    }
    if text.starts_with('@') {
        return match text.strip_prefix("@every ") {
            Some(period) => crate::schedule::go_duration(period)
                .err()
                .map(|_| format!("failed to parse duration {text}: time: invalid duration {period:?}")),
            None => Some(format!("unrecognized descriptor: {text}")),
        };
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if !matches!(words.len(), 5 | 6) {
        return Some(format!("expected 5 to 6 fields, found {}: [{}]", words.len(), words.join(" ")));
    }
    let fields = &FIELDS[6 - words.len()..];
    words.iter().zip(fields).find_map(|(word, field)| {
        word.split(',').filter(|item| !item.is_empty()).find_map(|item| field.complaint(item).err())
    })
}

/// The same in the words of version 1, by which `/schedule/change` looked at a text first.
pub fn of_change(text: &str) -> Option<String> {
    let complaint = of(text)?;
    let complaint = match complaint.strip_prefix("expected 5 to 6 fields") {
        Some(_) => complaint.replacen(": [", ": ", 1).trim_end_matches(']').to_owned(),
        None => complaint,
    };
    let mut rest = complaint.chars();
    Some(rest.next()?.to_ascii_uppercase().to_string() + rest.as_str())
}

struct Field {
    min: u32,
    max: u32,
    /// Of three letters each; the first is `min`.
    names: &'static str,
}

const FIELDS: [Field; 6] = [
    Field { min: 0, max: 59, names: "" },
    Field { min: 0, max: 59, names: "" },
    Field { min: 0, max: 23, names: "" },
    Field { min: 1, max: 31, names: "" },
    Field { min: 1, max: 12, names: "janfebmaraprmayjunjulaugsepoctnovdec" },
    Field { min: 0, max: 6, names: "sunmontuewedthufrisat" },
];

impl Field {
    fn complaint(&self, item: &str) -> Result<(), String> {
        let parts: Vec<&str> = item.split('/').collect();
        let ends: Vec<&str> = parts[0].split('-').collect();
        let (mut low, mut high) = (self.min, self.max);
        if !matches!(ends[0], "*" | "?") {
            low = self.value(ends[0], item)?;
            high = match ends[..] {
                [_] if parts.len() == 2 => self.max,
                [_] => low,
                [_, high] => self.value(high, item)?,
                _ => return Err(format!("too many hyphens: {item}")),
            };
        }
        let step = match parts[..] {
            [_] => 1,
            [_, step] => number(step, item)?,
            _ => return Err(format!("too many slashes: {item}")),
        };
        let Field { min, max, .. } = self;
        if low < *min {
            return Err(format!("beginning of range ({low}) below minimum ({min}): {item}"));
        }
        if high > *max {
            return Err(format!("end of range ({high}) above maximum ({max}): {item}"));
        }
        if low > high {
            return Err(format!("beginning of range ({low}) beyond end of range ({high}): {item}"));
        }
        match step {
            0 => Err(format!("step of range should be a positive number: {item}")),
            _ => Ok(()),
        }
    }

    fn value(&self, word: &str, item: &str) -> Result<u32, String> {
        let mut names = (self.min..).zip(self.names.as_bytes().chunks(3));
        match names.find(|(_, name)| word.as_bytes().eq_ignore_ascii_case(name)) {
            Some((value, _)) => Ok(value),
            None => number(word, item),
        }
    }
}

fn number(word: &str, item: &str) -> Result<u32, String> {
    match word.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {item}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => Err(format!("failed to parse int from {item}: strconv.Atoi: parsing {word:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{Dialect, Schedule};

    #[test]
    fn sentences_of_the_original() {
        for (text, sentence) in [
            ("bogus", "expected 5 to 6 fields, found 1: [bogus]"),
            ("* * * *", "expected 5 to 6 fields, found 4: [* * * *]"),
            ("70 * * * *", "end of range (70) above maximum (59): 70"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("59-0 * * * *", "beginning of range (59) beyond end of range (0): 59-0"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("X * * * *", "failed to parse int from X: strconv.Atoi: parsing \"X\": invalid syntax"),
            ("@EVERY 1s", "unrecognized descriptor: @EVERY 1s"),
            ("@every 1x", "failed to parse duration @every 1x: time: invalid duration \"1x\""),
            ("CRON_TZ=No/Where * * * * *", "provided bad location No/Where: unknown time zone No/Where"),
        ] {
            assert_eq!(of(text).as_deref(), Some(sentence), "{text}");
        }
        assert_eq!(of_change("bogus").as_deref(), Some("Expected 5 to 6 fields, found 1: bogus"));
        assert_eq!(of_change("70 * * * *").as_deref(), Some("End of range (70) above maximum (59): 70"));
    }

    proptest! {
        #[test]
        fn nothing_good_is_complained_of(text in "[0-9*/,-]{1,4} [0-9*]{1,2} [1-9?] (jan|FEB|\\*) (sun-tue|[0-7])") {
            if Schedule::parse(&text, Dialect::Robfig, &TimeZone::UTC, "").is_ok() {
                prop_assert_eq!(of(&text), None);
            }
        }
    }
}
