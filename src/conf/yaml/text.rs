//! From the bytes of a file to text, and from a place in the text to what a person is shown.

#![expect(clippy::result_large_err, reason = "a finding is made once per broken file, never in a loop that counts")]

use crate::job::{Finding, Place};

/// Longest file that is parsed, in bytes. The parser's worst case grows with the square of it.
pub const MAX_FILE: usize = 64 << 10;
/// Most brackets that are opened and not closed. The parser goes over all open ones with every token: 60,000 of them would
/// keep it busy for ten seconds. Brackets in comments and quotes count along, which no real file comes near.
const MAX_OPEN: i32 = 200;
/// Most of them in all, with those that are forgotten where a line begins with a dash.
const MAX_UNCLOSED: i32 = 2000;
/// Longest snippet, in characters.
const SNIPPET: usize = 120;

/// The text of a file: at most [`MAX_FILE`] bytes of UTF-8 without NUL; a byte order mark at its start is left out.
pub fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Finding> {
    decode_within(file, bytes, MAX_FILE)
}

/// The same with another limit, in bytes.
pub fn decode_within<'a>(file: &str, bytes: &'a [u8], most: usize) -> Result<&'a str, Finding> {
    if bytes.len() > most {
        return Err(longer_than(file, most));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let message = format!("the file is not UTF-8: byte {at} is 0x{:02x}", bytes.get(at).copied().unwrap_or(0));
        let good = std::str::from_utf8(bytes.get(..at).unwrap_or_default()).unwrap_or_default();
        Finding::error("not-utf8", file, message)
            .hint("save the file as UTF-8")
            .at(Some(place_of_byte(good, good.len())))
    })?;
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err(Finding::error("nul-byte", file, format!("a NUL byte at byte {at}: this is no text file"))
            .at(Some(place_of_byte(text, at))));
    }
    if let Some(at) = too_deep(bytes) {
        let message = format!("more than {MAX_OPEN} brackets are opened and not closed");
        return Err(Finding::error("yaml-syntax", file, message).at(Some(place_of_byte(text, at))));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Where there are more than [`MAX_OPEN`] open brackets. A line that begins with a dash begins anew: within brackets the
/// parser stops at it, so none that was opened before is open there, but for quotes that go over lines.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let mut open = 0;
    let mut unclosed = 0;
    let mut first = true;
    bytes.iter().enumerate().position(|(at, byte)| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = (open - 1).max(0),
            b'-' if first && matches!(bytes.get(at + 1), Some(b' ')) => unclosed += std::mem::take(&mut open),
            _ => {}
        }
        first = *byte == b'\n' || first && *byte == b' ';
        open > MAX_OPEN || unclosed > MAX_UNCLOSED
    })
}

/// The finding about a file longer than [`MAX_FILE`].
pub(crate) fn too_large(file: &str) -> Finding {
    longer_than(file, MAX_FILE)
}

fn longer_than(file: &str, most: usize) -> Finding {
    Finding::error("too-large", file, format!("the file is larger than {} KiB and was not read", most >> 10))
        .hint("put long scripts into a file of their own and name it as command")
}

fn place_of_byte(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    place(text, before.matches('\n').count() + 1, column)
}

/// A place with its line, tabs and control characters made harmless and cut where a terminal would wrap.
pub fn place(text: &str, line: usize, column: usize) -> Place {
    let found = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default().trim_end_matches('\r');
    // What stands after the word is nobody's business: findings end up in logs.
    let lower = found.to_ascii_lowercase();
    let ends = ["token", "://", "headers"].into_iter().filter_map(|word| Some(lower.find(word)? + word.len()));
    let open = ends.min().unwrap_or(found.len());
    let (found, secret) = found.split_at(open);
    let mut snippet = String::new();
    for (count, c) in found.chars().enumerate() {
        if count == SNIPPET {
            snippet.push('…');
            break;
        }
        // One character each, so that the caret stands under the right one.
        snippet.push(match c {
            '\t' => ' ',
            c if c.is_control() || is_turning(c) => '\u{fffd}',
            c => c,
        });
    }
    if !secret.is_empty() && !snippet.ends_with('…') {
        snippet.push('…');
    }
    Place { line, column, snippet }
}

/// Characters that are not seen but turn the text around.
fn is_turning(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b33_bytes_that_are_no_text() {
        assert_eq!(decode("a", b"\xef\xbb\xbfname: x").unwrap(), "name: x");
        let finding = decode("a", b"x: 1\ny: \xff\n").unwrap_err();
        assert_eq!((finding.code, finding.place.as_ref().unwrap().line), ("not-utf8", 2));
        assert!(finding.message.contains("byte 8 is 0xff"), "{finding}");
        let finding = decode("a", b"x: \0").unwrap_err();
        assert_eq!((finding.code, finding.place.unwrap().column), ("nul-byte", 4));
        assert_eq!(decode("a", &vec![b'#'; MAX_FILE + 1]).unwrap_err().code, "too-large");
    }

    #[test]
    fn snippets_are_short_and_harmless() {
        let shown = place("a\n\u{1b}[2J\u{202e}x\r\n", 2, 1).snippet;
        assert_eq!(shown, "\u{fffd}[2J\u{fffd}x");
        assert_eq!(place("  access_TOKEN: [abc]", 1, 17).snippet, "  access_TOKEN…");
        assert_eq!(place(&"é".repeat(500), 1, 1).snippet.chars().count(), SNIPPET + 1);
    }
}
