//! JSON as Go's `encoding/json` writes it: what receives beats has only ever seen that.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// Writes a value: keys sorted, numbers as they are after they went through a float64.
pub fn value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => float(out, number),
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                self::value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => object(out, map),
    }
}

/// Writes an object, its keys sorted by their bytes.
pub fn object(out: &mut String, map: &Map<String, Value>) {
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    out.push('{');
    for (at, (key, item)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(out, key);
        out.push(':');
        value(out, item);
    }
    out.push('}');
}

/// Writes a string with its quotes.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    text.chars().for_each(|c| character(out, c));
    out.push('"');
}

/// Writes a character of a string. Also `<`, `>`, `&` and the two line ends of Unicode are escaped, as Go does for HTML.
pub fn character(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        _ => out.push(c),
    }
}

fn float(out: &mut String, number: &Number) {
    let float = number.as_f64().unwrap_or_default();
    let plain = float == 0.0 || (1e-6..1e21).contains(&float.abs());
    let text = if plain { format!("{float}") } else { format!("{float:e}") };
    match text.split_once('e') {
        Some((digits, power)) if !power.starts_with('-') => drop(write!(out, "{digits}e+{power}")),
        _ => out.push_str(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        value(&mut out, &serde_json::from_str(text).unwrap());
        out
    }

    #[test]
    fn as_go_writes_it() {
        for (read, write) in [
            ("12345678901234567", "12345678901234568"),
            ("9007199254740993", "9007199254740992"),
            ("1e30", "1e+30"),
            ("1e21", "1e+21"),
            ("100000000000000000000", "100000000000000000000"),
            ("1.50", "1.5"),
            ("-0.0", "-0"),
            ("3", "3"),
            ("-7", "-7"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.5e300", "1.5e+300"),
            ("18446744073709551615", "18446744073709552000"),
            (r#"{"b":1,"a":[null,true,{"z":"","B":0}]}"#, r#"{"a":[null,true,{"B":0,"z":""}],"b":1}"#),
            (
                r#""<a href=\"x\">&\u2028\u0001\u007f\u00e9\t\b""#,
                "\"\\u003ca href=\\\"x\\\"\\u003e\\u0026\\u2028\\u0001\u{7f}é\\t\\u0008\"",
            ),
            (r#"{"a<":1}"#, r#"{"a\u003c":1}"#),
        ] {
            assert_eq!(written(read), write);
        }
    }
}
