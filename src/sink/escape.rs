//! Foreign bytes made fit to be seen: no byte of a job may move a cursor, ring a bell, or begin a line (faults E75, E76).

use memchr::memmem;

/// Appends `bytes` to `to`, with everything that does not simply show itself written `\xNN`, byte for byte. Tabs stay. Where
/// the bytes themselves contain `\x`, their backslash is written `\x5c`, so that the original can be had back.
pub fn escape(bytes: &[u8], to: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    if bytes.iter().all(plain) && memmem::find(bytes, b"\\x").is_none() {
        return to.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid().chars().peekable();
        while let Some(c) = rest.next() {
            let mut utf8 = [0; 4];
            let shown = c.encode_utf8(&mut utf8).as_bytes();
            if (c.is_control() && c != '\t') || is_invisible(c) || (c == '\\' && rest.peek() == Some(&'x')) {
                hex(shown, to);
            } else {
                to.extend_from_slice(shown);
            }
        }
        hex(chunk.invalid(), to);
    }
}

fn hex(bytes: &[u8], to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        to.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Characters that change how a line is shown without being seen: separators, bidi overrides and marks, zero widths, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        escape(bytes, &mut text);
        text
    }

    /// The way back.
    fn unescaped(mut text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((first, rest)) = text.split_first() {
            if text.starts_with(b"\\x") {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&text[2..4]).unwrap(), 16).unwrap());
                text = &text[4..];
            } else {
                bytes.push(*first);
                text = rest;
            }
        }
        bytes
    }

    #[test]
    fn e75_e76_what_is_seen_of_foreign_bytes() {
        for (bytes, seen) in [
            (&b"plain\ttext"[..], "plain\ttext"),
            ("Grüße │ 日本".as_bytes(), "Grüße │ 日本"),
            (b"\x1b[2J\x07\r\0", "\\x1b[2J\\x07\\x0d\\x00"),
            (b"\xff\xc3", "\\xff\\xc3"),
            ("\u{9b}31m\u{202e}".as_bytes(), "\\xc2\\x9b31m\\xe2\\x80\\xae"),
            (b"C:\\temp \\x41", "C:\\temp \\x5cx41"),
        ] {
            assert_eq!(escaped(bytes), seen.as_bytes(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn e75_nothing_is_lost_and_nothing_moves_the_cursor(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = escaped(&bytes);
            let shown = std::str::from_utf8(&text).unwrap();
            prop_assert!(shown.chars().all(|c| c == '\t' || !c.is_control()));
            prop_assert_eq!(unescaped(&text), bytes);
        }
    }
}
