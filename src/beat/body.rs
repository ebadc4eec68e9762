//! The message that is handed to the beat program: its text is one argument, and must stay one that the kernel takes.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::json;

/// Longest text, in bytes. Linux refuses an argument of 128 KiB, and a message to the warden holds 160 KiB.
pub const MOST: usize = 120 << 10;
/// Room for the words about what was cut.
const NOTE: usize = 64;

/// What is common to events and metrics.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Number of the data source.
    pub bk_data_id: i64,
    /// Its key.
    pub access_token: &'a str,
    /// Address of this machine.
    pub target: &'a str,
    /// When it happened; sent in milliseconds.
    pub at: Timestamp,
    /// Dimensions, whole.
    pub dimension: &'a Map<String, Value>,
}

/// What an event says. Where all of it does not fit, the front of `output` is cut, and it is said how much.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Before the output.
    pub head: &'a str,
    /// Any bytes.
    pub output: &'a [u8],
    /// Bytes that came before them and are gone already.
    pub gone: u64,
    /// After the output.
    pub end: &'a str,
}

/// Even without content it would be too long: so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong(pub usize);

/// The text of an event.
pub fn event(frame: &Frame<'_>, name: &str, content: &Content<'_>) -> Result<String, TooLong> {
    let mut front = begin(frame);
    front.push_str("\"event_name\":");
    json::string(&mut front, name);
    front.push_str(",\"event\":{\"content\":\"");
    content.head.chars().for_each(|c| json::character(&mut front, c));
    let mut back = String::new();
    content.end.chars().for_each(|c| json::character(&mut back, c));
    back.push_str("\"},");
    place(&mut back, frame);
    back.push_str(",\"metrics\":null}]}");
    let room = MOST.checked_sub(front.len() + back.len() + NOTE).ok_or(TooLong(front.len() + back.len()))?;
    let (cut, output) = fit(content.output, room);
    let gone = content.gone.saturating_add(cut);
    if gone > 0 {
        // Writing to a string does not fail.
        let _ = write!(front, "({gone} bytes cut) ");
    }
    Ok(front + &output + &back)
}

/// The text of a metric.
pub fn metrics(frame: &Frame<'_>, name: &str, value: i64) -> Result<String, TooLong> {
    let mut text = begin(frame);
    place(&mut text, frame);
    text.push_str(",\"metrics\":{");
    json::string(&mut text, name);
    let _ = write!(text, ":{value}}}}}]}}");
    if text.len() > MOST { Err(TooLong(text.len())) } else { Ok(text) }
}

fn begin(frame: &Frame<'_>) -> String {
    let mut text = format!("{{\"bk_data_id\":{},\"access_token\":", frame.bk_data_id);
    json::string(&mut text, frame.access_token);
    text.push_str(",\"data\":[{");
    text
}

fn place(text: &mut String, frame: &Frame<'_>) {
    text.push_str("\"target\":");
    json::string(text, frame.target);
    let _ = write!(text, ",\"timestamp\":{},\"dimension\":", frame.at.as_millisecond());
    json::object(text, frame.dimension);
}

/// As much of the end of `bytes` as fits into `room` once it is escaped, and how many bytes before it do not.
fn fit(bytes: &[u8], room: usize) -> (u64, String) {
    let mut text = String::new();
    // Of each character: where it begins, in the bytes and in the text.
    let mut places = Vec::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            places.push((at, text.len()));
            json::character(&mut text, c);
            at += c.len_utf8();
        }
        if !chunk.invalid().is_empty() {
            places.push((at, text.len()));
            text.push(char::REPLACEMENT_CHARACTER);
            at += chunk.invalid().len();
        }
    }
    let over = text.len().saturating_sub(room);
    if over == 0 {
        return (0, text);
    }
    let (cut, from) = places.into_iter().find(|(_, from)| *from >= over).unwrap_or((bytes.len(), text.len()));
    (cut as u64, text.split_off(from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(dimension: &Map<String, Value>) -> Frame<'_> {
        let at = Timestamp::from_millisecond(1_795_176_000_123).unwrap();
        Frame { bk_data_id: 542_898, access_token: "evtok", target: "127.0.0.1", at, dimension }
    }

    fn content(output: &[u8]) -> Content<'_> {
        Content { head: "execute job a failed: exit status 7 [", output, gone: 0, end: "]" }
    }

    #[test]
    fn the_text_to_the_byte() {
        let dimension = serde_json::json!({"b": "<", "a": 3}).as_object().unwrap().clone();
        let event = event(&frame(&dimension), "e", &content(b"boom\n")).unwrap();
        assert_eq!(
            event,
            r#"{"bk_data_id":542898,"access_token":"evtok","data":[{"event_name":"e","event":{"content":"execute job a failed: exit status 7 [boom\n]"},"target":"127.0.0.1","timestamp":1795176000123,"dimension":{"a":3,"b":"\u003c"},"metrics":null}]}"#
        );
        let metrics = metrics(&frame(&dimension), "m", -5).unwrap();
        assert_eq!(
            metrics,
            r#"{"bk_data_id":542898,"access_token":"evtok","data":[{"target":"127.0.0.1","timestamp":1795176000123,"dimension":{"a":3,"b":"\u003c"},"metrics":{"m":-5}}]}"#
        );
    }

    #[test]
    fn a_frame_that_is_too_long_alone_is_refused() {
        let dimension = serde_json::json!({"a": "x".repeat(MOST)}).as_object().unwrap().clone();
        assert!(event(&frame(&dimension), "e", &content(b"")).is_err());
        assert!(metrics(&frame(&dimension), "m", 1).is_err());
    }

    /// Pieces that make text short and long, plain and awkward.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<Vec<u8>>(),
            "[ -~\n]{0,80}".prop_map(String::into_bytes),
            "\\PC{0,40}".prop_map(String::into_bytes),
            Just(vec![0; 4000]),
            Just(vec![0xe4, 0xb8]),
            Just("<>&\u{2028}\"\\中".repeat(500).into_bytes()),
            Just(vec![b'x'; 30_000]),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_output_gives_good_json_below_the_cap_that_ends_with_it(output in output(), gone in prop_oneof![Just(0), any::<u64>()]) {
            let dimension = Map::new();
            let text = event(&frame(&dimension), "e", &Content { gone, ..content(&output) }).unwrap();
            prop_assert!(text.len() <= MOST);
            let read: Value = serde_json::from_str(&text).unwrap();
            let said = read["data"][0]["event"]["content"].as_str().unwrap();
            let said = said.strip_prefix("execute job a failed: exit status 7 [").unwrap().strip_suffix(']').unwrap();
            let whole = String::from_utf8_lossy(&output);
            match said.strip_prefix('(').and_then(|said| said.split_once(" bytes cut) ")) {
                Some((count, rest)) if count.parse::<u64>().is_ok() && (gone > 0 || rest.len() < whole.len()) => {
                    prop_assert!(whole.ends_with(rest));
                    let cut = count.parse::<u64>().unwrap().saturating_sub(gone);
                    if gone < u64::MAX / 2 {
                        let kept = &output[usize::try_from(cut).unwrap()..];
                        prop_assert_eq!(String::from_utf8_lossy(kept), rest);
                    }
                    prop_assert!(rest.len() == whole.len() || text.len() + NOTE + 8 > MOST, "no more was cut than had to be");
                }
                _ => prop_assert_eq!(said, whole),
            }
        }
    }
}
