//! Values as YAML text that reads back as exactly them, here and in readers of the older YAML 1.1 (`yes`, `0777`, `1:30`).

use super::Value;
use crate::conf::yaml::{self, Kind};

/// How a text is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// None where none are needed, else single ones.
    Few,
    /// `'…'` where that can hold the text.
    Single,
    /// `"…"`.
    Double,
}

impl Quotes {
    /// Those that a written value has.
    pub fn of(written: &str) -> Quotes {
        match written.bytes().next() {
            Some(b'"') => Quotes::Double,
            Some(b'\'') => Quotes::Single,
            _ => Quotes::Few,
        }
    }
}

/// A value on one line.
pub fn value(value: &Value, quotes: Quotes) -> String {
    match value {
        Value::Text(text) => scalar(text, quotes),
        Value::Bool(truth) => truth.to_string(),
        Value::Texts(items) => {
            let items: Vec<String> = items.iter().map(|item| scalar(item, Quotes::Double)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// A text on one line.
pub fn scalar(text: &str, quotes: Quotes) -> String {
    match quotes {
        Quotes::Few if is_plain(text) => text.to_owned(),
        Quotes::Few | Quotes::Single if !text.chars().any(must_be_escaped) => format!("'{}'", text.replace('\'', "''")),
        _ => double(text),
    }
}

/// Reads back as itself without quotes, in a list in brackets too.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'));
    let body = |c: char| c.is_ascii_alphanumeric() || " _-./+@%=~:".contains(c);
    if !begins || !text.chars().all(body) || text.ends_with([' ', ':']) || text.contains(": ") {
        return false;
    }
    // A truth value or nothing to some reader, if not to ours.
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if words.contains(&text.to_ascii_lowercase().as_str()) {
        return false;
    }
    let read = yaml::parse(&format!("- {text}\n"));
    matches!(read.map(|node| node.kind), Ok(Kind::List(items)) if matches!(&*items, [item] if matches!(&item.kind, Kind::Text(read) if read == text)))
}

/// What YAML does not take as it is, and what a person would not see.
fn must_be_escaped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn double(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for c in text.chars() {
        match c {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            '\r' => written.push_str("\\r"),
            c if must_be_escaped(c) => match u32::from(c) {
                code @ ..=0xff => written.push_str(&format!("\\x{code:02x}")),
                code => written.push_str(&format!("\\u{code:04x}")),
            },
            c => written.push(c),
        }
    }
    written.push('"');
    written
}
