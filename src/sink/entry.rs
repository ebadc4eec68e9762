//! One entry of the journal, in its native protocol: fields, one after the other, in one datagram.
//!
//! Pure. A field is `NAME=value` and a newline, or where the value holds a newline: the name, a newline, the value's length
//! in eight bytes (little endian), the value, a newline. A value is therefore never read as a field, and an entry ends with
//! its datagram: nothing that a job prints makes an entry or a field (fault E76).
//!
//! Nothing here is escaped. What the bytes are is for those to mind who show them; journalctl does.

use super::message_id::message_id;
use crate::run::RunLabel;
use crate::wire::Stream;

/// Under which journald files lines of jobs: 9, the clock daemon. `journalctl --facility=cron` finds them.
const FACILITY: u8 = 9;
/// Under which rotad's own words stand: 3, system daemons.
pub const OWN_FACILITY: u8 = 3;

/// An entry in the making.
#[derive(Debug, Default)]
pub struct Entry {
    bytes: Vec<u8>,
    /// Up to here it is the same for all lines of a stream.
    head: usize,
}

impl Entry {
    /// Begins anew, for lines of this stream of a run whose leader has the process id `pid`.
    pub fn lead(&mut self, label: &RunLabel, pid: Option<i32>, stream: Stream) {
        self.bytes.clear();
        self.field("SYSLOG_IDENTIFIER", label.job.as_str().as_bytes());
        self.run(label);
        self.field("ROTA_STREAM", word(stream).as_bytes());
        if let Some(pid) = pid {
            self.field("ROTA_PID", pid.to_string().as_bytes());
        }
        self.head = self.bytes.len();
    }

    /// A line of the stream that [`Entry::lead`] was told of; `start` where it begins a line, so that it may say its
    /// priority; `open` where no newline ended it.
    pub fn line(&mut self, stream: Stream, line: &[u8], start: bool, open: bool) -> &[u8] {
        self.bytes.truncate(self.head);
        let (said, text) = if start { prefix(line) } else { (None, line) };
        let Prefix { priority, facility } = said.unwrap_or(Prefix {
            priority: match stream {
                Stream::Stdout => 6,
                Stream::Stderr => 4,
            },
            facility: None,
        });
        self.field("PRIORITY", &[b'0' + priority]);
        self.field("SYSLOG_FACILITY", facility.unwrap_or(FACILITY).to_string().as_bytes());
        if open {
            self.field("ROTA_OPEN", b"1");
        }
        self.field("MESSAGE", text);
        &self.bytes
    }

    /// A warning of rotad's own, about a run or about itself.
    pub fn own(&mut self, label: Option<&RunLabel>, code: &str, text: &str) -> &[u8] {
        self.bytes.clear();
        self.field("SYSLOG_IDENTIFIER", b"rotad");
        self.field("PRIORITY", b"4");
        self.field("SYSLOG_FACILITY", OWN_FACILITY.to_string().as_bytes());
        self.field("ROTA_CODE", code.as_bytes());
        if let Some(label) = label {
            self.run(label);
        }
        if let Some(id) = message_id(code) {
            self.field("MESSAGE_ID", id.as_bytes());
        }
        self.field("MESSAGE", text.as_bytes());
        &self.bytes
    }

    fn run(&mut self, label: &RunLabel) {
        self.field("ROTA_JOB", label.job.as_str().as_bytes());
        self.field("ROTA_RUN_ID", label.of.to_string().as_bytes());
        self.field("ROTA_ATTEMPT", label.attempt.to_string().as_bytes());
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        if memchr::memchr(b'\n', value).is_some() {
            self.bytes.push(b'\n');
            self.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.bytes.push(b'=');
        }
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

/// What a line says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    priority: u8,
    facility: Option<u8>,
}

/// Takes `<N>` off a line, as systemd does with the lines of services (`SyslogLevelPrefix=`): N is a priority from 0 to 7, or
/// with the facility eight times as much added, in at most three digits. The kernel's facility is nobody's but the kernel's.
fn prefix(line: &[u8]) -> (Option<Prefix>, &[u8]) {
    let said = || {
        let rest = line.strip_prefix(b"<")?;
        let end = rest.iter().take(4).position(|byte| *byte == b'>').filter(|end| *end > 0)?;
        let digits = &rest[..end];
        let number =
            digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse::<u16>().ok())??;
        let facility = u8::try_from(number / 8).ok().filter(|facility| *facility < 24)?;
        let said = Prefix { priority: (number % 8) as u8, facility: (facility > 0).then_some(facility) };
        Some((said, &rest[end + 1..]))
    };
    said().map_or((None, line), |(said, rest)| (Some(said), rest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::job::{JobName, LogTarget};
    use crate::wire::RunId;

    fn label() -> RunLabel {
        let job = JobName::parse("back up").unwrap();
        RunLabel { run: RunId(9), of: RunId(9), attempt: 1, job, target: LogTarget::Journal, output_limit: 0 }
    }

    /// What journald reads: the protocol's other side.
    fn read(mut bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes).expect("a newline ends a field");
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            let (name, value) = match memchr::memchr(b'=', line) {
                Some(equals) => {
                    bytes = rest;
                    (&line[..equals], line[equals + 1..].to_vec())
                }
                None => {
                    let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
                    assert_eq!(rest[8 + length], b'\n');
                    bytes = &rest[8 + length + 1..];
                    (line, rest[8..8 + length].to_vec())
                }
            };
            assert_eq!(fields.insert(String::from_utf8(name.to_vec()).unwrap(), value), None);
        }
        fields
    }

