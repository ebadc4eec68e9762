//! Writing JSON as Go's `encoding/json` does where a client could see the difference: `<`, `>`, `&`, U+2028 and U+2029 are
//! escaped, an instant is RFC 3339 in the daemon's zone.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// How Go writes its zero time.
const NEVER: &str = "\"0001-01-01T00:00:00Z\"";

/// Any value.
pub fn value(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    // A Vec takes everything, and the shapes here have text keys.
    let _cannot_fail = value.serialize(&mut Serializer::with_formatter(&mut out, Go));
    out
}

/// A text, between quotes.
pub fn text(out: &mut Vec<u8>, text: &str) {
    let _cannot_fail = text.serialize(&mut Serializer::with_formatter(out, Go));
}

/// An instant on the wall clock of `zone`, between quotes; nothing is Go's zero time.
pub fn time(out: &mut Vec<u8>, at: Option<Timestamp>, zone: &TimeZone) {
    let Some(at) = at else { return out.extend_from_slice(NEVER.as_bytes()) };
    let offset = zone.to_offset(at);
    let wall = offset.to_datetime(at);
    let (date, time, offset) = (wall.date(), wall.time(), offset.seconds());
    // Ten thousand rows have forty thousand of these: no formatting machinery.
    let two = |number: i8| [b'0' + number.unsigned_abs() / 10 % 10, b'0' + number.unsigned_abs() % 10];
    let century = i8::try_from(date.year() / 100).unwrap_or_default();
    let in_century = i8::try_from(date.year() % 100).unwrap_or_default();
    out.push(b'"');
    out.extend_from_slice(&two(century));
    out.extend_from_slice(&two(in_century));
    for (before, number) in
        [(b'-', date.month()), (b'-', date.day()), (b'T', time.hour()), (b':', time.minute()), (b':', time.second())]
    {
        out.push(before);
        out.extend_from_slice(&two(number));
    }
    if time.subsec_nanosecond() != 0 {
        let fraction = format!(".{:09}", time.subsec_nanosecond());
        out.extend_from_slice(fraction.trim_end_matches('0').as_bytes());
    }
    let _cannot_fail = match offset / 60 {
        0 => out.write_all(b"Z\""),
        minutes => {
            let sign = if minutes < 0 { '-' } else { '+' };
            write!(out, "{sign}{:02}:{:02}\"", minutes.abs() / 60, minutes.abs() % 60)
        }
    };
}

struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        // Most have none of them: 0xe2 begins the two separators, and others.
        if !rest.bytes().any(|byte| matches!(byte, b'<' | b'>' | b'&' | 0xe2)) {
            return CompactFormatter.write_string_fragment(out, rest);
        }
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, special) = rest.split_at(at);
            CompactFormatter.write_string_fragment(out, before)?;
            let Some(c) = special.chars().next() else { break };
            write!(out, "\\u{:04x}", u32::from(c))?;
            rest = &special[c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_escapes() {
        let escaped = |given: &str| {
            let mut out = Vec::new();
            text(&mut out, given);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped("a<b>&\u{2028}\u{2029}c\"\n"), r#""a\u003cb\u003e\u0026\u2028\u2029c\"\n""#);
        assert_eq!(escaped("> f 2>&1"), r#""\u003e f 2\u003e\u00261""#);
        assert_eq!(value(&["<"]), br#"["\u003c"]"#);
    }

    #[test]
    fn instants_as_go_writes_them() {
        let zone = |name: &str| crate::schedule::parse_zone(name).unwrap();
        for (at, name, text) in [
            (None, "Asia/Shanghai", "0001-01-01T00:00:00Z"),
            (Some("2026-11-20T16:00:00Z"), "UTC", "2026-11-20T16:00:00Z"),
            (Some("2026-11-20T16:00:00Z"), "Asia/Shanghai", "2026-11-21T00:00:00+08:00"),
            (Some("2026-11-20T16:00:00.120Z"), "America/St_Johns", "2026-11-20T12:30:00.12-03:30"),
        ] {
            let mut out = Vec::new();
            time(&mut out, at.map(|at| at.parse().unwrap()), &zone(name));
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{text}\""));
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(given in any::<String>()) {
            let mut out = Vec::new();
            text(&mut out, &given);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), given);
            prop_assert!(!out.iter().any(|byte| b"<>&".contains(byte)));
        }
    }
}
