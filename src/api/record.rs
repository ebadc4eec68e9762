//! The records in which output is streamed: one JSON object a line, told apart by their keys. Blank lines between them
//! only show that the stream lives.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};

use crate::engine::RunView;
use crate::job::JobName;
use crate::wire::{RunId, Stream};

/// One line of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// A run is over: the last of it.
    End {
        /// Which, and how.
        end: Box<RunView>,
    },
    /// An attempt of a run is over, and another follows.
    Retry {
        /// Which, how it ended, and when the next one is due.
        retry: Box<RunView>,
    },
    /// The engine no longer knows the run: nothing more will come of it.
    Gone {
        /// Which.
        gone: String,
    },
    /// A line that was printed.
    Line(LineRecord),
    /// Lines that did not reach this stream, because it was read too slowly.
    Dropped {
        /// How many.
        dropped: u64,
        /// Of which run.
        run: String,
    },
    /// Lines from the run's beginning that are no longer kept.
    Skipped {
        /// How many; 0: nobody knows.
        skipped: u64,
        /// Of which run.
        run: String,
    },
    /// What follows is, until the next of these, mostly of this attempt of this run. The first record of every stream of a run.
    Run {
        /// Its id.
        run: String,
        /// Of which job.
        job: JobName,
        /// Which attempt of the run, counted from 1.
        #[serde(default = "first")]
        attempt: u32,
    },
}

fn first() -> u32 {
    1
}

/// A line as it was printed, without loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRecord {
    /// When it was read.
    pub at: Timestamp,
    /// Of which run.
    pub run: String,
    /// From which of its outputs.
    pub stream: Stream,
    /// The line where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    text: Option<String>,
    /// The line where it is not, in base 64.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    base64: Option<String>,
    /// No newline ended it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub open: bool,
}

impl LineRecord {
    /// The line's bytes; what is no base 64 is taken as it stands.
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.text, &self.base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(base64)) => base64_decode(base64).unwrap_or_else(|| base64.clone().into_bytes()),
            (None, None) => Vec::new(),
        }
    }
}

/// What all lines that were read at once begin with. Their records are written as [`LineRecord`] would be, without making
/// each of them first.
#[derive(Debug)]
pub struct Lead(String);

impl Lead {
    /// Of lines of `run`.
    pub fn new(at: Timestamp, run: RunId, stream: Stream) -> Self {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        Self(format!(r#"{{"at":"{at}","run":"{run}","stream":"{stream}","#))
    }

    /// The record of one line.
    pub fn write(&self, to: &mut Vec<u8>, bytes: &[u8], open: bool) -> serde_json::Result<()> {
        to.extend_from_slice(self.0.as_bytes());
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                to.extend_from_slice(b"\"text\":");
                match may_act(bytes) && text.contains(acts) {
                    false => serde_json::to_writer(&mut *to, text)?,
                    true => text.serialize(&mut Serializer::with_formatter(&mut *to, Harmless))?,
                }
            }
            Err(_) => to.extend_from_slice(format!(r#""base64":"{}""#, base64_encode(bytes)).as_bytes()),
        }
        to.extend_from_slice(if open { b",\"open\":true}" } else { b"}" });
        Ok(())
    }
}

/// Bytes that may begin a character that acts, none of which stands outside of the strings of JSON: most texts have none.
fn may_act(text: &[u8]) -> bool {
    memchr::memchr2(0x7f, 0xc2, text).is_some()
}

/// A value as JSON that does nothing to the terminal of who looks at it. What jobs print stands in answers, too.
pub fn harmless(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let plain = serde_json::to_vec(value)?;
    if !may_act(&plain) {
        return Ok(plain);
    }
    let mut to = Vec::with_capacity(plain.len() + 64);
    value.serialize(&mut Serializer::with_formatter(&mut to, Harmless))?;
    Ok(to)
}

/// A terminal takes U+0080 to U+009F for the beginning of an escape sequence, and JSON lets them stand.
fn acts(c: char) -> bool {
    ('\u{7f}'..='\u{9f}').contains(&c)
}

/// JSON that does nothing to the terminal of who looks at it.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        fragment.split_inclusive(acts).try_for_each(|piece| {
            let plain = piece.strip_suffix(acts).unwrap_or(piece);
            to.write_all(plain.as_bytes())?;
            piece[plain.len()..].chars().try_for_each(|c| write!(to, "\\u{:04x}", u32::from(c)))
        })
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4.
fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0usize, |word, at| word << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        for place in 0..4 {
            match place <= group.len() {
                true => text.push(char::from(ALPHABET[word >> (18 - 6 * place) & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.as_bytes().chunks(4) {
        let digits = group.iter().take_while(|byte| **byte != b'=').count();
        let mut word = 0usize;
        for byte in &group[..digits] {
            word = word << 6 | ALPHABET.iter().position(|known| known == byte)?;
        }
        word <<= 6 * (4 - digits);
        bytes.extend(word.to_be_bytes()[5..].iter().take(digits.saturating_sub(1)));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(bytes: &[u8], open: bool) -> String {
        let mut text = Vec::new();
        Lead::new(Timestamp::UNIX_EPOCH, RunId(1), Stream::Stderr).write(&mut text, bytes, open).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn line(bytes: &[u8]) -> LineRecord {
        serde_json::from_str(&written(bytes, false)).unwrap()
    }

    #[test]
    fn e75_text_stays_text_and_other_bytes_become_base64() {
        let text = written("a\u{1b}[31m\"ü".as_bytes(), false);
        assert_eq!(
            text,
            r#"{"at":"1970-01-01T00:00:00Z","run":"0000000000001","stream":"stderr","text":"a\u001b[31m\"ü"}"#
        );
        let bytes = written(b"\xffab", true);
        assert!(bytes.ends_with(r#","base64":"/2Fi","open":true}"#), "{bytes}");
    }

    #[test]
    fn e75_no_record_acts_on_a_terminal() {
        // U+009B begins a sequence as ESC [ does.
        let text = written("ä\u{9b}3J\u{7f}\u{85}\"".as_bytes(), false);
        assert!(text.ends_with(r#""text":"ä\u009b3J\u007f\u0085\""}"#), "{text}");
        assert_eq!(line("ä\u{9b}3J".as_bytes()).bytes(), "ä\u{9b}3J".as_bytes());
    }

    #[test]
    fn records_are_told_apart_by_their_keys() {
        let run = RunId(9).to_string();
        let job = JobName::parse("a").unwrap();
        for record in [
            Record::Gone { gone: run.clone() },
            Record::Line(line(b"x")),
            Record::Dropped { dropped: 3, run: run.clone() },
            Record::Skipped { skipped: 3, run: run.clone() },
            Record::Run { run, job, attempt: 2 },
        ] {
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record, "{text}");
        }
    }

    proptest! {
        #[test]
        fn e75_every_byte_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..50), open: bool) {
            let text = written(&bytes, open);
            prop_assert!(!text.contains('\n'));
            match serde_json::from_str(&text).unwrap() {
                Record::Line(back) => {
                    prop_assert_eq!((back.bytes(), back.open), (bytes, open));
                    let plain: serde_json::Value = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(serde_json::to_value(&back).unwrap(), plain);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