    #[test]
    fn what_an_entry_says() {
        let mut entry = Entry::default();
        entry.lead(&label(), Some(77), Stream::Stderr);
        let fields = read(entry.line(Stream::Stderr, b"<2>a=b", true, true));
        let expected = [
            ("MESSAGE", "a=b"),
            ("PRIORITY", "2"),
            ("ROTA_ATTEMPT", "1"),
            ("ROTA_JOB", "back up"),
            ("ROTA_OPEN", "1"),
            ("ROTA_PID", "77"),
            ("ROTA_RUN_ID", "0000000000009"),
            ("ROTA_STREAM", "stderr"),
            ("SYSLOG_FACILITY", "9"),
            ("SYSLOG_IDENTIFIER", "back up"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert_eq!(fields, BTreeMap::from(expected));

        let fields = read(entry.own(Some(&label()), "output-dropped", "two\nlines"));
        assert_eq!(fields["MESSAGE"], b"two\nlines");
        assert_eq!(fields["MESSAGE_ID"], message_id("output-dropped").unwrap().as_bytes());
        assert_eq!((&fields["SYSLOG_IDENTIFIER"][..], &fields["ROTA_JOB"][..]), (&b"rotad"[..], &b"back up"[..]));
        assert!(!fields.contains_key("ROTA_STREAM"), "a word of rotad's is no line of the job");
    }

    #[test]
    fn priorities_as_systemd_reads_them() {
        let said = |priority, facility| Some(Prefix { priority, facility });
        for (line, expected) in [
            (&b"<0>x"[..], (said(0, None), &b"x"[..])),
            (b"<7>", (said(7, None), b"")),
            (b"<03>x", (said(3, None), b"x")),
            (b"<30>x", (said(6, Some(3)), b"x")),
            (b"<191>x", (said(7, Some(23)), b"x")),
            (b"<192>x", (None, b"<192>x")),
            (b"<0191>x", (None, b"<0191>x")),
            (b"<>x", (None, b"<>x")),
            (b"<+1>x", (None, b"<+1>x")),
            (b"<-1>", (None, b"<-1>")),
            (b" <1>x", (None, b" <1>x")),
            (b"<1", (None, b"<1")),
            (b"<html>", (None, b"<html>")),
            (b"<4><3>x", (said(4, None), b"<3>x")),
        ] {
            assert_eq!(prefix(line), expected, "{}", line.escape_ascii());
        }
        let mut entry = Entry::default();
        entry.lead(&label(), None, Stream::Stdout);
        assert_eq!(read(entry.line(Stream::Stdout, b"x", true, false))["PRIORITY"], b"6");
        let fields = read(entry.line(Stream::Stdout, b"<1>in the midst of a line", false, false));
        assert_eq!((&fields["PRIORITY"][..], &fields["MESSAGE"][..4]), (&b"6"[..], &b"<1>i"[..]));
        entry.lead(&label(), None, Stream::Stderr);
        assert_eq!(read(entry.line(Stream::Stderr, b"x", true, false))["PRIORITY"], b"4");
    }

    proptest! {
        /// Whatever a job prints, the entry has the same fields, and the line is what was printed.
        #[test]
        fn e76_no_line_makes_a_field(line in prop::collection::vec(any::<u8>(), 0..60), open: bool) {
            let mut entry = Entry::default();
            entry.lead(&label(), Some(1), Stream::Stdout);
            let names = |fields: &BTreeMap<String, Vec<u8>>| fields.keys().cloned().collect::<Vec<_>>();
            let plain = names(&read(entry.line(Stream::Stdout, b"", false, open)));
            let fields = read(entry.line(Stream::Stdout, &line, false, open));
            prop_assert_eq!(names(&fields), plain);
            prop_assert_eq!(&fields["MESSAGE"], &line);
        }
    }
}
